//! What is done to messages, against the real server: told live, found by `sync` on a device that was
//! away, and a void for those who may not see what it is about (P3, P7).

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

const AB: &str = "direct:alice:bob";

fn is_update(frame: &Value) -> bool {
    frame["type"] == "message_updated"
}

fn on(seq: u64, more: &Value) -> Value {
    let mut payload = json!({ "conversation": AB, "seq": seq });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payload
}

#[test]
fn each_operation_is_told_live_and_to_a_device_that_was_away() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open_device(&node, "bob", "phone");
    for n in 1..=4 {
        alice.text("user:bob", &format!("n{n}"), &format!("m{n}"));
    }
    let before = Talk::open_device(&node, "bob", "tablet").sync();

    let edit = on(1, &json!({ "content": "better", "client_id": "e1" }));
    let steps = [
        ("edit", edit.clone(), "message_edited"),
        ("recall", on(2, &json!({ "client_id": "e2" })), "message_recalled"),
        ("react", on(3, &json!({ "emoji": "👍", "client_id": "e3" })), "message_reaction"),
        ("pin", on(4, &json!({ "client_id": "e4" })), "message_pin"),
    ];
    for ((command, payload, kind), seq) in steps.iter().zip(5..) {
        let ack = alice.ok(command, payload.clone());
        assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(seq), &json!(false)), "{command}");
        let told = bob.expect(kind, is_update)["payload"].clone();
        assert_eq!((&told["kind"], &told["seq"]), (&json!(kind), &json!(seq)));
        assert_eq!(told["target_seq"], payload["seq"]);
    }
    for (command, payload, _) in &steps {
        assert_eq!(alice.ok(command, payload.clone())["duplicate"], true, "{command} again");
    }

    let mut tablet = Talk::open_device(&node, "bob", "tablet");
    let synced = tablet.ok("sync", json!({ "cursors": { AB: 4 }, "rev": before["rev"] }));
    let missed = &synced["conversations"][0];
    let kinds: Vec<_> =
        missed["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].clone()).collect();
    let expected: Vec<_> = steps.iter().map(|(_, _, kind)| json!(kind)).collect();
    assert_eq!((kinds, &missed["unread"]), (expected, &json!(3)));
    let page = tablet.ok("history", json!({ "conversation": AB }));
    let [one, two, three, four] = &page["entries"].as_array().unwrap()[..] else {
        panic!("four messages: {page}")
    };
    assert_eq!(one["content"], "better");
    assert_eq!((&two["content"], &two["removed"]), (&json!(null), &json!("recalled")));
    assert_eq!(three["reactions"][0]["users"], json!(["alice"]));
    assert_eq!(four["pinned"], true);
    let edits = tablet.ok("edits", on(1, &json!({})));
    assert_eq!(edits["versions"][0]["content"], "n1");
}

#[test]
fn content_of_each_kind_is_checked_and_passed_on_as_it_came() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    let table = [
        ("text", json!({ "text": "hi", "mood": [1, null] }), json!({ "text": "" }), "content.text"),
        (
            "image",
            json!({ "url": "https://cdn.example/a.png", "width": 640, "blurhash": "L6" }),
            json!({ "url": "javascript:alert(1)" }),
            "content.url",
        ),
        ("file", json!({ "url": "/files/7", "size": 0 }), json!({ "name": "a" }), "content.url"),
        (
            "audio",
            json!({ "url": "a.ogg", "duration_ms": 1.5 }),
            json!({ "url": "a.ogg", "duration_ms": "1" }),
            "content.duration_ms",
        ),
        (
            "video",
            json!({ "url": "a.webm", "thumbnail": "a.png" }),
            json!({ "url": "a.webm", "thumbnail": "data:image/png;base64,AA" }),
            "content.thumbnail",
        ),
        (
            "location",
            json!({ "latitude": -90, "longitude": 180, "zoom": 7 }),
            json!({ "latitude": -90, "longitude": 181 }),
            "content.longitude",
        ),
        ("card", json!({ "title": "Order 7", "buttons": [] }), json!({}), "content.title"),
    ];
    for (n, (kind, good, bad, field)) in (1..).zip(table) {
        let send = |content: &Value| {
            json!({ "to": "user:bob", "kind": kind, "content": content,
                "client_id": format!("m{n}") })
        };
        let refusal = alice.call("send", &send(&bad)).unwrap_err();
        assert_eq!((&refusal["code"], &refusal["reason"]), (&json!(422), &json!("bad_content")));
        assert!(refusal["message"].as_str().unwrap().contains(field), "{kind}: {refusal}");
        // The refusal wrote nothing: its client id is free, and its seq.
        assert_eq!(alice.ok("send", send(&good))["seq"], n, "{kind}");
        let told = bob.event("message");
        assert_eq!((&told["kind"], &told["content"]), (&json!(kind), &good));
        let edit = on(n, &json!({ "content": bad }));
        assert_eq!(alice.refused("edit", edit), "bad_content", "{kind}");
    }
}

