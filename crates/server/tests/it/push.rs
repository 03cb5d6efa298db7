//! What is pushed, from a privileged connection to everybody else's.

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

const RULE: (&str, &str) = ("PUSH_SEND", "role:backend");

fn open(node: &Node, user: &str, roles: &[&str]) -> Talk {
    Talk::open_with(node, "", &node.token_with(user, roles))
}

fn of<'a>(page: &'a Value, conversation: &str) -> &'a Value {
    let all = page["conversations"].as_array().unwrap();
    all.iter().find(|found| found["id"] == conversation).unwrap_or(&Value::Null)
}

#[test]
fn those_who_are_meant_get_it_at_once_and_nobody_else() {
    let node = Node::start(&[RULE, ("SERVER_SHARDS", "2")]);
    let mut backend = open(&node, "svc", &["backend"]);
    let mut staff = [open(&node, "ann", &["staff"]), open(&node, "ann", &["staff", "x"])];
    let mut guest = open(&node, "bob", &[]);
    let data = json!({"text": "hi \u{1f980}", "deep": [1, {"a": null}]});
    let ack = backend.ok("push", json!({"to": "role:staff", "type": "shift_plan", "data": data}));
    for talk in &mut staff {
        let frame = talk.expect("the push", |frame| frame["type"] == "shift_plan");
        assert_eq!(frame["id"], ack["written"][0]["message_id"]);
        assert_eq!(
            frame["payload"],
            json!({
                "conversation": "system:role:staff", "seq": 1,
                "message_id": ack["written"][0]["message_id"], "from": "svc", "to": "role:staff",
                "at": ack["timestamp"], "data": data, "attempt": 1,
            })
        );
    }
    let volatile = json!({"to": ["user:ann", "user:bob"], "type": "notification", "data": 7,
        "durable": false, "expires_in_ms": 60_000});
    assert_eq!(backend.ok("push", volatile), json!({}));
    for (talk, to) in [(&mut guest, "user:bob"), (&mut staff[0], "user:ann")] {
        let event = talk.event("notification");
        assert_eq!((&event["to"], &event["data"]), (&json!(to), &json!(7)));
        let lifetime = event["expires_at"].as_u64().unwrap() - event["at"].as_u64().unwrap();
        assert_eq!(lifetime, 60_000);
        assert!(event.get("seq").is_none(), "{event}");
    }
    backend.ok("push", json!({"to": "all", "type": "notification", "data": "everyone"}));
    for talk in [&mut guest, &mut backend] {
        assert_eq!(talk.event("notification")["data"], "everyone");
        let other = talk.kept();
        assert!(other.iter().all(|frame| frame["type"] == "ping"), "{other:?}");
    }
    assert_eq!(
        guest.refused("push", json!({"to": "all", "type": "notification", "data": 1})),
        "not_allowed"
    );
    node.stop();
}

#[test]
fn who_was_away_finds_it_after_a_restart_and_reads_it_once() {
    let node = Node::start(&[RULE]);
    drop(open(&node, "ann", &["staff"]));
    let mut backend = open(&node, "svc", &["backend"]);
    // Her session was seen before this one's first answer.
    let push =
        |to: &str, id: &str| json!({"to": to, "type": "order_update", "data": to, "client_id": id});
    let first = backend.ok("push", push("all", "p1"));
    backend.ok("push", push("user:ann", "p2"));
    backend.ok("push", push("role:staff", "p3"));
    let node = node.kill().start();
    let mut backend = open(&node, "svc", &["backend"]);
    let again = backend.ok("push", push("all", "p1"));
    assert_eq!((&again["written"], &again["duplicate"]), (&first["written"], &json!(true)));

    let mut ann = open(&node, "ann", &["staff"]);
    let page = ann.sync();
    for to in ["all", "user:ann", "role:staff"] {
        let found = of(&page, &format!("system:{to}"));
        assert_eq!(found["entries"][0]["content"], to, "{page}");
        assert_eq!((&found["unread"], &found["kind"]), (&json!(1), &json!("system")));
    }
    ann.ok("read", json!({"conversation": "system:all", "seq": 1}));
    let mut phone = open(&node, "ann", &["staff"]);
    assert_eq!(of(&phone.sync(), "system:all")["unread"], 0);
    // One who was never here before sees what follows, and nothing of the past.
    let mut new = open(&node, "zoe", &["staff"]);
    assert_eq!(new.sync()["conversations"], json!([]));
    backend.ok("push", push("all", "p4"));
    assert_eq!(new.event("order_update")["seq"], 2);
    node.stop();
}

#[test]
fn a_push_is_sent_again_until_it_is_confirmed() {
    let node = Node::start(&[RULE, ("LIMITS_REDELIVERY_AFTER_MS", "1000")]);
    let mut backend = open(&node, "svc", &["backend"]);
    let mut ann = open(&node, "ann", &[]);
    ann.sync();
    backend.ok("push", json!({"to": "all", "type": "notification", "data": 1}));
    assert_eq!(ann.event("notification")["attempt"], 1);
    let again = ann.event("notification");
    assert_eq!(
        (&again["attempt"], &again["seq"], &again["data"]),
        (&json!(2), &json!(1), &json!(1))
    );
    ann.ok("received", json!({"conversation": "system:all", "seq": 1}));
    node.stop();
}
