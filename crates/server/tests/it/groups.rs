//! Groups: who may do what, and who sees which part of the log (P7).

use serde_json::{Value, json};

use crate::node::Node;
use crate::talk::Talk;

/// Makes a group and answers its conversation id.
fn create(owner: &mut Talk, members: &[&str], join: &str) -> String {
    let group = json!({ "name": "Team", "members": members, "join": join });
    owner.ok("group_create", group)["conversation"].as_str().unwrap().to_owned()
}

/// Entries as `seq:kind`, and voids as `from-through`.
fn outline(entries: &Value) -> Vec<String> {
    let line = |item: &Value| match item["type"].as_str().unwrap() {
        "void" => format!("{}-{}", item["seq"], item["through"]),
        _ => format!("{}:{}", item["seq"], item["kind"].as_str().unwrap()),
    };
    entries.as_array().unwrap().iter().map(line).collect()
}

fn summary(talk: &mut Talk, group: &str) -> Value {
    let list = talk.ok("conversations", json!({}));
    let found = list["conversations"].as_array().unwrap().iter().find(|c| c["id"] == group);
    found.unwrap_or_else(|| panic!("{group} is not in {list}")).clone()
}

#[test]
fn a_group_from_beginning_to_end() {
    let node = Node::start(&[]);
    let [mut alice, mut bob, mut carol] =
        ["alice", "bob", "carol"].map(|u| Talk::attached(&node, u));
    let command = json!({ "name": "Team", "members": ["bob", "bob", "alice"], "client_id": "g1" });
    let ack = alice.ok("group_create", command.clone());
    let group = ack["conversation"].as_str().unwrap();
    let id = ack["group"].as_str().unwrap();
    assert_eq!(group, format!("group:{id}"));
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(1), &json!(false)));
    assert_eq!(alice.ok("group_create", command)["duplicate"], true, "one group");
    let created = bob.event("group_changed");
    assert_eq!((&created["kind"], &created["from"]), (&json!("group_created"), &json!("alice")));
    assert_eq!(
        created["content"],
        json!({ "name": "Team", "join": "invite", "members": ["alice", "bob"] })
    );

    // Each command's entry, as its members get it.
    let mut change = |alice: &mut Talk, command: &str, more: Value, kind: &str, content: Value| {
        let mut payload = json!({ "group": id });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let ack = alice.ok(command, payload);
        assert_eq!((&ack["group"], &ack["conversation"]), (&json!(id), &json!(group)), "{command}");
        let event = bob.event("group_changed");
        assert_eq!((&event["kind"], &event["content"]), (&json!(kind), &content), "{command}");
        assert_eq!((&event["seq"], &event["conversation"]), (&ack["seq"], &json!(group)));
    };
    change(
        &mut alice,
        "group_update",
        json!({ "name": "Us" }),
        "group_updated",
        json!({ "name": "Us" }),
    );
    let carol_by = json!({ "user": "carol", "by": "alice" });
    change(
        &mut alice,
        "group_invite",
        json!({ "members": ["carol", "bob"] }),
        "member_joined",
        carol_by,
    );
    let two = json!({ "users": ["dave", "erin"], "by": "alice" });
    change(
        &mut alice,
        "group_invite",
        json!({ "members": ["dave", "erin"] }),
        "member_joined",
        two,
    );
    let admin = json!({ "user": "carol", "role": "admin" });
    change(&mut alice, "group_role", admin.clone(), "member_role", admin);
    let kicked = json!({ "user": "dave", "by": "alice" });
    change(&mut alice, "group_kick", json!({ "user": "dave" }), "member_kicked", kicked);
    let found = summary(&mut carol, group);
    assert_eq!(
        (&found["name"], &found["role"], &found["join"], &found["member"], &found["first_seq"]),
        (&json!("Us"), &json!("admin"), &json!("invite"), &json!(true), &json!(3))
    );

    let text = alice.text(group, "hello", "t1");
    for talk in [&mut bob, &mut carol] {
        let message = talk.event("message");
        assert_eq!((&message["content"], &message["seq"]), (&json!("hello"), &text["seq"]));
        assert_eq!(message["to"], group);
    }
    assert_eq!(carol.refused("group_dissolve", json!({ "group": id })), "not_allowed");
    alice.ok("group_dissolve", json!({ "group": group }));
    assert_eq!(bob.event("group_changed")["kind"], "group_dissolved");
    for talk in [&mut alice, &mut bob] {
        let over = json!({ "to": group, "content": "?", "client_id": "late" });
        assert_eq!(talk.refused("send", over), "not_a_member");
    }
    assert_eq!(alice.refused("group_join", json!({ "group": id })), "not_found");
    assert_eq!(summary(&mut bob, group)["member"], false);
    let page = bob.ok("history", json!({ "conversation": group }));
    assert_eq!(page["entries"].as_array().unwrap().len(), 8, "what was stays readable");
}

