//! What is kept no longer: where, from when on, and that nothing else changes.

use hubbub_chat::ChatConfig;
use hubbub_chat::ports::Store;
use hubbub_proto::{ConversationId, Timestamp};
use hubbub_store::MemoryStore;
use serde_json::{Value, json};

use crate::faulty::{Fault, Faulty};
use crate::room::{EPOCH, Room, items, reason, request};

const DIRECT: &str = "direct:alice:bob";
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Ten days are kept, and client ids for thirty.
fn config() -> ChatConfig {
    let offline_window_ms = 30 * DAY_MS;
    ChatConfig { retention_ms: 10 * DAY_MS, offline_window_ms, ..ChatConfig::default() }
}

fn id(conversation: &str) -> ConversationId {
    ConversationId::new(conversation).unwrap()
}

/// Lets time pass, and all that is due then happen.
fn pass(room: &mut Room, ms: u64) {
    room.wait(ms);
    for _ in 0..10_000 {
        // A rest is a second, and a step is less.
        match room.scribe.next_deadline() {
            Some(due) if due < room.now.plus_ms(1_000) => room.wait(50),
            _ => return,
        }
    }
    panic!("it never comes to rest");
}

fn place(room: &mut Room, user: &str, conversation: &str) -> Value {
    let list = room.ask(user, "conversations", json!({}));
    let list = list["conversations"].as_array().unwrap();
    list.iter().find(|one| one["id"] == conversation).unwrap_or(&Value::Null).clone()
}

