//! Messages between users: what is acked, who gets what, and what is there afterwards (P2, P3, P5).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

const AB: &str = "direct:alice:bob";

fn seqs(entries: &Value) -> Vec<u64> {
    entries.as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
}

fn find<'a>(page: &'a Value, conversation: &str) -> &'a Value {
    let all = page["conversations"].as_array().unwrap();
    all.iter().find(|found| found["id"] == conversation).unwrap_or_else(|| panic!("{page}"))
}

#[test]
fn a_message_reaches_every_device_but_the_one_that_sent_it() {
    let node = Node::start(&[]);
    let mut phone = Talk::open_device(&node, "alice", "phone");
    let mut laptop = Talk::open_device(&node, "alice", "laptop");
    let mut bobs = [Talk::open(&node, "bob"), Talk::open(&node, "bob")];
    let content =
        json!({ "text": "hi \u{1f980} \"there\"\n", "deep": [1, 2.5, null, { "a": [] }] });

    let ack = phone.ok(
        "send",
        json!({ "to": "user:bob", "content": content, "client_id": "m1", "kind": "custom:poll" }),
    );
    assert_eq!(ack["conversation"], AB);
    assert_eq!(ack["seq"], 1);
    assert_eq!(ack["duplicate"], false);
    for talk in bobs.iter_mut().chain([&mut laptop]) {
        let message = talk.expect("message", |frame| frame["type"] == "message");
        let payload = &message["payload"];
        assert_eq!(message["id"], ack["message_id"]);
        assert_eq!(
            *payload,
            json!({
                "conversation": AB, "seq": 1, "message_id": ack["message_id"], "from": "alice",
                "to": "user:bob", "kind": "custom:poll", "content": content, "client_id": "m1",
                "at": ack["timestamp"], "attempt": 1,
            })
        );
    }
    bobs[0].text("user:alice", "the end", "x1");
    assert_eq!(phone.before("the end"), Vec::<Value>::new(), "nothing for the one that sent it");
    assert_eq!(bobs[1].content(), "the end");
}

#[test]
fn receipts_tell_the_other_side_and_the_own_devices() {
    let node = Node::start(&[("CHAT_RECEIPT_INTERVAL_MS", "1")]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    let mut bobs_tablet = Talk::open(&node, "bob");
    alice.text("user:bob", "one", "m1");
    alice.text("user:bob", "two", "m2");
    let receipt = |received, read| json!({ "conversation": AB, "user": "bob", "received_seq": received, "read_seq": read });
    for (command, seq, expected) in
        [("received", 1, receipt(1, 0)), ("read", 1, receipt(1, 1)), ("read", 99, receipt(2, 2))]
    {
        bob.ok(command, json!({ "conversation": AB, "seq": seq }));
        assert_eq!(alice.event("receipt"), expected, "{command} {seq} for the other side");
        assert_eq!(bobs_tablet.event("receipt"), expected, "{command} {seq} for another device");
    }
    // Cursors never go back, and what does not move is not told.
    bob.ok("read", json!({ "conversation": AB, "seq": 1 }));
    bob.text("user:alice", "marker", "m3");
    assert_eq!(alice.before("marker"), Vec::<Value>::new());
    let summary = alice.ok("conversations", json!({}));
    let summary = find(&summary, AB);
    assert_eq!(summary["peer_cursors"], json!({ "received_seq": 2, "read_seq": 2 }));
    assert_eq!(summary["unread"], 1);
}

#[test]
fn typing_is_told_and_not_kept() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    alice.text("user:bob", "one", "m1");
    for active in [true, false] {
        bob.ok("typing", json!({ "conversation": AB, "active": active }));
        let mut told = json!({ "conversation": AB, "user": "bob", "active": active });
        if active {
            told["expires_in_ms"] = json!(6_000);
        }
        assert_eq!(alice.event("typing"), told);
    }
    let page = bob.ok("history", json!({ "conversation": AB }));
    assert_eq!(seqs(&page["entries"]), [1]);
    assert_eq!(
        bob.refused("typing", json!({ "conversation": "direct:alice:carol", "active": true })),
        "not_a_member"
    );
}