#[test]
fn who_may_do_what() {
    let node = Node::start(&[]);
    let mut owner = Talk::attached(&node, "owner");
    let group = create(&mut owner, &["admin", "member", "other"], "invite");
    owner.ok("group_role", json!({ "group": group, "user": "admin", "role": "admin" }));
    let mut admin = Talk::open(&node, "admin");
    let mut member = Talk::open(&node, "member");
    let mut stranger = Talk::open(&node, "stranger");
    let check = |talk: &mut Talk, command: &str, more: Value, expected: &str| {
        let mut payload = json!({ "group": group });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(talk.refused(command, payload), expected, "{command} {more}");
    };
    let none = json!({});
    let invite = json!({ "members": ["somebody"] });
    let kick = |user| json!({ "user": user });
    let role = |user, role| json!({ "user": user, "role": role });
    for command in ["group_update", "group_dissolve", "group_leave", "group_members"] {
        let more = if command == "group_update" { json!({ "name": "x" }) } else { json!({}) };
        check(&mut stranger, command, more, "not_a_member");
    }
    check(&mut stranger, "group_join", none.clone(), "not_allowed");
    check(&mut stranger, "group_invite", invite.clone(), "not_a_member");
    check(&mut member, "group_invite", invite, "not_allowed");
    check(&mut member, "group_update", json!({ "name": "x" }), "not_allowed");
    check(&mut member, "group_kick", kick("other"), "not_allowed");
    check(&mut member, "group_role", role("member", "owner"), "not_allowed");
    check(&mut member, "group_dissolve", none.clone(), "not_allowed");
    check(&mut admin, "group_kick", kick("owner"), "not_allowed");
    check(&mut admin, "group_kick", kick("admin"), "not_allowed");
    check(&mut admin, "group_kick", kick("stranger"), "not_found");
    check(&mut admin, "group_role", role("member", "admin"), "not_allowed");
    check(&mut admin, "group_dissolve", none.clone(), "not_allowed");
    check(&mut owner, "group_role", role("stranger", "admin"), "not_found");
    check(&mut owner, "group_role", role("admin", "admin"), "bad_field");
    check(&mut owner, "group_invite", json!({ "members": ["member"] }), "already_member");
    check(&mut owner, "group_join", none.clone(), "already_member");
    check(&mut owner, "group_update", none.clone(), "bad_field");
    check(&mut owner, "group_leave", none.clone(), "last_owner");
    check(&mut owner, "group_role", role("owner", "member"), "last_owner");
    for (command, more) in [("group_join", none.clone()), ("group_kick", kick("x"))] {
        let mut payload = json!({ "group": "nowhere" });
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(owner.refused(command, payload), "not_found", "{command}");
    }

    // Handing over, and then going.
    owner.ok("group_role", json!({ "group": group, "user": "member", "role": "owner" }));
    check(&mut owner, "group_dissolve", none.clone(), "not_allowed");
    owner.ok("group_leave", json!({ "group": group }));
    check(&mut member, "group_leave", none, "last_owner");
    for user in ["admin", "other"] {
        member.ok("group_kick", json!({ "group": group, "user": user }));
    }
    let last = member.ok("group_leave", json!({ "group": group }));
    let page = member.ok("pull", json!({ "conversation": group, "from": last["seq"], "to": 99 }));
    assert_eq!(page["entries"][0]["kind"], "group_dissolved", "the only member ends it");
}

