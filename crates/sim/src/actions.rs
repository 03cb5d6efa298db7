//! What users do.

use hubbub_client::outbox::Outgoing;
use hubbub_proto::{ConversationId, UserId};
use serde_json::{Map, Value, json};

use crate::journal::PUSHER;
use crate::oracle::Sent;
use crate::report::Broken;
use crate::schedule::Happening;
use crate::stage::trace;
use crate::world::World;

impl World {
    /// Somebody does something, and the next action is planned.
    pub(crate) fn act(&mut self) -> Result<(), Broken> {
        if self.actions_left == 0 {
            return Ok(());
        }
        self.actions_left -= 1;
        let quiet = self.stage.rng.chance(30);
        let longest_ms = if quiet { 25_000 } else { self.stage.variant.pause_ms };
        let delay_ms = self.stage.rng.between(0, longest_ms);
        self.stage.schedule.after(delay_ms, Happening::Act);
        let mut device = self.stage.rng.index(self.devices.len());
        let what = self.stage.rng.below(130);
        if (94..98).contains(&what) && self.stage.rng.chance(900) {
            device = self.any_pusher().unwrap_or(device);
        }
        match what {
            0..45 => self.send(device),
            45..49 => self.repeat(device),
            49..52 => self.contradict(device),
            52..56 => self.create(device),
            56..76 => self.manage(device),
            76..86 => self.read(device),
            86..94 => self.look(device),
            94..98 => self.push(device),
            98..100 => self.type_something(device),
            100..106 => self.befriend(device),
            126..130 => self.forward(device),
            _ => self.operate(device),
        }
        let journal = self.node.store.journal();
        self.devices[device].flush(&mut self.stage, &journal)?;
        self.devices[device].wake(&mut self.stage);
        Ok(())
    }

