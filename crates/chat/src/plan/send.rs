//! Whether a message may be written, and where.

use hubbub_proto::{Reason, Refusal, Timestamp};

use super::address::Address;
use super::{silenced, standing};
use crate::model::{Conversation, Membership};

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// The conversation, where it exists.
    pub conversation: Option<&'a Conversation>,
    /// The sender's place in it; looked at for groups only, because nobody leaves a direct one.
    pub membership: Option<&'a Membership>,
    /// When the newest entry was written.
    pub last_at: Timestamp,
    /// Whether what `after` names is recorded; true where nothing is named.
    pub predecessor: bool,
    /// A back end speaks for itself: it writes where it is no member.
    pub backend: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The direct conversation is to be made first, with both sides in it from seq 1.
    pub make: bool,
    /// Where the entry goes.
    pub seq: u64,
    /// Its time: never earlier than that of the entry before.
    pub at: Timestamp,
}

/// Decides about a `send`.
///
/// # Errors
/// `not_allowed` where only pushes are written, `not_found` for a group that is not there,
/// `not_a_member` where the sender is not (or no more) in it, `muted`, `out_of_order` where `after`
/// names what is not recorded yet.
pub fn plan(address: &Address, state: &State<'_>, now: Timestamp) -> Result<Plan, Refusal> {
    address.writable()?;
    let head = match (state.conversation, &address.peer) {
        (Some(conversation), None) => {
            let outside = state.backend && !conversation.dissolved;
            if standing(conversation, state.membership).is_some() {
                silenced(conversation, state.membership, now)?;
            } else if !outside {
                return Err(Reason::NotAMember.into());
            }
            conversation.head_seq
        }
        (Some(conversation), Some(_)) => conversation.head_seq,
        (None, Some(_)) => 0,
        (None, None) => return Err(Reason::NotFound.into()),
    };
    if !state.predecessor {
        return Err(Reason::OutOfOrder.into());
    }
    Ok(Plan { make: state.conversation.is_none(), seq: head + 1, at: now.max(state.last_at) })
}

#[cfg(test)]
mod tests {
    use hubbub_proto::{ConversationId, UserId};

    use super::*;
    use crate::plan::group::tests::{group, member_with};

    const NOW: Timestamp = Timestamp(1_000);

    fn decide(to: &str, state: &State<'_>) -> Result<(bool, u64, u64), Reason> {
        let alice = UserId::new("alice").unwrap();
        let address = Address::named(&alice, &ConversationId::new(to).unwrap()).unwrap();
        plan(&address, state, NOW)
            .map(|p| (p.make, p.seq, p.at.0))
            .map_err(|refusal| refusal.reason)
    }

    #[test]
    fn decisions_table() {
        let open = member_with(None);
        let left = member_with(Some(3));
        let live = group(7, false);
        let over = group(7, true);
        let check = |to, conversation, membership, predecessor, expect| {
            let last_at = Timestamp(10);
            let state = State { conversation, membership, last_at, predecessor, backend: false };
            assert_eq!(decide(to, &state), expect, "{to} {conversation:?} {membership:?}");
        };
        check("direct:alice:bob", None, None, true, Ok((true, 1, 1_000)));
        check("direct:alice:bob", Some(&live), None, true, Ok((false, 8, 1_000)));
        check("direct:alice:bob", Some(&live), None, false, Err(Reason::OutOfOrder));
        check("group:g", None, None, true, Err(Reason::NotFound));
        check("system:all", Some(&live), Some(&open), true, Err(Reason::NotAllowed));
        check("group:g", Some(&live), Some(&open), true, Ok((false, 8, 1_000)));
        check("group:g", Some(&live), Some(&open), false, Err(Reason::OutOfOrder));
        check("group:g", Some(&live), Some(&left), true, Err(Reason::NotAMember));
        check("group:g", Some(&live), None, false, Err(Reason::NotAMember));
        check("group:g", Some(&over), Some(&open), true, Err(Reason::NotAMember));
    }

    #[test]
    fn a_back_end_writes_to_groups_from_outside() {
        let open = member_with(None);
        let left = member_with(Some(3));
        let live = group(7, false);
        let over = group(7, true);
        let check = |to, conversation, membership, expect| {
            let last_at = Timestamp(10);
            let state =
                State { conversation, membership, last_at, predecessor: true, backend: true };
            assert_eq!(decide(to, &state), expect, "{to} {conversation:?} {membership:?}");
        };
        check("group:g", Some(&live), None, Ok((false, 8, 1_000)));
        check("group:g", Some(&live), Some(&left), Ok((false, 8, 1_000)));
        check("group:g", Some(&live), Some(&open), Ok((false, 8, 1_000)));
        check("group:g", Some(&over), None, Err(Reason::NotAMember));
        check("group:g", None, None, Err(Reason::NotFound));
        check("system:all", Some(&live), None, Err(Reason::NotAllowed));
    }

    #[test]
    fn time_does_not_run_backwards_in_a_log() {
        let live = group(7, false);
        let state = State {
            conversation: Some(&live),
            membership: None,
            last_at: Timestamp(5_000),
            predecessor: true,
            backend: false,
        };
        assert_eq!(decide("direct:alice:bob", &state), Ok((false, 8, 5_000)));
    }
}