fn shown(room: &mut Room, user: &str, conversation: &str) -> Vec<u64> {
    let page = room.ask(user, "history", json!({"conversation": conversation}));
    let entries = page["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

fn synced(room: &mut Room, user: &str, seq: u64, rev: &Value) -> Value {
    let cursors = json!({ DIRECT: seq });
    room.ask(user, "sync", json!({"epoch": EPOCH, "rev": rev, "cursors": cursors}))
}

#[test]
fn what_is_too_old_is_gone_for_everybody() {
    let mut room = Room::with(config());
    room.chatter("alice", "user:bob", 5);
    let rev = synced(&mut room, "bob", 5, &Value::Null)["rev"].clone();
    room.now = room.now.plus_ms(DAY_MS);
    room.chatter("alice", "user:bob", 2);
    room.ask("bob", "react", json!({"conversation": DIRECT, "seq": 2, "emoji": "👍"}));
    let edit = json!({"conversation": DIRECT, "seq": 6, "content": "edited", "client_id": "e"});
    room.ask("alice", "edit", edit);
    room.ask("bob", "pin", json!({"conversation": DIRECT, "seq": 3, "active": true}));
    room.ask("bob", "delete", json!({"conversation": DIRECT, "seq": 4}));
    let before = place(&mut room, "bob", DIRECT);
    assert_eq!((&before["floor_seq"], &before["unread"]), (&json!(0), &json!(6)), "{before}");
    assert_eq!(before["retention_ms"], 10 * DAY_MS);
    let newest = synced(&mut room, "bob", 10, &rev)["rev"].clone();
    assert_eq!(synced(&mut room, "bob", 10, &newest)["conversations"], json!([]));

    pass(&mut room, 9 * DAY_MS - 10_000);
    assert_eq!(place(&mut room, "bob", DIRECT)["floor_seq"], 0, "not yet");
    pass(&mut room, 10_000);
    let after = place(&mut room, "bob", DIRECT);
    assert_eq!(
        (&after["floor_seq"], &after["first_seq"], &after["unread"], &after["head_seq"]),
        (&json!(5), &json!(6), &json!(2), &json!(10)),
        "{after}"
    );
    assert_eq!(shown(&mut room, "bob", DIRECT), [6, 7]);
    let pull = room.ask("bob", "pull", json!({"conversation": DIRECT, "from": 1, "to": 10}));
    assert_eq!(items(&pull), ["void 1-5", "6", "7", "void 8-8", "9", "void 10-10"]);
    assert_eq!(room.ask("bob", "pins", json!({"conversation": DIRECT}))["pins"], json!([]));
    for (kind, more) in [
        ("edit", json!({"content": "x"})),
        ("react", json!({"emoji": "👍"})),
        ("recall", json!({})),
        ("edits", json!({})),
        ("reactions", json!({})),
        ("delete", json!({})),
    ] {
        let mut payload = json!({"conversation": DIRECT, "seq": 5});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(room.ask("alice", kind, payload), reason("not_found"), "{kind}");
    }

    let told = synced(&mut room, "bob", 10, &newest)["conversations"][0].clone();
    assert_eq!(
        (&told["floor_seq"], &told["unread"]),
        (&json!(5), &json!(2)),
        "nothing else changed"
    );
    // A device that has all of it, one that is at the floor, and one that is below it.
    for (cursor, reset, from) in [(10, false, 11), (5, false, 6), (4, true, 6)] {
        let page = synced(&mut room, "bob", cursor, &rev);
        let told = &page["conversations"][0];
        assert_eq!((told["reset"] == true, &told["from_seq"]), (reset, &json!(from)), "{cursor}");
        assert_eq!((&told["floor_seq"], &told["unread"]), (&json!(5), &json!(2)), "{cursor}");
    }
}

#[test]
fn what_was_wiped_is_recognised_for_as_long_as_was_promised() {
    let mut room = Room::with(config());
    let said = room.say("alice", "user:bob", "m1");
    let other = room.say("alice", "user:bob", "m2");
    pass(&mut room, 10 * DAY_MS);
    assert_eq!(shown(&mut room, "bob", DIRECT), [0; 0]);
    for (id, first) in [("m1", &said), ("m2", &other)] {
        let again = room.say("alice", "user:bob", id);
        assert_eq!(
            (&again["seq"], &again["message_id"], &again["duplicate"]),
            (&first["seq"], &first["message_id"], &json!(true))
        );
    }
    let conflict = json!({"to": "user:bob", "content": "another", "client_id": "m1"});
    assert_eq!(room.ask("alice", "send", conflict), reason("conflict"));
    pass(&mut room, 20 * DAY_MS);
    // The newest of a log is left, so that seqs go on from it.
    for (id, seq) in [("m2", 3), ("m1", 4)] {
        let again = room.say("alice", "user:bob", id);
        assert_eq!((&again["seq"], &again["duplicate"]), (&json!(seq), &json!(false)));
    }
    assert_eq!(shown(&mut room, "bob", DIRECT), [3, 4]);
    assert_eq!(room.scribe.stats().snapshot().forgotten, 2, "one of them is the one that is left");
}

#[test]
fn a_step_is_bounded_and_all_conversations_get_their_turn() {
    let bounds = ChatConfig { retention_rows_max: 3, dedupe_window_ms: 20 * DAY_MS, ..config() };
    let mut room = Room::with(bounds);
    let group = room.group("alice", &["bob", "carol", "dave"], "invite");
    for peer in ["bob", "carol", "dave"] {
        room.chatter("alice", &format!("user:{peer}"), 7);
        room.chatter(peer, &group, 2);
    }
    let all = 3 * 7 + 3 * 2 + 1;
    room.now = room.now.plus_ms(10 * DAY_MS);
    for step in 1..=all / 3 {
        room.wait(50);
        let told = room.scribe.stats().snapshot();
        assert_eq!(told.retired, (3 * step).min(all), "step {step}");
    }
    pass(&mut room, 0);
    for (user, conversation) in [("bob", DIRECT), ("carol", "direct:alice:carol"), ("bob", &group)]
    {
        assert_eq!(shown(&mut room, user, conversation), [0; 0], "{conversation}");
    }
    pass(&mut room, 10 * DAY_MS);
    let told = room.scribe.stats().snapshot();
    assert_eq!((told.retired, told.forgotten), (all, all));
}

#[test]
fn a_group_may_keep_less_than_the_server() {
    let mut room = Room::with(config());
    let group = room.group("alice", &["bob"], "invite");
    let update = |room: &mut Room, user: &str, ms: Value| {
        let payload = json!({"group": &group[6..], "retention_ms": ms});
        room.ask(user, "group_update", payload)
    };
    assert_eq!(update(&mut room, "bob", json!(DAY_MS)), reason("not_allowed"));
    for ms in [1, 60 * 60 * 1_000 - 1, 10 * DAY_MS + 1] {
        assert_eq!(update(&mut room, "alice", json!(ms)), reason("bad_field"), "{ms}");
    }
    assert_eq!(place(&mut room, "bob", &group)["retention_ms"], 10 * DAY_MS);
    room.chatter("bob", &group, 3);
    room.chatter("alice", "user:bob", 3);
    room.now = room.now.plus_ms(DAY_MS);
    room.chatter("bob", &group, 2);
    assert_eq!(update(&mut room, "alice", json!(DAY_MS))["seq"], 7);
    assert_eq!(place(&mut room, "bob", &group)["retention_ms"], DAY_MS);
    pass(&mut room, 0);
    assert_eq!(shown(&mut room, "bob", &group), [5, 6, 7], "what was too old already");
    assert_eq!(shown(&mut room, "bob", DIRECT), [1, 2, 3], "no other conversation");
    // It is looked at again when the next entry is due, and not for each that comes.
    room.chatter("bob", &group, 1);
    pass(&mut room, DAY_MS);
    assert_eq!(shown(&mut room, "bob", &group), [0; 0]);
    let told = place(&mut room, "bob", &group);
    assert_eq!((&told["floor_seq"], &told["head_seq"]), (&json!(8), &json!(8)));
    assert_eq!(room.chatter("bob", &group, 1), 9);
    assert_eq!(shown(&mut room, "bob", &group), [9]);
    for off in [json!(0), json!(null)] {
        update(&mut room, "alice", json!(DAY_MS));
        assert!(update(&mut room, "alice", off)["seq"].is_u64());
    }
    pass(&mut room, 5 * DAY_MS);
    assert_eq!(shown(&mut room, "bob", &group), [9, 10, 11, 12, 13], "as long as the server");
    let update = room.ask("bob", "history", json!({"conversation": group}))["entries"][1].clone();
    assert_eq!(update["content"], json!({"retention_ms": DAY_MS}));
}

#[test]
fn a_group_of_its_own_is_swept_where_the_server_keeps_all_for_ever() {
    let mut room = Room::with(ChatConfig { retention_rows_max: 2, ..ChatConfig::default() });
    let group = room.group("alice", &["bob"], "invite");
    assert_eq!(room.scribe.next_deadline(), None);
    assert_eq!(place(&mut room, "bob", &group)["retention_ms"], Value::Null);
    room.chatter("bob", &group, 9);
    room.chatter("alice", "user:bob", 9);
    let payload = json!({"group": &group[6..], "retention_ms": DAY_MS});
    room.ask("alice", "group_update", payload);
    let log = |room: &mut Room| {
        let log = room.reader.conversation(&id(&group)).unwrap().unwrap();
        (log.floor_seq, log.head_seq)
    };
    pass(&mut room, DAY_MS);
    assert_eq!(log(&mut room), (11, 11));
    room.chatter("bob", &group, 1);
    pass(&mut room, 29 * DAY_MS);
    assert_eq!(log(&mut room), (12, 12));
    assert_eq!(shown(&mut room, "bob", DIRECT).len(), 9);
    let told = room.scribe.stats().snapshot();
    assert_eq!((told.retired, told.forgotten), (12, 11), "the newest has a day to go");
}

#[test]
fn pushes_are_kept_as_long_as_all_else() {
    use hubbub_chat::PushRules;
    use hubbub_proto::Who;
    let send = Who::compile(["everyone"]).unwrap();
    let mut room =
        Room::with(ChatConfig { push: PushRules { send, ..PushRules::default() }, ..config() });
    room.ask("bob", "sync", json!({}));
    for to in ["all", "user:bob"] {
        let payload = json!({"to": to, "type": "notification", "data": 1});
        assert!(room.ask("svc", "push", payload)["written"].is_array());
    }
    assert_eq!(place(&mut room, "bob", "system:all")["unread"], 1);
    pass(&mut room, 10 * DAY_MS);
    for log in ["system:all", "system:user:bob"] {
        let told = place(&mut room, "bob", log);
        assert_eq!((&told["floor_seq"], &told["unread"]), (&json!(1), &json!(0)), "{log}");
        assert_eq!(shown(&mut room, "bob", log), [0; 0]);
    }
}

#[test]
fn a_push_is_made_anew_where_parts_of_it_are_forgotten() {
    use hubbub_chat::PushRules;
    use hubbub_proto::Who;
    let send = Who::compile(["everyone"]).unwrap();
    let push = PushRules { send, ..PushRules::default() };
    let mut room = Room::with(ChatConfig { push, retention_rows_max: 1, ..config() });
    let push = |room: &mut Room, to: &[&str], data: u64, id: &str| {
        let payload = json!({"to": to, "type": "notification", "data": data, "client_id": id});
        room.ask("svc", "push", payload)
    };
    let both = ["user:ann", "user:bob"];
    assert_eq!(push(&mut room, &both, 1, "p")["duplicate"], false);
    assert_eq!(push(&mut room, &["user:ann"], 1, "q")["duplicate"], false);
    pass(&mut room, 29 * DAY_MS);
    assert_eq!(push(&mut room, &both, 1, "p")["duplicate"], true);
    // After each step of forgetting, and after the last: neither half recognised nor in the way.
    room.now = room.now.plus_ms(DAY_MS);
    room.wait(0);
    assert_eq!(room.scribe.stats().snapshot().forgotten, 1, "the first part only");
    let again = push(&mut room, &both, 1, "p");
    assert_eq!(again["duplicate"], false, "{again}");
    assert_eq!(again["written"].as_array().unwrap().len(), 2);
    pass(&mut room, 60_000);
    assert_eq!(shown(&mut room, "bob", "system:user:bob").len(), 1);
    let other = push(&mut room, &["user:ann"], 2, "q");
    assert_eq!(other["duplicate"], false, "a new command: {other}");
}

/// What one who left may know does not move with what is wiped after them (P7).
#[test]
fn what_is_wiped_says_nothing_to_those_who_left() {
    let mut room = Room::with(config());
    let group = room.group("alice", &["bob"], "invite");
    room.chatter("alice", &group, 3);
    room.ask("bob", "group_leave", json!({"group": &group[6..]}));
    pass(&mut room, 10 * DAY_MS);
    let sync = |room: &mut Room, cursors: Value| {
        let page = room.ask("bob", "sync", json!({"epoch": EPOCH, "cursors": cursors}));
        page["conversations"][0].clone()
    };
    let before = [json!({}), json!({&group: 5})].map(|cursors| sync(&mut room, cursors));
    for told in &before {
        assert_eq!((&told["head_seq"], &told["floor_seq"]), (&json!(5), &json!(5)), "{told}");
        assert_eq!((&told["first_seq"], &told["from_seq"]), (&json!(6), &json!(6)), "{told}");
    }
    room.chatter("alice", &group, 9);
    pass(&mut room, 10 * DAY_MS);
    let floor = room.reader.conversation(&id(&group)).unwrap().unwrap().floor_seq;
    assert_eq!(floor, 14);
    let after = [json!({}), json!({&group: 5})].map(|cursors| sync(&mut room, cursors));
    assert_eq!(after, before);
    assert_eq!(after[1]["reset"], Value::Null, "nothing is to be thrown away");
    let page = room.ask("bob", "history", json!({"conversation": group}));
    assert_eq!((&page["head_seq"], &page["floor_seq"]), (&json!(5), &json!(5)), "{page}");
    assert_eq!(place(&mut room, "bob", &group)["floor_seq"], 5);
}

/// The same store under a server that was started again, with its clock at `now`.
fn restarted(store: &MemoryStore, room: Room, now: Timestamp) -> Room {
    let (config, said) = (room.config.clone(), room.said);
    drop(room);
    let mut room = Room::on(store, store.writer(), config);
    (room.now, room.said) = (now, said);
    room
}

#[test]
fn a_clock_that_ran_ahead_keeps_nothing_for_years() {
    let store = MemoryStore::with_epoch(EPOCH);
    let config = ChatConfig { retention_rows_max: 4, ..config() };
    let mut room = Room::on(&store, store.writer(), config);
    let start = room.now;
    room.chatter("alice", "user:bob", 3);
    room.now = start.plus_ms(365 * DAY_MS);
    room.chatter("alice", "user:carol", 18);
    let mut room = restarted(&store, room, start.plus_ms(DAY_MS));
    room.chatter("alice", "user:bob", 3);
    room.chatter("alice", "user:dave", 3);
    pass(&mut room, 9 * DAY_MS);
    assert_eq!(shown(&mut room, "bob", DIRECT), [4, 5, 6]);
    assert_eq!(shown(&mut room, "carol", "direct:alice:carol").len(), 18, "perhaps young");
    pass(&mut room, DAY_MS);
    for (user, log) in
        [("bob", DIRECT), ("carol", "direct:alice:carol"), ("dave", "direct:alice:dave")]
    {
        assert_eq!(shown(&mut room, user, log), [0; 0], "{log}: older than what is too old");
    }
    // Back in the past nothing comes back, and nothing is taken that is young.
    let floor = place(&mut room, "bob", DIRECT)["floor_seq"].clone();
    let mut room = restarted(&store, room, start);
    room.chatter("alice", "user:bob", 1);
    pass(&mut room, DAY_MS);
    assert_eq!(place(&mut room, "bob", DIRECT)["floor_seq"], floor);
    assert_eq!(shown(&mut room, "bob", DIRECT), [7]);
}

#[test]
fn a_clock_that_ran_behind_takes_nothing_young_along() {
    let store = MemoryStore::with_epoch(EPOCH);
    let config = ChatConfig { dedupe_window_ms: 30 * DAY_MS, ..config() };
    let mut room = Room::on(&store, store.writer(), config);
    let start = room.now.plus_ms(1_000 * DAY_MS);
    room.now = start;
    room.chatter("alice", "user:bob", 3);
    let mut room = restarted(&store, room, start.minus_ms(900 * DAY_MS));
    room.chatter("alice", "user:carol", 1);
    let mut room = restarted(&store, room, start.plus_ms(DAY_MS));
    room.chatter("alice", "user:bob", 1);
    let mut room = restarted(&store, room, start.plus_ms(DAY_MS));
    pass(&mut room, 0);
    assert_eq!(shown(&mut room, "bob", DIRECT), [1, 2, 3, 4]);
    pass(&mut room, 9 * DAY_MS);
    assert_eq!(shown(&mut room, "bob", DIRECT), [4]);
    assert_eq!(shown(&mut room, "carol", "direct:alice:carol"), [0; 0]);
    // The same of what is recognised: a straggler takes no one along.
    pass(&mut room, 10 * DAY_MS);
    assert_eq!(room.scribe.stats().snapshot().forgotten, 1, "only the straggler");
}

#[test]
fn rows_from_the_future_stop_no_forgetting() {
    let store = MemoryStore::with_epoch(EPOCH);
    let config = ChatConfig { retention_rows_max: 4, ..config() };
    let mut room = Room::on(&store, store.writer(), config);
    let start = room.now;
    room.now = start.plus_ms(365 * DAY_MS);
    room.chatter("alice", "user:carol", 9);
    let mut room = restarted(&store, room, start);
    room.chatter("alice", "user:bob", 3);
    pass(&mut room, 10 * DAY_MS);
    assert_eq!(shown(&mut room, "carol", "direct:alice:carol"), [0; 0]);
    assert_eq!(room.scribe.stats().snapshot().retired, 12);
    pass(&mut room, 20 * DAY_MS);
    assert_eq!(room.scribe.stats().snapshot().forgotten, 3);
}

#[test]
fn a_clock_that_is_far_ahead_at_the_start_is_not_believed_at_once() {
    let store = MemoryStore::with_epoch(EPOCH);
    let mut room = Room::on(&store, store.writer(), config());
    let start = room.now;
    room.chatter("alice", "user:bob", 3);
    // The server is stopped for twenty days, or somebody sets the clock.
    let mut room = restarted(&store, room, start.plus_ms(20 * DAY_MS));
    pass(&mut room, 0);
    let group = room.group("alice", &["bob"], "invite");
    let payload = json!({"group": &group[6..], "retention_ms": DAY_MS});
    room.ask("alice", "group_update", payload);
    pass(&mut room, 19 * DAY_MS);
    assert_eq!(shown(&mut room, "bob", DIRECT), [1, 2, 3]);
    assert_eq!(shown(&mut room, "bob", &group), [1, 2], "groups wait as well");
    // Time alone proves it.
    pass(&mut room, DAY_MS);
    assert_eq!(shown(&mut room, "bob", DIRECT), [0; 0]);
    assert_eq!(shown(&mut room, "bob", &group), [0; 0]);
    // A day is not much.
    room.chatter("alice", "user:bob", 3);
    let now = room.now.plus_ms(DAY_MS);
    let mut room = restarted(&store, room, now);
    pass(&mut room, 0);
    pass(&mut room, 9 * DAY_MS);
    assert_eq!(shown(&mut room, "bob", DIRECT), [0; 0]);
}

#[test]
fn a_crash_between_two_steps_changes_nothing() {
    let told = |crashes: bool| {
        let store = MemoryStore::with_epoch(EPOCH);
        let config = ChatConfig { retention_rows_max: 2, dedupe_window_ms: DAY_MS, ..config() };
        let mut room = Room::on(&store, store.writer(), config);
        let group = room.group("alice", &["bob"], "invite");
        for _ in 0..3 {
            room.chatter("alice", "user:bob", 5);
            room.chatter("bob", &group, 5);
            let payload = json!({"group": &group[6..], "retention_ms": 5 * DAY_MS});
            room.ask("alice", "group_update", payload);
            room.now = room.now.plus_ms(4 * DAY_MS);
        }
        // A server that comes back believes its clock.
        room.chatter("alice", "user:bob", 1);
        let mut now = room.now;
        for _ in 0..60 {
            if crashes {
                room = restarted(&store, room, now);
            }
            now = now.plus_ms(50);
            room.now = now;
            room.wait(0);
        }
        [DIRECT, &group].map(|log| {
            let row = room.reader.conversation(&id(log)).unwrap().unwrap();
            (row.floor_seq, row.head_seq, shown(&mut room, "bob", log))
        })
    };
    let quiet = told(false);
    assert!(quiet.iter().all(|(floor, ..)| *floor > 0), "{quiet:?}");
    assert_eq!(told(true), quiet);
}

#[test]
fn a_row_that_cannot_be_wiped_costs_no_message() {
    let store = MemoryStore::with_epoch(EPOCH);
    let (writer, script) = Faulty::over(&store);
    let mut room = Room::on(&store, Ok(Box::new(writer)), config());
    room.say("alice", "user:bob", "m1");
    script.lock().unwrap().fault = Fault::RetireRow;
    room.now = room.now.plus_ms(10 * DAY_MS);
    assert_eq!(room.say("alice", "user:bob", "m2")["seq"], 2);
    script.lock().unwrap().calls.clear();
    assert_eq!(room.say("alice", "user:bob", "m3")["seq"], 3);
    assert!(!script.lock().unwrap().calls.contains(&"retire"), "not with every message");
    script.lock().unwrap().fault = Fault::None;
    pass(&mut room, 60_000);
    assert_eq!(shown(&mut room, "bob", DIRECT), [2, 3]);
}

#[test]
fn a_message_asks_no_more_of_the_store_for_it() {
    let calls = |retention_ms| {
        let store = MemoryStore::with_epoch(EPOCH);
        let (writer, script) = Faulty::over(&store);
        let config = ChatConfig { retention_ms, ..ChatConfig::default() };
        let mut room = Room::on(&store, Ok(Box::new(writer)), config);
        room.say("alice", "user:bob", "m1");
        room.wait(5_000);
        script.lock().unwrap().calls.clear();
        let payload = json!({"to": "user:bob", "content": "x", "client_id": "m2"});
        room.batch(vec![request("alice", "send", &payload)]);
        script.lock().unwrap().calls.clone()
    };
    assert_eq!(calls(10 * DAY_MS), calls(0));
}
