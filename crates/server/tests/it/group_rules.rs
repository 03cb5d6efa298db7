//! Groups with rules, over the wire: approval, bans, silence, announcements.

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

fn create(owner: &mut Talk, members: &[&str], join: &str) -> String {
    let group = json!({ "name": "Team", "members": members, "join": join });
    owner.ok("group_create", group)["conversation"].as_str().unwrap().to_owned()
}

#[test]
fn one_asks_and_is_let_in() {
    let node = Node::start(&[]);
    let [mut alice, mut bob] = ["alice", "bob"].map(|user| Talk::attached(&node, user));
    let group = create(&mut alice, &[], "approval");
    let ask = json!({ "group": group, "note": "It is me" });
    assert_eq!(bob.ok("group_join", ask), json!({ "requested": true }));
    let told = alice.event("group_request");
    assert_eq!((&told["user"], &told["state"]), (&json!("bob"), &json!("pending")));
    assert_eq!(told["note"], "It is me");
    // It survives a restart: it is in the store.
    let node = node.kill().start();
    let [mut alice, mut bob] = ["alice", "bob"].map(|user| Talk::attached(&node, user));
    let page = alice.ok("group_requests", json!({ "group": group }));
    assert_eq!((&page["requests"][0]["user"], &page["more"]), (&json!("bob"), &json!(false)));
    alice.ok("group_approve", json!({ "group": group, "user": "bob" }));
    assert_eq!(bob.event("group_request")["state"], "approved");
    let joined = bob.event("group_changed");
    assert_eq!(joined["content"], json!({ "user": "bob", "by": "alice" }));
    alice.text(&group, "welcome", "m1");
    assert_eq!(bob.content(), "welcome");
}

#[test]
fn who_is_banned_is_out_and_stays_out() {
    let node = Node::start(&[]);
    let [mut alice, mut bob] = ["alice", "bob"].map(|user| Talk::attached(&node, user));
    let group = create(&mut alice, &["bob"], "open");
    alice.ok("group_ban", json!({ "group": group, "user": "bob" }));
    alice.text(&group, "without bob", "m1");
    alice.text("user:bob", "marker", "m2");
    let kinds: Vec<Value> =
        bob.before("marker").iter_mut().map(|frame| frame["payload"]["kind"].take()).collect();
    assert_eq!(kinds, ["group_created", "member_banned"]);
    let refused = bob.call("group_join", &json!({ "group": group })).unwrap_err();
    assert_eq!((&refused["code"], &refused["reason"]), (&json!(403), &json!("banned")));
    assert_eq!(refused["until"], Value::Null);
    let until = 4_102_444_800_000u64;
    alice.ok("group_ban", json!({ "group": group, "user": "bob", "until": until }));
    let refused = bob.call("group_join", &json!({ "group": group })).unwrap_err();
    assert_eq!(refused["until"], until);
    alice.ok("group_unban", json!({ "group": group, "user": "bob" }));
    bob.ok("group_join", json!({ "group": group }));
    alice.text(&group, "welcome back", "m3");
    assert_eq!(bob.content(), "welcome back");
}

#[test]
fn who_is_muted_reads_and_says_nothing() {
    let node = Node::start(&[]);
    let [mut alice, mut bob] = ["alice", "bob"].map(|user| Talk::attached(&node, user));
    let group = create(&mut alice, &["bob"], "invite");
    alice.ok("group_update", json!({ "group": group, "announcement": "Be kind" }));
    alice.ok("group_mute", json!({ "group": group, "muted": true }));
    let message = json!({ "to": group, "content": "?", "client_id": "b1" });
    let refused = bob.call("send", &message).unwrap_err();
    assert_eq!((&refused["code"], &refused["reason"]), (&json!(403), &json!("muted")));
    let typing = json!({ "conversation": group, "active": true });
    assert_eq!(bob.refused("typing", typing), "muted");
    alice.text(&group, "listen", "m1");
    assert_eq!(bob.content(), "listen");
    let found = &bob.sync()["conversations"][0];
    assert_eq!((&found["announcement"], &found["all_muted"]), (&json!("Be kind"), &json!({})));
    alice.ok("group_mute", json!({ "group": group, "muted": false }));
    bob.ok("send", message);
    let until = 4_102_444_800_000u64;
    let mute = json!({ "group": group, "user": "bob", "muted": true, "until": until });
    alice.ok("group_mute", mute);
    let message = json!({ "to": group, "content": "?", "client_id": "b2" });
    assert_eq!(bob.call("send", &message).unwrap_err()["until"], until);
}

#[test]
fn a_link_lets_one_in_and_is_not_in_the_store() {
    let node = Node::start(&[]);
    let mut alice = Talk::attached(&node, "alice");
    let group = create(&mut alice, &[], "invite");
    let made = alice.ok("group_link_create", json!({ "group": group, "uses_max": 1 }));
    let link = made["link"].as_str().unwrap();
    assert_eq!(link.len(), 32, "128 bits in hexadecimal");
    let home = node.kill();
    let mut stored = 0;
    for entry in std::fs::read_dir(home.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(path).unwrap();
            stored += bytes.len();
            assert!(!bytes.windows(link.len()).any(|window| window == link.as_bytes()));
        }
    }
    assert!(stored > 0);
    let node = home.start();
    let [mut alice, mut bob, mut carol] =
        ["alice", "bob", "carol"].map(|user| Talk::attached(&node, user));
    bob.ok("group_join", json!({ "group": group, "link": link }));
    let joined = alice.event("group_changed");
    let name = joined["content"]["link"].as_str().unwrap();
    assert_eq!(joined["content"], json!({ "user": "bob", "by": "alice", "link": name }));
    assert_ne!(name, link);
    let refused = carol.refused("group_join", json!({ "group": group, "link": link }));
    assert_eq!(refused, "link_invalid", "used up");
}
