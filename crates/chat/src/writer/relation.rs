//! Friend commands: both sides of a relation change in one commit, and each side's devices learn
//! what is theirs to see.

use hubbub_proto::event::{self, Related, RelationState};
use hubbub_proto::route::{DeliveryClass, Publication, Topic};
use hubbub_proto::{Ack, ConnId, Effect, Event, Reason, Refusal, UserId};
use smallvec::smallvec;

use super::transaction::{Caller, Transaction};
use crate::model::{Counted, Pair, Relation, Rev, Side, User, UserKey};
use crate::plan::relation::{Step, step};
use crate::ports::Result;
use crate::presence::Shift;
use crate::stop::Outcome;

impl Transaction<'_> {
    pub(super) fn relate(
        &mut self,
        caller: Caller<'_>,
        other: &UserId,
        taken: Step,
        note: Option<&str>,
    ) -> Outcome<Ack> {
        let user = &caller.identity.user;
        if user == other {
            let detail = "`user` must be somebody else.";
            return Err(Refusal::with(Reason::BadField, detail).into());
        }
        let (my_key, their_key) =
            (self.cache.key(self.store, user)?, self.cache.key(self.store, other)?);
        let before = match (my_key, their_key) {
            (Some(mine), Some(theirs)) => self.cache.pair(self.store, mine, theirs)?,
            _ => Pair::default(),
        };
        let after = step(before, taken)?;
        if after == before {
            let known = match (my_key, their_key) {
                (Some(mine), Some(theirs)) => self.store.relation(mine, theirs)?,
                _ => None,
            };
            let nothing =
                Relation { side: after.mine, note: None, at: self.now, rev: Rev::default() };
            let name = self.cache.user(self.store, other)?.and_then(|user| user.name.clone());
            let relation = shown(other.clone(), name, &known.unwrap_or(nothing));
            return Ok(Ack::Relation(Related { relation }));
        }
        self.check_quotas(taken, (my_key, before.mine, after.mine), (their_key, after.theirs))?;
        let (mine, theirs) = (self.caller_key(caller.identity)?, self.user_key(other)?);
        if taken == Step::Request && before.mine.state == RelationState::None {
            self.asked.push(mine);
        }
        self.shifts.push((self.place, Shift::Pair(before)));
        let rev = self.next_rev();
        self.cache.set_pair(mine, theirs, after);
        if after.theirs != before.theirs {
            let relation = self.put_side((theirs, mine), after.theirs, note, rev)?;
            self.tell(other, user, &relation, None)?;
        }
        let relation = if after.mine == before.mine {
            // A request that is made again and shows only now.
            let known = self.store.relation(mine, theirs)?;
            known.ok_or(Reason::Internal)?
        } else {
            let relation = self.put_side((mine, theirs), after.mine, note, rev)?;
            self.tell(user, other, &relation, Some(caller.conn))?;
            relation
        };
        let relation = self.view(other, &relation)?;
        Ok(Ack::Relation(Related { relation }))
    }

    /// Limits of both sides. What is asked of the other side does not depend on whether they block
    /// the caller, so that its answer tells nothing of that.
    fn check_quotas(
        &mut self,
        taken: Step,
        (my_key, before, after): (Option<UserKey>, Side, Side),
        (their_key, theirs): (Option<UserKey>, Side),
    ) -> Outcome<()> {
        let mut full = |key: Option<UserKey>, counted, max: u32| match key {
            Some(key) => Ok(self.store.relation_count(key, counted)? >= u64::from(max)),
            None => Ok::<_, crate::stop::Stop>(false),
        };
        let config = self.config;
        if taken == Step::Block && full(my_key, Counted::Blocked, config.blocks_max)? {
            return Err(Reason::TooManyBlocks.into());
        }
        let became = |state| after.state == state && before.state != state;
        if became(RelationState::Friend) {
            debug_assert_eq!(theirs.state, RelationState::Friend, "both or neither");
            let max = config.friends_max;
            if full(my_key, Counted::Friends, max)? || full(their_key, Counted::Friends, max)? {
                return Err(Reason::TooManyFriends.into());
            }
        }
        if became(RelationState::Requested) {
            let max = config.friend_requests_max;
            let crowded =
                full(my_key, Counted::Requested, max)? || full(their_key, Counted::Received, max)?;
            if crowded {
                return Err(Reason::TooManyRequests.into());
            }
            if let Some(key) = my_key {
                let pending = self.asked.iter().filter(|asked| **asked == key).count();
                if let Some(wait_ms) = self.requests.wait_ms(key, pending, self.now) {
                    return Err(Refusal::later(Reason::RateLimited, wait_ms).into());
                }
            }
        }
        Ok(())
    }

    /// Writes one side. Its note is the request's, for as long as the request waits.
    fn put_side(
        &mut self,
        (user, other): (UserKey, UserKey),
        side: Side,
        note: Option<&str>,
        rev: Rev,
    ) -> Result<Relation> {
        let waits = matches!(side.state, RelationState::Requested | RelationState::Received);
        let note = match note {
            _ if !waits => None,
            Some(note) => Some(note.into()),
            None => self.store.relation(user, other)?.and_then(|before| before.note),
        };
        let relation = Relation { side, note, at: self.now, rev };
        let keep = self.config.ended_relations_max;
        let store = self.writing()?;
        store.put_relation(user, other, &relation)?;
        if side.is_nothing() {
            store.forget_relations(user, keep)?;
        }
        Ok(relation)
    }

    /// Tells the devices of `user` what is between them and `other` now.
    fn tell(
        &mut self,
        user: &UserId,
        other: &UserId,
        relation: &Relation,
        except: Option<ConnId>,
    ) -> Result<()> {
        let event = Event::Relation(self.view(other, relation)?);
        self.effects.push(Effect::Publish(Publication {
            topics: smallvec![Topic::User(user.clone())],
            event,
            except,
            class: DeliveryClass::Durable,
        }));
        Ok(())
    }

    fn view(&mut self, other: &UserId, relation: &Relation) -> Result<event::Relation> {
        let name = self.cache.user(self.store, other)?.and_then(|user| user.name.clone());
        Ok(shown(other.clone(), name, relation))
    }
}

/// One side, as its user sees it.
pub(crate) fn shown(user: UserId, name: Option<Box<str>>, relation: &Relation) -> event::Relation {
    event::Relation {
        user,
        name,
        state: relation.side.state,
        blocked: relation.side.blocked,
        note: relation.note.clone(),
        at: relation.at,
        rev: relation.rev.0,
    }
}

/// The same, of a user out of the store.
pub(crate) fn listed((user, relation): (User, Relation)) -> event::Relation {
    shown(user.id, user.name, &relation)
}
