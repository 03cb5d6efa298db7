//! The oracle's own copy of what was committed, taken down at the store's port.
//!
//! Invariant: it holds exactly the entries and cursors of transactions whose `commit` returned.
//! What the entries mean is read from them in [`crate::log`].

use std::collections::{BTreeMap, BTreeSet};

use hubbub_chat::model::{ConversationKey, NewEntry, PrivacyChoice, Side, UserKey};
use hubbub_proto::command::{Circle, Content, Kind};
use hubbub_proto::event::{Head, RelationState};
use hubbub_proto::{ClientId, ConversationId, ConversationName, SystemName, Timestamp, UserId};
use serde_json::Value;

use crate::log::{Committed, Log, Span, one, users};
use crate::report::{Broken, Promise};

/// The one user who has the role that may push.
pub(crate) const PUSHER: &str = "ann";
/// That role.
pub(crate) const PUSHER_ROLE: &str = "backend";

/// Whom an entry brings into a group.
fn invited(entry: &Unsigned) -> Vec<UserId> {
    let content: Value = serde_json::from_str(entry.content.get()).unwrap_or_default();
    let named = users(&content["users"]).into_iter().chain(users(&content["members"]));
    named.chain(one(&content["user"])).collect()
}

/// Whether somebody says something by it: what is taken back says nothing.
fn speaks(kind: &Kind) -> bool {
    kind.is_message()
        || matches!(kind, Kind::MessageEdited | Kind::MessagePin | Kind::MessageReaction)
}

/// Cursors as committed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Cursors {
    pub(crate) received: u64,
    pub(crate) read: u64,
}

/// An entry whose sender is known by key only.
#[derive(Debug)]
struct Unsigned {
    seq: u64,
    message_id: u64,
    client_id: ClientId,
    at: Timestamp,
    kind: Kind,
    content: Content,
    head: Head,
}

/// What a transaction is about to change.
#[derive(Debug)]
enum Change {
    User(UserKey, UserId),
    Conversation(ConversationKey, ConversationId),
    Entry {
        conversation: ConversationKey,
        sender: UserKey,
        entry: Box<Unsigned>,
    },
    Cursors {
        conversation: ConversationKey,
        user: UserKey,
        to: Cursors,
    },
    /// Somebody is in an audience from here on, of at most so many stays, or is so no more.
    Audience {
        conversation: ConversationKey,
        user: UserKey,
        stays_max: Option<u32>,
    },
    /// A user asks to be let into a group.
    Ask(ConversationKey, UserKey),
    /// A user wants to see this seq no more, or nothing up to it.
    Hide {
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        all: bool,
    },
    /// What the second is to the first.
    Relation(UserKey, UserKey, Side),
    /// Whom a user lets near.
    Privacy(UserKey, PrivacyChoice),
}

/// Everything that was committed.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    users: BTreeMap<UserKey, UserId>,
    conversations: BTreeMap<ConversationKey, ConversationId>,
    pub(crate) logs: BTreeMap<ConversationId, Log>,
    pub(crate) cursors: BTreeMap<(ConversationId, UserId), Cursors>,
    /// Who ever asked to be let in where.
    asked: BTreeSet<(ConversationKey, UserId)>,
    /// Who blocks whom.
    blocks: BTreeSet<(UserId, UserId)>,
    /// Whom each takes for a friend.
    friends: BTreeSet<(UserId, UserId)>,
    /// Whom they let near, where they have chosen.
    privacy: BTreeMap<UserId, PrivacyChoice>,
    /// Whoever ever blocked whom.
    blocked_once: BTreeSet<(UserId, UserId)>,
    used: BTreeMap<(UserId, ClientId), (ConversationId, u64)>,
    pending: Vec<Change>,
    /// The first promise that a commit broke.
    broken: Option<Broken>,
}

impl Journal {
    pub(crate) fn note_user(&mut self, key: UserKey, id: &UserId) {
        self.pending.push(Change::User(key, id.clone()));
    }

