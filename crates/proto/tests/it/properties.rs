//! Whatever comes: the decoder answers, and what it takes it can say again.

use std::fmt::Write as _;

use hubbub_proto::codec::Codec;
use hubbub_proto::command::Kind;
use hubbub_proto::limits::Limits;
use hubbub_proto::{
    Channel, ClientId, Command, CommandId, ConversationId, ConversationName, DeviceId, GroupId,
    RoleName, SystemName, UserId, fuzz,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::samples::{COMMANDS, message};

const NAME: &str = "[A-Za-z0-9._@+=~|-]{1,128}";
const TOKEN: &str = "[!-~]{1,64}";
/// No word of the server's own has a `c` in front of a digit.
const CHANNEL: &str = "c[0-9][a-z0-9_-]{0,20}:[!#-)+-\\[\\]-~]{1,95}";

fn conversation() -> impl Strategy<Value = String> {
    let direct = (NAME, NAME).prop_map(|(a, b)| {
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        format!("direct:{a}:{b}")
    });
    prop_oneof![NAME.prop_map(|group| format!("group:{group}")), direct]
}

fn kind() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec!["text", "image", "file", "audio", "video", "location"])
            .prop_map(str::to_owned),
        "custom:[A-Za-z0-9._-]{1,64}",
    ]
}

fn content() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A field that is there or not; without a value it is left out by [`object`].
fn maybe<T: Into<Value> + std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
) -> impl Strategy<Value = Value> {
    option::of(strategy).prop_map(|value| value.map_or(Value::Null, Into::into))
}

/// Leaves out the fields that are null, save `content` and `data`.
fn object(mut payload: Value) -> Value {
    if let Value::Object(fields) = &mut payload {
        fields.retain(|name, value| matches!(&**name, "content" | "data") || !value.is_null());
    }
    payload
}

fn members(least: usize) -> impl Strategy<Value = Vec<String>> {
    vec(NAME, least..5)
}

