//! Commands and their replies.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_chat::ports::{Order, Range, Reader};
use hubbub_proto::command::{Content, Kind, Send};
use hubbub_proto::event::{Forwarded, PushEntry, PushedTo, Removed, Written};
use hubbub_proto::{
    Ack, ClientId, Command, CommandId, ConnId, ConversationId, Reason, Refusal, Timestamp, UserId,
};

use serde_json::{Map, Value};

use super::{Oracle, key};
use crate::journal::Journal;
use crate::log::{Committed, Log};
use crate::report::{Broken, Promise};

/// What has expired is wiped so soon, once nothing breaks any more.
const SWEPT_MS: u64 = 3_000;

/// A command that was forwarded and not answered.
#[derive(Debug)]
struct Asked {
    /// Its place in the order of its connection.
    index: u64,
    user: UserId,
    command: Command,
    /// For `read`: how far it must take the cursor.
    read_to: u64,
}

/// A message as an application put it in.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Which client: a device, and how often it has lost its memory.
    pub(crate) client: (usize, u64),
    pub(crate) user: UserId,
    pub(crate) to: String,
    pub(crate) content: String,
    pub(crate) kind: &'static str,
    pub(crate) client_id: String,
    /// What is said beside the content.
    pub(crate) extra: Map<String, Value>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    forwarded: u64,
    asked: BTreeMap<(u32, CommandId), Asked>,
    /// Where acked commands with a client id went.
    acked: BTreeMap<(UserId, ClientId), (ConversationId, u64)>,
    /// The newest entry that each connection wrote to each conversation: its command, and its seq.
    wrote: BTreeMap<(u32, ConversationId), (u64, u64)>,
    /// Entries that a connection wrote, and those that were pushed live to it.
    own: BTreeSet<(u32, ConversationId, u64)>,
    live: BTreeSet<(u32, ConversationId, u64)>,
    /// How far each user must have read.
    read: BTreeMap<(ConversationId, UserId), u64>,
    sent: Vec<Sent>,
    /// Clients and recipients whose order is not known.
    raced: BTreeSet<((usize, u64), String)>,
    conflicts: u64,
    duplicates: u64,
    /// How often each reason was given.
    refusals: BTreeMap<&'static str, u64>,
}

impl Oracle {
    /// A session hands a command up.
    pub(crate) fn forwarded(
        &mut self,
        conn: ConnId,
        user: &UserId,
        id: Option<&CommandId>,
        command: &Command,
        journal: &Journal,
    ) {
        self.ledger.forwarded += 1;
        let Some(id) = id else { return };
        let read_to = match command {
            Command::Read(cursor) => journal
                .log(&cursor.conversation)
                .and_then(|log| log.visible_head(user))
                .map_or(0, |head| head.min(cursor.seq)),
            _ => 0,
        };
        let asked = Asked {
            index: self.ledger.forwarded,
            user: user.clone(),
            command: command.clone(),
            read_to,
        };
        self.ledger.asked.insert((key(conn), id.clone()), asked);
    }

    /// The chat services reply to a command.
    pub(crate) fn replied(
        &mut self,
        journal: &Journal,
        conn: ConnId,
        id: Option<&CommandId>,
        outcome: &Result<Ack, Refusal>,
    ) -> Result<(), Broken> {
        let Some(id) = id else { return Ok(()) };
        let Some(asked) = self.ledger.asked.remove(&(key(conn), id.clone())) else {
            return Err(Promise::P1.broken(format!("#{} {id}: answered twice", conn.slot)));
        };
        match outcome {
            Ok(Ack::Written(written)) => self.ledger.acked(journal, conn, &asked, written),
            Ok(Ack::Pushed(pushed)) => self.ledger.pushed(journal, &asked, pushed),
            Ok(_) => {
                if let Command::Read(cursor) = &asked.command {
                    let place = (cursor.conversation.clone(), asked.user.clone());
                    let must = self.ledger.read.entry(place).or_default();
                    *must = (*must).max(asked.read_to);
                }
                if let Command::FriendBlock(block) = &asked.command
                    && !journal.has_blocked(&asked.user, &block.user)
                {
                    let what = format!("{} has not blocked {}", asked.user, block.user);
                    return Err(Promise::P1.broken(what));
                }
                Ok(())
            }
            Err(refusal) => {
                *self.ledger.refusals.entry(refusal.reason.slug()).or_default() += 1;
                self.ledger.refused(journal, &asked, refusal)
            }
        }
    }