#[test]
fn history_goes_both_ways() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    for n in 1..=7 {
        alice.text("user:bob", &format!("n{n}"), &format!("m{n}"));
    }
    let mut bob = Talk::open(&node, "bob");
    let mut check = |more_fields: Value, expected: &[u64], more: bool| {
        let mut payload = json!({ "conversation": AB });
        payload.as_object_mut().unwrap().extend(more_fields.as_object().unwrap().clone());
        let page = bob.ok("history", payload);
        assert_eq!(seqs(&page["entries"]), expected, "{more_fields}");
        assert_eq!(page["more"], more, "{more_fields}");
        assert_eq!((&page["head_seq"], &page["floor_seq"]), (&json!(7), &json!(0)));
        for entry in page["entries"].as_array().unwrap() {
            assert_eq!(entry["type"], "message");
            assert_eq!(entry["content"], format!("n{}", entry["seq"]));
        }
    };
    check(json!({}), &[1, 2, 3, 4, 5, 6, 7], false);
    check(json!({ "limit": 3 }), &[5, 6, 7], true);
    check(json!({ "limit": 3, "before": 5 }), &[2, 3, 4], true);
    check(json!({ "limit": 3, "before": 2 }), &[1], false);
    check(json!({ "limit": 3, "after": 0 }), &[1, 2, 3], true);
    check(json!({ "limit": 3, "after": 4 }), &[5, 6, 7], false);
    check(json!({ "before": 1 }), &[], false);
    check(json!({ "after": 7 }), &[], false);
    let both = json!({ "conversation": AB, "before": 5, "after": 2 });
    assert_eq!(bob.refused("history", both), "bad_field");
    let mut eve = Talk::open(&node, "eve");
    assert_eq!(eve.refused("history", json!({ "conversation": AB })), "not_a_member");
}

#[test]
fn a_pull_is_dense_and_says_when_it_was_cut() {
    let node = Node::start(&[("CHAT_SYNC_ENTRIES_MAX", "4")]);
    let mut alice = Talk::open(&node, "alice");
    for n in 1..=7 {
        alice.text("user:bob", "x", &format!("m{n}"));
    }
    let mut pull = |from: u64, to: u64| {
        alice.call("pull", &json!({ "conversation": AB, "from": from, "to": to }))
    };
    for (from, to, expected, more) in [
        (2, 4, vec![2, 3, 4], false),
        (1, 7, vec![1, 2, 3, 4], true),
        (5, 99, vec![5, 6, 7], false),
    ] {
        let page = pull(from, to).unwrap();
        assert_eq!(seqs(&page["entries"]), expected, "{from} to {to}");
        assert_eq!((&page["more"], &page["head_seq"]), (&json!(more), &json!(7)), "{from} to {to}");
    }
    for (from, to) in [(5, 4), (0, 0)] {
        assert_eq!(pull(from, to).unwrap_err()["reason"], "bad_range", "{from} to {to}");
    }
}