/// Any command, as its type and payload.
fn command() -> impl Strategy<Value = (&'static str, Value)> {
    let send = ((prop_oneof![conversation(), NAME.prop_map(|user| format!("user:{user}"))], content()),
        "custom:[a-z]{1,9}", TOKEN, maybe(TOKEN))
        .prop_map(|((to, content), kind, client_id, after)| {
            ("send", json!({"to": to, "content": content, "kind": kind, "client_id": client_id, "after": after}))
        });
    let session = (any::<String>(), option::of(NAME)).prop_flat_map(|(token, device)| {
        let device = device.map_or(Value::Null, |id| json!({"id": id}));
        prop_oneof![
            Just(("auth", json!({"token": token, "device": device}))),
            Just(("refresh", json!({"token": token}))),
            Just(("ping", json!({}))),
            Just(("pong", json!({}))),
        ]
    });
    let cursor = (conversation(), any::<u64>(), any::<u64>(), any::<bool>()).prop_flat_map(
        |(conversation, a, b, active)| {
            prop_oneof![
                Just(("received", json!({"conversation": conversation, "seq": a}))),
                Just(("read", json!({"conversation": conversation, "seq": b}))),
                Just(("typing", json!({"conversation": conversation, "active": active}))),
                Just(("pull", json!({"conversation": conversation, "from": a, "to": b}))),
                Just(("history", json!({"conversation": conversation, "before": a, "limit": 7}))),
                Just(("history", json!({"conversation": conversation, "after": b, "limit": 9}))),
            ]
        },
    );
    let sync = (
        maybe("[a-z0-9]{0,12}"),
        btree_map(conversation(), any::<u64>(), 1..5),
        maybe(any::<u64>()),
    )
        .prop_map(|(epoch, cursors, rev)| {
            ("sync", json!({"epoch": epoch, "cursors": cursors, "rev": rev}))
        });
    let list = (maybe(any::<u64>()), maybe(any::<u32>()), NAME, maybe(NAME)).prop_flat_map(
        |(before_rev, limit, group, after)| {
            prop_oneof![
                Just(("conversations", json!({"before_rev": before_rev, "limit": limit}))),
                Just(("group_members", json!({"group": group, "after": after, "limit": limit}))),
            ]
        },
    );
    let create =
        ("[a-zA-Zé群 ]{1,32}", members(0), prop_oneof![Just("open"), Just("invite")], maybe(TOKEN))
            .prop_map(|(name, members, join, client_id)| {
                (
                    "group_create",
                    json!({"name": name, "members": members, "join": join, "client_id": client_id}),
                )
            });
    let group = (NAME, NAME, members(1), maybe(TOKEN), maybe("[ -~]{1,128}")).prop_flat_map(
        |(group, user, members, id, name)| {
            prop_oneof![
                Just(("group_update", json!({"group": group, "name": name, "client_id": id}))),
                Just((
                    "group_invite",
                    json!({"group": group, "members": members, "client_id": id})
                )),
                Just(("group_join", json!({"group": group, "client_id": id}))),
                Just(("group_leave", json!({"group": group, "client_id": id}))),
                Just(("group_dissolve", json!({"group": group, "client_id": id}))),
                Just(("group_kick", json!({"group": group, "user": user, "client_id": id}))),
                Just((
                    "group_role",
                    json!({"group": group, "user": user, "role": "owner", "client_id": id})
                )),
            ]
        },
    );
    let place = (any::<u64>(), any::<u32>());
    let live = (CHANNEL, NAME, content(), place, maybe(TOKEN)).prop_flat_map(|all| {
        let (channel, user, data, (offset, epoch), client_id) = all;
        let epoch = format!("{epoch:08x}");
        let position = json!({"offset": offset, "epoch": epoch});
        prop_oneof![
            Just(("subscribe", json!({"channel": format!("{channel}*"), "token": "t"}))),
            Just(("channel_presence", json!({"channel": channel, "after": user, "limit": 3}))),
            Just(("publish", json!({"channel": channel, "data": data, "key": "k-1"}))),
            Just(("subscribe", json!({"channel": channel, "recover": position}))),
            Just(("unsubscribe", json!({"channel": channel}))),
            Just(("publish", json!({"channel": channel, "data": data, "client_id": client_id}))),
            Just((
                "channel_history",
                json!({"channel": channel, "before": offset, "epoch": epoch, "limit": 9})
            )),
            Just(("signal", json!({"to": format!("user:{user}"), "data": data}))),
        ]
    });
    let audience = || maybe(prop_oneof![Just("everyone"), Just("friends"), Just("nobody")]);
    let people = (NAME, audience(), audience(), maybe(any::<bool>()), maybe("[ -~é群]{1,64}"))
        .prop_flat_map(|(user, presence, messages, receipts, words)| {
            prop_oneof![
                Just(("me", json!({}))),
                Just(("profile_update", json!({"avatar": "/a.png", "about": words}))),
                Just((
                    "privacy_update",
                    json!({"presence": presence, "messages": messages, "receipts": receipts})
                )),
                Just(("users", json!({"users": [user]}))),
                Just(("friend_request", json!({"user": user, "note": words}))),
                Just(("friend_accept", json!({"user": user}))),
                Just(("friend_block", json!({"user": user}))),
                Just(("friends", json!({"since": 7, "limit": 9}))),
            ]
        });
    prop_oneof![send, session, cursor, sync, list, create, group, people, live]
        .prop_map(|(name, payload)| (name, object(payload)))
}