    /// An entry is pushed to a connection for the first time.
    pub(super) fn pushed_live(
        &mut self,
        conn: ConnId,
        conversation: &ConversationId,
        seq: u64,
    ) -> Result<(), Broken> {
        let what = (key(conn), conversation.clone(), seq);
        if self.ledger.own.contains(&what) {
            return Err(echoed(&what));
        }
        if !self.ledger.live.insert(what) {
            let slot = conn.slot;
            return Err(Promise::P4.broken(format!("#{slot}: {conversation}/{seq} pushed twice")));
        }
        Ok(())
    }

    /// How far `user` must have read.
    pub(super) fn must_have_read(&self, conversation: &ConversationId, user: &UserId) -> u64 {
        self.ledger.read.get(&(conversation.clone(), user.clone())).copied().unwrap_or(0)
    }

    /// An application puts a message in.
    pub(crate) fn sends(&mut self, sent: Sent) {
        self.ledger.sent.push(sent);
    }

    /// Messages that some application has put in, by this user.
    pub(crate) fn sent_by(&self, user: &UserId) -> Vec<&Sent> {
        self.ledger.sent.iter().filter(|sent| sent.user == *user).collect()
    }

    /// The message is sent again beside the client's outbox. Where it was not committed yet, its
    /// place is anybody's guess, and so is that of those that name it as `after`.
    pub(crate) fn races(&mut self, journal: &Journal, sent: &Sent) {
        let client_id = ClientId::new(&sent.client_id).ok();
        if client_id.is_none_or(|id| journal.recorded(&sent.user, &id).is_none()) {
            self.ledger.raced.insert((sent.client, sent.to.clone()));
        }
    }

    /// Acked sends that were refused or answered as repetitions, for the report.
    pub(crate) const fn repetitions(&self) -> (u64, u64) {
        (self.ledger.conflicts, self.ledger.duplicates)
    }

    /// How often which reason was given.
    pub(crate) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.ledger.refusals.clone()
    }

    pub(crate) fn acked_count(&self) -> u64 {
        self.ledger.acked.len() as u64
    }

    /// Whether a connection still waits for a reply.
    pub(crate) fn awaits_reply(&self, link: usize) -> Option<String> {
        let mut asked = self.ledger.asked.iter();
        asked
            .find(|((slot, _), _)| *slot as usize == link)
            .map(|(_, asked)| format!("#{link}: {} is not answered", asked.command.type_name()))
    }

    /// P1, P2 and P3 as the store has it at the end.
    pub(crate) fn check_store(
        &self,
        journal: &Journal,
        reader: &mut dyn Reader,
        now: Timestamp,
    ) -> Result<(), Broken> {
        let failed = |error| Promise::P1.broken(format!("the store does not answer: {error}"));
        for (id, log) in &journal.logs {
            let Some(row) = reader.conversation(id).map_err(failed)? else {
                return Err(Promise::P1.broken(format!("{id} is not in the store")));
            };
            let range = Range {
                from: 1,
                to: u64::MAX >> 1,
                order: Order::Ascending,
                limit: u32::MAX,
                bytes: usize::MAX,
            };
            let stored = reader.entries(row.key, range).map_err(failed)?;
            let same = stored.len() == log.entries.len()
                && stored.iter().zip(&log.entries).all(|(stored, entry)| {
                    stored.seq == entry.seq
                        && stored.client_id == entry.client_id
                        && stored.sender == entry.sender
                        && right_fate(log, entry.seq, stored.fate.removed, now)
                        && match stored.fate.removed {
                            Some(_) => stored.content.get() == "null",
                            None => stored.content.get() == entry.content.get(),
                        }
                });
            if !same || row.head_seq != log.head() {
                return Err(
                    Promise::P1.broken(format!("{id}: the store is not what was committed"))
                );
            }
        }
        self.ledger.check_acked(journal)?;
        self.ledger.check_sent(journal)
    }
}

/// Whether the store keeps the content of an entry as long as it should, and no longer.
fn right_fate(log: &Log, seq: u64, removed: Option<Removed>, now: Timestamp) -> bool {
    let removal = log.removal(seq).and_then(Committed::removes);
    let long_ago = now.minus_ms(SWEPT_MS);
    match removed {
        Some(Removed::Expired) => log.is_over(seq, now),
        Some(Removed::Recalled) => removal == Some("recalled"),
        Some(Removed::Deleted) => removal == Some("deleted"),
        None => removal.is_none() && !log.is_over(seq, long_ago),
    }
}

fn echoed((slot, conversation, seq): &(u32, ConversationId, u64)) -> Broken {
    Promise::P4.broken(format!("#{slot}: got its own {conversation}/{seq} back"))
}

