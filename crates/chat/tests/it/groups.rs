//! Groups: one entry for each change, told to those whom it concerns in the right order (P7).

use serde_json::{Value, json};

use crate::room::{Room, items, reason};

#[test]
fn everyone_is_in_before_the_first_entry_goes_out() {
    let mut room = Room::new();
    let payload = json!({"name": "g", "members": ["bob", "bob"], "client_id": "c1"});
    let ack = room.ask("alice", "group_create", payload.clone());
    assert_eq!((&ack["group"], &ack["conversation"]), (&json!("made-1"), &json!("group:made-1")));
    assert_eq!(
        room.take_events(),
        [
            "join alice group:made-1",
            "join bob group:made-1",
            "group_created group:made-1#1 -> group:made-1",
        ]
    );
    let again = room.ask("alice", "group_create", payload);
    assert_eq!((&again["group"], &again["duplicate"]), (&ack["group"], &json!(true)));
    assert!(room.take_events().is_empty());
    let other = json!({"name": "h", "client_id": "c1"});
    assert_eq!(room.ask("alice", "group_create", other), reason("conflict"));
}

#[test]
fn joiners_get_their_entry_and_leavers_too_but_nothing_after() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "open");
    room.say("alice", &group, "c1");
    room.take_events();
    let ack = room.ask("carol", "group_join", json!({"group": group}));
    assert_eq!(ack["seq"], 3);
    assert_eq!(
        room.take_events(),
        [format!("join carol {group}"), format!("member_joined {group}#3 -> {group}")]
    );
    room.ask("bob", "group_leave", json!({"group": group}));
    assert_eq!(
        room.take_events(),
        [format!("member_left {group}#4 -> {group}"), format!("leave bob {group}")]
    );
    room.say("alice", &group, "c2");
    let seen = |room: &mut Room, user: &str| {
        items(&room.ask(user, "history", json!({"conversation": group})))
    };
    assert_eq!(seen(&mut room, "alice"), ["1", "2", "3", "4", "5"]);
    assert_eq!(seen(&mut room, "bob"), ["1", "2", "3", "4"]);
    assert_eq!(seen(&mut room, "carol"), ["3", "4", "5"]);

    // One who comes back sees both stays, and a void between them.
    room.ask("alice", "group_invite", json!({"group": group, "members": ["bob"]}));
    assert_eq!(seen(&mut room, "bob"), ["1", "2", "3", "4", "6"]);
    let pulled = room.ask("bob", "pull", json!({"conversation": group, "from": 1, "to": 9}));
    assert_eq!(items(&pulled), ["1", "2", "3", "4", "void 5-5", "6"]);
    let pulled = room.ask("carol", "pull", json!({"conversation": group, "from": 1, "to": 9}));
    assert_eq!(items(&pulled), ["void 1-2", "3", "4", "5", "6"]);
}

#[test]
fn who_was_kicked_hears_of_it_and_can_do_no_more() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob", "carol"], "invite");
    room.ask("alice", "group_role", json!({"group": group, "user": "carol", "role": "admin"}));
    room.take_events();
    let refused = room.ask("carol", "group_kick", json!({"group": group, "user": "alice"}));
    assert_eq!(refused, reason("not_allowed"));
    room.ask("carol", "group_kick", json!({"group": group, "user": "bob"}));
    assert_eq!(
        room.take_events(),
        [format!("member_kicked {group}#3 -> {group}"), format!("leave bob {group}")]
    );
    for (kind, payload) in [
        ("group_leave", json!({"group": group})),
        ("group_members", json!({"group": group})),
        ("group_update", json!({"group": group, "name": "mine"})),
        ("typing", json!({"conversation": group, "active": true})),
    ] {
        assert_eq!(room.ask("bob", kind, payload), reason("not_a_member"), "{kind}");
    }
    assert_eq!(room.ask("bob", "group_join", json!({"group": group})), reason("not_allowed"));
}

#[test]
fn the_last_owner_hands_over_or_ends_it() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "invite");
    let leave = json!({"group": group});
    assert_eq!(room.ask("alice", "group_leave", leave.clone()), reason("last_owner"));
    room.ask("alice", "group_role", json!({"group": group, "user": "bob", "role": "owner"}));
    let page = room.ask("alice", "group_members", leave.clone());
    let roles: Vec<_> = page["members"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
    assert_eq!((roles, &page["count"]), (vec![&json!("admin"), &json!("owner")], &json!(2)));
    assert_eq!(room.ask("alice", "group_leave", leave.clone())["seq"], 3);
    room.take_events();
    let ack = room.ask("bob", "group_leave", json!({"group": group, "client_id": "bye"}));
    assert_eq!(ack["seq"], 4);
    assert_eq!(
        room.take_events(),
        [
            format!("group_dissolved {group}#4 -> {group}"),
            format!("leave bob {group}"),
            format!("end {group}")
        ]
    );
    let again = room.ask("bob", "group_leave", json!({"group": group, "client_id": "bye"}));
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(4), &json!(true)));
    let gone = room.ask("alice", "group_join", leave);
    assert_eq!(gone, reason("not_found"));
}