proptest! {
    #[test]
    fn any_bytes_are_answered(data in vec(any::<u8>(), 0..512)) {
        fuzz::command(&data);
    }

    #[test]
    fn any_json_is_answered(value in content()) {
        fuzz::command(value.to_string().as_bytes());
        for &name in Command::TYPES {
            fuzz::command(message(name, &value.to_string()).as_bytes());
        }
    }

    #[test]
    fn every_command_says_again_what_it_was(
        (name, payload) in command(),
        id in option::of(TOKEN),
        order in Just(["type", "id", "payload", "timestamp"]).prop_shuffle(),
    ) {
        let mut text = String::from("{");
        for field in order {
            let value = match field {
                "type" => json!(name),
                "id" => json!(id),
                "payload" => payload.clone(),
                _ => json!(17),
            };
            let comma = if text.len() > 1 { "," } else { "" };
            write!(text, "{comma}\"{field}\":{value}").unwrap();
        }
        text.push('}');
        let incoming = match Codec::Json.decode(text.as_bytes(), &Limits::default()) {
            Ok(incoming) => incoming,
            Err(malformed) => return Err(TestCaseError::fail(format!("{malformed:?}: {text}"))),
        };
        prop_assert_eq!(incoming.id.as_ref().map(CommandId::as_str), id.as_deref());
        let mut out = Vec::new();
        Codec::Json.encode_command(incoming.id.as_ref(), &incoming.command, &mut out);
        let written: Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(&written["type"], name);
        // Through text and back, for the numbers that do not survive it as they are.
        let payload: Value = serde_json::from_str(&payload.to_string()).unwrap();
        prop_assert_eq!(&written["payload"], &payload);
        fuzz::command(&out);
    }

    #[test]
    fn names_keep_their_rule(text in prop_oneof![any::<String>(), NAME, TOKEN, CHANNEL, conversation()]) {
        let json = serde_json::to_string(&text).unwrap();
        let name = regex(&text, 128, |c| c.is_ascii_alphanumeric() || "._@+=~|-".contains(c));
        let token = regex(&text, 64, |c| c.is_ascii_graphic());
        prop_assert_eq!(UserId::new(&text).is_ok(), name);
        prop_assert_eq!(GroupId::new(&text).is_ok(), name);
        prop_assert_eq!(DeviceId::new(&text).is_ok(), name);
        prop_assert_eq!(ClientId::new(&text).is_ok(), token);
        prop_assert_eq!(serde_json::from_str::<UserId>(&json).is_ok(), name);
        prop_assert_eq!(serde_json::from_str::<ClientId>(&json).is_ok(), token);
        if let Ok(channel) = Channel::new(&text) {
            prop_assert_eq!(&serde_json::to_string(&channel).unwrap(), &json);
            let namespace = format!("{}:", channel.namespace());
            prop_assert!(text.len() <= 128 && text.starts_with(&namespace));
            prop_assert!(ConversationId::new(&text).is_err(), "one name, one meaning");
        }
        if let Ok(id) = ConversationId::new(&text) {
            prop_assert_eq!(serde_json::to_string(&id).unwrap(), json);
            match id.name() {
                ConversationName::Group(group) => {
                    prop_assert_eq!(ConversationId::group(&GroupId::new(group).unwrap()), id.clone());
                }
                ConversationName::System(name) => {
                    let made = match name {
                        SystemName::All => ConversationId::all(),
                        SystemName::Role(role) => ConversationId::role(&RoleName::new(role).unwrap()),
                        SystemName::User(user) => ConversationId::user(&UserId::new(user).unwrap()),
                    };
                    prop_assert_eq!(&made, &id);
                    prop_assert!(id.is_system());
                }
                ConversationName::Direct(a, b) => {
                    let (a, b) = (UserId::new(a).unwrap(), UserId::new(b).unwrap());
                    prop_assert_eq!(&ConversationId::direct(&b, &a), &id);
                    prop_assert_eq!(id.peer_of(&a), Some(b.clone()));
                    prop_assert_eq!(id.peer_of(&b), Some(a));
                }
            }
        }
    }

    #[test]
    fn kinds_are_read_as_they_are_written(text in prop_oneof![any::<String>(), kind()]) {
        if let Some(kind) = Kind::parse(&text) {
            prop_assert_eq!(kind.as_str(), &text);
            let json = serde_json::to_string(&kind).unwrap();
            prop_assert_eq!(serde_json::from_str::<Kind>(&json).is_ok(), kind.is_message());
        }
    }
}

fn regex(text: &str, most: usize, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.len() <= most && text.chars().all(allowed)
}

#[test]
fn mutated_commands_are_answered() {
    const ROUNDS: u64 = 20_000;
    let corpus: Vec<Vec<u8>> = COMMANDS
        .iter()
        .flat_map(|(name, least, full)| [message(name, least), message(name, full)])
        .map(String::into_bytes)
        .collect();
    for seed in 0..ROUNDS {
        let mut dice = Dice(seed);
        let mut data = corpus[dice.below(corpus.len())].clone();
        for _ in 0..=dice.below(4) {
            mutate(&mut data, &corpus, &mut dice);
        }
        let outcome = std::panic::catch_unwind(|| fuzz::command(&data));
        assert!(outcome.is_ok(), "seed {seed}: {}", String::from_utf8_lossy(&data));
    }
}

fn mutate(data: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    const TOKENS: [&str; 16] = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "\\",
        "\\u0000",
        "\\ud800",
        "null",
        "-1",
        "1e999",
        "18446744073709551616",
        "\u{7f}é",
        "\"type\":",
    ];
    let at = dice.below(data.len() + 1);
    let end = (at + 1 + dice.below(8)).min(data.len());
    match dice.below(6) {
        0 if at < data.len() => data[at] = dice.below(256) as u8,
        1 if at < end => drop(data.drain(at..end)),
        2 => drop(data.splice(at..at, TOKENS[dice.below(TOKENS.len())].bytes())),
        3 if at < end => drop(data.splice(at..end, TOKENS[dice.below(TOKENS.len())].bytes())),
        4 => {
            let other = &corpus[dice.below(corpus.len())];
            let from = dice.below(other.len());
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        _ => {
            let copy = data[at.min(end)..end].repeat(1 + dice.below(40));
            data.splice(at..at, copy);
        }
    }
}

/// A small seeded generator (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}
