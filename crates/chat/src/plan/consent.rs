//! Whether a user lets another do something to them, or see something of them.
//!
//! The one place that knows: messages, invitations, typing, receipts, presence and when somebody was
//! last there. Invariant: who is blocked is answered as one whom privacy keeps out, so that a block
//! cannot be told from it. Deliberately absent: groups, whose log is the same for all members, and
//! friend requests, which everybody may make ([`super::relation`]).

use hubbub_proto::command::Circle;
use hubbub_proto::event::{Privacy, RelationState};
use hubbub_proto::{Reason, Refusal};

use crate::model::Pair;

/// What one user, the actor, wants of another, the owner.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Act {
    /// To write to them.
    Message,
    /// To bring them into a group.
    Invite,
    /// To show them that the actor is writing to them.
    Typing,
    /// To learn how far they have received and read.
    Receipts,
    /// To see whether they are there.
    Presence,
    /// To see when they were last there.
    LastSeen,
}

/// The answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Consent {
    /// Yes.
    Given,
    /// No, by a block or by privacy.
    Withheld,
    /// No: the actor blocks the owner, and what they do not want to hear of they do not address.
    Blocking,
}

impl Consent {
    /// Whether it is a yes.
    #[must_use]
    pub fn is_given(self) -> bool {
        self == Self::Given
    }

    /// The refusal of what needs consent; `None` where it is given.
    #[must_use]
    pub fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Given => None,
            Self::Withheld => Some(Reason::Refused.into()),
            Self::Blocking => Some(Reason::Blocked.into()),
        }
    }
}

/// Decides. `pair` is seen from the actor; `privacy` is the owner's. Nobody needs this for what they
/// do to themselves.
#[must_use]
pub fn consent(act: Act, pair: Pair, privacy: &Privacy) -> Consent {
    if pair.mine.blocked {
        return Consent::Blocking;
    }
    let circle = match act {
        Act::Message | Act::Typing => privacy.messages,
        Act::Invite => privacy.invites,
        Act::Presence => privacy.presence,
        Act::LastSeen => privacy.last_seen,
        Act::Receipts if privacy.receipts => Circle::Everyone,
        Act::Receipts => Circle::Nobody,
    };
    let admitted = match circle {
        Circle::Everyone => true,
        Circle::Friends => {
            pair.mine.state == RelationState::Friend && pair.theirs.state == RelationState::Friend
        }
        Circle::Nobody => false,
    };
    if admitted && !pair.theirs.blocked { Consent::Given } else { Consent::Withheld }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::model::Side;

    const ACTS: [Act; 6] =
        [Act::Message, Act::Invite, Act::Typing, Act::Receipts, Act::Presence, Act::LastSeen];
    const CIRCLES: [Circle; 3] = [Circle::Everyone, Circle::Friends, Circle::Nobody];

    /// A privacy in which only what `act` asks for is as given, and all else the opposite.
    fn privacy(act: Act, circle: Circle) -> Privacy {
        let other = if circle == Circle::Nobody { Circle::Everyone } else { Circle::Nobody };
        let of = |acts: &[Act]| if acts.contains(&act) { circle } else { other };
        Privacy {
            presence: of(&[Act::Presence]),
            last_seen: of(&[Act::LastSeen]),
            messages: of(&[Act::Message, Act::Typing]),
            invites: of(&[Act::Invite]),
            receipts: act != Act::Receipts || circle != Circle::Nobody,
        }
    }

    fn pair(state: RelationState, blocks: bool, blocked: bool) -> Pair {
        let side = |blocked| Side { state, blocked };
        Pair { mine: side(blocks), theirs: side(blocked) }
    }

    #[test]
    fn who_may_do_what_to_whom() {
        let mut table = format!(
            "{:9} {:9} {:22} {:10} {:10} {:10}\n",
            "act", "are", "and", "everyone", "friends", "nobody"
        );
        for act in ACTS {
            for (are, state) in
                [("strangers", RelationState::None), ("friends", RelationState::Friend)]
            {
                for (and, blocks, blocked) in [
                    ("", false, false),
                    ("owner blocks actor", false, true),
                    ("actor blocks owner", true, false),
                    ("each blocks the other", true, true),
                ] {
                    write!(table, "{:9} {are:9} {and:22}", format!("{act:?}")).unwrap();
                    for circle in CIRCLES {
                        let privacy = privacy(act, circle);
                        let answer = consent(act, pair(state, blocks, blocked), &privacy);
                        write!(table, " {:10}", format!("{answer:?}").to_lowercase()).unwrap();
                    }
                    table.truncate(table.trim_end().len());
                    table.push('\n');
                }
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn being_blocked_is_answered_as_nobody_is() {
        for act in ACTS {
            for state in [RelationState::None, RelationState::Requested, RelationState::Friend] {
                let nobody = consent(act, pair(state, false, false), &privacy(act, Circle::Nobody));
                for circle in CIRCLES {
                    let blocked = consent(act, pair(state, false, true), &privacy(act, circle));
                    assert_eq!(blocked, nobody, "{act:?} {state:?} {circle:?}");
                    assert_eq!(blocked.refusal(), nobody.refusal());
                }
            }
        }
    }

    #[test]
    fn a_request_is_no_friendship() {
        for state in [RelationState::Requested, RelationState::Received] {
            let answer = consent(
                Act::Message,
                pair(state, false, false),
                &privacy(Act::Message, Circle::Friends),
            );
            assert_eq!(answer, Consent::Withheld);
        }
    }
}
