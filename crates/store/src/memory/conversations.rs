//! Conversations, memberships and cursors in memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hubbub_chat::model::{
    Conversation, ConversationKey, Member, Membership, Pin, Profile, Rev, Stay, UserKey,
};
use hubbub_chat::ports::{Conversations, Result};
use hubbub_proto::command::Role;
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ConversationId, Timestamp, UserId};

use super::groups::Doors;
use super::messages::Row;
use super::operations::Reacted;
use super::{Handle, Seat, State, refused, users};

/// A conversation with all that is in it.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) row: Conversation,
    pub(super) members: BTreeMap<UserKey, Membership>,
    pub(super) entries: BTreeMap<u64, Arc<Row>>,
    /// Ascending.
    pub(super) reactions: Vec<Reacted>,
    pub(super) pins: BTreeMap<u64, Pin>,
    /// What users hid, and with which change.
    pub(super) hidden: BTreeMap<(UserKey, u64), Rev>,
    pub(super) doors: Doors,
    /// The seqs of entries whose senders ask for receipts.
    pub(super) receipts: BTreeSet<u64>,
    /// When it is to be looked at because of a retention of its own.
    pub(super) overdue: Option<Timestamp>,
}

impl Log {
    pub(super) fn open_members(&self) -> impl Iterator<Item = (&UserKey, &Membership)> {
        self.members.iter().filter(|(_, membership)| membership.is_open())
    }

    /// When the view of this member last changed.
    fn changed_at(&self, membership: &Membership) -> Rev {
        if membership.is_open() { membership.rev.max(self.row.rev) } else { membership.rev }
    }
}

impl<S: Seat> Conversations for Handle<S> {
    fn conversation(&mut self, id: &ConversationId) -> Result<Option<Conversation>> {
        let state = self.seat.state();
        let log = state.logs_by_id.get(id).and_then(|key| state.logs.get(key));
        Ok(log.map(|log| log.row.clone()))
    }

    fn membership(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<Membership>> {
        let state = self.seat.state();
        Ok(state.logs.get(&conversation).and_then(|log| log.members.get(&user)).cloned())
    }

    fn members(
        &mut self,
        conversation: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>> {
        let state = self.seat.state();
        let log = state.logs.get(&conversation);
        let Some(log) = log.filter(|log| log.row.kind == ConversationKind::Group) else {
            return Ok(Vec::new());
        };
        let named = log.open_members().filter_map(|(key, membership)| {
            let user = state.people.get(key)?.user.clone();
            Some(Member { user, role: membership.role, silenced: membership.silenced })
        });
        let mut members: Vec<_> =
            named.filter(|member| after.is_none_or(|after| member.user.id > *after)).collect();
        members.sort_by(|a, b| a.user.id.cmp(&b.user.id));
        members.truncate(limit as usize);
        Ok(members)
    }

    fn member_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        let state = self.seat.state();
        Ok(state.logs.get(&conversation).map_or(0, |log| log.open_members().count() as u64))
    }

    fn owner_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        let state = self.seat.state();
        Ok(state.logs.get(&conversation).map_or(0, |log| {
            log.open_members().filter(|(_, membership)| membership.role == Role::Owner).count()
                as u64
        }))
    }

    fn open_groups(&mut self, user: UserKey) -> Result<Vec<ConversationId>> {
        let state = self.seat.state();
        let mut ids: Vec<_> = places(&state, user)
            .filter(|(log, membership)| {
                membership.is_open()
                    && !log.row.dissolved
                    && log.row.kind == ConversationKind::Group
            })
            .map(|(log, _)| log.row.id.clone())
            .collect();
        ids.sort();
        Ok(ids)
    }

    fn open_group_count(&mut self, user: UserKey) -> Result<u64> {
        self.open_groups(user).map(|groups| groups.len() as u64)
    }

