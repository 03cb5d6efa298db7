//! Who may enter a group, and who may only read in it, in memory.

use std::collections::BTreeMap;

use hubbub_chat::model::{Ban, ConversationKey, JoinRequest, Link, Rev, Until, User, UserKey};
use hubbub_chat::ports::{Groups, Result, WriteGroups};
use hubbub_proto::command::Role;
use hubbub_proto::{Timestamp, UserId};

use super::{Handle, Seat, State, Writing, conversations, refused};

/// What a group keeps of those who are not in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Doors {
    bans: BTreeMap<UserKey, Ban>,
    requests: BTreeMap<UserKey, JoinRequest>,
    links: BTreeMap<[u8; 32], Link>,
}

impl<S: Seat> Groups for Handle<S> {
    fn ban(&mut self, conversation: ConversationKey, user: UserKey) -> Result<Option<Ban>> {
        let state = self.seat.state();
        Ok(state.logs.get(&conversation).and_then(|log| log.doors.bans.get(&user)).cloned())
    }

    fn bans(
        &mut self,
        conversation: ConversationKey,
        now: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, Ban)>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(Vec::new()) };
        let holding = log.doors.bans.iter().filter(|(_, ban)| ban.until.holds(now));
        Ok(page(&state, holding, after, limit))
    }

    fn ban_count(&mut self, conversation: ConversationKey, now: Timestamp) -> Result<u64> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(0) };
        Ok(log.doors.bans.values().filter(|ban| ban.until.holds(now)).count() as u64)
    }

    fn join_request(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<JoinRequest>> {
        let state = self.seat.state();
        Ok(state.logs.get(&conversation).and_then(|log| log.doors.requests.get(&user)).cloned())
    }

    fn join_requests(
        &mut self,
        conversation: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, JoinRequest)>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(Vec::new()) };
        Ok(page(&state, log.doors.requests.iter(), after, limit))
    }

    fn join_request_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        let state = self.seat.state();
        Ok(state.logs.get(&conversation).map_or(0, |log| log.doors.requests.len() as u64))
    }

    fn own_join_request_count(&mut self, user: UserKey) -> Result<u64> {
        let state = self.seat.state();
        let asked = state.logs.values().filter(|log| log.doors.requests.contains_key(&user));
        Ok(asked.count() as u64)
    }

    fn links(&mut self, conversation: ConversationKey) -> Result<Vec<Link>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(Vec::new()) };
        let mut links: Vec<_> = log.doors.links.values().cloned().collect();
        links.sort_by_key(|link| (link.at, link.digest));
        Ok(links)
    }

    fn managers(&mut self, conversation: ConversationKey, limit: u32) -> Result<Vec<UserId>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(Vec::new()) };
        let mut managers: Vec<_> = log
            .open_members()
            .filter(|(_, membership)| membership.role >= Role::Admin)
            .map(|(key, membership)| (std::cmp::Reverse(membership.role), *key))
            .collect();
        managers.sort_unstable();
        let named = managers.into_iter().take(limit as usize);
        Ok(named.filter_map(|(_, key)| Some(state.people.get(&key)?.user.id.clone())).collect())
    }
}

/// A page in the order of the users' ids.
fn page<'a, T: Clone + 'a>(
    state: &State,
    rows: impl Iterator<Item = (&'a UserKey, &'a T)>,
    after: Option<&UserId>,
    limit: u32,
) -> Vec<(User, T)> {
    let mut named: Vec<_> = rows
        .filter_map(|(key, row)| Some((state.people.get(key)?.user.clone(), row.clone())))
        .filter(|(user, _)| after.is_none_or(|after| user.id > *after))
        .collect();
    named.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    named.truncate(limit as usize);
    named
}

impl WriteGroups for Handle<Writing> {
    fn put_ban(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        by: UserKey,
        at: Timestamp,
        until: Until,
    ) -> Result<()> {
        let state = self.seat.working()?;
        let Some(by) = state.people.get(&by).map(|person| person.user.id.clone()) else {
            return refused("there is no such user");
        };
        let bans = &mut conversations::log(state, conversation)?.doors.bans;
        bans.retain(|_, ban| ban.until.holds(at));
        bans.insert(user, Ban { by, at, until });
        Ok(())
    }

    fn remove_ban(&mut self, conversation: ConversationKey, user: UserKey) -> Result<()> {
        conversations::log(self.seat.working()?, conversation)?.doors.bans.remove(&user);
        Ok(())
    }

    fn put_join_request(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        request: &JoinRequest,
    ) -> Result<()> {
        let log = conversations::log(self.seat.working()?, conversation)?;
        log.doors.requests.insert(user, request.clone());
        Ok(())
    }

    fn remove_join_request(&mut self, conversation: ConversationKey, user: UserKey) -> Result<()> {
        conversations::log(self.seat.working()?, conversation)?.doors.requests.remove(&user);
        Ok(())
    }

    fn put_link(&mut self, conversation: ConversationKey, by: UserKey, link: &Link) -> Result<()> {
        let state = self.seat.working()?;
        let Some(by) = state.people.get(&by).map(|person| person.user.id.clone()) else {
            return refused("there is no such user");
        };
        let links = &mut conversations::log(state, conversation)?.doors.links;
        links.retain(|_, known| known.until.holds(link.at) && known.uses_left != Some(0));
        if links.contains_key(&link.digest) {
            return refused("there is such a link");
        }
        links.insert(link.digest, Link { by, ..link.clone() });
        Ok(())
    }

    fn use_link(&mut self, conversation: ConversationKey, digest: &[u8; 32]) -> Result<()> {
        let links = &mut conversations::log(self.seat.working()?, conversation)?.doors.links;
        if let Some(left) = links.get_mut(digest).and_then(|link| link.uses_left.as_mut()) {
            *left = left.saturating_sub(1);
        }
        Ok(())
    }

    fn remove_link(&mut self, conversation: ConversationKey, digest: &[u8; 32]) -> Result<()> {
        conversations::log(self.seat.working()?, conversation)?.doors.links.remove(digest);
        Ok(())
    }

    fn close_doors(&mut self, conversation: ConversationKey) -> Result<()> {
        conversations::log(self.seat.working()?, conversation)?.doors = Doors::default();
        Ok(())
    }

    fn silence(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        until: Option<Until>,
        rev: Rev,
    ) -> Result<()> {
        let place = conversations::place(self.seat.working()?, conversation, user)?;
        place.silenced = until;
        place.rev = rev;
        Ok(())
    }

    fn silence_all(&mut self, conversation: ConversationKey, until: Option<Until>) -> Result<()> {
        conversations::row(self.seat.working()?, conversation)?.silenced = until;
        Ok(())
    }
}
