//! One batch on its way into the store.
//!
//! Invariant: what was decided on the cached state is written through at once, except heads, which
//! are written once for each conversation at the end. The store's transaction begins with the first
//! write, so that a batch without one costs nothing.

use std::sync::Arc;

use hubbub_proto::command::{Content, Kind};
use hubbub_proto::event::{Delivered, Entry, Extra, Head, Removed, Written};
use hubbub_proto::route::{DeliveryClass, Publication, Topic, Work};
use hubbub_proto::{
    Ack, ClientId, CloseCode, Command, ConnId, ConversationId, DeviceId, Effect, Event, GroupId,
    Identity, Reason, Refusal, Request, Timestamp, UserId,
};
use smallvec::SmallVec;

use crate::ChatConfig;
use crate::cache::Cache;
use crate::devices::{SignedOut, Visit, Visits};
use crate::model::{ConversationKey, NewEntry, Recorded, Rev, User, UserKey};
use crate::plan::relation::Step;
use crate::ports::{Appended, Names, Result, Writer};
use crate::presence::Shift;
use crate::quota::Quota;
use crate::rate::Rates;
use crate::receipts::Moved;
use crate::seen::LastSeen;
use crate::soft::SoftCursors;
use crate::stats::Stats;
use crate::stop::Stop;
use crate::sweep::Sweep;
use crate::typists::Typists;

/// See the module.
pub(super) struct Transaction<'a> {
    pub(super) store: &'a mut dyn Writer,
    pub(super) cache: &'a mut Cache,
    pub(super) soft: &'a mut SoftCursors,
    pub(super) last_seen: &'a LastSeen,
    pub(super) typists: &'a mut Typists,
    pub(super) names: &'a mut dyn Names,
    pub(super) requests: &'a Quota,
    pub(super) rates: &'a Rates,
    pub(super) config: &'a ChatConfig,
    pub(super) stats: &'a Stats,
    /// Whether the store's transaction has begun.
    pub(super) open: &'a mut bool,
    pub(super) now: Timestamp,
    /// When the next message expires, as far as it is known; perhaps too early.
    pub(super) expiring: Option<Timestamp>,
    /// What is kept no longer.
    pub(super) sweep: Sweep,
    /// The newest change so far.
    pub(super) rev: Rev,
    pub(super) wrote: bool,
    pub(super) effects: Vec<Effect>,
    /// Durable cursors that moved.
    pub(super) moved: Vec<Moved>,
    /// Conversations whose heads are to be written.
    pub(super) dirty: Vec<ConversationId>,
    /// Who made a friend request, once for each.
    pub(super) asked: Vec<UserKey>,
    /// Who made a group, once for each.
    pub(super) founded: Vec<UserId>,
    /// The place of the request in its batch.
    pub(super) place: usize,
    /// What was changed of who may know what of whom, with the places of the requests.
    pub(super) shifts: Vec<(usize, Shift)>,
    pub(super) signed_out: &'a SignedOut,
    pub(super) visits: &'a Visits,
    /// Devices that come or go with this transaction.
    pub(super) visitors: Vec<Visit>,
    /// Devices that are signed out with this transaction.
    pub(super) gone: Vec<(UserId, DeviceId, Timestamp)>,
}

/// What a transaction amounts to, before it is committed.
pub(super) struct Done {
    pub(super) effects: Vec<Effect>,
    pub(super) moved: Vec<Moved>,
    pub(super) asked: Vec<UserKey>,
    pub(super) founded: Vec<UserId>,
    pub(super) shifts: Vec<(usize, Shift)>,
    pub(super) visitors: Vec<Visit>,
    pub(super) gone: Vec<(UserId, DeviceId, Timestamp)>,
    pub(super) rev: Rev,
    pub(super) wrote: bool,
    /// When the next message expires then.
    pub(super) expiring: Option<Timestamp>,
    pub(super) sweep: Sweep,
    /// What it wrote of what waited.
    pub(super) flushed: Waiting,
}

/// How many of the oldest of what waits to be written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Waiting {
    /// Soft cursors.
    pub(super) cursors: usize,
    /// Moments when users were last there.
    pub(super) last_seen: usize,
    /// Devices that came or went.
    pub(super) visits: usize,
}

/// Who asks, on which connection.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) conn: ConnId,
    pub(super) identity: &'a Identity,
}

