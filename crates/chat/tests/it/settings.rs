//! What users keep about their conversations, on all their devices.

use hubbub_chat::ChatConfig;
use hubbub_proto::route::{DeliveryClass, Publication};
use hubbub_proto::{Effect, Event};
use serde_json::{Value, json};

use crate::room::{Room, reason, request};

const DIRECT: &str = "direct:alice:bob";

fn kept(room: &mut Room, user: &str, conversation: &str) -> Value {
    let list = room.ask(user, "conversations", json!({}));
    let list = list["conversations"].as_array().unwrap();
    list.iter().find(|one| one["id"] == conversation).unwrap()["settings"].clone()
}

fn keep(room: &mut Room, user: &str, mut change: Value) -> Value {
    change["conversation"] = change["conversation"].as_str().unwrap_or(DIRECT).into();
    room.ask(user, "conversation_update", change)
}

/// A device that is behind must hear that it is, rather than show something else than the others.
#[test]
fn what_tells_of_kept_state_is_not_dropped_unsaid() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "approval");
    room.say("alice", &group, "c1");
    for (user, kind, payload) in [
        ("bob", "delete", json!({"conversation": group, "seq": 2})),
        ("bob", "clear", json!({"conversation": group, "seq": 2})),
        ("bob", "conversation_update", json!({"conversation": group, "pinned": true})),
        ("carol", "group_join", json!({"group": &group[6..]})),
        ("carol", "profile_update", json!({"about": "x"})),
    ] {
        let told = room.scribe.execute(vec![request(user, kind, &payload)], room.now).effects;
        let told: Vec<_> = told
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Publish(Publication { event, class, .. }) => Some((event, class)),
                _ => None,
            })
            .collect();
        assert!(
            matches!(
                told.as_slice(),
                [(
                    Event::MessageHidden(_)
                        | Event::ConversationUpdated(_)
                        | Event::JoinRequest(_)
                        | Event::UserUpdated(_),
                    DeliveryClass::Durable
                )]
            ),
            "{kind}: {told:?}"
        );
    }
}

#[test]
fn settings_are_the_users_own_and_sync_by_revision() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "c1");
    room.take_events();
    assert_eq!(kept(&mut room, "bob", DIRECT), Value::Null, "absent where nothing is set");
    let before = room.ask("bob", "sync", json!({}))["rev"].clone();
    room.take_events();
    assert_eq!(keep(&mut room, "bob", json!({"pinned": true, "muted_until": 99})), json!({}));
    let told = r#"{"pinned":true,"muted_until":99,"hidden":false,"marked_unread":false}"#;
    assert_eq!(room.take_events(), [format!("settings {DIRECT} {told}")].map(|e| e + " -> @bob"));
    keep(&mut room, "bob", json!({"pinned": true}));
    assert!(room.take_events().is_empty(), "nothing changed");
    assert_eq!(kept(&mut room, "bob", DIRECT), serde_json::from_str::<Value>(told).unwrap());
    assert_eq!(kept(&mut room, "alice", DIRECT), Value::Null, "of nobody else");
    let synced = room.ask("bob", "sync", json!({"rev": before}));
    assert_eq!(synced["conversations"][0]["settings"]["pinned"], true);
    let alice = room.ask("alice", "sync", json!({"rev": before}));
    assert_eq!(alice["conversations"], json!([]));
    keep(&mut room, "bob", json!({"pinned": false, "muted_until": null}));
    assert_eq!(kept(&mut room, "bob", DIRECT), Value::Null);
}

