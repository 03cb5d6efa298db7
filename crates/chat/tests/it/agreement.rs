//! However commands are cut into batches, and whatever the writer remembers, the outcome is the
//! same: the cache is never anything but the store.

use hubbub_chat::ChatConfig;
use hubbub_chat::ports::Store;
use hubbub_store::MemoryStore;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::room::{EPOCH, Room, items, request};

const USERS: [&str; 3] = ["alice", "bob", "carol"];
const LOGS: [&str; 5] =
    ["direct:alice:bob", "direct:alice:carol", "direct:bob:carol", "group:made-1", "group:made-2"];

#[derive(Clone, Debug)]
struct Step {
    user: &'static str,
    kind: &'static str,
    payload: Value,
    /// A batch ends here.
    cut: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let user = prop::sample::select(&USERS[..]);
    (user.clone(), user, prop::sample::select(&LOGS[..]), 0u8..14, 0u64..12, any::<bool>()).prop_map(
        |(user, other, log, kind, n, cut)| {
            let group = if n % 3 == 0 { "made-2" } else { "made-1" };
            let (kind, payload) = match kind {
                0..=2 => ("send", json!({"to": log, "content": format!("t{}", n % 5), "client_id": format!("c{n}")})),
                3 => {
                    let after = format!("c{}", n / 2);
                    ("send", json!({"to": log, "content": "t0", "client_id": format!("d{n}"), "after": after}))
                }
                4 => ("received", json!({"conversation": log, "seq": n})),
                5 => ("read", json!({"conversation": log, "seq": n})),
                6 => ("group_join", json!({"group": group})),
                7 => ("group_leave", json!({"group": group, "client_id": format!("l{n}")})),
                8 => ("group_kick", json!({"group": group, "user": other})),
                9 => ("group_invite", json!({"group": group, "members": [other]})),
                10 => {
                    let role = ["member", "admin", "owner"][n as usize % 3];
                    ("group_role", json!({"group": group, "user": other, "role": role}))
                }
                11 => ("group_update", json!({"group": group, "name": format!("g{n}")})),
                12 => ("typing", json!({"conversation": log, "active": true})),
                _ => ("sync", json!({})),
            };
            Step { user, kind, payload, cut }
        },
    )
}

/// What the steps come to: replies, events without what is only volatile, and each user's view.
#[derive(Debug, PartialEq)]
struct Outcome {
    replies: Vec<Value>,
    events: Vec<String>,
    views: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Singly,
    Batches,
    Forgetful,
}

fn run(steps: &[Step], way: Way) -> Outcome {
    let store = MemoryStore::with_epoch(EPOCH);
    let mut room = Room::on(&store, store.writer(), ChatConfig::default());
    for members in [json!(["bob"]), json!(["bob", "carol"])] {
        let client_id = format!("create-{}", members.as_array().unwrap().len());
        let payload =
            json!({"name": "g", "members": members, "join": "open", "client_id": client_id});
        room.ask("alice", "group_create", payload);
    }
    let mut replies = Vec::new();
    let mut events = room.take_events();
    let mut batch = Vec::new();
    for step in steps {
        batch.push(request(step.user, step.kind, &step.payload));
        if step.cut || way != Way::Batches {
            replies.extend(room.batch(std::mem::take(&mut batch)));
            events.extend(room.take_events());
        }
        if way == Way::Forgetful && step.cut {
            // What is soft may be lost in a crash, so it is written before.
            let now = room.now;
            room.scribe.finish(now);
            drop(room);
            room = Room::on(&store, store.writer(), ChatConfig::default());
        }
    }
    replies.extend(room.batch(batch));
    events.extend(room.take_events());
    let now = room.now;
    room.scribe.finish(now);
    let views = USERS.iter().flat_map(|user| LOGS.map(|log| view(&mut room, user, log))).collect();
    // Answers to reads come after their batch, receipts depend on timing; both are seen in views.
    replies.retain(|reply| reply.get("epoch").is_none());
    for reply in &mut replies {
        // Soft cursors take revs at other moments, which message ids show.
        reply.as_object_mut().unwrap().remove("message_id");
    }
    // And so does whether somebody who types is told of again.
    events.retain(|event| !event.starts_with("receipt") && !event.starts_with("typing"));
    Outcome { replies, events, views }
}

fn view(room: &mut Room, user: &str, log: &str) -> Value {
    let pulled = room.ask(user, "pull", json!({"conversation": log, "from": 1, "to": 999}));
    let Some(head) = pulled["head_seq"].as_u64() else { return pulled };
    let covered: u64 = pulled["entries"].as_array().unwrap().iter().fold(0, |next, item| {
        assert_eq!(item["seq"], next + 1, "dense");
        item.get("through").unwrap_or(&item["seq"]).as_u64().unwrap()
    });
    assert_eq!(covered, head);
    let list = room.ask(user, "conversations", json!({}));
    let listed = list["conversations"].as_array().unwrap().iter().find(|c| c["id"] == log);
    let place = listed.map(|c| {
        let mut place = c.clone();
        place.as_object_mut().unwrap().retain(|key, _| key != "rev" && key != "last");
        place
    });
    json!([items(&pulled), place])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn batches_and_memory_make_no_difference(steps in prop::collection::vec(step(), 1..60)) {
        let singly = run(&steps, Way::Singly);
        prop_assert_eq!(&run(&steps, Way::Batches), &singly);
        prop_assert_eq!(&run(&steps, Way::Forgetful), &singly);
    }
}