    fn changed(
        &mut self,
        user: UserKey,
        since: Rev,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>> {
        let state = self.seat.state();
        let mut found: Vec<_> = places(&state, user)
            .map(|(log, membership)| (log.changed_at(membership), log, membership))
            .filter(|(rev, ..)| *rev > since)
            .collect();
        found.sort_by_key(|(rev, log, _)| (*rev, log.row.key));
        Ok(rows(&found, limit))
    }

    fn recent(
        &mut self,
        user: UserKey,
        before: Option<Rev>,
        limit: u32,
    ) -> Result<Vec<(Conversation, Membership)>> {
        let state = self.seat.state();
        let mut found: Vec<_> = places(&state, user)
            .map(|(log, membership)| (log.changed_at(membership), log, membership))
            .filter(|(rev, ..)| before.is_none_or(|before| *rev < before))
            .collect();
        found.sort_by_key(|(rev, log, _)| Reverse((*rev, log.row.key)));
        Ok(rows(&found, limit))
    }
}

pub(super) fn places(state: &State, user: UserKey) -> impl Iterator<Item = (&Log, &Membership)> {
    let person = state.people.get(&user);
    person.into_iter().flat_map(|person| &person.conversations).filter_map(move |key| {
        let log = state.logs.get(key)?;
        Some((&**log, log.members.get(&user)?))
    })
}

fn rows(found: &[(Rev, &Log, &Membership)], limit: u32) -> Vec<(Conversation, Membership)> {
    let pairs = found.iter().take(limit as usize);
    pairs.map(|(_, log, membership)| (log.row.clone(), (*membership).clone())).collect()
}

pub(super) fn create(
    state: &mut State,
    id: &ConversationId,
    kind: ConversationKind,
    profile: &Profile,
) -> Result<Conversation> {
    if state.logs_by_id.contains_key(id) {
        return refused("a conversation with this id exists");
    }
    let key = ConversationKey(state.logs.last_key_value().map_or(1, |(key, _)| key.0 + 1));
    let row = Conversation {
        key,
        id: id.clone(),
        kind,
        head_seq: 0,
        floor_seq: 0,
        rev: Rev(0),
        profile: profile.clone(),
        dissolved: false,
        silenced: None,
    };
    let log = Log {
        row: row.clone(),
        members: BTreeMap::new(),
        entries: BTreeMap::new(),
        doors: Doors::default(),
        reactions: Vec::new(),
        pins: BTreeMap::new(),
        hidden: BTreeMap::new(),
        receipts: BTreeSet::new(),
        overdue: None,
    };
    Arc::make_mut(&mut state.logs_by_id).insert(id.clone(), key);
    Arc::make_mut(&mut state.logs).insert(key, Arc::new(log));
    Ok(row)
}

pub(super) fn log(state: &mut State, key: ConversationKey) -> Result<&mut Log> {
    match Arc::make_mut(&mut state.logs).get_mut(&key) {
        Some(log) => Ok(Arc::make_mut(log)),
        None => refused("there is no such conversation"),
    }
}

pub(super) fn row(state: &mut State, key: ConversationKey) -> Result<&mut Conversation> {
    log(state, key).map(|log| &mut log.row)
}

pub(super) fn place(
    state: &mut State,
    conversation: ConversationKey,
    user: UserKey,
) -> Result<&mut Membership> {
    match log(state, conversation)?.members.get_mut(&user) {
        Some(membership) => Ok(membership),
        None => refused("the user was never a member"),
    }
}

pub(super) fn open_stay(
    state: &mut State,
    conversation: ConversationKey,
    user: UserKey,
    role: Role,
    join_seq: u64,
    rev: Rev,
) -> Result<()> {
    match users::person(state, user) {
        Some(person) => person.conversations.insert(conversation),
        None => return refused("there is no such user"),
    };
    let log = log(state, conversation)?;
    let seen = join_seq.saturating_sub(1);
    match log.members.get_mut(&user) {
        Some(place) => {
            match place.stays.last().map(|stay| stay.left_seq) {
                Some(None) => return refused("the user is a member already"),
                Some(Some(left_seq)) if left_seq >= join_seq => {
                    return refused("the stay overlaps an earlier one");
                }
                _ => {}
            }
            place.stays.push(Stay { join_seq, left_seq: None });
            place.left_name = None;
            place.role = role;
            place.received_seq = place.received_seq.max(seen);
            place.read_seq = place.read_seq.max(seen);
            place.rev = rev;
        }
        None => {
            let stays = vec![Stay { join_seq, left_seq: None }];
            let place = Membership {
                role,
                received_seq: seen,
                read_seq: seen,
                cleared_seq: 0,
                rev,
                left_name: None,
                silenced: None,
                settings: None,
                stays,
            };
            log.members.insert(user, place);
        }
    }
    Ok(())
}

pub(super) fn close_stay(
    state: &mut State,
    conversation: ConversationKey,
    user: UserKey,
    left_seq: u64,
    rev: Rev,
) -> Result<()> {
    let log = log(state, conversation)?;
    let name = log.row.profile.name.clone();
    let Some(place) = log.members.get_mut(&user) else {
        return refused("the user was never a member");
    };
    match place.stays.last_mut().filter(|stay| stay.left_seq.is_none()) {
        None => return refused("the user is no member"),
        Some(stay) if left_seq < stay.join_seq => return refused("the stay would be empty"),
        Some(stay) => stay.left_seq = Some(left_seq),
    }
    place.left_name = name;
    place.rev = rev;
    Ok(())
}
