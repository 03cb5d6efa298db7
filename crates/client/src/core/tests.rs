//! What the client sends and tells, message by message.

use super::*;

fn say(core: &mut Core, now: u64, message: &Value) -> Vec<Value> {
    core.message(&message.to_string(), now);
    core.poll(now);
    let frames = core.take_frames();
    frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

/// A client that has connected, and the id of its sync.
fn connected() -> (Core, String) {
    let mut core = Core::new();
    let frames = say(&mut core, 0, &json!({ "type": "connected", "payload": { "user": "a" } }));
    assert_eq!(frames[0]["type"], "sync");
    (core, frames[0]["id"].as_str().unwrap().to_owned())
}

fn ack(id: &Value, payload: &Value) -> Value {
    json!({ "type": "ack", "id": id, "payload": payload })
}

#[test]
fn what_is_too_big_fails_and_holds_nothing_up() {
    let mut core = Core::new();
    let limits = json!({ "message_bytes": 2_000 });
    let hello = json!({ "type": "connected", "payload": { "user": "a", "limits": limits } });
    let big = "x".repeat(2_000);
    assert!(core.send("user:b", json!(big), "text", "big"));
    assert!(core.send("user:b", json!("small"), "text", "small"));
    let frames = say(&mut core, 0, &hello);
    let sent: Vec<_> = frames.iter().filter(|frame| frame["type"] == "send").collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["payload"]["client_id"], "small");
    assert!(sent[0]["payload"]["after"].is_null());
    let failed = core.take_events().into_iter().any(|event| {
        matches!(event, Event::Failed { client_id, error }
            if client_id == "big" && error["reason"] == "too_big")
    });
    assert!(failed);
}

#[test]
fn a_sync_fits_into_one_message() {
    let mut core = Core::new();
    for n in 0..2_000 {
        core.logs.entry(format!("group:{n}{}", "x".repeat(100))).or_default().heard_of(n, 0);
    }
    let hello = json!({ "type": "connected", "payload": { "user": "a" } });
    let frames = say(&mut core, 0, &hello);
    assert_eq!(frames[0]["type"], "sync");
    assert!(frames[0].to_string().len() <= MESSAGE_BYTES_DEFAULT);
    assert!(frames[0]["payload"]["cursors"].as_object().unwrap().len() > 400);
}

#[test]
fn what_was_dropped_during_a_sync_is_synced_again() {
    let (mut core, id) = connected();
    let empty = json!({ "epoch": "e", "conversations": [], "rev": 0, "more": false });
    assert_eq!(say(&mut core, 1, &json!({ "type": "lag", "payload": {} })), [] as [Value; 0]);
    let frames = say(&mut core, 2, &ack(&json!(id), &empty));
    assert_eq!(frames[0]["type"], "sync");
    assert_eq!(say(&mut core, 3, &ack(&frames[0]["id"], &empty)), [] as [Value; 0]);
}

#[test]
fn the_entry_of_an_own_group_command_is_pulled() {
    let (mut core, id) = connected();
    let empty = json!({ "epoch": "e", "conversations": [], "rev": 0, "more": false });
    say(&mut core, 1, &ack(&json!(id), &empty));
    core.request("group_create", json!({ "name": "g" }));
    core.poll(2);
    let asked: Value = serde_json::from_str(&core.take_frames()[0]).unwrap();
    let written = json!({ "group": "g", "conversation": "group:g", "seq": 1 });
    say(&mut core, 3, &ack(&asked["id"], &written));
    core.poll(3 + PATIENCE_MS);
    let pull: Value = serde_json::from_str(&core.take_frames()[0]).unwrap();
    assert_eq!(pull["type"], "pull");
    assert_eq!(pull["payload"], json!({ "conversation": "group:g", "from": 1, "to": 1 }));
}

/// What was sent since it was asked last, by type.
fn sent(core: &mut Core, now: u64) -> Vec<Value> {
    core.poll(now);
    core.take_frames().iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["type"].as_str()).collect()
}

fn live(conversation: &str, seq: u64) -> Value {
    let payload = json!({ "conversation": conversation, "seq": seq, "kind": "text" });
    json!({ "type": "message", "payload": payload })
}

fn synced(epoch: &str, conversations: &Value, more: bool) -> Value {
    json!({ "epoch": epoch, "conversations": conversations, "rev": 7, "more": more })
}