#[test]
fn an_open_group_is_entered_and_left_at_will() {
    let node = Node::start(&[]);
    let mut alice = Talk::attached(&node, "alice");
    let mut bob = Talk::attached(&node, "bob");
    let group = create(&mut alice, &[], "open");
    alice.text(&group, "before bob", "m1");
    let joined = bob.ok("group_join", json!({ "group": group }));
    assert_eq!(alice.event("group_changed")["content"], json!({ "user": "bob" }));
    // From the entry with which bob came, and live at once.
    alice.text(&group, "hi bob", "m2");
    assert_eq!(bob.content(), "hi bob");
    bob.ok("group_invite", json!({ "group": group, "members": ["carol"] }));
    let page = bob.ok("history", json!({ "conversation": group }));
    assert_eq!(outline(&page["entries"]), ["3:member_joined", "4:text", "5:member_joined"]);
    assert_eq!(joined["seq"], 3);
    bob.ok("group_leave", json!({ "group": group }));
    let left = alice.expect("bob's leaving", |frame| frame["payload"]["kind"] == "member_left");
    assert_eq!(left["payload"]["content"], json!({ "user": "bob" }));
    let over = json!({ "to": group, "content": "?", "client_id": "late" });
    assert_eq!(bob.refused("send", over), "not_a_member");
}

#[test]
fn the_group_is_seen_by_stays() {
    let node = Node::start(&[]);
    let mut alice = Talk::attached(&node, "alice");
    let group = create(&mut alice, &["bob"], "invite");
    let invite = json!({ "group": group, "members": ["bob"] });
    alice.text(&group, "for bob", "m1"); // 2
    alice.ok("group_kick", json!({ "group": group, "user": "bob" })); // 3
    alice.text(&group, "not for bob", "m2"); // 4
    alice.text(&group, "not for bob", "m3"); // 5

    let mut bob = Talk::open(&node, "bob");
    let before = bob.sync();
    let found = &before["conversations"][0];
    assert_eq!(outline(&found["entries"]), ["1:group_created", "2:text", "3:member_kicked"]);
    assert_eq!((&found["member"], &found["head_seq"]), (&json!(false), &json!(3)));
    assert_eq!(found["unread"], 1);

    alice.ok("group_invite", invite); // 6
    alice.text(&group, "for bob again", "m4"); // 7
    assert_eq!(bob.event("group_changed")["kind"], "member_joined");
    assert_eq!(bob.content(), "for bob again");
    let pull = bob.ok("pull", json!({ "conversation": group, "from": 1, "to": 99 }));
    assert_eq!(
        outline(&pull["entries"]),
        ["1:group_created", "2:text", "3:member_kicked", "4-5", "6:member_joined", "7:text"]
    );
    let part = bob.ok("pull", json!({ "conversation": group, "from": 5, "to": 6 }));
    assert_eq!(outline(&part["entries"]), ["5-5", "6:member_joined"]);
    let page = bob.ok("history", json!({ "conversation": group }));
    assert_eq!(
        outline(&page["entries"]),
        ["1:group_created", "2:text", "3:member_kicked", "6:member_joined", "7:text"]
    );
    let known = json!({ "epoch": before["epoch"], "cursors": { &group: 3 }, "rev": before["rev"] });
    let after = bob.ok("sync", known);
    let found = &after["conversations"][0];
    assert_eq!(outline(&found["entries"]), ["4-5", "6:member_joined", "7:text"]);
    assert_eq!((&found["from_seq"], &found["reset"]), (&json!(4), &Value::Null));

    // One who was never in it learns nothing.
    let mut eve = Talk::open(&node, "eve");
    for (command, payload) in [
        ("history", json!({ "conversation": group })),
        ("pull", json!({ "conversation": group, "from": 1, "to": 9 })),
        ("typing", json!({ "conversation": group, "active": true })),
        ("received", json!({ "conversation": group, "seq": 1 })),
        ("read", json!({ "conversation": group, "seq": 1 })),
    ] {
        assert_eq!(eve.refused(command, payload), "not_a_member", "{command}");
    }
    assert_eq!(eve.sync()["conversations"], json!([]));
}