#[test]
fn who_was_away_gets_it_with_the_sync() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    for n in 1..=3 {
        alice.text("user:bob", &format!("n{n}"), &format!("m{n}"));
    }
    let mut bob = Talk::open_device(&node, "bob", "phone");
    let first = bob.sync();
    let entry = find(&first, AB);
    assert_eq!(first["epoch"], bob.connected["epoch"]);
    assert_eq!(seqs(&entry["entries"]), [1, 2, 3]);
    assert_eq!((&entry["from_seq"], &entry["more"]), (&json!(1), &json!(false)));
    assert_eq!((&entry["unread"], &entry["head_seq"]), (&json!(3), &json!(3)));
    assert_eq!(entry["peer"]["id"], "alice");
    bob.ok("received", json!({ "conversation": AB, "seq": 3 }));
    drop(bob);

    alice.text("user:bob", "n4", "m4");
    let mut bob = Talk::open_device(&node, "bob", "phone");
    let known = json!({ "epoch": first["epoch"], "cursors": { AB: 3 }, "rev": first["rev"] });
    let second = bob.ok("sync", known);
    let entry = find(&second, AB);
    assert_eq!(seqs(&entry["entries"]), [4], "only what it missed");
    assert_eq!(entry["reset"], Value::Null);
    let known = json!({ "epoch": first["epoch"], "cursors": { AB: 4 }, "rev": second["rev"] });
    let third = bob.ok("sync", known);
    assert_eq!(third["conversations"], json!([]), "nothing has changed since");
    // Another store's cursors are worth nothing.
    let foreign = bob.ok("sync", json!({ "epoch": "elsewhere", "cursors": { AB: 3 } }));
    let entry = find(&foreign, AB);
    assert_eq!((&entry["reset"], &entry["from_seq"]), (&json!(true), &json!(1)));
    assert_eq!(seqs(&entry["entries"]), [1, 2, 3, 4]);
    // And a cursor beyond the head cannot be continued.
    let beyond = bob.ok("sync", json!({ "epoch": first["epoch"], "cursors": { AB: 77 } }));
    assert_eq!(find(&beyond, AB)["reset"], true);
}

#[test]
fn the_list_of_conversations_counts_what_is_unread() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    for n in 1..=3 {
        alice.text("user:bob", &format!("n{n}"), &format!("a{n}"));
    }
    bob.text("user:carol", "to carol", "b1");
    let list = bob.ok("conversations", json!({}));
    let ids: Vec<&Value> =
        list["conversations"].as_array().unwrap().iter().map(|found| &found["id"]).collect();
    assert_eq!(ids, ["direct:bob:carol", AB], "the most recently changed first");
    let found = find(&list, AB);
    assert_eq!((&found["unread"], &found["last"]["content"]), (&json!(3), &json!("n3")));
    assert_eq!(find(&list, "direct:bob:carol")["unread"], 0, "one's own is read");
    bob.ok("read", json!({ "conversation": AB, "seq": 2 }));
    let list = bob.ok("conversations", json!({}));
    assert_eq!(find(&list, AB)["unread"], 1);

    let first = bob.ok("conversations", json!({ "limit": 1 }));
    assert_eq!(first["conversations"].as_array().unwrap().len(), 1);
    let second = bob.ok("conversations", json!({ "limit": 1, "before_rev": first["next"] }));
    assert_ne!(first["conversations"][0]["id"], second["conversations"][0]["id"]);
    assert_eq!(second["next"], Value::Null);

    for n in 0..120 {
        alice.text("user:bob", "more", &format!("more{n}"));
    }
    let list = bob.ok("conversations", json!({}));
    assert_eq!(find(&list, AB)["unread"], 100, "99 or more");
}

#[test]
fn a_repeated_command_writes_once_and_another_under_its_name_is_a_conflict() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    let first = alice.text("user:bob", "hi", "m1");
    let check = |alice: &mut Talk, when: &str| {
        let mut again = alice.text("user:bob", "hi", "m1");
        assert_eq!(again["duplicate"].take(), true, "{when}");
        let mut expected = first.clone();
        expected["duplicate"].take();
        assert_eq!(again, expected, "{when}");
        // The conversation by its own name is the same recipient.
        assert_eq!(alice.text(AB, "hi", "m1")["seq"], first["seq"], "{when}");
        for other in [
            json!({ "to": "user:bob", "content": "ho", "client_id": "m1" }),
            json!({ "to": "user:carol", "content": "hi", "client_id": "m1" }),
            json!({ "to": "user:bob", "content": "hi", "client_id": "m1", "kind": "custom:x" }),
        ] {
            assert_eq!(alice.refused("send", other.clone()), "conflict", "{when}: {other}");
        }
    };
    check(&mut alice, "at once");
    // The name is the sender's own: bob may use it too.
    assert_eq!(bob.text("user:alice", "bob's", "m1")["seq"], 2);
    let node = node.stop().start();
    let mut alice = Talk::open(&node, "alice");
    check(&mut alice, "after a restart");
    let node = node.kill().start();
    let mut alice = Talk::open(&node, "alice");
    check(&mut alice, "after a crash");
    let page = alice.ok("history", json!({ "conversation": AB }));
    assert_eq!(seqs(&page["entries"]), [1, 2]);
}