impl Ledger {
    fn acked(
        &mut self,
        journal: &Journal,
        conn: ConnId,
        asked: &Asked,
        written: &Written,
    ) -> Result<(), Broken> {
        let Written { conversation, seq, .. } = written;
        let who = format!("{} of {}", asked.command.type_name(), asked.user);
        let Some(entry) = journal.log(conversation).and_then(|log| log.entry(*seq)) else {
            return Err(Promise::P1
                .broken(format!("{who}: acked at {conversation}/{seq}, which is not committed")));
        };
        if entry.message_id != written.message_id || entry.sender != asked.user {
            return Err(Promise::P1.broken(format!(
                "{who}: acked at {conversation}/{seq}, where something else stands: {entry:?}"
            )));
        }
        if let Some(client_id) = client_id(&asked.command) {
            if entry.client_id != *client_id {
                return Err(Promise::P2.broken(format!(
                    "{who} {client_id}: acked at {conversation}/{seq} of {}",
                    entry.client_id
                )));
            }
            let place = (conversation.clone(), *seq);
            let first = self
                .acked
                .entry((asked.user.clone(), client_id.clone()))
                .or_insert_with(|| place.clone());
            if *first != place {
                return Err(Promise::P2
                    .broken(format!("{who} {client_id}: acked at {first:?}, now at {place:?}")));
            }
        }
        if let Command::Send(send) = &asked.command {
            if send.forward.is_none() && !says(send, &entry.kind, &entry.content) {
                return Err(Promise::P2.broken(format!(
                    "{who}: acked at {conversation}/{seq}, which says {}",
                    entry.content
                )));
            }
            said_beside(journal, send, entry)?;
        }
        if written.duplicate {
            self.duplicates += 1;
            return Ok(());
        }
        let own = (key(conn), conversation.clone(), *seq);
        if self.live.contains(&own) {
            return Err(echoed(&own));
        }
        self.own.insert(own);
        let newest = self.wrote.entry((key(conn), conversation.clone())).or_default();
        if asked.index < newest.0 || *seq <= newest.1 {
            return Err(Promise::P3.broken(format!(
                "{who}: written at {conversation}/{seq} after a later command of #{} at {}",
                conn.slot, newest.1
            )));
        }
        *newest = (asked.index, *seq);
        Ok(())
    }

    fn pushed(
        &mut self,
        journal: &Journal,
        asked: &Asked,
        pushed: &PushedTo,
    ) -> Result<(), Broken> {
        for PushEntry { conversation, seq, message_id, .. } in &pushed.written {
            let entry = journal.log(conversation).and_then(|log| log.entry(*seq));
            let same =
                |entry: &&Committed| entry.message_id == *message_id && entry.sender == asked.user;
            if entry.filter(same).is_none() {
                return Err(Promise::P1.broken(format!(
                    "push of {}: acked at {conversation}/{seq}, which is not committed",
                    asked.user
                )));
            }
        }
        let Some(client_id) = client_id(&asked.command) else { return Ok(()) };
        let Some(first) = pushed.written.first() else {
            return Err(Promise::P2.broken(format!("push {client_id}: written nowhere")));
        };
        let place = (first.conversation.clone(), first.seq);
        let name = (asked.user.clone(), client_id.clone());
        let before = self.acked.entry(name).or_insert_with(|| place.clone());
        if *before != place {
            return Err(Promise::P2
                .broken(format!("push {client_id}: acked at {before:?}, now at {place:?}")));
        }
        self.duplicates += u64::from(pushed.duplicate);
        Ok(())
    }

    fn refused(
        &mut self,
        journal: &Journal,
        asked: &Asked,
        refusal: &Refusal,
    ) -> Result<(), Broken> {
        let Some(client_id) = client_id(&asked.command) else { return Ok(()) };
        let recorded = journal.recorded(&asked.user, client_id);
        let who = format!("{} of {} {client_id}", asked.command.type_name(), asked.user);
        if refusal.reason == Reason::Conflict {
            self.conflicts += 1;
            let Some((conversation, seq)) = recorded else {
                return Err(Promise::P2.broken(format!("{who}: a conflict with nothing")));
            };
            if let (Command::Send(send), Some(entry)) =
                (&asked.command, journal.log(conversation).and_then(|log| log.entry(*seq)))
                && goes_to(send, conversation, &asked.user)
                && says(send, &entry.kind, &entry.content)
            {
                return Err(Promise::P2.broken(format!("{who}: a conflict with itself")));
            }
        } else if !refusal.reason.retry()
            && self.acked.contains_key(&(asked.user.clone(), client_id.clone()))
        {
            return Err(Promise::P2
                .broken(format!("{who}: acked before, now refused: {:?}", refusal.reason)));
        }
        Ok(())
    }

    fn check_acked(&self, journal: &Journal) -> Result<(), Broken> {
        for ((user, client_id), place) in &self.acked {
            if journal.recorded(user, client_id) != Some(place) {
                return Err(Promise::P1
                    .broken(format!("{user} {client_id}: acked at {place:?}, which is lost")));
            }
        }
        Ok(())
    }

