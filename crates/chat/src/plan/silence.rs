//! Whether a member may only read at the moment.

use hubbub_proto::command::Role;
use hubbub_proto::{Reason, Refusal, Timestamp};

use crate::model::{Conversation, Membership};

/// Whether a member may say something: send, edit, react, type. Says nothing about whether they are
/// a member.
///
/// # Errors
/// `muted`, with the moment at which that ends by itself.
pub fn silenced(
    conversation: &Conversation,
    membership: Option<&Membership>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(membership) = membership else { return Ok(()) };
    let all = conversation.silenced.filter(|_| membership.role < Role::Admin);
    let longest = membership.silenced.max(all).filter(|until| until.holds(now));
    match longest {
        Some(until) => Err(Refusal::until(Reason::Muted, until.end())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Until;
    use crate::plan::group::tests::{group, member_with};

    #[test]
    fn the_later_end_counts_and_admins_are_not_all() {
        let until = |end| Some(Until::new(Some(Timestamp(end))));
        let ever = Some(Until::new(None));
        let check = |role, own, all, expect: Result<(), Option<u64>>| {
            let conversation = Conversation { silenced: all, ..group(3, false) };
            let membership = Membership { role, silenced: own, ..member_with(None) };
            let found = silenced(&conversation, Some(&membership), Timestamp(100));
            let found = found.map_err(|refusal| {
                assert_eq!(refusal.reason, Reason::Muted);
                refusal.until.map(|until| until.0)
            });
            assert_eq!(found, expect, "{role:?} {own:?} {all:?}");
        };
        check(Role::Member, None, None, Ok(()));
        check(Role::Member, until(100), None, Ok(()));
        check(Role::Member, until(101), None, Err(Some(101)));
        check(Role::Member, ever, until(101), Err(None));
        check(Role::Member, until(300), until(200), Err(Some(300)));
        check(Role::Member, until(99), until(200), Err(Some(200)));
        check(Role::Member, None, ever, Err(None));
        check(Role::Admin, None, ever, Ok(()));
        check(Role::Admin, until(101), ever, Err(Some(101)));
        check(Role::Owner, None, ever, Ok(()));
        assert_eq!(silenced(&group(3, false), None, Timestamp(100)), Ok(()));
    }
}
