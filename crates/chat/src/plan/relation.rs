//! What friend commands make of what is between two users.
//!
//! A table: both sides before, a command, both sides after. Each side is what its user sees, so a
//! side changes only by what its user may know. Invariant: being blocked is never seen. Whoever is
//! blocked asks and takes back as with anybody who does not answer; their request waits on their own
//! side alone and shows up on the other one only when it is made again without a block. Invariant:
//! both are friends or neither is; who has been asked is asked by somebody.

use hubbub_proto::Reason;
use hubbub_proto::event::RelationState::{self, Friend, None, Received, Requested};

use crate::model::{Pair, Side};

/// A friend command.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// `friend_request`
    Request,
    /// `friend_accept`
    Accept,
    /// `friend_reject`
    Reject,
    /// `friend_cancel`
    Cancel,
    /// `friend_remove`
    Remove,
    /// `friend_block`
    Block,
    /// `friend_unblock`
    Unblock,
}

/// Both sides after the step; unchanged where it has nothing to do, so that repeating does no harm.
///
/// # Errors
/// `blocked` where one asks or accepts somebody whom they block; `not_found` where there is no
/// request to accept.
pub fn step(pair: Pair, step: Step) -> Result<Pair, Reason> {
    let Pair { mine, theirs } = pair;
    match step {
        Step::Request | Step::Accept if mine.blocked => return Err(Reason::Blocked),
        _ => {}
    }
    let states = |my: RelationState, their: RelationState| Pair {
        mine: Side { state: my, ..mine },
        theirs: Side { state: their, ..theirs },
    };
    Ok(match (step, mine.state, theirs.state) {
        // Both want it.
        (Step::Request, None, Requested) | (Step::Request | Step::Accept, Received, _) => {
            states(Friend, Friend)
        }
        // Also a request that did not show, made again.
        (Step::Request, None | Requested, None) => {
            states(Requested, if theirs.blocked { None } else { Received })
        }
        (Step::Accept, None | Requested, _) => return Err(Reason::NotFound),
        (Step::Reject, Received, _) | (Step::Cancel, Requested, _) | (Step::Remove, Friend, _) => {
            states(None, None)
        }
        (Step::Block, state, _) => {
            // A request of somebody who is kept away is not shown any more.
            let state = if state == Received { None } else { state };
            Pair { mine: Side { state, blocked: true }, theirs }
        }
        (Step::Unblock, ..) => Pair { mine: Side { blocked: false, ..mine }, theirs },
        _ => pair,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;

    use super::*;

    const STEPS: [Step; 7] = [
        Step::Request,
        Step::Accept,
        Step::Reject,
        Step::Cancel,
        Step::Remove,
        Step::Block,
        Step::Unblock,
    ];

    /// Every pair that two users can come to from nothing.
    fn reachable() -> BTreeSet<Pair> {
        let (mut all, mut new) = (BTreeSet::new(), vec![Pair::default()]);
        while let Some(pair) = new.pop() {
            if !all.insert(pair) {
                continue;
            }
            for seen in [pair, pair.turned()] {
                new.extend(STEPS.into_iter().filter_map(|taken| step(seen, taken).ok()));
            }
        }
        all
    }

    fn shown(side: Side) -> String {
        let state = format!("{:?}", side.state).to_lowercase();
        if side.blocked { format!("{state}+blocked") } else { state }
    }

    #[test]
    fn the_whole_table() {
        let mut table = String::new();
        for pair in reachable() {
            let before = format!("{} | {}", shown(pair.mine), shown(pair.theirs));
            for taken in STEPS {
                let after = match step(pair, taken) {
                    Ok(after) if after == pair => "unchanged".to_owned(),
                    Ok(after) => format!("{} | {}", shown(after.mine), shown(after.theirs)),
                    Err(reason) => format!("error {}", reason.slug()),
                };
                writeln!(table, "{before:40} {:8} -> {after}", format!("{taken:?}")).unwrap();
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn both_are_friends_or_neither_and_every_question_was_asked() {
        for pair in reachable() {
            let (my, their) = (pair.mine.state, pair.theirs.state);
            assert_eq!(my == Friend, their == Friend, "{pair:?}");
            assert!(my != Received || their == Requested, "{pair:?}");
            assert!(their != Received || my == Requested, "{pair:?}");
            assert!(!(pair.mine.blocked && my == Received), "{pair:?}");
        }
    }

    #[test]
    fn repeating_a_step_changes_nothing() {
        for pair in reachable() {
            for taken in STEPS {
                if let Ok(once) = step(pair, taken) {
                    let twice = step(once, taken);
                    let gone = taken == Step::Accept && once.mine.state != Friend;
                    assert!(gone || twice == Ok(once), "{pair:?} {taken:?}");
                }
            }
        }
    }

    /// Plays all short games of a user against another twice: once the other blocks somewhere in
    /// between, once they do not but say nothing from there on. The user must not see a difference.
    #[test]
    fn a_block_looks_like_silence() {
        /// What the user has seen so far, and where things stand.
        type Game = (Pair, Vec<String>);
        fn play(mut game: Game, steps: &[Step]) -> Vec<String> {
            for taken in steps {
                let line = match step(game.0, *taken) {
                    Ok(after) => {
                        game.0 = after;
                        shown(after.mine)
                    }
                    Err(reason) => reason.slug().to_owned(),
                };
                game.1.push(line);
            }
            game.1
        }
        let mut games: BTreeMap<usize, Vec<Vec<Step>>> = BTreeMap::from([(0, vec![Vec::new()])]);
        for length in 1..=3 {
            let longer = games[&(length - 1)]
                .iter()
                .flat_map(|game| STEPS.map(|taken| [game.clone(), vec![taken]].concat()))
                .collect();
            games.insert(length, longer);
        }
        for pair in reachable() {
            let blocked = step(pair.turned(), Step::Block).unwrap().turned();
            assert_eq!(blocked.mine, pair.mine, "the block itself is not seen");
            for steps in games.values().flatten() {
                let silent = play((pair, Vec::new()), steps);
                let kept_away = play((blocked, Vec::new()), steps);
                // A request that waits for the user is theirs to accept either way; nothing else
                // may depend on what the other did.
                assert_eq!(silent, kept_away, "{pair:?} {steps:?}");
            }
        }
    }
}