#[test]
fn a_dissolved_group_keeps_its_history_and_takes_nothing() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "open");
    room.ask("alice", "group_dissolve", json!({"group": group}));
    assert_eq!(room.say("alice", &group, "c1"), reason("not_a_member"));
    assert_eq!(room.ask("bob", "group_leave", json!({"group": group})), reason("not_a_member"));
    let history = room.ask("bob", "history", json!({"conversation": group}));
    assert_eq!(items(&history), ["1", "2"]);
    let list = room.ask("bob", "conversations", json!({}));
    assert_eq!(list["conversations"][0]["member"], false);
}

#[test]
fn the_size_limit_holds_at_every_door() {
    let config = hubbub_chat::ChatConfig { group_members_max: 2, ..Default::default() };
    let mut room = Room::with(config);
    let create = |members: Value| json!({"name": "g", "members": members, "join": "open"});
    let full = room.ask("alice", "group_create", create(json!(["bob", "carol"])));
    assert_eq!(full, reason("group_full"));
    let group = room.group("alice", &["bob"], "open");
    let invite = json!({"group": group, "members": ["carol"]});
    assert_eq!(room.ask("alice", "group_invite", invite.clone()), reason("group_full"));
    assert_eq!(room.ask("carol", "group_join", json!({"group": group})), reason("group_full"));
    room.ask("bob", "group_leave", json!({"group": group}));
    assert_eq!(room.ask("alice", "group_invite", invite.clone())["seq"], 3);
    assert_eq!(room.ask("alice", "group_invite", invite), reason("already_member"));
}

#[test]
fn nobody_is_in_more_groups_than_the_limit() {
    let config = hubbub_chat::ChatConfig { groups_per_user_max: 1, ..Default::default() };
    let mut room = Room::with(config);
    let group = room.group("alice", &[], "open");
    let create = json!({"name": "g", "members": ["alice"]});
    assert_eq!(room.ask("bob", "group_create", create.clone()), reason("too_many_groups"));
    let list = room.ask("bob", "conversations", json!({}));
    assert_eq!(list["conversations"], json!([]), "a refusal writes nothing");
    room.group("bob", &[], "open");
    let join = json!({"group": group});
    assert_eq!(room.ask("bob", "group_join", join), reason("too_many_groups"));
    let invite = json!({"group": group, "members": ["bob"]});
    assert_eq!(room.ask("alice", "group_invite", invite), reason("too_many_groups"));
    room.ask("alice", "group_leave", json!({"group": group}));
    assert_eq!(room.ask("bob", "group_create", create), reason("too_many_groups"));
}

#[test]
fn nobody_comes_and_goes_without_end() {
    let config = hubbub_chat::ChatConfig { stays_max: 2, ..Default::default() };
    let mut room = Room::with(config);
    let group = json!({"group": room.group("alice", &[], "open")});
    for _ in 0..2 {
        assert!(room.ask("bob", "group_join", group.clone())["seq"].is_u64());
        assert!(room.ask("bob", "group_leave", group.clone())["seq"].is_u64());
    }
    assert_eq!(room.ask("bob", "group_join", group), reason("not_allowed"));
}

#[test]
fn who_left_does_not_learn_of_a_new_name() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob"], "open");
    room.ask("bob", "group_leave", json!({"group": group}));
    room.ask("alice", "group_update", json!({"group": group, "name": "secret", "join": "invite"}));
    let names = |room: &mut Room, user| {
        let list = room.ask(user, "conversations", json!({}));
        let listed = &list["conversations"][0];
        (listed["name"].clone(), listed["join"].clone())
    };
    assert_eq!(names(&mut room, "bob"), (json!("g"), Value::Null));
    assert_eq!(names(&mut room, "alice"), (json!("secret"), json!("invite")));
}

#[test]
fn members_come_in_pages() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob", "carol", "dave"], "invite");
    let first = room.ask("bob", "group_members", json!({"group": group, "limit": 3}));
    let ids = |page: &Value| {
        let members = page["members"].as_array().unwrap().iter();
        members.map(|m| m["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (ids(&first), &first["next"]),
        (["alice", "bob", "carol"].map(String::from).to_vec(), &json!("carol"))
    );
    assert_eq!(first["members"][0]["name"], "ALICE");
    let rest = json!({"group": group, "limit": 3, "after": "carol"});
    let rest = room.ask("bob", "group_members", rest);
    assert_eq!((ids(&rest), &rest["next"]), (vec!["dave".to_owned()], &Value::Null));
}