#[test]
fn what_must_come_after_waits_for_what_is_before() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let second = json!({ "to": "user:bob", "content": "2", "client_id": "m2", "after": "m1" });
    let error = alice.call("send", &second).unwrap_err();
    assert_eq!((&error["reason"], &error["retry"]), (&json!("out_of_order"), &json!(true)));
    assert_eq!(alice.text("user:bob", "1", "m1")["seq"], 1);
    assert_eq!(alice.ok("send", second)["seq"], 2);
    // `after` is not part of the message: without it, it is the same one.
    assert_eq!(alice.text("user:bob", "2", "m2")["duplicate"], true);
}

#[test]
fn what_is_not_confirmed_is_sent_again_three_times_and_then_left_alone() {
    let node = Node::start(&[
        ("LIMITS_REDELIVERY_AFTER_MS", "1000"),
        ("LIMITS_PING_INTERVAL_MS", "600000"),
    ]);
    let mut alice = Talk::open(&node, "alice");
    let mut silent = Talk::open(&node, "bob");
    let mut polite = Talk::open(&node, "bob");
    alice.text("user:bob", "one", "m1");
    alice.text("user:bob", "two", "m2");
    for attempt in 1..=4 {
        for content in ["one", "two"] {
            let message = silent.event("message");
            assert_eq!(
                (&message["content"], &message["attempt"]),
                (&json!(content), &json!(attempt))
            );
            if attempt == 1 {
                polite.event("message");
                polite.ok("received", json!({ "conversation": AB, "seq": message["seq"] }));
            }
        }
    }
    assert_eq!(silent.event("lag"), json!({ "conversation": AB, "head": 2 }));
    // Both have been left alone since; what is new comes all the same.
    alice.text("user:bob", "three", "m3");
    let came = polite.before("three");
    assert!(came.iter().all(|frame| frame["type"] == "receipt"), "{came:?}");
    let came = silent.before("three");
    assert!(came.iter().all(|frame| frame["type"] == "receipt"), "{came:?}");
    // A confirmation begins it anew, and not only when the next ping is due.
    let confirmed = Instant::now();
    silent.ok("received", json!({ "conversation": AB, "seq": 2 }));
    let again = silent.event("message");
    assert_eq!((&again["content"], &again["attempt"]), (&json!("three"), &json!(2)));
    assert!(confirmed.elapsed() < Duration::from_secs(10), "{:?}", confirmed.elapsed());
}