#[test]
fn another_epoch_leaves_nothing_of_the_old_history() {
    let (mut core, id) = connected();
    let old = json!([
        { "id": "group:a", "from_seq": 1, "head_seq": 1, "entries": [{ "seq": 1 }] },
        { "id": "group:b", "from_seq": 1, "head_seq": 1, "entries": [{ "seq": 1 }] },
        { "id": "group:gone", "from_seq": 1, "head_seq": 1, "entries": [{ "seq": 1 }] },
    ]);
    say(&mut core, 1, &ack(&json!(id), &synced("old", &old, false)));
    // Ahead of a hole, and of a head that the restored store does not have.
    for conversation in ["group:a", "group:b", "group:gone"] {
        say(&mut core, 2, &live(conversation, 5));
    }
    core.disconnected();
    core.take_events();
    let frames = say(&mut core, 3, &json!({ "type": "connected", "payload": { "user": "a" } }));
    assert_eq!(kinds(&frames), ["sync"], "old cursors are not confirmed to another store");
    let first = json!([{
        "id": "group:a", "reset": true, "from_seq": 2, "head_seq": 4,
        "entries": [{ "seq": 2 }, { "seq": 3 }, { "seq": 4, "new": true }],
    }]);
    let frames = say(&mut core, 4, &ack(&frames[0]["id"], &synced("new", &first, true)));
    let [next] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!(next["payload"]["cursors"], json!({ "group:a": 4 }));
    // Asked with the new epoch and no cursor, the server does not speak of a reset.
    let second = json!([{
        "id": "group:b", "from_seq": 4, "head_seq": 4, "entries": [{ "seq": 4 }],
    }]);
    let frames = say(&mut core, 5, &ack(&next["id"], &synced("new", &second, false)));
    assert_eq!(kinds(&frames), ["received", "received"]);
    assert_eq!(
        core.take_events()[1..],
        [
            Event::Reset { conversation: "group:a".into(), from_seq: 2 },
            Event::Entry(json!({ "seq": 2 })),
            Event::Entry(json!({ "seq": 3 })),
            Event::Entry(json!({ "seq": 4, "new": true })),
            Event::Reset { conversation: "group:b".into(), from_seq: 4 },
            Event::Entry(json!({ "seq": 4 })),
            Event::Reset { conversation: "group:gone".into(), from_seq: 1 },
            Event::Synced,
        ]
    );
    assert_eq!(sent(&mut core, 5 + 10 * PATIENCE_MS), [] as [Value; 0]);
    assert_eq!(core.cursors().collect::<Vec<_>>(), [("group:a", 4), ("group:b", 4)]);
}

#[test]
fn a_pull_that_finds_the_end_is_the_last_one() {
    let (mut core, id) = connected();
    say(&mut core, 1, &ack(&json!(id), &synced("e", &json!([]), false)));
    let lag = json!({ "type": "lag", "payload": { "conversation": "group:a", "head": 9 } });
    say(&mut core, 2, &lag);
    let pulls = sent(&mut core, 2 + PATIENCE_MS);
    assert_eq!(kinds(&pulls), ["pull"]);
    let page = json!({ "entries": [{ "seq": 1 }], "head_seq": 1, "more": false });
    say(&mut core, 3 + PATIENCE_MS, &ack(&pulls[0]["id"], &page));
    assert_eq!(sent(&mut core, 10 * PATIENCE_MS), [] as [Value; 0]);
}

#[test]
fn no_more_in_flight_than_the_server_takes() {
    let mut core = Core::new();
    for n in 0..10 {
        core.request("history", json!({ "n": n }));
        assert!(core.send("user:b", json!(n), "text", &format!("c-{n}")));
    }
    let limits = json!({ "commands_in_flight": 6 });
    let hello = json!({ "type": "connected", "payload": { "user": "a", "limits": limits } });
    let frames = say(&mut core, 0, &hello);
    assert_eq!(kinds(&frames), ["sync", "history", "history", "history", "history", "history"]);
    // More comes as replies come, and not before.
    assert_eq!(sent(&mut core, 1), [] as [Value; 0]);
    let nothing = synced("e", &json!([]), false);
    assert_eq!(kinds(&say(&mut core, 2, &ack(&frames[0]["id"], &nothing))), ["history"]);
    // What is dropped makes a sync wanted, which waits for room too, and goes first.
    let lag = json!({ "type": "lag", "payload": {} });
    assert_eq!(say(&mut core, 3, &lag), [] as [Value; 0]);
    assert_eq!(kinds(&say(&mut core, 4, &ack(&frames[1]["id"], &json!({})))), ["sync"]);
}