    pub(crate) fn unique(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn any_user(&mut self) -> UserId {
        let at = self.stage.rng.index(self.users.len());
        self.users[at].clone()
    }

    /// A group, mostly one in which the device's user is.
    fn any_group(&mut self, device: usize) -> Option<ConversationId> {
        let journal = self.node.store.journal();
        let user = &self.devices[device].user;
        let is_group = |id: &&ConversationId| id.as_str().starts_with("group:");
        let all: Vec<_> = journal.logs.keys().filter(is_group).collect();
        let theirs: Vec<_> = all
            .iter()
            .copied()
            .filter(|id| journal.log(id).is_some_and(|log| log.is_member(user)))
            .collect();
        let among = if self.stage.rng.chance(750) && !theirs.is_empty() { theirs } else { all };
        self.stage.rng.pick(&among).map(|id| (*id).clone())
    }

    pub(crate) fn any_conversation(&mut self, device: usize) -> Option<String> {
        if self.stage.rng.chance(100) {
            return self.any_group(device).map(|id| id.to_string());
        }
        let known: Vec<String> = self.devices[device].cursors().into_keys().collect();
        self.stage.rng.pick(&known).cloned()
    }

    fn send(&mut self, device: usize) {
        let group = if self.stage.rng.chance(600) { self.any_group(device) } else { None };
        let to = match group {
            Some(group) => group.to_string(),
            None => format!("user:{}", self.any_user()),
        };
        let burst = if self.stage.rng.chance(200) { self.stage.rng.between(2, 6) } else { 1 };
        for _ in 0..burst {
            let n = self.unique();
            let (content, client_id) = (json!(format!("message {n}")), format!("c{n}"));
            let extra = self.beside();
            let kind = if self.stage.rng.chance(100) { "custom:note" } else { "text" };
            let device = &mut self.devices[device];
            trace!(
                self.stage,
                "device {} of {} sends {content} to {to}", device.index, device.user
            );
            self.stage.oracle.sends(Sent {
                client: (device.index, device.life),
                user: device.user.clone(),
                to: to.clone(),
                content: content.to_string(),
                kind,
                client_id: client_id.clone(),
                extra: extra.clone(),
            });
            let mut message = Outgoing::new(&to, content, kind, &client_id);
            message.extra = extra;
            if !device.core.send_message(message) {
                self.stage.count("outbox full");
            }
        }
    }

    /// What is said beside the content, if anything.
    fn beside(&mut self) -> Map<String, Value> {
        let mut extra = Map::new();
        if self.stage.rng.chance(60) {
            let lasts_ms = self.stage.rng.between(1_000, 60_000);
            extra.insert("expires_in_ms".into(), json!(lasts_ms));
        }
        if self.stage.rng.chance(80) {
            extra.insert("mentions".into(), json!(self.some_users()));
        }
        if self.stage.rng.chance(30) {
            extra.insert("mention_all".into(), json!(true));
        }
        extra
    }

    /// A message that a device shows is given to others.
    fn forward(&mut self, device: usize) {
        let own = self.stage.rng.chance(500);
        let Some((conversation, seq)) = self.any_message(device, own) else { return };
        let to = match self.any_group(device).filter(|_| self.stage.rng.chance(500)) {
            Some(group) => group.to_string(),
            None => format!("user:{}", self.any_user()),
        };
        let mut payload = Value::Object(self.beside());
        payload["to"] = json!(to);
        payload["forward"] = json!({ "conversation": conversation, "seq": seq });
        payload["client_id"] = json!(format!("f{}", self.unique()));
        trace!(self.stage, "device {device} forwards {payload}");
        self.devices[device].ask("send", payload);
    }

    /// The same message again, from any device of the same user.
    fn repeat(&mut self, device: usize) {
        if let Some((mut payload, content)) = self.earlier(device) {
            payload["content"] = content;
            self.devices[device].ask("send", payload);
        }
    }

    /// Another message under a client id that was used.
    fn contradict(&mut self, device: usize) {
        if let Some((mut payload, _)) = self.earlier(device) {
            payload["content"] = json!(format!("another message {}", self.unique()));
            self.devices[device].ask("send", payload);
        }
    }

    fn earlier(&mut self, device: usize) -> Option<(Value, Value)> {
        let user = self.devices[device].user.clone();
        let sent = self.stage.oracle.sent_by(&user);
        let at = self.stage.rng.index(sent.len());
        let sent = Sent::clone(sent.get(at)?);
        self.stage.oracle.races(&self.node.store.journal(), &sent);
        let content = serde_json::from_str(&sent.content).unwrap_or_default();
        let mut again = Value::Object(sent.extra);
        again["to"] = json!(sent.to);
        again["kind"] = json!(sent.kind);
        again["client_id"] = json!(sent.client_id);
        Some((again, content))
    }

    /// A payload with a client id, mostly.
    pub(crate) fn named(&mut self, mut payload: Value) -> Value {
        if self.stage.rng.chance(850) {
            payload["client_id"] = json!(format!("g{}", self.unique()));
        }
        payload
    }

    fn create(&mut self, device: usize) {
        let members = self.some_users();
        let join = if self.stage.rng.chance(500) { "open" } else { "invite" };
        let name = format!("group {}", self.unique());
        let payload = self.named(json!({ "name": name, "members": members, "join": join }));
        trace!(self.stage, "device {device} creates {payload}");
        self.devices[device].ask("group_create", payload);
    }

    fn some_users(&mut self) -> Vec<String> {
        let count = self.stage.rng.between(0, 3);
        (0..count).map(|_| self.any_user().to_string()).collect()
    }

    fn manage(&mut self, device: usize) {
        let Some(group) = self.any_group(device) else { return self.create(device) };
        let id = group;
        let group = id.as_str().to_owned();
        let user = self.any_user().to_string();
        let banned = self.node.store.journal().log(&id).map(|log| log.rules.banned());
        let banned = self.stage.rng.pick(&banned.unwrap_or_default()).map(ToString::to_string);
        let what = match (&banned, self.stage.rng.below(28)) {
            (Some(_), 0..5) => 21,
            (Some(_), 5..14) => 0,
            (_, what) => what,
        };
        let banned = banned.unwrap_or_else(|| user.clone());
        let until = self.stage.schedule.now().0 + self.stage.rng.between(1, 60_000);
        let until = if self.stage.rng.chance(500) { json!(until) } else { Value::Null };
        let (kind, payload) = match what {
            0..5 => {
                let mut members = self.some_users();
                // Not those who are kept out, or just those.
                members.push(if self.stage.rng.chance(500) { banned } else { user });
                ("group_invite", json!({ "group": group, "members": members }))
            }
            5..9 => ("group_join", json!({ "group": group })),
            9..13 => ("group_leave", json!({ "group": group })),
            13..15 => ("group_kick", json!({ "group": group, "user": user })),
            15..18 => {
                let role = ["owner", "admin", "member"][self.stage.rng.index(3)];
                ("group_role", json!({ "group": group, "user": user, "role": role }))
            }
            20 => ("group_ban", json!({ "group": group, "user": user, "until": until })),
            21 => ("group_unban", json!({ "group": group, "user": banned })),
            22 | 23 => {
                let muted = self.stage.rng.chance(700);
                let until = if muted { until } else { Value::Null };
                let whom = if self.stage.rng.chance(700) { json!(user) } else { Value::Null };
                let payload =
                    json!({ "group": group, "user": whom, "muted": muted, "until": until });
                ("group_mute", payload)
            }
            24 => ("group_update", json!({ "group": group, "join": "approval" })),
            25 => ("group_approve", json!({ "group": group, "user": user })),
            26 => ("group_reject", json!({ "group": group, "user": user })),
            27 => ("group_bans", json!({ "group": group })),
            18 => ("group_update", json!({ "group": group, "name": format!("of {user}") })),
            _ if self.stage.rng.chance(300) => ("group_dissolve", json!({ "group": group })),
            _ => ("group_update", json!({ "group": group, "join": "open" })),
        };
        let payload = self.named(payload);
        trace!(self.stage, "device {device} asks for {kind} {payload}");
        self.devices[device].ask(kind, payload);
    }

    fn read(&mut self, device: usize) {
        let Some(conversation) = self.any_conversation(device) else { return };
        let cursor = self.devices[device].cursors().get(&conversation).copied().unwrap_or(0);
        let seq = match self.stage.rng.below(10) {
            0 => u64::from(u32::MAX),
            1..4 => self.stage.rng.between(0, cursor),
            _ => cursor,
        };
        self.devices[device].ask("read", json!({ "conversation": conversation, "seq": seq }));
    }

    fn look(&mut self, device: usize) {
        let Some(conversation) = self.any_conversation(device) else { return };
        let seq = self.stage.rng.between(1, 20);
        let limit = self.stage.rng.between(1, 30);
        let (kind, payload) = match self.stage.rng.below(7) {
            0 => ("history", json!({ "conversation": conversation, "limit": limit })),
            1 => {
                ("history", json!({ "conversation": conversation, "before": seq, "limit": limit }))
            }
            2 => ("history", json!({ "conversation": conversation, "after": seq, "limit": limit })),
            3 | 4 => {
                let to = seq + limit;
                ("pull", json!({ "conversation": conversation, "from": seq, "to": to }))
            }
            5 => ("conversations", json!({ "limit": limit })),
            _ => match conversation.strip_prefix("group:") {
                Some(group) => ("group_members", json!({ "group": group })),
                None => ("conversations", json!({})),
            },
        };
        self.devices[device].ask(kind, payload);
    }

    /// A device of the one who may push.
    fn any_pusher(&mut self) -> Option<usize> {
        let pushers: Vec<usize> = self
            .devices
            .iter()
            .filter(|device| device.user.as_str() == PUSHER)
            .map(|device| device.index)
            .collect();
        self.stage.rng.pick(&pushers).copied()
    }

    fn push(&mut self, device: usize) {
        let to = match self.stage.rng.below(6) {
            0 | 1 => json!("all"),
            2 | 3 => json!("role:red"),
            4 => json!(format!("user:{}", self.any_user())),
            _ => json!([format!("user:{}", self.any_user()), format!("user:{}", self.any_user())]),
        };
        let durable = self.stage.rng.chance(900);
        let kind = ["notification", "weather"][self.stage.rng.index(2)];
        let data = json!(format!("push {}", self.unique()));
        let payload = json!({ "to": to, "type": kind, "data": data, "durable": durable });
        let payload = self.named(payload);
        trace!(self.stage, "device {device} pushes {payload}");
        self.devices[device].ask("push", payload);
    }

    fn befriend(&mut self, device: usize) {
        let kind = match self.stage.rng.below(12) {
            0..2 => "friend_block",
            2..5 => "friend_unblock",
            5 | 6 => "friend_request",
            7 | 8 => "friend_accept",
            9 => "friend_remove",
            _ => return self.withdraw(device),
        };
        let payload = json!({ "user": self.any_user().to_string() });
        trace!(self.stage, "device {device} asks for {kind} {payload}");
        self.devices[device].ask(kind, payload);
    }

    /// Somebody chooses who may write to them and bring them into groups; mostly all may.
    fn withdraw(&mut self, device: usize) {
        let what = ["messages", "invites"][self.stage.rng.index(2)];
        let circle = ["everyone", "everyone", "friends", "nobody"][self.stage.rng.index(4)];
        let payload = json!({ what: circle });
        trace!(self.stage, "device {device} chooses {payload}");
        self.devices[device].ask("privacy_update", payload);
    }

    fn type_something(&mut self, device: usize) {
        let Some(conversation) = self.any_conversation(device) else { return };
        let payload = json!({ "conversation": conversation, "active": true });
        self.devices[device].core.tell("typing", &payload);
    }
}
