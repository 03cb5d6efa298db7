//! The digest of a command, by which a retry is told from another command under the same client
//! id (P2).
//!
//! Invariant: the digest covers the type, the target and everything that becomes part of the
//! entry, each with its length, so that no two commands share a form. `after` is not part of it: a
//! client may add it when it tries again. The target is the conversation itself, however the
//! sender spelled it.

use hubbub_proto::command::{
    Delete, Edit, GroupBan, GroupCreate, GroupInvite, GroupMember, GroupMute, GroupRole,
    GroupUpdate, JoinPolicy, MessageTarget, Pin, Push, React, Role, Send,
};
use hubbub_proto::{ClientId, ConversationId, GroupId, Timestamp, UserId};
use xxhash_rust::xxh3::Xxh3;

struct Form(Xxh3);

impl Form {
    fn new(kind: &str) -> Self {
        Self(Xxh3::new()).text(kind)
    }

    fn text(mut self, text: &str) -> Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    fn maybe(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text("+").text(text),
            None => self.text("-"),
        }
    }

    fn moment(self, at: Option<Timestamp>) -> Self {
        self.maybe(at.map(|at| at.0.to_string()).as_deref())
    }

    fn users(self, users: &[UserId]) -> Self {
        users.iter().fold(self.text("users"), |form, user| form.text(user.as_str()))
    }

    fn number(self, number: u64) -> Self {
        self.text(&number.to_string())
    }

    fn digest(&self) -> u64 {
        self.0.digest()
    }
}

const fn policy(join: JoinPolicy) -> &'static str {
    match join {
        JoinPolicy::Invite => "invite",
        JoinPolicy::Approval => "approval",
        JoinPolicy::Open => "open",
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}

/// What most messages do not have is only part of the form where it is there.
pub(crate) fn send(conversation: &ConversationId, command: &Send) -> u64 {
    let mut form = Form::new("send").text(conversation.as_str()).text(command.kind.as_str());
    form = match (&command.content, &command.forward) {
        (Some(content), _) => form.text(content.get()),
        (None, Some(source)) => {
            form.text("forward").text(source.conversation.as_str()).number(source.seq)
        }
        (None, None) => form,
    };
    if let Some(seq) = command.reply_to {
        form = form.text("reply_to").number(seq);
    }
    if !command.mentions.is_empty() {
        form = form.users(&command.mentions);
    }
    if command.mention_all {
        form = form.text("mention_all");
    }
    if let Some(ms) = command.expires_in_ms {
        form = form.text("expires_in_ms").number(ms);
    }
    if command.receipt {
        form = form.text("receipt");
    }
    form.digest()
}

pub(crate) fn create(command: &GroupCreate) -> u64 {
    Form::new("group_create")
        .text(&command.name)
        .text(policy(command.join))
        .users(&command.members)
        .digest()
}

pub(crate) fn update(command: &GroupUpdate) -> u64 {
    let form = Form::new("group_update")
        .text(command.group.as_str())
        .maybe(command.name.as_deref())
        .maybe(command.join.map(policy));
    // Left out where there is none, so that commands of older servers keep their digests.
    let form = match &command.announcement {
        Some(text) => form.text("announcement").text(text),
        None => form,
    };
    match command.retention_ms {
        Some(ms) => form.text("retention").number(ms).digest(),
        None => form.digest(),
    }
}

pub(crate) fn invite(command: &GroupInvite) -> u64 {
    Form::new("group_invite").text(command.group.as_str()).users(&command.members).digest()
}

/// `name` tells `group_join`, `group_leave` and `group_dissolve` apart.
pub(crate) fn target(name: &str, group: &GroupId) -> u64 {
    Form::new(name).text(group.as_str()).digest()
}

/// `name` tells `group_kick`, `group_unban` and `group_approve` apart.
pub(crate) fn member(name: &str, command: &GroupMember) -> u64 {
    Form::new(name).text(command.group.as_str()).text(command.user.as_str()).digest()
}

pub(crate) fn ban(command: &GroupBan) -> u64 {
    Form::new("group_ban")
        .text(command.group.as_str())
        .text(command.user.as_str())
        .moment(command.until)
        .digest()
}

pub(crate) fn mute(command: &GroupMute) -> u64 {
    Form::new("group_mute")
        .text(command.group.as_str())
        .maybe(command.user.as_ref().map(UserId::as_str))
        .text(if command.muted { "muted" } else { "heard" })
        .moment(command.until)
        .digest()
}

