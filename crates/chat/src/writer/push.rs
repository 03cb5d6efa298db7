//! `push`: an entry in each audience's log, or an event that nothing is kept of.

use hubbub_proto::command::{Kind, Push, Role};
use hubbub_proto::event::{
    ConversationKind, Delivered, Entry, Extra, Head, PushEntry, Pushed, PushedTo,
};
use hubbub_proto::route::{DeliveryClass, Publication};
use hubbub_proto::{Ack, ClientId, ConversationId, Effect, Event, Identity, Reason};
use smallvec::smallvec;

use super::transaction::{Draft, Transaction};
use crate::digest;
use crate::model::{ConversationKey, Profile, Recorded, Rev, UserKey};
use crate::plan::push::{Plan, Target, plan, targets};
use crate::ports::{Result, StoreError};
use crate::stop::Outcome;

impl Transaction<'_> {
    /// Pushes for `actor`, who need not be on a connection. Whoever is meant gets it, the actor's
    /// own connections too.
    pub(super) fn push(&mut self, actor: &Identity, command: &Push) -> Outcome<Ack> {
        let actor = self.standing(actor)?;
        let actor = &*actor;
        if command.durable {
            return self.push_kept(actor, command);
        }
        let plan = plan(&self.config.push.send, actor, command, self.now)?;
        for target in &plan.targets {
            self.effects.push(Effect::Publish(Publication {
                topics: smallvec![target.topic()],
                event: Event::Push(Box::new(Pushed {
                    kind: command.kind.clone(),
                    from: actor.user.clone(),
                    to: target.address(),
                    at: self.now,
                    expires_at: plan.expires_at,
                    data: command.data.clone(),
                })),
                except: None,
                class: DeliveryClass::Volatile,
            }));
        }
        Ok(Ack::Done)
    }

    /// Everything is decided before the first entry is written; the entries become durable together.
    fn push_kept(&mut self, actor: &Identity, command: &Push) -> Outcome<Ack> {
        let logs: Vec<ConversationId> =
            targets(&command.to).iter().map(Target::conversation).collect();
        let digest = digest::push(logs.iter(), command);
        let given = command.client_id.as_ref();
        if let Some(client_id) = given
            && let Some(recorded) = self.recorded(actor, client_id)?
            && let Some(before) =
                self.pushed_before(actor, command, client_id, &recorded, digest)?
        {
            return Ok(before);
        }
        let plan = plan(&self.config.push.send, actor, command, self.now)?;
        let made = if given.is_none() { Some(self.own_client_id()?) } else { None };
        let Some(client_id) = given.or(made.as_ref()) else { return Err(Reason::Internal.into()) };
        self.write_push(actor, command, client_id, &plan, digest)
    }

    fn write_push(
        &mut self,
        actor: &Identity,
        command: &Push,
        client_id: &ClientId,
        plan: &Plan,
        digest: u64,
    ) -> Outcome<Ack> {
        let sender = self.caller_key(actor)?;
        let kind = Kind::push(&command.kind);
        let head = plan.expires_at.map(|at| Head { expires_at: Some(at), ..Head::default() });
        let mut written = Vec::with_capacity(plan.targets.len());
        for target in &plan.targets {
            let conversation = target.conversation();
            let rev = self.next_rev();
            let key = self.system_log(target, &conversation, rev)?;
            let part = part_of(client_id, &conversation, written.is_empty())?;
            let Some(slot) = self.cache.slot(self.store, &conversation)? else {
                return Err(Reason::Internal.into());
            };
            let mut draft = Draft {
                conversation: &conversation,
                sender,
                client_id: &part,
                seq: slot.row.head_seq + 1,
                at: self.now.max(slot.last_at),
                kind: &kind,
                content: &command.data,
                head: head.as_ref(),
                digest,
            };
            let own;
            if self.append(key, rev, &draft)?.is_err() {
                // Left of a command that is recognised no more as a whole, so it is no name for this.
                own = self.own_client_id()?;
                draft.client_id = &own;
                if let Err(recorded) = self.append(key, rev, &draft)? {
                    let why = format!("client id {own} appeared at {}", recorded.rev.0);
                    return Err(StoreError::Row(why).into());
                }
            }
            self.tell_push(actor, target, rev, &draft);
            written.push(PushEntry {
                to: target.address(),
                seq: draft.seq,
                message_id: rev.0,
                conversation,
            });
        }
        self.expires(plan.expires_at);
        Ok(Ack::Pushed(PushedTo { written, timestamp: self.now, duplicate: false }))
    }

    fn tell_push(&mut self, actor: &Identity, target: &Target, rev: Rev, draft: &Draft<'_>) {
        let entry = Entry {
            conversation: draft.conversation.clone(),
            seq: draft.seq,
            message_id: rev.0,
            from: actor.user.clone(),
            kind: draft.kind.clone(),
            content: draft.content.clone(),
            client_id: draft.client_id.clone(),
            at: draft.at,
            extra: draft
                .head
                .map(|head| Box::new(Extra { head: head.clone(), ..Extra::default() })),
        };
        self.effects.push(Effect::Publish(Publication {
            topics: smallvec![target.topic()],
            event: Event::Entry(Delivered { entry, attempt: 1 }),
            except: None,
            class: DeliveryClass::Durable,
        }));
    }

    /// The same command again: its entries are found under the names that they got then. `None`
    /// where some of them are forgotten, so that it is recognised no more.
    fn pushed_before(
        &mut self,
        actor: &Identity,
        command: &Push,
        client_id: &ClientId,
        first: &Recorded,
        digest: u64,
    ) -> Outcome<Option<Ack>> {
        if first.digest != digest {
            return Err(Reason::Conflict.into());
        }
        let mut written = Vec::new();
        for target in targets(&command.to) {
            let conversation = target.conversation();
            let part = part_of(client_id, &conversation, written.is_empty())?;
            let Some(recorded) = self.recorded(actor, &part)? else { return Ok(None) };
            written.push(PushEntry {
                to: target.address(),
                conversation,
                seq: recorded.seq,
                message_id: recorded.rev.0,
            });
        }
        Ok(Some(Ack::Pushed(PushedTo { written, timestamp: first.at, duplicate: true })))
    }

    /// The log that keeps what is pushed to `target`, made if need be; a user is in theirs from the
    /// first entry on.
    fn system_log(
        &mut self,
        target: &Target,
        conversation: &ConversationId,
        rev: Rev,
    ) -> Result<ConversationKey> {
        if let Some(slot) = self.cache.slot(self.store, conversation)? {
            return Ok(slot.row.key);
        }
        let user: Option<UserKey> = match target {
            Target::User(user) => Some(self.user_key(user)?),
            Target::All | Target::Role(_) => None,
        };
        let key = self.make_system(conversation)?;
        if let Some(user) = user {
            self.store.open_stay(key, user, Role::Member, 1, rev)?;
        }
        Ok(key)
    }

    /// An empty system conversation.
    pub(super) fn make_system(&mut self, conversation: &ConversationId) -> Result<ConversationKey> {
        let now = self.now;
        let row = self.writing()?.create_conversation(
            conversation,
            ConversationKind::System,
            &Profile::default(),
            now,
        )?;
        let key = row.key;
        self.cache.made(row);
        Ok(key)
    }
}

/// The client id of the entry in this log: the first one has that of the command.
fn part_of(client_id: &ClientId, log: &ConversationId, first: bool) -> Outcome<ClientId> {
    if first {
        return Ok(client_id.clone());
    }
    Ok(digest::part(client_id, log).ok_or(Reason::Internal)?)
}