#[test]
fn few_pulls_at_a_time() {
    let (mut core, id) = connected();
    say(&mut core, 1, &ack(&json!(id), &synced("e", &json!([]), false)));
    for n in 0..10 {
        say(&mut core, 2, &live(&format!("group:{n}"), 2));
    }
    let pulls = sent(&mut core, 2 + PATIENCE_MS);
    assert_eq!(kinds(&pulls), ["pull"; PULLS_MAX]);
    assert_eq!(sent(&mut core, 3 + PATIENCE_MS), [] as [Value; 0]);
    let page = json!({ "entries": [{ "seq": 1 }], "head_seq": 2, "more": false });
    let next = say(&mut core, 3 + PATIENCE_MS, &ack(&pulls[0]["id"], &page));
    assert_eq!(kinds(&next), ["received", "pull"]);
    assert_eq!(next[1]["payload"]["conversation"], "group:4");
}

#[test]
fn requests_that_find_no_room_to_wait_are_told() {
    let mut core = Core::new();
    for n in 0..REQUESTS_MAX {
        core.request("history", json!({ "n": n }));
    }
    assert_eq!(core.take_events(), []);
    let ticket = core.request("history", json!({}));
    let error = json!({ "reason": "queue_full", "retry": true });
    assert_eq!(core.take_events(), [Event::Reply { ticket, outcome: Err(error) }]);
}

#[test]
fn a_pull_or_sync_refused_for_now_is_tried_again() {
    let (mut core, id) = connected();
    let later = json!({ "reason": "rate_limited", "retry": true, "retry_after_ms": 70 });
    let refused = |id: &Value| json!({ "type": "error", "id": id, "payload": later });
    assert_eq!(say(&mut core, 10, &refused(&json!(id))), [] as [Value; 0]);
    core.poll(80);
    let sync: Value = serde_json::from_str(&core.take_frames()[0]).unwrap();
    assert_eq!(sync["type"], "sync");
    let empty = json!({ "epoch": "e", "conversations": [], "rev": 0, "more": false });
    say(&mut core, 81, &ack(&sync["id"], &empty));
    let live = json!({ "conversation": "group:g", "seq": 2, "kind": "text" });
    say(&mut core, 100, &json!({ "type": "message", "payload": live }));
    for now in [100 + PATIENCE_MS, 200 + 2 * PATIENCE_MS] {
        core.poll(now);
        let pull: Value = serde_json::from_str(&core.take_frames()[0]).unwrap();
        assert_eq!(pull["payload"], json!({ "conversation": "group:g", "from": 1, "to": 1 }));
        say(&mut core, now + 1, &refused(&pull["id"]));
    }
}

#[test]
fn updates_and_kept_pushes_are_entries_of_the_log() {
    let (mut core, id) = connected();
    say(&mut core, 1, &ack(&json!(id), &synced("e", &json!([]), false)));
    core.take_events();
    let updated = json!({
        "conversation": "group:a", "seq": 2, "target_seq": 1, "kind": "message_recalled",
    });
    let pushed = json!({
        "conversation": "system:all", "seq": 1, "message_id": "9", "from": "b", "data": 7,
    });
    let volatile = json!({ "from": "b", "to": "all", "data": { "conversation": "group:a" } });
    say(&mut core, 2, &json!({ "type": "message_updated", "payload": updated }));
    say(&mut core, 2, &live("group:a", 1));
    say(&mut core, 2, &json!({ "type": "notification", "payload": pushed }));
    say(&mut core, 2, &json!({ "type": "notification", "payload": volatile }));
    let mut kept = pushed.clone();
    kept["kind"] = json!("push:notification");
    (kept["data"], kept["content"]) = (Value::Null, json!(7));
    let [first, rest @ ..] = &core.take_events()[..] else { panic!("nothing came") };
    assert!(matches!(first, Event::Entry(entry) if entry["seq"] == 1));
    assert_eq!(
        *rest,
        [
            Event::Entry(updated),
            Event::Entry(kept),
            Event::Other { kind: "notification".into(), payload: volatile },
        ]
    );
}

