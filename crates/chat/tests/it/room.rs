//! A server without threads or sockets: commands in, replies and events out, one commit for each
//! batch.

use std::sync::Arc;

use hubbub_chat::ports::{Names, Reader, Result, Store, Writer};
use hubbub_chat::{ChatConfig, Executed, Scribe, answer};
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use hubbub_proto::route::{Publication, Stamp, Work};
use hubbub_proto::{
    Ack, ConnId, DeviceId, Effect, Event, Identity, Refusal, Request, Timestamp, Topic, UserId,
};
use hubbub_store::MemoryStore;
use serde_json::{Value, json};

/// Names in a row: `made-1`, `made-2` …
#[derive(Default)]
pub(crate) struct Row(u64);

impl Names for Row {
    fn unique(&mut self, _: Timestamp) -> String {
        self.0 += 1;
        format!("made-{}", self.0)
    }

    fn secret(&mut self) -> Option<[u8; 16]> {
        self.0 += 1;
        Some(u128::from(self.0).to_be_bytes())
    }

    fn digest(&self, text: &str) -> [u8; 32] {
        let mut digest = [0; 32];
        for (place, byte) in text.bytes().enumerate() {
            digest[place % 32] ^= byte;
        }
        digest
    }
}

pub(crate) const EPOCH: &str = "epoch-1";

pub(crate) struct Room {
    pub(crate) scribe: Scribe,
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) config: ChatConfig,
    pub(crate) now: Timestamp,
    /// What happened besides replies, since it was last taken.
    pub(crate) events: Vec<String>,
    /// The sentence of the last refusal.
    refusal: String,
    /// How many things were said by `chatter`.
    pub(crate) said: usize,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self::with(ChatConfig::default())
    }

    pub(crate) fn with(config: ChatConfig) -> Self {
        let store = MemoryStore::with_epoch(EPOCH);
        Self::on(&store, store.writer(), config)
    }

    pub(crate) fn on(
        store: &dyn Store,
        writer: Result<Box<dyn Writer>>,
        config: ChatConfig,
    ) -> Self {
        let mut reader = store.reader().unwrap();
        // After a restart the names go on behind those of before.
        let names = Row(reader.rev().unwrap().0 * 100);
        Self {
            scribe: Scribe::new(writer.unwrap(), config.clone(), Box::new(names)).unwrap(),
            reader,
            config,
            now: Timestamp(1_000_000_000_000),
            events: Vec::new(),
            refusal: String::new(),
            said: 0,
        }
    }

    /// One command in a batch of its own; the ack, or `{"reason": …}`.
    #[expect(clippy::needless_pass_by_value, reason = "payloads are written at the call")]
    pub(crate) fn ask(&mut self, user: &str, kind: &str, payload: Value) -> Value {
        let mut replies = self.batch(vec![request(user, kind, &payload)]);
        assert_eq!(replies.len(), 1, "one reply to {kind} {payload}");
        replies.remove(0)
    }

    /// Several commands in one batch.
    pub(crate) fn batch(&mut self, batch: Vec<Request>) -> Vec<Value> {
        let Executed { effects, reads, .. } = self.scribe.execute(batch, self.now);
        let mut replies = self.happen(effects);
        for read in reads {
            let effects = answer(&mut *self.reader, &self.config, EPOCH, &read, self.now);
            replies.extend(self.happen(effects));
        }
        replies
    }

    /// Time passes, and what is due happens.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        let effects = self.scribe.tick(self.now);
        assert!(self.happen(effects).is_empty(), "a tick answers nobody");
    }

    pub(crate) fn take_events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn last_refusal(&self) -> &str {
        &self.refusal
    }

    /// The relations that were told, to whom: `@bob: alice received Hello.`
    pub(crate) fn take_relations(&mut self) -> Vec<String> {
        let told = self.take_events().into_iter();
        told.map(|event| {
            let (relation, to) = event.split_once(" -> ").unwrap();
            format!("{to}: {}", relation.strip_prefix("relation ").unwrap())
        })
        .collect()
    }

    pub(crate) fn happen(&mut self, effects: Vec<Effect>) -> Vec<Value> {
        let mut replies = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reply { outcome, .. } => {
                    if let Err(refusal) = &outcome {
                        refusal.message().clone_into(&mut self.refusal);
                    }
                    replies.push(told(&outcome));
                }
                other => self.events.push(shown(&other)),
            }
        }
        replies
    }

    pub(crate) fn say(&mut self, user: &str, to: &str, client_id: &str) -> Value {
        let payload = json!({"to": to, "content": client_id, "client_id": client_id});
        self.ask(user, "send", payload)
    }

    /// Says `count` things and returns the seq of the last one.
    pub(crate) fn chatter(&mut self, user: &str, to: &str, count: usize) -> u64 {
        let said = self.said;
        self.said += count;
        let batch = (said..self.said)
            .map(|n| json!({"to": to, "content": n.to_string(), "client_id": format!("said-{n}")}))
            .map(|payload| request(user, "send", &payload))
            .collect();
        let replies = self.batch(batch);
        self.take_events();
        replies.last().unwrap()["seq"].as_u64().unwrap()
    }

    /// A group of `owner` with these members; its conversation id.
    pub(crate) fn group(&mut self, owner: &str, members: &[&str], join: &str) -> String {
        let payload = json!({"name": "g", "members": members, "join": join});
        let ack = self.ask(owner, "group_create", payload);
        self.take_events();
        ack["conversation"].as_str().unwrap().to_owned()
    }
}

/// The only device of `user`.
pub(crate) fn conn(user: &str) -> ConnId {
    let slot = user.bytes().fold(0u32, |n, byte| n.wrapping_mul(31).wrapping_add(byte.into()));
    ConnId { shard: 0, slot, generation: 1 }
}

