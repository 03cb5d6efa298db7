//! The client's mind: messages in, frames and events out. No socket, no clock, no randomness.
//!
//! Invariant: over any number of connections, the application hears of each seq of a conversation
//! once and in order ([`Event::Entry`], [`Event::Void`]), except where the server orders a
//! [`Event::Reset`]; and each message it sent ends in one [`Event::Sent`] or [`Event::Failed`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use crate::log::{Item, Log};
use crate::outbox::{Outbox, Outgoing};

/// How long to wait for what was overtaken before pulling, in milliseconds.
pub const PATIENCE_MS: u64 = 1_000;
/// Pause before a refused message is tried again where the server names none.
const RETRY_MS: u64 = 500;
/// Milliseconds between the server's pings until it has announced its own.
const HEARTBEAT_DEFAULT_MS: u64 = 30_000;
/// Largest message until the server has announced its own limit, in bytes.
const MESSAGE_BYTES_DEFAULT: usize = 64 * 1024;
/// Most cursors in one `sync`.
const SYNC_CURSORS_MAX: usize = 1_000;
/// What a `sync` holds besides its cursors, and a cursor besides its name, at most, in bytes.
const SYNC_ENVELOPE_BYTES: usize = 512;
const CURSOR_BYTES: usize = 24;
/// Commands in flight until the server has announced its own limit.
const IN_FLIGHT_DEFAULT: usize = 16;
/// Pulls in flight. The server answers one at a time, and meanwhile reads nothing else.
const PULLS_MAX: usize = 4;
/// Most requests that wait to be sent.
const REQUESTS_MAX: usize = 1_000;

/// What the application hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The session is open; the payload of `connected`.
    Connected(Value),
    /// What was missed has been fetched (voids and entries before this were part of it).
    Synced,
    /// An entry of a conversation, in order, once; also one's own.
    Entry(Value),
    /// There is nothing for this member from `seq` to `through`.
    Void {
        /// Which log.
        conversation: String,
        /// First seq.
        seq: u64,
        /// Last seq.
        through: u64,
    },
    /// What was heard of this conversation is to be forgotten; it goes on at `from_seq`.
    Reset {
        /// Which log.
        conversation: String,
        /// Where it goes on.
        from_seq: u64,
    },
    /// This user does not want to see these any more, on any of their devices.
    Hidden {
        /// Which log.
        conversation: String,
        /// Each of them.
        seqs: Vec<u64>,
        /// And everything up to here; 0 for nothing.
        through: u64,
    },
    /// A message is stored.
    Sent {
        /// Its client id.
        client_id: String,
        /// Which log.
        conversation: String,
        /// Its place in it.
        seq: u64,
    },
    /// A message was refused for good; the payload of `error`.
    Failed {
        /// Its client id.
        client_id: String,
        /// Why.
        error: Value,
    },
    /// The reply to [`Core::request`]: the payload of `ack` or of `error`.
    Reply {
        /// What [`Core::request`] returned.
        ticket: u64,
        /// What came of it.
        outcome: Result<Value, Value>,
    },
    /// There is no connection; another attempt follows.
    Offline {
        /// Why.
        reason: String,
    },
    /// Any other event: its type and payload (`receipt`, `typing`, `error`, `bye` …).
    Other {
        /// Its type.
        kind: String,
        /// Its payload.
        payload: Value,
    },
}

/// What a command in flight is for.
#[derive(Clone, Debug)]
enum Purpose {
    Send(Outgoing),
    Sync,
    Pull(String),
    Request(u64),
    /// A request that hides these places of a conversation, and all up to one, from this user; only
    /// their other devices are told.
    Hide {
        ticket: u64,
        conversation: String,
        seqs: Vec<u64>,
        through: u64,
    },
}

/// One device's session with the server, over any number of connections.
#[derive(Clone, Debug, Default)]
pub struct Core {
    connected: bool,
    syncing: bool,
    /// Something was dropped while a sync was under way, whose answer may be older than that.
    sync_again: bool,
    /// A sync is wanted; not before when.
    sync_at: Option<u64>,
    synced: bool,
    user: String,
    epoch: Option<String>,
    rev: Option<u64>,
    in_flight_max: usize,
    message_bytes_max: usize,
    heartbeat_ms: u64,
    logs: BTreeMap<String, Log>,
    /// Conversations of an earlier epoch that no sync has named since.
    foreign: BTreeSet<String>,
    /// Live entries that came before the sync was answered, on the same connection: never of another
    /// epoch.
    early: Vec<(String, u64, Item)>,
    outbox: Outbox,
    requests: VecDeque<(u64, String, Value)>,
    in_flight: BTreeMap<String, Purpose>,
    next_id: u64,
    /// Frames to be sent and events to be told, in order.
    frames: Vec<String>,
    events: Vec<Event>,
}