    /// What an application put in stands in the log at most once, and in the order put in.
    fn check_sent(&self, journal: &Journal) -> Result<(), Broken> {
        let mut contents: BTreeMap<&str, (&ConversationId, u64)> = BTreeMap::new();
        for (id, log) in &journal.logs {
            let own =
                |entry: &&Committed| entry.kind.is_message() && entry.head.forwarded.is_none();
            for entry in log.entries.iter().filter(own) {
                if let Some(first) = contents.insert(entry.content.get(), (id, entry.seq)) {
                    let seq = entry.seq;
                    return Err(Promise::P2
                        .broken(format!("{} is at {first:?} and {id}/{seq}", entry.content)));
                }
            }
        }
        let mut newest: BTreeMap<(&(usize, u64), &str), u64> = BTreeMap::new();
        for sent in &self.sent {
            if self.raced.contains(&(sent.client, sent.to.clone())) {
                continue;
            }
            let Some((id, seq)) = contents.get(sent.content.as_str()) else { continue };
            let before = newest.insert((&sent.client, &sent.to), *seq).unwrap_or(0);
            if before > *seq {
                return Err(Promise::P3.broken(format!(
                    "{} put in after what is at {before} stands at {id}/{seq}",
                    sent.content
                )));
            }
        }
        Ok(())
    }
}

/// P1, P7: what stands beside the content is what was asked for, and what was forwarded is what the
/// sender could see at that place in the order of commits.
fn said_beside(journal: &Journal, send: &Send, entry: &Committed) -> Result<(), Broken> {
    let (user, head) = (&entry.sender, &entry.head);
    let what = format!("send of {user} {}", entry.client_id);
    let mentions: BTreeSet<_> = send.mentions.iter().collect();
    let mut expires_at = send.expires_in_ms.map(|ms| entry.at.plus_ms(ms));
    let mut forwarded = None;
    if let Some(asked) = &send.forward {
        let Some(source) = journal.seen_before(user, &asked.conversation, asked.seq, entry) else {
            let what = format!("{what}: forwards {asked:?}, which they do not see");
            return Err(Promise::P7.broken(what));
        };
        if (&source.kind, source.content.get()) != (&entry.kind, entry.content.get()) {
            let what = format!("{what}: forwards {source:?} as {}", entry.content);
            return Err(Promise::P7.broken(what));
        }
        expires_at = expires_at.into_iter().chain(source.head.expires_at).min();
        let first = Forwarded { from: source.sender.clone(), at: source.at };
        forwarded = Some(source.head.forwarded.unwrap_or(first));
    }
    let same = head.mentions.len() == mentions.len()
        && head.mentions.iter().all(|user| mentions.contains(user))
        && head.mention_all == send.mention_all
        && head.about == send.reply_to
        && head.expires_at == expires_at
        && head.forwarded == forwarded;
    if same { Ok(()) } else { Err(Promise::P1.broken(format!("{what}: written with {head:?}"))) }
}

fn says(send: &Send, kind: &Kind, content: &Content) -> bool {
    let said = send.content.as_ref().is_some_and(|said| said.get() == content.get());
    send.kind == *kind && said
}

fn goes_to(send: &Send, conversation: &ConversationId, user: &UserId) -> bool {
    match &send.to {
        hubbub_proto::command::Recipient::User(peer) => {
            ConversationId::direct(user, peer) == *conversation
        }
        hubbub_proto::command::Recipient::Conversation(id) => id == conversation,
    }
}

const fn client_id(command: &Command) -> Option<&ClientId> {
    match command {
        Command::Send(send) => Some(&send.client_id),
        Command::Push(push) => push.client_id.as_ref(),
        Command::GroupCreate(c) => c.client_id.as_ref(),
        Command::GroupUpdate(c) => c.client_id.as_ref(),
        Command::GroupInvite(c) => c.client_id.as_ref(),
        Command::GroupJoin(c) => c.client_id.as_ref(),
        Command::GroupLeave(c) | Command::GroupDissolve(c) => c.client_id.as_ref(),
        Command::GroupKick(c) | Command::GroupUnban(c) => c.client_id.as_ref(),
        Command::GroupApprove(c) | Command::GroupReject(c) => c.client_id.as_ref(),
        Command::GroupBan(c) => c.client_id.as_ref(),
        Command::GroupMute(c) => c.client_id.as_ref(),
        Command::Delete(c) => c.client_id.as_ref(),
        Command::Pin(c) => c.client_id.as_ref(),
        Command::Edit(c) => c.client_id.as_ref(),
        Command::Recall(c) => c.client_id.as_ref(),
        Command::React(c) => c.client_id.as_ref(),
        Command::GroupRole(c) => c.client_id.as_ref(),
        _ => None,
    }
}