#[test]
fn what_is_hidden_is_told_live_and_by_sync() {
    let (mut core, id) = connected();
    let conversations = json!([
        { "id": "group:a", "from_seq": 1, "head_seq": 0, "entries": [], "hidden": [3, 4] },
        { "id": "group:b", "from_seq": 1, "head_seq": 0, "entries": [], "cleared_seq": 7, "floor_seq": 5 },
        { "id": "group:d", "from_seq": 1, "head_seq": 0, "entries": [], "floor_seq": 6 },
        { "id": "group:c", "from_seq": 1, "head_seq": 0, "entries": [] },
    ]);
    say(&mut core, 1, &ack(&json!(id), &synced("e", &conversations, false)));
    let live = json!({ "conversation": "group:c", "seqs": [5], "through": 2 });
    say(&mut core, 2, &json!({ "type": "message_hidden", "payload": live }));
    let hidden = |event: &Event| matches!(event, Event::Hidden { .. });
    let expect = |id: &str, seqs: &[u64], through| Event::Hidden {
        conversation: id.into(),
        seqs: seqs.to_vec(),
        through,
    };
    assert_eq!(
        core.take_events().into_iter().filter(hidden).collect::<Vec<_>>(),
        [
            expect("group:a", &[3, 4], 0),
            expect("group:b", &[], 7),
            expect("group:d", &[], 6),
            expect("group:c", &[5], 2),
        ]
    );
}

#[test]
fn ones_own_message_is_told_with_all_that_was_sent() {
    let (mut core, id) = connected();
    say(&mut core, 1, &ack(&json!(id), &synced("e", &json!([]), false)));
    let mut message = Outgoing::new("group:g", json!("hi"), "text", "c1");
    message.extra = Map::from_iter([
        ("reply_to".to_owned(), json!(4)),
        ("expires_in_ms".to_owned(), json!(500)),
    ]);
    assert!(core.send_message(message));
    let mut forward = Outgoing::new("group:g", Value::Null, "text", "c2");
    forward.extra.insert("forward".into(), json!({ "conversation": "group:h", "seq": 3 }));
    assert!(core.send_message(forward));
    let frames = sent(&mut core, 2);
    let payload = |n: usize| frames[n]["payload"].as_object().unwrap();
    assert_eq!((&payload(0)["reply_to"], &payload(0)["content"]), (&json!(4), &json!("hi")));
    assert!(!payload(1).contains_key("content") && payload(1)["after"] == "c1");
    let written = |seq| json!({ "conversation": "group:g", "seq": seq, "timestamp": 1_000 });
    core.take_events();
    say(&mut core, 3, &ack(&frames[0]["id"], &written(1)));
    let events = core.take_events();
    let Some(Event::Entry(entry)) = events.last() else { panic!("{events:?}") };
    assert_eq!((&entry["reply_to"], &entry["expires_at"]), (&json!(4), &json!(1_500)));
    // What was copied is not known here, and fetched.
    say(&mut core, 4, &ack(&frames[1]["id"], &written(2)));
    assert!(!core.take_events().iter().any(|event| matches!(event, Event::Entry(_))));
    assert_eq!(kinds(&sent(&mut core, 4 + PATIENCE_MS)), ["pull"]);
}

#[test]
fn what_this_device_hides_is_told_when_it_is_acked() {
    let (mut core, id) = connected();
    say(&mut core, 1, &ack(&json!(id), &synced("e", &json!([]), false)));
    core.take_events();
    let place = json!({ "conversation": "group:g", "seq": 3 });
    let mut for_all = place.clone();
    for_all["for"] = json!("all");
    for (kind, payload) in [("delete", &place), ("clear", &place), ("delete", &for_all)] {
        core.request(kind, payload.clone());
    }
    for frame in sent(&mut core, 2) {
        say(&mut core, 3, &ack(&frame["id"], &json!({})));
    }
    let hidden = |event: &Event| matches!(event, Event::Hidden { .. });
    let expect = |seqs: &[u64], through| Event::Hidden {
        conversation: "group:g".into(),
        seqs: seqs.to_vec(),
        through,
    };
    let told: Vec<Event> = core.take_events().into_iter().filter(hidden).collect();
    assert_eq!(told, [expect(&[3], 0), expect(&[], 3)]);
}