#[test]
fn a_ping_names_what_is_not_confirmed() {
    let node = Node::start(&[("LIMITS_PING_INTERVAL_MS", "1000")]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    alice.text("user:bob", "one", "m1");
    bob.content();
    assert_eq!(bob.event("ping"), json!({ "heads": { AB: 1 } }));
    bob.ok("received", json!({ "conversation": AB, "seq": 1 }));
    assert_eq!(bob.event("ping"), json!({}));
}

#[test]
fn notes_to_oneself() {
    let node = Node::start(&[]);
    let mut phone = Talk::open(&node, "alice");
    let mut laptop = Talk::open(&node, "alice");
    let ack = phone.text("user:alice", "milk", "m1");
    assert_eq!(ack["conversation"], "direct:alice:alice");
    let note = laptop.event("message");
    assert_eq!(
        (&note["content"], &note["from"], &note["to"]),
        (&json!("milk"), &json!("alice"), &json!("user:alice"))
    );
    let list = laptop.ok("conversations", json!({}));
    assert_eq!(find(&list, "direct:alice:alice")["unread"], 0);
    assert_eq!(laptop.text("user:alice", "bread", "m2")["seq"], 2);
    assert_eq!(phone.before("bread"), Vec::<Value>::new(), "once");
}

#[test]
fn who_was_away_for_longer_than_the_window_is_reset() {
    let node =
        Node::start(&[("CHAT_OFFLINE_WINDOW_MS", "1000"), ("LIMITS_PING_INTERVAL_MS", "1000")]);
    let mut alice = Talk::open(&node, "alice");
    alice.text("user:bob", "long ago", "m1");
    // From one ping to the next it is as long as the window.
    alice.event("ping");
    alice.event("ping");
    alice.text("user:bob", "just now", "m2");
    let mut bob = Talk::open(&node, "bob");
    let page = bob.ok("sync", json!({ "epoch": bob.connected["epoch"], "cursors": { AB: 0 } }));
    let found = find(&page, AB);
    assert_eq!((&found["reset"], &found["from_seq"]), (&json!(true), &json!(2)), "{found}");
    assert_eq!(seqs(&found["entries"]), [2]);
    let history = bob.ok("history", json!({ "conversation": AB }));
    assert_eq!(seqs(&history["entries"]), [1, 2], "what is older is in the history");
}

#[test]
fn reads_see_the_writes_sent_before_them_on_the_same_connection() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let mut asked = Vec::new();
    for n in 1..=20_u64 {
        let client_id = format!("m{n}");
        alice.post(
            "send",
            &json!({ "to": "user:bob", "content": n.to_string(), "client_id": client_id }),
        );
        asked.push((n, alice.post("history", &json!({ "conversation": AB, "limit": 1 }))));
    }
    for (n, id) in asked {
        let page = alice.reply(&id).unwrap();
        assert!(page["head_seq"].as_u64().unwrap() >= n, "the answer after {n}: {page}");
    }
}

#[test]
fn a_sync_of_many_conversations_goes_page_by_page() {
    const CONVERSATIONS: usize = 430;
    let node =
        Node::start(&[("LIMITS_COMMANDS_BURST", "100000"), ("CHAT_SYNC_BYTES_MAX", "32768")]);
    let mut alice = Talk::open(&node, "alice");
    let ids: Vec<String> = (0..CONVERSATIONS)
        .map(|n| {
            let payload =
                json!({ "to": format!("user:u{n}"), "content": n.to_string(), "client_id": format!("m{n}") });
            alice.post("send", &payload)
        })
        .collect();
    for id in &ids {
        alice.reply(id).unwrap();
    }
    let mut fresh = Talk::open(&node, "alice");
    let mut cursors = serde_json::Map::new();
    let mut rev = Value::Null;
    let mut pages = 0;
    loop {
        let told = json!({ "epoch": fresh.connected["epoch"], "cursors": cursors, "rev": rev });
        let page = fresh.ok("sync", told);
        for found in page["conversations"].as_array().unwrap() {
            assert_eq!(seqs(&found["entries"]), [1], "{found}");
            let id = found["id"].as_str().unwrap().to_owned();
            assert!(cursors.insert(id, json!(1)).is_none(), "{found} came twice");
        }
        pages += 1;
        rev = page["rev"].clone();
        if page["more"] != true {
            break;
        }
    }
    assert_eq!(cursors.len(), CONVERSATIONS);
    assert!(pages > 1);
    // Restarting keeps the `rev`: nothing is new to a device that comes back with all of it.
    let epoch = fresh.connected["epoch"].clone();
    let node = node.kill().start();
    let mut again = Talk::open(&node, "alice");
    assert_eq!(again.connected["epoch"], epoch);
    let page = again.ok("sync", json!({ "epoch": epoch, "cursors": cursors, "rev": rev }));
    assert_eq!((&page["conversations"], &page["more"]), (&json!([]), &json!(false)));
}