pub(crate) fn identity(user: &str) -> Arc<Identity> {
    Arc::new(Identity {
        user: UserId::new(user).unwrap(),
        name: Some(user.to_uppercase().into()),
        roles: Box::default(),
        device: DeviceId::new("device").unwrap(),
        device_named: false,
        expires_at: None,
        issued_at: None,
        rare: None,
        authority: hubbub_proto::route::Authority::default(),
    })
}

/// The same on a device with an id of its own, with a token made then.
pub(crate) fn on_device(mut request: Request, device: &str, issued: Timestamp) -> Request {
    let identity = Arc::make_mut(&mut request.identity);
    identity.device = DeviceId::new(device).unwrap();
    identity.device_named = true;
    identity.change_rare(|rare| rare.device_kind = Some("web".into()));
    identity.issued_at = Some(issued);
    request.conn.slot = request.conn.slot.wrapping_add(device.len() as u32);
    request
}

/// A session of a user is opened or ends.
pub(crate) fn life(user: &str, work: Work) -> Request {
    Request { conn: conn(user), read_at: Stamp::default(), identity: identity(user), work }
}

pub(crate) fn request(user: &str, kind: &str, payload: &Value) -> Request {
    let text = json!({"type": kind, "id": "q", "payload": payload}).to_string();
    let incoming = Codec::Json.decode(text.as_bytes(), &Limits::default()).unwrap();
    let work = Work::Command { id: incoming.id, command: incoming.command };
    Request { conn: conn(user), read_at: Stamp::default(), identity: identity(user), work }
}

pub(crate) fn told(outcome: &std::result::Result<Ack, Refusal>) -> Value {
    match outcome {
        Ok(ack) => serde_json::to_value(ack).unwrap(),
        Err(refusal) => json!({"reason": refusal.reason.slug()}),
    }
}

fn topic(topic: &Topic) -> String {
    match topic {
        Topic::User(user) => format!("@{user}"),
        Topic::Conversation(id) => id.to_string(),
        Topic::Role(role) => format!("@role:{role}"),
        Topic::All => "@all".into(),
    }
}

fn event(event: &Event) -> String {
    match event {
        Event::Entry(delivered) => {
            let entry = &delivered.entry;
            let again = if delivered.attempt > 1 { " again" } else { "" };
            format!("{} {}#{}{again}", entry.kind.as_str(), entry.conversation, entry.seq)
        }
        Event::Receipt(r) => {
            format!("receipt {} {} {}/{}", r.conversation, r.user, r.received_seq, r.read_seq)
        }
        Event::Typing(t) => format!("typing {} {} {}", t.conversation, t.user, t.active),
        Event::Relation(relation) => {
            let state = format!("{:?}", relation.state).to_lowercase();
            let blocked = if relation.blocked { "+blocked" } else { "" };
            let note = relation.note.as_ref().map_or(String::new(), |note| format!(" {note}"));
            format!("relation {} {state}{blocked}{note}", relation.user)
        }
        Event::Push(p) => format!("{} to {} from {}: {}", p.kind, p.to, p.from, p.data),
        Event::ConversationUpdated(update) => format!(
            "settings {} {}",
            update.conversation,
            serde_json::to_string(&update.settings).unwrap()
        ),
        Event::MessageReceipt(r) => {
            format!("{:?} {}#{} {} by {}", r.status, r.conversation, r.seq, r.client_id, r.user)
                .to_lowercase()
        }
        Event::JoinRequest(r) => format!("request {} {:?}", r.user, r.state).to_lowercase(),
        Event::Void(void) => format!("void {}#{}-{}", void.conversation, void.seq, void.through),
        other => format!("{other:?}"),
    }
}

pub(crate) fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Publish(Publication { topics, event: what, .. }) => {
            let to: Vec<String> = topics.iter().map(topic).collect();
            format!("{} -> {}", event(what), to.join(" "))
        }
        Effect::Veil { publication, unseen } => {
            let to: Vec<String> = publication.topics.iter().map(topic).collect();
            let unseen: Vec<&str> = unseen.iter().map(UserId::as_str).collect();
            format!("{} -> {} but {}", event(&publication.event), to.join(" "), unseen.join(" "))
        }
        Effect::Join { user, topic: what } => format!("join {user} {}", topic(what)),
        Effect::Leave { user, topic: what } => format!("leave {user} {}", topic(what)),
        Effect::Close { conn, code } => format!("close {} {}", conn.slot, code.code()),
        Effect::SignOut { user, device, others } => {
            format!("sign out {user} {}{device}", if *others { "all but " } else { "" })
        }
        Effect::Identity { user, roles } => format!("roles of {user}: {}", roles.join(" ")),
        Effect::End { topic: what } => format!("end {}", topic(what)),
        Effect::Attach { topics, .. } => {
            format!("attach {}", topics.iter().map(topic).collect::<Vec<_>>().join(" "))
        }
        Effect::Push { event: what, .. } => format!("push {}", event(what)),
        Effect::Reply { outcome, .. } => format!("reply {}", told(outcome)),
    }
}

pub(crate) fn reason(reason: &str) -> Value {
    json!({"reason": reason})
}

/// The items of a page in short: `3`, or `void 4-6`.
pub(crate) fn items(page: &Value) -> Vec<String> {
    let item = |item: &Value| match item["type"].as_str() {
        Some("void") => format!("void {}-{}", item["seq"], item["through"]),
        _ => item["seq"].to_string(),
    };
    page["entries"].as_array().unwrap().iter().map(item).collect()
}