/// An entry about to be written, with the names that go out.
pub(super) struct Draft<'a> {
    pub(super) conversation: &'a ConversationId,
    pub(super) sender: UserKey,
    pub(super) client_id: &'a ClientId,
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) kind: &'a Kind,
    pub(super) content: &'a Content,
    pub(super) head: Option<&'a Head>,
    pub(super) digest: u64,
}

impl Transaction<'_> {
    /// Carries out one request, or answers why not.
    pub(super) fn request(&mut self, request: &Request) -> Result<()> {
        let (id, command) = match &request.work {
            Work::Command { id, command } => (id, command),
            Work::Opened | Work::Renewed if self.is_signed_out(&request.identity) => {
                let code = CloseCode::Disconnected;
                self.effects.push(Effect::Close { conn: request.conn, code });
                return Ok(());
            }
            Work::Opened | Work::Renewed => {
                self.visit(request, true)?;
                self.tell_granted(&request.identity)?;
                return self.seen(&request.identity);
            }
            Work::Closed => {
                return self.visit(request, false);
            }
            Work::Redeliver { .. } => return Ok(()),
        };
        if self.is_signed_out(&request.identity) {
            // Those that are answered elsewhere are refused there.
            if !super::handed_on(request) {
                let outcome = Err(Reason::SignedOut.into());
                let id = id.clone();
                self.effects.push(Effect::Reply {
                    conn: request.conn,
                    id,
                    read_at: request.read_at,
                    outcome,
                });
            }
            return Ok(());
        }
        let caller = Caller { conn: request.conn, identity: &request.identity };
        let outcome = match command {
            Command::Send(send) => self.send(caller, send),
            Command::Received(cursor) => self.received(caller, cursor),
            Command::Read(cursor) => self.read(caller, cursor),
            Command::Typing(typing) => self.typing(caller, typing),
            Command::PresenceSet(set) => self.presence_set(caller, set),
            Command::Sync(_) => return self.attach(caller),
            Command::Push(push) => self.push(caller.identity, push),
            Command::GroupCreate(_)
            | Command::GroupUpdate(_)
            | Command::GroupInvite(_)
            | Command::GroupJoin(_)
            | Command::GroupLeave(_)
            | Command::GroupKick(_)
            | Command::GroupRole(_)
            | Command::GroupDissolve(_)
            | Command::GroupApprove(_)
            | Command::GroupBan(_)
            | Command::GroupUnban(_)
            | Command::GroupMute(_) => self.group(caller, command),
            Command::GroupReject(reject) => self.reject(caller, reject),
            Command::GroupLinkCreate(create) => self.make_link(caller, create),
            Command::GroupLinkRevoke(revoke) => self.revoke_link(caller, revoke),
            Command::ConversationUpdate(update) => self.conversation_update(caller, update),
            Command::ProfileUpdate(update) => self.profile(caller, update),
            Command::PrivacyUpdate(update) => self.privacy(caller, update),
            Command::FriendRequest(request) => {
                self.relate(caller, &request.user, Step::Request, request.note.as_deref())
            }
            Command::FriendAccept(target) => self.relate(caller, &target.user, Step::Accept, None),
            Command::FriendReject(target) => self.relate(caller, &target.user, Step::Reject, None),
            Command::FriendCancel(target) => self.relate(caller, &target.user, Step::Cancel, None),
            Command::FriendRemove(target) => self.relate(caller, &target.user, Step::Remove, None),
            Command::FriendBlock(target) => self.relate(caller, &target.user, Step::Block, None),
            Command::DeviceSignOut(out) => self.sign_out(caller, out),
            Command::UserRoles(given) => self.user_roles(caller.identity, given),
            Command::FriendUnblock(target) => {
                self.relate(caller, &target.user, Step::Unblock, None)
            }
            Command::Edit(_)
            | Command::Recall(_)
            | Command::React(_)
            | Command::Delete(_)
            | Command::Pin(_)
            | Command::Clear(_) => self.operate(caller, command),
            Command::History(_)
            | Command::Pull(_)
            | Command::Conversations(_)
            | Command::GroupMembers(_)
            | Command::GroupRequests(_)
            | Command::GroupBans(_)
            | Command::GroupLinks(_)
            | Command::Receipts(_)
            | Command::Edits(_)
            | Command::Reactions(_)
            | Command::PresenceGet(_)
            | Command::Me
            | Command::Users(_)
            | Command::Friends(_)
            | Command::Pins(_)
            | Command::Devices => return Ok(()),
            // The session and the hub answer these themselves; one that came here anyway gets a reply
            // all the same.
            Command::Auth(_)
            | Command::Refresh(_)
            | Command::Ping
            | Command::Pong
            | Command::Subscribe(_)
            | Command::Unsubscribe(_)
            | Command::Publish(_)
            | Command::ChannelHistory(_)
            | Command::ChannelPresence(_)
            | Command::Signal(_) => Ok(Ack::Done),
        };
        let outcome = match outcome {
            Ok(ack) => Ok(ack),
            Err(Stop::Refused(refusal)) => {
                self.stats.refusal(refusal.reason);
                Err(refusal)
            }
            Err(Stop::Store(error)) => return Err(error),
        };
        self.effects.push(Effect::Reply {
            conn: request.conn,
            id: id.clone(),
            read_at: request.read_at,
            outcome,
        });
        Ok(())
    }

    /// The end of the batch: what waited and is due, and the heads.
    pub(super) fn finish(mut self, flushed: Waiting, sweeps: bool) -> Result<Done> {
        self.flush(flushed.cursors)?;
        self.note_last_seen(flushed.last_seen)?;
        self.expire()?;
        self.note_visits(flushed.visits)?;
        if sweeps {
            self.sweep()?;
        }
        for id in std::mem::take(&mut self.dirty) {
            self.begin()?;
            if let Some(slot) = self.cache.slot(self.store, &id)? {
                self.store.set_head(slot.row.key, slot.row.head_seq, slot.row.rev)?;
                slot.dirty = false;
            }
        }
        let Self {
            effects,
            moved,
            asked,
            shifts,
            founded,
            visitors,
            gone,
            rev,
            wrote,
            expiring,
            sweep,
            ..
        } = self;
        Ok(Done {
            effects,
            moved,
            asked,
            shifts,
            founded,
            visitors,
            gone,
            rev,
            wrote,
            expiring,
            sweep,
            flushed,
        })
    }

    /// A session came or went: a device that has a name of its own is kept, and what the token says
    /// of its user.
    fn visit(&mut self, request: &Request, came: bool) -> Result<()> {
        let identity = &request.identity;
        let mut tells = came && identity.picture().is_some();
        if came && !tells && identity.name.is_some() {
            let known = self.cache.user(self.store, &identity.user)?;
            tells = known.is_none_or(|user| user.name != identity.name);
        }
        if identity.device_named || tells {
            let identity = Arc::clone(identity);
            self.visitors.push(Visit { identity, at: self.now, came });
        }
        Ok(())
    }

    /// Something is to be expired then.
    pub(super) fn expires(&mut self, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.expiring = Some(self.expiring.map_or(at, |next| next.min(at)));
        }
    }

    /// Removes messages whose time is over. Nobody is told: they are not shown from that moment on.
    fn expire(&mut self) -> Result<()> {
        if self.expiring.is_none_or(|next| next > self.now) {
            return Ok(());
        }
        for entry in self.store.expired(self.now, self.config.expired_max)? {
            self.writing()?.remove(entry, Removed::Expired)?;
        }
        self.expiring = self.store.next_expiry()?;
        Ok(())
    }

    /// Begins the store's transaction, if that has not happened.
    pub(super) fn begin(&mut self) -> Result<()> {
        if !*self.open {
            self.store.begin()?;
            *self.open = true;
        }
        Ok(())
    }

    /// The store, to be written to.
    pub(super) fn writing(&mut self) -> Result<&mut dyn Writer> {
        self.begin()?;
        self.wrote = true;
        Ok(self.store)
    }

    /// A number for the next change.
    pub(super) const fn next_rev(&mut self) -> Rev {
        self.rev = Rev(self.rev.0 + 1);
        self.rev
    }

    /// The caller as the store knows them, made known with the token's name if need be. A name
    /// that is known stays, so that devices with different tokens do not take turns in writing it.
    pub(super) fn caller_key(&mut self, identity: &Identity) -> Result<UserKey> {
        let known = self.cache.user(self.store, &identity.user)?;
        if let Some(User { key, name, .. }) = known
            && (identity.name.is_none() || name.is_some())
        {
            return Ok(*key);
        }
        self.put_user(&identity.user, identity.name.as_deref())
    }

    /// The caller as the store knows them, with the name of this token.
    pub(super) fn named_caller_key(&mut self, identity: &Identity) -> Result<UserKey> {
        let known = self.cache.user(self.store, &identity.user)?;
        if let Some(User { key, name, .. }) = known
            && (identity.name.is_none() || *name == identity.name)
        {
            return Ok(*key);
        }
        self.put_user(&identity.user, identity.name.as_deref())
    }

    /// A user as the store knows them, made known by name alone if need be.
    pub(super) fn user_key(&mut self, id: &UserId) -> Result<UserKey> {
        match self.cache.key(self.store, id)? {
            Some(key) => Ok(key),
            None => self.put_user(id, None),
        }
    }

    fn put_user(&mut self, id: &UserId, name: Option<&str>) -> Result<UserKey> {
        let now = self.now;
        let user = self.writing()?.put_user(id, name, now)?;
        let key = user.key;
        self.cache.remember(user);
        Ok(key)
    }

    /// Where the caller's command with this client id went, if there was one.
    pub(super) fn recorded(
        &mut self,
        identity: &Identity,
        client_id: &ClientId,
    ) -> Result<Option<Recorded>> {
        match self.cache.key(self.store, &identity.user)? {
            Some(key) => self.store.recorded(key, client_id),
            None => Ok(None),
        }
    }

    /// Writes an entry and moves the cached head; `Err` is where the client id went before.
    pub(super) fn append(
        &mut self,
        key: ConversationKey,
        rev: Rev,
        draft: &Draft<'_>,
    ) -> Result<std::result::Result<(), Recorded>> {
        self.begin()?;
        let appended = self.store.append(&NewEntry {
            rev,
            conversation: key,
            seq: draft.seq,
            sender: draft.sender,
            client_id: draft.client_id,
            at: draft.at,
            kind: draft.kind,
            content: draft.content,
            head: draft.head,
            digest: draft.digest,
        })?;
        if let Appended::Duplicate(recorded) = appended {
            return Ok(Err(recorded));
        }
        self.wrote = true;
        if let Some(slot) = self.cache.slot(self.store, draft.conversation)? {
            slot.row.head_seq = draft.seq;
            slot.last_at = draft.at;
        }
        self.touch(draft.conversation, rev)?;
        Ok(Ok(()))
    }

    /// A conversation changed: its rev is to be written back with its head.
    pub(super) fn touch(&mut self, conversation: &ConversationId, rev: Rev) -> Result<()> {
        if let Some(slot) = self.cache.slot(self.store, conversation)? {
            slot.row.rev = rev;
            if !std::mem::replace(&mut slot.dirty, true) {
                self.dirty.push(conversation.clone());
            }
        }
        Ok(())
    }

    /// Tells everyone on `topics`, except the connection that wrote it, of an entry.
    pub(super) fn publish(
        &mut self,
        caller: Caller<'_>,
        topics: SmallVec<[Topic; 2]>,
        rev: Rev,
        draft: &Draft<'_>,
    ) {
        self.effects.push(Effect::Publish(publication(caller, topics, rev, draft)));
    }
}