#[test]
fn who_is_kicked_sees_that_and_nothing_after_it() {
    let node = Node::start(&[]);
    let mut alice = Talk::attached(&node, "alice");
    let mut bobs = [Talk::attached(&node, "bob"), Talk::attached(&node, "bob")];
    let mut carol = Talk::attached(&node, "carol");
    let group = create(&mut alice, &["bob", "carol"], "open");
    alice.text(&group, "all together", "m1");
    alice.ok("group_kick", json!({ "group": group, "user": "bob" }));
    alice.text(&group, "without bob", "m2");
    alice.ok("typing", json!({ "conversation": group, "active": true }));
    alice.text("user:bob", "you are out", "m3");
    for bob in &mut bobs {
        let kinds: Vec<Value> = bob
            .before("you are out")
            .iter_mut()
            .map(|frame| frame["payload"]["kind"].take())
            .collect();
        assert_eq!(kinds, ["group_created", "text", "member_kicked"]);
        let over = json!({ "to": group, "content": "?", "client_id": "late" });
        assert_eq!(bob.refused("send", over), "not_a_member");
    }
    assert_eq!(carol.event("typing")["user"], "alice");
    assert_eq!(carol.content(), "all together");
    assert_eq!(carol.content(), "without bob");
    // A connection that was in it once gets it again after it came back.
    bobs[0].ok("group_join", json!({ "group": group }));
    alice.text(&group, "welcome back", "m4");
    for bob in &mut bobs {
        assert_eq!(bob.content(), "welcome back");
    }
}

#[test]
fn members_are_paged_in_the_order_of_their_ids() {
    let node = Node::start(&[("CHAT_GROUP_MEMBERS_MAX", "20")]);
    let mut zoe = Talk::open(&node, "zoe");
    let users: Vec<String> = (10..25).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let group = create(&mut zoe, &names, "invite");
    let mut got = Vec::new();
    let mut after = Value::Null;
    let mut pages = 0;
    loop {
        let page = zoe.ok("group_members", json!({ "group": group, "limit": 6, "after": after }));
        assert_eq!(page["count"], 16);
        for member in page["members"].as_array().unwrap() {
            got.push((member["id"].clone(), member["role"].clone()));
        }
        pages += 1;
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    let mut expected: Vec<_> = users.iter().map(|user| (json!(user), json!("member"))).collect();
    expected.push((json!("zoe"), json!("owner")));
    assert_eq!((got, pages), (expected, 3));
    let five: Vec<String> = (0..5).map(|n| format!("v{n}")).collect();
    assert_eq!(
        zoe.refused("group_invite", json!({ "group": group, "members": five })),
        "group_full"
    );
    zoe.ok("group_invite", json!({ "group": group, "members": five[..4] }));
    zoe.ok("group_update", json!({ "group": group, "join": "open" }));
    let mut late = Talk::open(&node, "late");
    assert_eq!(late.refused("group_join", json!({ "group": group })), "group_full");
}

#[test]
fn a_group_is_live_only_after_a_sync_and_survives_a_restart() {
    let node = Node::start(&[]);
    let mut alice = Talk::attached(&node, "alice");
    let group = create(&mut alice, &["bob"], "invite");
    let node = node.kill().start();
    let mut alice = Talk::attached(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    alice.text(&group, "before the sync", "m1");
    alice.text("user:bob", "marker", "m2");
    assert_eq!(bob.before("marker"), Vec::<Value>::new());
    let page = bob.sync();
    let found =
        page["conversations"].as_array().unwrap().iter().find(|c| c["id"] == group).unwrap();
    assert_eq!(outline(&found["entries"]), ["1:group_created", "2:text"]);
    alice.text(&group, "after the sync", "m3");
    assert_eq!(bob.content(), "after the sync");
}