pub(crate) fn role(command: &GroupRole) -> u64 {
    Form::new("group_role")
        .text(command.group.as_str())
        .text(command.user.as_str())
        .text(role_name(command.role))
        .digest()
}

/// `targets` are all of them, in the order in which they are written.
pub(crate) fn push<'a>(targets: impl Iterator<Item = &'a ConversationId>, command: &Push) -> u64 {
    let lifetime = command.expires_in_ms.map(|ms| ms.to_string());
    let form = Form::new("push")
        .text(command.kind.as_str())
        .text(command.data.get())
        .maybe(lifetime.as_deref());
    targets.fold(form, |form, target| form.text(target.as_str())).digest()
}

/// Under which client id one command writes its entry in this log, where it writes several: its own
/// names only the first.
pub(crate) fn part(client_id: &ClientId, conversation: &ConversationId) -> Option<ClientId> {
    let all = Form::new("parts").text(client_id.as_str()).digest();
    let one = Form::new("part").text(client_id.as_str()).text(conversation.as_str()).digest();
    // In the form of a UUID, which takes least room in the index; the parts of a command stand
    // together there.
    let text = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        all >> 32,
        (all >> 16) & 0xffff,
        all & 0xffff,
        one >> 48,
        one & 0xffff_ffff_ffff,
    );
    ClientId::new(&text).ok()
}

pub(crate) fn edit(command: &Edit) -> u64 {
    Form::new("edit")
        .text(command.conversation.as_str())
        .number(command.seq)
        .text(command.content.get())
        .digest()
}

/// For all; for the caller alone nothing is written under a client id.
pub(crate) fn delete(command: &Delete) -> u64 {
    Form::new("delete").text(command.conversation.as_str()).number(command.seq).digest()
}

pub(crate) fn pin(command: &Pin) -> u64 {
    Form::new("pin")
        .text(command.conversation.as_str())
        .number(command.seq)
        .text(if command.active { "+" } else { "-" })
        .digest()
}

pub(crate) fn recall(command: &MessageTarget) -> u64 {
    Form::new("recall").text(command.conversation.as_str()).number(command.seq).digest()
}

pub(crate) fn react(command: &React) -> u64 {
    Form::new("react")
        .text(command.conversation.as_str())
        .number(command.seq)
        .text(command.emoji.as_str())
        .text(if command.active { "+" } else { "-" })
        .digest()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_send(conversation: &str, command: &serde_json::Value) -> u64 {
        let command = serde_json::from_str(&command.to_string()).unwrap();
        send(&ConversationId::new(conversation).unwrap(), &command)
    }

    #[test]
    fn another_body_kind_or_target_is_another_command() {
        let base = json!({"to": "user:bob", "content": "hi", "client_id": "c1"});
        let first = of_send("direct:alice:bob", &base);
        let same = |value| of_send("direct:alice:bob", &value) == first;
        assert!(same(json!({"to": "user:bob", "content": "hi", "client_id": "c1"})));
        assert!(same(json!({"to": "direct:alice:bob", "content": "hi", "client_id": "c1"})));
        assert!(same(json!({"to": "user:bob", "content": "hi", "client_id": "c1", "after": "c0"})));
        assert!(!same(json!({"to": "user:bob", "content": "ho", "client_id": "c1"})));
        assert!(!same(
            json!({"to": "user:bob", "content": "hi", "client_id": "c1", "kind": "card"})
        ));
        assert_ne!(of_send("direct:alice:carol", &base), first);
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let create_of = |value: serde_json::Value| {
            create(&serde_json::from_str::<GroupCreate>(&value.to_string()).unwrap())
        };
        assert_ne!(
            create_of(json!({"name": "g", "members": ["ab", "c"]})),
            create_of(json!({"name": "g", "members": ["a", "bc"]})),
        );
        let update_of = |value: serde_json::Value| {
            update(&serde_json::from_str::<GroupUpdate>(&value.to_string()).unwrap())
        };
        assert_ne!(
            update_of(json!({"group": "g", "name": "open"})),
            update_of(json!({"group": "g", "join": "open"})),
        );
        assert_ne!(
            update_of(json!({"group": "g", "name": "n"})),
            update_of(json!({"group": "g", "name": "n", "announcement": ""})),
        );
        let group = GroupId::new("g").unwrap();
        assert_ne!(target("group_leave", &group), target("group_dissolve", &group));
    }
}
