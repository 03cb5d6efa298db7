//! Relations and profiles in memory.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use hubbub_chat::model::{
    Counted, Device, Pair, PrivacyChoice, Relation, Rev, Showing, Side, User, UserKey,
};
use hubbub_chat::ports::{People, Result, WritePeople};
use hubbub_proto::event::RelationState;
use hubbub_proto::{DeviceId, Timestamp, UserId};

use super::{Handle, Seat, State, Writing, users};

/// What belongs to a user besides their place in conversations.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    showing: Showing,
    relations: BTreeMap<UserKey, Relation>,
    /// The newest tombstone that was forgotten.
    forgotten: Rev,
    devices: BTreeMap<DeviceId, Device>,
    roles: Arc<[Box<str>]>,
}

fn own(state: &State, user: UserKey) -> Option<&Own> {
    state.people.get(&user).map(|person| &person.own)
}

fn side(state: &State, user: UserKey, other: UserKey) -> Side {
    let relation = own(state, user).and_then(|own| own.relations.get(&other));
    relation.map_or(Side::default(), |relation| relation.side)
}

impl<S: Seat> People for Handle<S> {
    fn pair(&mut self, user: UserKey, other: UserKey) -> Result<Pair> {
        let state = self.seat.state();
        Ok(Pair { mine: side(&state, user, other), theirs: side(&state, other, user) })
    }

    fn relation(&mut self, user: UserKey, other: UserKey) -> Result<Option<Relation>> {
        let state = self.seat.state();
        Ok(own(&state, user).and_then(|own| own.relations.get(&other)).cloned())
    }

    fn relations(
        &mut self,
        user: UserKey,
        since: Rev,
        tombstones: bool,
        limit: u32,
    ) -> Result<Vec<(User, Relation)>> {
        let state = self.seat.state();
        let Some(own) = own(&state, user) else { return Ok(Vec::new()) };
        let changed = own.relations.iter().filter(|(_, relation)| {
            relation.rev > since && (tombstones || !relation.side.is_nothing())
        });
        let mut found: Vec<_> = changed
            .filter_map(|(other, relation)| {
                Some((state.people.get(other)?.user.clone(), relation.clone()))
            })
            .collect();
        found.sort_by_key(|(_, relation)| relation.rev);
        found.truncate(limit as usize);
        Ok(found)
    }

    fn relations_rev(&mut self, user: UserKey) -> Result<(Rev, Rev)> {
        let state = self.seat.state();
        Ok(own(&state, user).map_or_else(Default::default, |own| {
            let newest = own.relations.values().map(|relation| relation.rev).max();
            (newest.unwrap_or_default(), own.forgotten)
        }))
    }

    fn relation_count(&mut self, user: UserKey, counted: Counted) -> Result<u64> {
        let state = self.seat.state();
        let is_counted = |relation: &&Relation| match counted {
            Counted::Requested => relation.side.state == RelationState::Requested,
            Counted::Received => relation.side.state == RelationState::Received,
            Counted::Friends => relation.side.state == RelationState::Friend,
            Counted::Blocked => relation.side.blocked,
        };
        let count = own(&state, user).map(|own| own.relations.values().filter(is_counted).count());
        Ok(count.unwrap_or(0) as u64)
    }

    fn friends_of(&mut self, user: UserKey, limit: u32) -> Result<Vec<User>> {
        let state = self.seat.state();
        let friend = Side { state: RelationState::Friend, blocked: false };
        let Some(own) = own(&state, user) else { return Ok(Vec::new()) };
        let friends = own.relations.iter().filter(|(other, relation)| {
            relation.side == friend && side(&state, **other, user) == friend
        });
        let users = friends.filter_map(|(other, _)| Some(state.people.get(other)?.user.clone()));
        Ok(users.take(limit as usize).collect())
    }

    fn showing(&mut self, user: UserKey) -> Result<Showing> {
        let state = self.seat.state();
        Ok(own(&state, user).map_or_else(Showing::default, |own| own.showing.clone()))
    }

    fn roles(&mut self, user: UserKey) -> Result<Arc<[Box<str>]>> {
        let state = self.seat.state();
        Ok(own(&state, user).map_or_else(Arc::default, |own| Arc::clone(&own.roles)))
    }

    fn devices(&mut self, user: UserKey) -> Result<Vec<Device>> {
        let state = self.seat.state();
        let devices = own(&state, user).into_iter().flat_map(|own| own.devices.values().cloned());
        let mut devices: Vec<Device> = devices.collect();
        devices.sort_by_key(|device| (Reverse(device.last_seen), device.id.clone()));
        Ok(devices)
    }

    fn signed_out(
        &mut self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserId, DeviceId, Timestamp)>> {
        let state = self.seat.state();
        let all = state.people.values().flat_map(|person| {
            person
                .own
                .devices
                .values()
                .map(|device| (person.user.id.clone(), device.id.clone(), device.not_before))
        });
        let mut all: Vec<_> = all.filter(|(_, _, at)| *at > since).collect();
        all.sort_by_key(|(_, _, at)| Reverse(*at));
        all.truncate(limit as usize);
        Ok(all)
    }
}

impl WritePeople for Handle<Writing> {
    fn put_relation(&mut self, user: UserKey, other: UserKey, relation: &Relation) -> Result<()> {
        if let Some(person) = users::person(self.seat.working()?, user) {
            person.own.relations.insert(other, relation.clone());
        }
        Ok(())
    }

    fn forget_relations(&mut self, user: UserKey, keep: u32) -> Result<()> {
        let Some(person) = users::person(self.seat.working()?, user) else { return Ok(()) };
        let own = &mut person.own;
        let ended = own.relations.values().filter(|relation| relation.side.is_nothing());
        let mut ended: Vec<Rev> = ended.map(|relation| relation.rev).collect();
        ended.sort_unstable_by_key(|rev| Reverse(*rev));
        if ended.len() <= keep as usize {
            return Ok(());
        }
        let Some(last) = ended.get(keep as usize / 2).copied() else { return Ok(()) };
        own.relations.retain(|_, relation| !relation.side.is_nothing() || relation.rev > last);
        own.forgotten = last;
        Ok(())
    }

    fn put_privacy(&mut self, user: UserKey, privacy: PrivacyChoice, rev: Rev) -> Result<()> {
        if let Some(person) = users::person(self.seat.working()?, user) {
            person.user.privacy = privacy;
            person.own.showing.rev = rev;
        }
        Ok(())
    }

    fn put_roles(&mut self, user: UserKey, roles: &[Box<str>], rev: Rev) -> Result<()> {
        if let Some(person) = users::person(self.seat.working()?, user) {
            person.own.roles = roles.into();
            person.own.showing.rev = rev;
        }
        Ok(())
    }

    fn put_showing(&mut self, user: UserKey, showing: &Showing) -> Result<()> {
        if let Some(person) = users::person(self.seat.working()?, user) {
            person.own.showing = showing.clone();
        }
        Ok(())
    }

    fn put_device(&mut self, user: UserKey, device: &Device, keep: u32) -> Result<()> {
        let Some(person) = users::person(self.seat.working()?, user) else { return Ok(()) };
        let devices = &mut person.own.devices;
        devices.insert(device.id.clone(), device.clone());
        let there = |device: &&Device| device.not_before == Timestamp(0);
        while devices.values().filter(there).count() > keep as usize {
            let oldest = devices.values().filter(there).min_by_key(|one| (one.last_seen, &one.id));
            let Some(oldest) = oldest.map(|one| one.id.clone()) else { break };
            devices.remove(&oldest);
        }
        Ok(())
    }
}