impl Core {
    /// A client that has heard nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            in_flight_max: IN_FLIGHT_DEFAULT,
            message_bytes_max: MESSAGE_BYTES_DEFAULT,
            heartbeat_ms: HEARTBEAT_DEFAULT_MS,
            ..Self::default()
        }
    }

    /// The last seq handed on of each conversation.
    pub fn cursors(&self) -> impl Iterator<Item = (&str, u64)> {
        self.logs.iter().map(|(id, log)| (id.as_str(), log.cursor()))
    }

    /// Messages that are not acked.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.outbox.len()
    }

    /// Whether everything that was missed has been fetched on this connection.
    #[must_use]
    pub const fn is_synced(&self) -> bool {
        self.synced
    }

    /// After so many milliseconds without a message from the server, the connection is dead: the
    /// server pings more often than that.
    #[must_use]
    pub const fn silence_max_ms(&self) -> u64 {
        self.heartbeat_ms.saturating_add(self.heartbeat_ms / 2)
    }

    /// Queues a message; false when too many wait.
    #[must_use]
    pub fn send(&mut self, to: &str, content: Value, kind: &str, client_id: &str) -> bool {
        self.outbox.push(Outgoing::new(to, content, kind, client_id))
    }

    /// Queues a message with other fields than those (`reply_to`, `mentions`, `expires_in_ms`,
    /// `forward` …); false when too many wait.
    #[must_use]
    pub fn send_message(&mut self, message: Outgoing) -> bool {
        self.outbox.push(message)
    }

    /// Queues any other command. It is sent once, on this connection or the next, and its reply
    /// comes as [`Event::Reply`]; when the connection is lost in between, as an error `disconnected`,
    /// and when too many wait, as `queue_full`.
    pub fn request(&mut self, kind: &str, payload: Value) -> u64 {
        self.next_id += 1;
        let ticket = self.next_id;
        if self.requests.len() < REQUESTS_MAX {
            self.requests.push_back((ticket, kind.to_owned(), payload));
        } else {
            let error = json!({ "reason": "queue_full", "retry": true });
            self.events.push(Event::Reply { ticket, outcome: Err(error) });
        }
        ticket
    }

    /// A command without a reply (`read`, `typing`), dropped while not connected.
    pub fn tell(&mut self, kind: &str, payload: &Value) {
        if self.connected {
            self.frames.push(json!({ "type": kind, "payload": payload }).to_string());
        }
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.syncing = false;
        self.sync_again = false;
        self.sync_at = None;
        self.synced = false;
        self.early.clear();
        self.frames.clear();
        self.outbox.disconnected();
        for log in self.logs.values_mut() {
            log.disconnected();
        }
        for purpose in std::mem::take(&mut self.in_flight).into_values() {
            if let Purpose::Request(ticket) | Purpose::Hide { ticket, .. } = purpose {
                let error = json!({ "reason": "disconnected", "retry": true });
                self.events.push(Event::Reply { ticket, outcome: Err(error) });
            }
        }
    }

    /// Handles one text message of the server.
    pub fn message(&mut self, text: &str, now: u64) {
        let Ok(Value::Object(mut message)) = serde_json::from_str(text) else { return };
        let mut payload = message.remove("payload").unwrap_or(Value::Null);
        let id = message.get("id").and_then(Value::as_str).map(str::to_owned);
        let Some(kind) = message.get("type").and_then(Value::as_str) else { return };
        match kind {
            "connected" => self.on_connected(payload),
            "ack" | "error" => self.on_reply(kind == "ack", id.as_deref(), payload, now),
            "message" | "message_updated" | "group_changed" | "void" => {
                self.on_live(kind, payload, now);
            }
            "message_hidden" => self.on_hidden(&payload),
            "ping" => self.on_ping(&payload, now),
            "pong" => {}
            "lag" => self.on_lag(&payload, now),
            // What is pushed has the type that its sender gave it; what is kept of that is an entry.
            push if payload["message_id"].is_string() && payload["conversation"].is_string() => {
                payload["kind"] = json!(format!("push:{push}"));
                payload["content"] = payload["data"].take();
                self.on_live(push, payload, now);
            }
            other => self.events.push(Event::Other { kind: other.to_owned(), payload }),
        }
    }

    /// Decides what is to be sent now; what finds no room in flight waits for the next call. To be
    /// called after messages, and every so often.
    pub fn poll(&mut self, now: u64) {
        if !self.connected {
            return;
        }
        if self.synced {
            self.confirm();
        }
        if self.sync_at.is_some_and(|at| at <= now) && self.has_room() {
            self.send_sync();
        }
        if self.synced {
            self.send_pulls(now);
        }
        while self.has_room() {
            let Some((ticket, kind, payload)) = self.requests.pop_front() else { break };
            let purpose = hides(&kind, &payload, ticket).unwrap_or(Purpose::Request(ticket));
            self.command(&kind, &payload, purpose);
        }
        while self.has_room() {
            let Some((message, after)) = self.outbox.next(now) else { break };
            let mut payload = sent(&message);
            if let Some(after) = after {
                payload["after"] = json!(after);
            }
            self.command("send", &payload, Purpose::Send(message));
            self.take_back_what_is_too_big();
        }
    }

    /// Frames to be sent, in order.
    pub fn take_frames(&mut self) -> Vec<String> {
        std::mem::take(&mut self.frames)
    }

    /// Events to be told, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn command(&mut self, kind: &str, payload: &Value, purpose: Purpose) {
        self.next_id += 1;
        let id = self.next_id.to_string();
        self.frames.push(json!({ "type": kind, "id": id, "payload": payload }).to_string());
        self.in_flight.insert(id, purpose);
    }

    /// A message above the server's limit would cost the connection, again and again.
    fn take_back_what_is_too_big(&mut self) {
        if self.frames.last().is_none_or(|frame| frame.len() <= self.message_bytes_max) {
            return;
        }
        self.frames.pop();
        let Some((_, Purpose::Send(message))) =
            self.in_flight.remove_entry(&self.next_id.to_string())
        else {
            return;
        };
        self.outbox.settle(&message.client_id);
        let said = format!("The message is larger than {} bytes.", self.message_bytes_max);
        let error = json!({ "code": 413, "reason": "too_big", "message": said, "retry": false });
        self.events.push(Event::Failed { client_id: message.client_id, error });
    }

    /// Tells the server how far the logs have got: only after a sync, before which the cursors may
    /// be those of another epoch.
    fn confirm(&mut self) {
        for (id, log) in &mut self.logs {
            if let Some(seq) = log.unconfirmed() {
                let payload = json!({ "conversation": id, "seq": seq });
                self.frames.push(json!({ "type": "received", "payload": payload }).to_string());
            }
        }
    }

    fn has_room(&self) -> bool {
        self.in_flight.len() < self.in_flight_max
    }

    fn send_pulls(&mut self, now: u64) {
        let under_way = self.in_flight.values().filter(|p| matches!(p, Purpose::Pull(_))).count();
        let room = self.in_flight_max.saturating_sub(self.in_flight.len());
        let wanted: Vec<_> = self
            .logs
            .iter()
            .filter_map(|(id, log)| log.wanted(now, PATIENCE_MS).map(|range| (id.clone(), range)))
            .take(PULLS_MAX.saturating_sub(under_way).min(room))
            .collect();
        for (id, (from, to)) in wanted {
            if let Some(log) = self.logs.get_mut(&id) {
                log.pull();
            }
            let payload = json!({ "conversation": id, "from": from, "to": to });
            self.command("pull", &payload, Purpose::Pull(id));
        }
    }

    /// Wants a sync, or another one where one is under way.
    fn sync(&mut self) {
        if self.syncing {
            self.sync_again = true;
        } else {
            self.sync_at.get_or_insert(0);
        }
    }

    fn send_sync(&mut self) {
        self.syncing = true;
        self.sync_at = None;
        let cursors = self.told_cursors();
        let mut payload = json!({ "epoch": self.epoch, "cursors": cursors });
        if let Some(rev) = self.rev {
            payload["rev"] = json!(rev);
        }
        self.command("sync", &payload, Purpose::Sync);
    }

    /// As many cursors as one message takes, those of logs with holes first. A log that is not named
    /// and changed is answered from where the server thinks fit; a hole in front of that is pulled.
    fn told_cursors(&self) -> Map<String, Value> {
        let mut room = self.message_bytes_max.saturating_sub(SYNC_ENVELOPE_BYTES);
        let (holes, whole): (Vec<_>, Vec<_>) =
            self.logs.iter().partition(|(_, log)| log.has_hole());
        let fits = |(id, _): &(&String, &Log)| {
            let cost = id.len() + CURSOR_BYTES;
            let fits = room >= cost;
            room = room.saturating_sub(cost);
            fits
        };
        let named = holes.into_iter().chain(whole).take(SYNC_CURSORS_MAX).take_while(fits);
        named.map(|(id, log)| (id.clone(), json!(log.cursor()))).collect()
    }

    fn on_connected(&mut self, payload: Value) {
        self.connected = true;
        if let Some(user) = payload["user"].as_str() {
            self.user = user.to_owned();
        }
        if let Some(heartbeat_ms) = payload["heartbeat_ms"].as_u64() {
            self.heartbeat_ms = heartbeat_ms.max(1_000);
        }
        if let Some(limit) = payload["limits"]["commands_in_flight"].as_u64() {
            self.in_flight_max = usize::try_from(limit).unwrap_or(IN_FLIGHT_DEFAULT).max(1);
        }
        if let Some(limit) = payload["limits"]["message_bytes"].as_u64() {
            self.message_bytes_max = usize::try_from(limit).unwrap_or(MESSAGE_BYTES_DEFAULT);
        }
        self.sync();
        self.events.push(Event::Connected(payload));
    }

    fn on_reply(&mut self, ok: bool, id: Option<&str>, payload: Value, now: u64) {
        let Some(purpose) = id.and_then(|id| self.in_flight.remove(id)) else {
            if !ok {
                self.events.push(Event::Other { kind: "error".into(), payload });
            }
            return;
        };
        match purpose {
            Purpose::Send(message) if ok => self.on_sent(&message, &payload, now),
            Purpose::Send(message) => self.on_refused(&message, payload, now),
            Purpose::Sync if ok => self.on_sync(payload, now),
            Purpose::Sync => {
                self.syncing = false;
                self.sync_again = false;
                self.sync_at = Some(now + pause(&payload));
            }
            Purpose::Pull(conversation) if ok => self.on_pull(&conversation, payload, now),
            Purpose::Pull(conversation) => self.on_pull_refused(&conversation, &payload, now),
            Purpose::Hide { ticket, conversation, seqs, through } => {
                if ok {
                    // Up to where `clear` holds the server says; it may be less than was asked for.
                    let through = payload["through"].as_u64().unwrap_or(through);
                    self.events.push(Event::Hidden { conversation, seqs, through });
                }
                let outcome = if ok { Ok(payload) } else { Err(payload) };
                self.events.push(Event::Reply { ticket, outcome });
            }
            Purpose::Request(ticket) => {
                if ok {
                    self.on_written(&payload, now);
                }
                let outcome = if ok { Ok(payload) } else { Err(payload) };
                self.events.push(Event::Reply { ticket, outcome });
            }
        }
    }

    fn on_sent(&mut self, message: &Outgoing, ack: &Value, now: u64) {
        if self.outbox.settle(&message.client_id).is_none() {
            return;
        }
        let conversation = ack["conversation"].as_str().unwrap_or_default().to_owned();
        let seq = ack["seq"].as_u64().unwrap_or_default();
        self.events.push(Event::Sent {
            client_id: message.client_id.clone(),
            conversation: conversation.clone(),
            seq,
        });
        // What is forwarded is the server's copy.
        if message.extra.contains_key("forward") {
            self.on_written(ack, now);
            return;
        }
        let mut entry = sent(message);
        if let Some(lasts_ms) = message.extra.get("expires_in_ms").and_then(Value::as_u64) {
            entry["expires_at"] = json!(ack["timestamp"].as_u64().unwrap_or_default() + lasts_ms);
        }
        entry["conversation"] = json!(conversation);
        entry["seq"] = json!(seq);
        entry["message_id"] = ack["message_id"].clone();
        entry["from"] = json!(self.user);
        entry["at"] = ack["timestamp"].clone();
        self.live(&conversation, seq, Item::Entry(entry), now);
    }

    /// The entry of a group command does not come back to the connection that sent it, and its ack
    /// says only where it stands: it is pulled.
    fn on_written(&mut self, ack: &Value, now: u64) {
        if let (Some(id), Some(seq)) = (ack["conversation"].as_str(), ack["seq"].as_u64()) {
            self.logs.entry(id.to_owned()).or_default().heard_of(seq, now);
        }
    }

    fn on_refused(&mut self, message: &Outgoing, error: Value, now: u64) {
        if error["retry"].as_bool() == Some(true) {
            self.outbox.retry(&message.client_id, now + pause(&error));
        } else if self.outbox.settle(&message.client_id).is_some() {
            self.events.push(Event::Failed { client_id: message.client_id.clone(), error });
        }
    }

    fn on_live(&mut self, kind: &str, mut payload: Value, now: u64) {
        let conversation = payload["conversation"].as_str().unwrap_or_default().to_owned();
        let seq = payload["seq"].as_u64().unwrap_or_default();
        let item = if kind == "void" {
            Item::Void { through: payload["through"].as_u64().unwrap_or(seq) }
        } else {
            if let Some(map) = payload.as_object_mut() {
                map.remove("attempt");
            }
            Item::Entry(payload)
        };
        self.live(&conversation, seq, item, now);
    }

    fn on_hidden(&mut self, payload: &Value) {
        let Some(conversation) = payload["conversation"].as_str() else { return };
        self.hide(conversation, &payload["seqs"], payload["through"].as_u64());
    }

    fn hide(&mut self, conversation: &str, seqs: &Value, through: Option<u64>) {
        let seqs: Vec<u64> =
            seqs.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let through = through.unwrap_or(0);
        if !seqs.is_empty() || through > 0 {
            self.events.push(Event::Hidden {
                conversation: conversation.to_owned(),
                seqs,
                through,
            });
        }
    }

    fn live(&mut self, conversation: &str, seq: u64, item: Item, now: u64) {
        if conversation.is_empty() || seq == 0 {
            return;
        }
        if !self.synced {
            if self.early.len() < crate::log::HELD_MAX {
                self.early.push((conversation.to_owned(), seq, item));
            }
            return;
        }
        self.apply(conversation, seq, item, now);
    }

    fn apply(&mut self, conversation: &str, seq: u64, item: Item, now: u64) {
        let log = self.logs.entry(conversation.to_owned()).or_default();
        // What the server sends again it has not been told of.
        if seq <= log.cursor() {
            log.forget_confirmation();
        }
        for (seq, item) in log.accept(seq, item, now) {
            self.events.push(match item {
                Item::Entry(entry) => Event::Entry(entry),
                Item::Void { through } => {
                    Event::Void { conversation: conversation.to_owned(), seq, through }
                }
            });
        }
    }

    fn apply_items(&mut self, conversation: &str, entries: Value, now: u64) {
        let Value::Array(entries) = entries else { return };
        for mut entry in entries {
            let seq = entry["seq"].as_u64().unwrap_or_default();
            let kind = entry.as_object_mut().and_then(|map| map.remove("type"));
            let item = if kind.as_ref().and_then(Value::as_str) == Some("void") {
                Item::Void { through: entry["through"].as_u64().unwrap_or(seq) }
            } else {
                Item::Entry(entry)
            };
            self.apply(conversation, seq, item, now);
        }
    }

    fn on_sync(&mut self, mut page: Value, now: u64) {
        self.syncing = false;
        let epoch = page["epoch"].as_str().map(str::to_owned);
        if self.epoch.is_some() && self.epoch != epoch {
            // Another history: neither a cursor nor anything held says something about it.
            self.rev = None;
            self.foreign.extend(std::mem::take(&mut self.logs).into_keys());
        }
        self.epoch = epoch;
        let Value::Array(conversations) = page["conversations"].take() else { return };
        for mut synced in conversations {
            let Some(id) = synced["id"].as_str().map(str::to_owned) else { continue };
            let from = synced["from_seq"].as_u64().unwrap_or(1);
            let known = self.logs.contains_key(&id);
            self.foreign.remove(&id);
            let log = self.logs.entry(id.clone()).or_default();
            let reset = synced["reset"].as_bool() == Some(true);
            if reset || !known {
                log.reset(from);
                self.events.push(Event::Reset { conversation: id.clone(), from_seq: from });
            }
            log.heard_of(synced["head_seq"].as_u64().unwrap_or_default(), now);
            // What nobody has any more is shown no longer than what the user cleared.
            let gone = [&synced["cleared_seq"], &synced["floor_seq"]];
            let through = gone.into_iter().filter_map(Value::as_u64).max();
            self.hide(&id, &synced["hidden"], through);
            self.apply_items(&id, synced["entries"].take(), now);
        }
        self.rev = page["rev"].as_u64();
        if page["more"].as_bool() == Some(true) {
            self.sync();
            return;
        }
        if std::mem::take(&mut self.sync_again) {
            self.sync();
        }
        self.synced = true;
        for conversation in std::mem::take(&mut self.foreign) {
            self.events.push(Event::Reset { conversation, from_seq: 1 });
        }
        for (conversation, seq, item) in std::mem::take(&mut self.early) {
            self.apply(&conversation, seq, item, now);
        }
        self.events.push(Event::Synced);
    }

    fn on_pull(&mut self, conversation: &str, mut page: Value, now: u64) {
        if !self.logs.contains_key(conversation) {
            return;
        }
        self.apply_items(conversation, page["entries"].take(), now);
        if let Some(log) = self.logs.get_mut(conversation) {
            match page["head_seq"].as_u64() {
                Some(head) if page["more"].as_bool() != Some(true) => {
                    log.pulled_to_the_end(head, now);
                }
                _ => log.pulled(page["more"].as_bool() == Some(true), now),
            }
        }
    }

    /// What is missing is pulled again later, or else is not for this device.
    fn on_pull_refused(&mut self, conversation: &str, error: &Value, now: u64) {
        let Some(log) = self.logs.get_mut(conversation) else { return };
        if error["retry"].as_bool() == Some(true) {
            log.pulled(false, now);
        } else {
            log.give_up();
        }
    }

    fn on_ping(&mut self, payload: &Value, now: u64) {
        self.frames.push(r#"{"type":"pong"}"#.to_owned());
        if let Some(heads) = payload["heads"].as_object() {
            for (id, head) in heads {
                let log = self.logs.entry(id.clone()).or_default();
                log.forget_confirmation();
                log.heard_of(head.as_u64().unwrap_or_default(), now);
            }
        }
        if payload["resync"].as_bool() == Some(true) {
            self.sync();
        }
    }

    fn on_lag(&mut self, payload: &Value, now: u64) {
        match (payload["conversation"].as_str(), payload["head"].as_u64()) {
            (Some(id), Some(head)) => {
                let log = self.logs.entry(id.to_owned()).or_default();
                log.forget_confirmation();
                log.heard_of(head, now);
            }
            _ => self.sync(),
        }
    }
}

/// What a request is for that hides something from this user alone.
fn hides(kind: &str, payload: &Value, ticket: u64) -> Option<Purpose> {
    let conversation = payload["conversation"].as_str()?.to_owned();
    let seq = payload["seq"].as_u64()?;
    let for_all = payload["for"].as_str() == Some("all");
    let (seqs, through) = match kind {
        "delete" if !for_all => (vec![seq], 0),
        "clear" => (Vec::new(), seq),
        _ => return None,
    };
    Some(Purpose::Hide { ticket, conversation, seqs, through })
}

/// The payload of `send` for a message.
fn sent(message: &Outgoing) -> Value {
    let mut payload = message.extra.clone();
    if !message.extra.contains_key("forward") {
        payload.insert("content".into(), message.content.clone());
        payload.insert("kind".into(), json!(message.kind));
    }
    payload.insert("to".into(), json!(message.to));
    payload.insert("client_id".into(), json!(message.client_id));
    payload.into()
}

/// When a refused command makes sense again, in milliseconds from now.
fn pause(error: &Value) -> u64 {
    error["retry_after_ms"].as_u64().unwrap_or(RETRY_MS)
}

#[cfg(test)]
mod tests;