    pub(crate) fn note_conversation(&mut self, key: ConversationKey, id: &ConversationId) {
        self.pending.push(Change::Conversation(key, id.clone()));
    }

    pub(crate) fn note_entry(&mut self, entry: &NewEntry<'_>) {
        self.pending.push(Change::Entry {
            conversation: entry.conversation,
            sender: entry.sender,
            entry: Box::new(Unsigned {
                seq: entry.seq,
                message_id: entry.rev.0,
                client_id: entry.client_id.clone(),
                at: entry.at,
                kind: entry.kind.clone(),
                content: entry.content.clone(),
                head: entry.head.cloned().unwrap_or_default(),
            }),
        });
    }

    pub(crate) fn note_cursors(&mut self, key: ConversationKey, user: UserKey, to: Cursors) {
        self.pending.push(Change::Cursors { conversation: key, user, to });
    }

    pub(crate) fn note_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        stays_max: Option<u32>,
    ) {
        self.pending.push(Change::Audience { conversation, user, stays_max });
    }

    pub(crate) fn note_request(&mut self, conversation: ConversationKey, user: UserKey) {
        self.pending.push(Change::Ask(conversation, user));
    }

    pub(crate) fn note_hidden(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        seq: u64,
        all: bool,
    ) {
        self.pending.push(Change::Hide { conversation, user, seq, all });
    }

    pub(crate) fn note_relation(&mut self, user: UserKey, other: UserKey, side: Side) {
        self.pending.push(Change::Relation(user, other, side));
    }

    pub(crate) fn note_privacy(&mut self, user: UserKey, choice: PrivacyChoice) {
        self.pending.push(Change::Privacy(user, choice));
    }

    /// Whether `owner` lets `actor` do what they leave to this circle.
    fn admits(&self, owner: &UserId, actor: &UserId, circle: Option<Circle>) -> bool {
        let friend = |a: &UserId, b: &UserId| self.friends.contains(&(a.clone(), b.clone()));
        let admitted = match circle {
            None | Some(Circle::Everyone) => true,
            Some(Circle::Friends) => friend(owner, actor) && friend(actor, owner),
            Some(Circle::Nobody) => false,
        };
        owner == actor || (admitted && !self.apart(owner, actor))
    }

    /// Whether one of them blocks the other.
    fn apart(&self, a: &UserId, b: &UserId) -> bool {
        let blocks = |a: &UserId, b: &UserId| self.blocks.contains(&(a.clone(), b.clone()));
        blocks(a, b) || blocks(b, a)
    }

    pub(crate) fn has_blocked(&self, user: &UserId, other: &UserId) -> bool {
        self.blocked_once.contains(&(user.clone(), other.clone()))
    }

    pub(crate) fn rolled_back(&mut self) {
        self.pending.clear();
    }

    pub(crate) fn committed(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            if let Err(broken) = self.apply(change) {
                self.broken.get_or_insert(broken);
            }
        }
    }

    pub(crate) fn take_broken(&mut self) -> Result<(), Broken> {
        self.broken.take().map_or(Ok(()), Err)
    }

    pub(crate) fn log(&self, id: &ConversationId) -> Option<&Log> {
        self.logs.get(id)
    }

    /// A message as `user` saw it when `entry` was committed.
    pub(crate) fn seen_before(
        &self,
        user: &UserId,
        id: &ConversationId,
        seq: u64,
        entry: &Committed,
    ) -> Option<Committed> {
        let log = self.logs.get(id)?;
        let mut seen = log.entry(seq).filter(|seen| seen.kind.is_message())?.clone();
        let end = log.end_of(user, seq)?;
        let over = seen.head.expires_at.is_some_and(|at| at <= entry.at);
        let before = |update: &&Committed| update.message_id < entry.message_id;
        for update in log.updates(seq).filter(before) {
            if update.removes().is_some() {
                return None;
            }
            if update.kind == Kind::MessageEdited && update.seq <= end {
                seen.content = update.content.clone();
            }
        }
        (!over && seen.message_id < entry.message_id).then_some(seen)
    }

    /// How many messages were forwarded, and how many mention somebody.
    pub(crate) fn heads(&self) -> [(&'static str, u64); 2] {
        let count = |has: fn(&Head) -> bool| {
            let all = self.logs.values().flat_map(|log| &log.entries);
            all.filter(|entry| has(&entry.head)).count() as u64
        };
        [
            ("forwarded", count(|head| head.forwarded.is_some())),
            ("mentions", count(|head| head.mention_all || !head.mentions.is_empty())),
        ]
    }

    /// How many entries expired up to now.
    pub(crate) fn ended_by(&self, now: Timestamp) -> u64 {
        let ended = |log: &Log| (1..=log.head()).filter(|seq| log.is_over(*seq, now)).count();
        self.logs.values().map(ended).sum::<usize>() as u64
    }

    pub(crate) fn find(&self, conversation: ConversationKey) -> Option<&Log> {
        self.logs.get(self.conversations.get(&conversation)?)
    }

    pub(crate) fn user(&self, key: UserKey) -> Option<&UserId> {
        self.users.get(&key)
    }

    /// Where the entry of this sender and client id went.
    pub(crate) fn recorded(
        &self,
        sender: &UserId,
        client_id: &ClientId,
    ) -> Option<&(ConversationId, u64)> {
        self.used.get(&(sender.clone(), client_id.clone()))
    }

    fn apply(&mut self, change: Change) -> Result<(), Broken> {
        match change {
            Change::User(key, id) => {
                self.users.insert(key, id);
            }
            Change::Conversation(key, id) => {
                let mut log = Log::default();
                let from_the_start = match id.name() {
                    ConversationName::Direct(a, b) => vec![a, b],
                    ConversationName::System(SystemName::User(user)) => vec![user],
                    _ => Vec::new(),
                };
                for user in from_the_start {
                    if let Ok(user) = UserId::new(user) {
                        log.stays.insert(user, vec![Span { join: 1, left: None }]);
                    }
                }
                self.conversations.insert(key, id.clone());
                self.logs.insert(id, log);
            }
            Change::Entry { conversation, sender, entry } => {
                return self.apply_entry(conversation, sender, *entry);
            }
            Change::Cursors { conversation, user, to } => {
                return self.apply_cursors(conversation, user, to);
            }
            Change::Ask(conversation, user) => {
                if let Some(user) = self.users.get(&user) {
                    self.asked.insert((conversation, user.clone()));
                }
            }
            Change::Hide { conversation, user, seq, all } => {
                if let (Some(id), Some(user)) =
                    (self.conversations.get(&conversation), self.users.get(&user))
                    && let Some(log) = self.logs.get_mut(id)
                {
                    let hidden = log.hidden.entry(user.clone()).or_default();
                    if all {
                        hidden.through = hidden.through.max(seq);
                    } else {
                        hidden.seqs.insert(seq);
                    }
                }
            }
            Change::Privacy(user, choice) => {
                if let Some(user) = self.users.get(&user) {
                    self.privacy.insert(user.clone(), choice);
                }
            }
            Change::Relation(user, other, side) => {
                if let (Some(user), Some(other)) = (self.users.get(&user), self.users.get(&other)) {
                    let pair = (user.clone(), other.clone());
                    if side.state == RelationState::Friend {
                        self.friends.insert(pair.clone());
                    } else {
                        self.friends.remove(&pair);
                    }
                    if side.blocked {
                        self.blocked_once.insert(pair.clone());
                        self.blocks.insert(pair);
                    } else {
                        self.blocks.remove(&pair);
                    }
                }
            }
            Change::Audience { conversation, user, stays_max } => {
                if let (Some(id), Some(user)) =
                    (self.conversations.get(&conversation), self.users.get(&user))
                    && let Some(log) = self.logs.get_mut(id)
                {
                    match stays_max {
                        Some(stays_max) => log.enter_audience(user.clone(), stays_max),
                        None => log.leave_audience(user),
                    }
                }
            }
        }
        Ok(())
    }

    fn apply_entry(
        &mut self,
        conversation: ConversationKey,
        sender: UserKey,
        entry: Unsigned,
    ) -> Result<(), Broken> {
        let (Some(id), Some(sender)) =
            (self.conversations.get(&conversation), self.users.get(&sender))
        else {
            return Err(Promise::P1.broken(format!("an entry of nobody: {entry:?}")));
        };
        let choice = |user: &UserId| self.privacy.get(user).copied().unwrap_or_default();
        let unheard = |user: &UserId| !self.admits(user, sender, choice(user).messages);
        let uninvited = |user: &UserId| !self.admits(user, sender, choice(user).invites);
        let unwanted = match entry.kind {
            _ if speaks(&entry.kind) => id.peer_of(sender).filter(|peer| unheard(peer)),
            Kind::MemberJoined | Kind::GroupCreated => {
                // Whoever asked is let in by anybody who may.
                let wanted = |user: &UserId| self.asked.contains(&(conversation, user.clone()));
                invited(&entry).into_iter().find(|user| uninvited(user) && !wanted(user))
            }
            _ => None,
        };
        if let Some(user) = unwanted {
            let seq = entry.seq;
            return Err(Promise::P7
                .broken(format!("{id}/{seq}: {sender} reaches {user}, who does not let them")));
        }
        let log = self.logs.entry(id.clone()).or_default();
        let Unsigned { seq, message_id, client_id, at, kind, content, head } = entry;
        let sender = sender.clone();
        let entry = Committed { seq, message_id, sender, client_id, at, kind, content, head };
        let sender = &entry.sender;
        if seq != log.head() + 1 {
            let head = log.head();
            return Err(Promise::P3.broken(format!("{id}: seq {seq} was written after {head}")));
        }
        if log.entries.last().is_some_and(|last| last.at > entry.at) {
            return Err(Promise::P3.broken(format!("{id}/{seq}: time runs backwards")));
        }
        let outsider = match entry.kind {
            Kind::GroupCreated | Kind::MemberJoined => false,
            Kind::Push(_) => sender.as_str() != PUSHER,
            _ => !log.is_member(sender),
        };
        if outsider {
            return Err(Promise::P7.broken(format!("{id}/{seq}: written by {sender}, who may not")));
        }
        log.permits(&entry)
            .map_err(|why| Promise::P7.broken(format!("{id}/{seq}: {sender} may not: {why}")))?;
        let key = (sender.clone(), entry.client_id.clone());
        if let Some((other, first)) = self.used.insert(key, (id.clone(), seq)) {
            return Err(Promise::P2.broken(format!(
                "{sender} {}: written at {other}/{first} and at {id}/{seq}",
                entry.client_id
            )));
        }
        log.append(entry);
        Ok(())
    }

    fn apply_cursors(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        to: Cursors,
    ) -> Result<(), Broken> {
        let (Some(id), Some(user)) = (self.conversations.get(&conversation), self.users.get(&user))
        else {
            return Err(Promise::P5.broken(format!("cursors of nobody: {to:?}")));
        };
        let head = self.logs.get(id).and_then(|log| log.visible_head(user)).unwrap_or(0);
        if to.read > head || to.received > head {
            return Err(Promise::P5.broken(format!(
                "{id}: {user}'s cursors {to:?} are beyond the visible head {head}"
            )));
        }
        let now = self.cursors.entry((id.clone(), user.clone())).or_default();
        now.received = now.received.max(to.received);
        now.read = now.read.max(to.read);
        Ok(())
    }
}