/// What everyone on `topics`, except the connection that wrote it, is told of an entry.
pub(super) fn publication(
    caller: Caller<'_>,
    topics: SmallVec<[Topic; 2]>,
    rev: Rev,
    draft: &Draft<'_>,
) -> Publication {
    let extra = |head: &Head| Box::new(Extra { head: head.clone(), ..Extra::default() });
    let entry = Entry {
        conversation: draft.conversation.clone(),
        seq: draft.seq,
        message_id: rev.0,
        from: caller.identity.user.clone(),
        kind: draft.kind.clone(),
        content: draft.content.clone(),
        client_id: draft.client_id.clone(),
        at: draft.at,
        extra: draft.head.map(extra),
    };
    Publication {
        topics,
        event: Event::Entry(Delivered { entry, attempt: 1 }),
        except: Some(caller.conn),
        class: DeliveryClass::Durable,
    }
}

/// The ack of a command that wrote an entry just now.
pub(super) fn written(group: Option<GroupId>, rev: Rev, draft: &Draft<'_>) -> Ack {
    Ack::Written(Written {
        group,
        conversation: draft.conversation.clone(),
        seq: draft.seq,
        message_id: rev.0,
        timestamp: draft.at,
        duplicate: false,
    })
}

/// The answer to a command whose client id was used before: the first ack again where it was the
/// same command, `conflict` where it was another (P2).
pub(super) fn repeated(
    group: Option<GroupId>,
    recorded: Recorded,
    digest: u64,
) -> std::result::Result<Ack, Refusal> {
    if recorded.digest != digest {
        return Err(Reason::Conflict.into());
    }
    Ok(Ack::Written(Written {
        group,
        conversation: recorded.conversation,
        seq: recorded.seq,
        message_id: recorded.rev.0,
        timestamp: recorded.at,
        duplicate: true,
    }))
}