#[test]
fn a_message_shows_what_was_hidden_and_reading_ends_the_mark() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "open");
    room.say("alice", &group, "c1");
    keep(&mut room, "bob", json!({"conversation": group, "hidden": true}));
    assert_eq!(kept(&mut room, "bob", &group)["hidden"], true);
    // A change of the group is no message.
    room.ask("carol", "group_join", json!({"group": group}));
    assert_eq!(kept(&mut room, "bob", &group)["hidden"], true);
    room.say("alice", &group, "c2");
    assert_eq!(kept(&mut room, "bob", &group), Value::Null, "it is as if it never was hidden");
    keep(&mut room, "bob", json!({"conversation": group, "hidden": true}));
    for n in 0..20 {
        let name = json!({"group": group, "name": format!("n{n}")});
        room.ask("alice", "group_update", name);
    }
    assert_eq!(kept(&mut room, "bob", &group), Value::Null, "too much to search");

    room.ask("bob", "read", json!({"conversation": group, "seq": 99}));
    keep(&mut room, "bob", json!({"conversation": group, "marked_unread": true}));
    room.take_events();
    assert_eq!(kept(&mut room, "bob", &group)["marked_unread"], true);
    // The cursor does not move, the mark goes all the same.
    room.ask("bob", "read", json!({"conversation": group, "seq": 1}));
    let told = r#"{"pinned":false,"hidden":false,"marked_unread":false}"#;
    assert_eq!(room.take_events(), [format!("settings {group} {told} -> @bob")]);
    assert_eq!(kept(&mut room, "bob", &group), Value::Null);
}

#[test]
fn a_draft_is_bounded_and_follows_to_all_devices() {
    let mut room = Room::with(ChatConfig { draft_bytes_max: 8, ..Default::default() });
    room.say("alice", "user:bob", "c1");
    room.take_events();
    keep(&mut room, "alice", json!({"draft": "12345678"}));
    assert!(room.take_events()[0].contains(r#""draft":"12345678""#));
    assert_eq!(keep(&mut room, "alice", json!({"draft": "123456789"})), reason("too_big"));
    assert_eq!(kept(&mut room, "alice", DIRECT)["draft"], "12345678");
    keep(&mut room, "alice", json!({"draft": ""}));
    assert_eq!(kept(&mut room, "alice", DIRECT), Value::Null);
    assert_eq!(keep(&mut room, "alice", json!({})), reason("bad_field"));
}

#[test]
fn nobody_keeps_anything_about_what_is_not_theirs() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "open");
    let of = |conversation: &str| json!({"conversation": conversation, "pinned": true});
    assert_eq!(keep(&mut room, "eve", of(&group)), reason("not_a_member"));
    assert_eq!(keep(&mut room, "alice", of("group:none")), reason("not_a_member"));
    assert_eq!(keep(&mut room, "alice", of(DIRECT)), reason("not_found"));
    assert_eq!(keep(&mut room, "eve", of(DIRECT)), reason("not_a_member"));
    room.ask("bob", "group_leave", json!({"group": group}));
    assert_eq!(keep(&mut room, "bob", of(&group)), json!({}), "one who left still lists it");
}

#[test]
fn long_texts_are_left_to_the_next_answer() {
    let mut room = Room::with(ChatConfig { sync_bytes_max: 1_024, ..Default::default() });
    let text = "x".repeat(500);
    for peer in ["b", "c", "d", "e"] {
        room.say("alice", &format!("user:{peer}"), &format!("to-{peer}"));
        let conversation = format!("direct:alice:{peer}");
        keep(&mut room, "alice", json!({"conversation": conversation, "draft": text}));
    }
    let mut seen = Vec::new();
    let mut rev = 0;
    for answers in 1.. {
        let page = room.ask("alice", "sync", json!({"rev": rev}));
        let conversations = page["conversations"].as_array().unwrap().clone();
        assert!(conversations.len() <= 3, "{page}");
        seen.extend(conversations.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        rev = page["rev"].as_u64().unwrap();
        if page["more"] == false {
            assert!(answers > 1);
            break;
        }
    }
    assert_eq!(seen, ["b", "c", "d", "e"].map(|peer| format!("direct:alice:{peer}")));
    let page = room.ask("alice", "conversations", json!({}));
    assert!(page["next"].is_u64(), "{page}");
}