#[test]
fn what_one_deletes_for_oneself_is_gone_on_the_own_devices() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    alice.text("user:bob", "one", "m1");
    alice.text("user:bob", "two", "m2");
    let mut phone = Talk::open_device(&node, "bob", "phone");
    let mut tablet = Talk::open_device(&node, "bob", "tablet");
    let before = tablet.sync();
    phone.ok("delete", on(1, &json!({})));
    assert_eq!(tablet.event("message_hidden"), json!({ "conversation": AB, "seqs": [1] }));
    let synced = tablet.ok("sync", json!({ "cursors": { AB: 2 }, "rev": before["rev"] }));
    let found = &synced["conversations"][0];
    assert_eq!((&found["hidden"], &found["unread"]), (&json!([1]), &json!(1)));
    phone.ok("clear", on(2, &json!({})));
    assert_eq!(tablet.event("message_hidden"), json!({ "conversation": AB, "through": 2 }));
    let page = tablet.ok("history", json!({ "conversation": AB }));
    assert_eq!(page["entries"], json!([]));
    let page = alice.ok("history", json!({ "conversation": AB }));
    assert_eq!(page["entries"].as_array().unwrap().len(), 2);
}

#[test]
fn a_later_member_gets_a_void_live_for_what_is_done_to_what_lies_before() {
    let node = Node::start(&[]);
    let mut alice = Talk::attached(&node, "alice");
    let mut bob = Talk::attached(&node, "bob");
    let mut carol = Talk::attached(&node, "carol");
    let made = alice.ok("group_create", json!({ "name": "g", "members": ["bob"], "join": "open" }));
    let (group, conversation) = (made["group"].clone(), made["conversation"].clone());
    let to = conversation.as_str().unwrap();
    let early = alice.text(to, "early", "m1")["seq"].clone();
    carol.ok("group_join", json!({ "group": group }));
    let late = alice.text(to, "late", "m2")["seq"].clone();
    let payload = |seq: &Value, content: &str| json!({ "conversation": conversation, "seq": seq, "content": content });
    let first = alice.ok("edit", payload(&early, "secret"))["seq"].clone();
    let second = alice.ok("edit", payload(&late, "open"))["seq"].clone();

    let told = bob.expect("the edit", is_update)["payload"].clone();
    assert_eq!((&told["seq"], &told["content"]), (&first, &json!("secret")));
    let void = carol.event("void");
    assert_eq!(void, json!({ "conversation": conversation, "seq": first, "through": first }));
    let told = carol.expect("the other edit", is_update)["payload"].clone();
    assert_eq!((&told["seq"], &told["content"]), (&second, &json!("open")));
    let raw = carol.ok("pull", json!({ "conversation": conversation, "from": 1, "to": 99 }));
    assert!(!raw.to_string().contains("secret"), "{raw}");
}

#[test]
fn what_expires_is_gone_and_a_mention_is_a_badge() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    let brief = json!({
        "to": "user:bob", "content": "brief", "client_id": "m1", "expires_in_ms": 1,
    });
    alice.ok("send", brief);
    let mention = json!({
        "to": "user:bob", "content": "you", "client_id": "m2", "mentions": ["bob"], "reply_to": 99,
    });
    assert_eq!(alice.refused("send", mention.clone()), "not_found");
    let mut mention = mention;
    mention.as_object_mut().unwrap().remove("reply_to");
    let end = alice.ok("send", mention)["timestamp"].as_u64().unwrap();
    let mut bob = Talk::open(&node, "bob");
    // Time passes by itself: the next write is later than the end of the first message.
    let mut now = end;
    for n in 0.. {
        if now > end + 1 {
            break;
        }
        let payload = json!({ "to": "user:bob", "content": "later", "client_id": format!("l{n}") });
        now = alice.ok("send", payload)["timestamp"].as_u64().unwrap();
    }
    let page = bob.ok("history", json!({ "conversation": AB, "limit": 1, "after": 0 }));
    assert_eq!(page["entries"][0]["content"], "you");
    let list = bob.ok("conversations", json!({}));
    let summary = &list["conversations"][0];
    assert_eq!((&summary["mentions"], &summary["mention_seq"]), (&json!(1), &json!(2)));
}
