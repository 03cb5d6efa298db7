//! `group_requests`, `group_bans` and `group_links`: who wants into a group, who is kept out, and what
//! lets one in, for its owner and admins.

use hubbub_proto::command::{GroupLinks, GroupPage, Role};
use hubbub_proto::event::{BanItem, BanPage, JoinRequestItem, JoinRequestPage, LinkItem, LinkList};
use hubbub_proto::{ConversationId, GroupId, Reason};

use super::Desk;
use super::members::page_size;
use crate::model::ConversationKey;
use crate::plan::standing;
use crate::stop::Outcome;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 200;

impl Desk<'_> {
    pub(super) fn join_requests(&mut self, command: &GroupPage) -> Outcome<JoinRequestPage> {
        let limit = page_size(command.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let key = self.managed(&command.group)?;
        let mut found = self.reader.join_requests(key, command.after.as_ref(), limit + 1)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let item = |(user, request): (crate::model::User, crate::model::JoinRequest)| {
            let (note, at) = (request.note, request.at);
            JoinRequestItem { user: user.id, name: user.name, note, at }
        };
        Ok(JoinRequestPage { requests: found.into_iter().map(item).collect(), more })
    }

    pub(super) fn bans(&mut self, command: &GroupPage) -> Outcome<BanPage> {
        let limit = page_size(command.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let key = self.managed(&command.group)?;
        let mut found = self.reader.bans(key, self.now, command.after.as_ref(), limit + 1)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let item = |(user, ban): (crate::model::User, crate::model::Ban)| BanItem {
            user: user.id,
            name: user.name,
            by: ban.by,
            at: ban.at,
            until: ban.until.end(),
        };
        Ok(BanPage { bans: found.into_iter().map(item).collect(), more })
    }

    pub(super) fn links(&mut self, command: &GroupLinks) -> Outcome<LinkList> {
        let key = self.managed(&command.group)?;
        let mut links = self.reader.links(key)?;
        links.retain(|link| link.holds(self.now));
        let item = |link: crate::model::Link| LinkItem {
            link: link.name().into(),
            by: link.by,
            at: link.at,
            expires_at: link.until.end(),
            uses_left: link.uses_left,
        };
        Ok(LinkList { links: links.into_iter().map(item).collect() })
    }

    /// A group of which the user is owner or admin.
    pub(super) fn managed(&mut self, group: &GroupId) -> Outcome<ConversationKey> {
        let place = self.find(&ConversationId::group(group))?;
        let role = place
            .as_ref()
            .and_then(|place| standing(&place.conversation, Some(&place.membership)))
            .ok_or(Reason::NotAMember)?;
        match place {
            Some(place) if role >= Role::Admin => Ok(place.conversation.key),
            _ => Err(Reason::NotAllowed.into()),
        }
    }
}
