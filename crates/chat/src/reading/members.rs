//! `group_members`: who is in a group, for those who are.

use hubbub_proto::command::GroupMembers;
use hubbub_proto::event::{Member, MemberPage, Muted, PublicUser};
use hubbub_proto::{ConversationId, Reason, Refusal, Timestamp};

use super::Desk;
use crate::model::Until;
use crate::plan::standing;
use crate::stop::Outcome;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 200;

impl Desk<'_> {
    pub(super) fn members(&mut self, command: &GroupMembers) -> Outcome<MemberPage> {
        let limit = page_size(command.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let place = self.find(&ConversationId::group(&command.group))?;
        let place = place
            .filter(|place| standing(&place.conversation, Some(&place.membership)).is_some())
            .ok_or(Reason::NotAMember)?;
        let key = place.conversation.key;
        let mut found = self.reader.members(key, command.after.as_ref(), limit + 1)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|member| member.user.id.clone());
        let now = self.now;
        let member = |found: crate::model::Member| Member {
            user: PublicUser { id: found.user.id, name: found.user.name },
            role: found.role,
            muted: muted(found.silenced, now),
        };
        let members = found.into_iter().map(member).collect();
        Ok(MemberPage { members, count: self.reader.member_count(key)?, next })
    }
}

/// How a silence is shown that has not ended.
pub(super) fn muted(silenced: Option<Until>, now: Timestamp) -> Option<Muted> {
    let until = silenced.filter(|until| until.holds(now))?;
    Some(Muted { until: until.end() })
}

/// The size of a page: what was asked for, within bounds.
pub(super) fn page_size(wanted: Option<u32>, default: u32, max: u32) -> Result<u32, Refusal> {
    match wanted.unwrap_or(default) {
        0 => Err(Refusal::with(Reason::BadRange, "`limit` must be at least 1.")),
        limit => Ok(limit.min(max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_at_least_one_and_at_most_the_limit() {
        let check = |wanted, expect: Result<u32, Reason>| {
            assert_eq!(page_size(wanted, 100, 200).map_err(|refusal| refusal.reason), expect);
        };
        check(None, Ok(100));
        check(Some(1), Ok(1));
        check(Some(201), Ok(200));
        check(Some(0), Err(Reason::BadRange));
    }
}
