//! Who gets into a group, who is kept out, and who may only read: what is written and who is told.

use hubbub_chat::ChatConfig;
use serde_json::{Value, json};

use crate::room::{Room, reason};

fn ids(page: &Value, list: &str) -> Vec<String> {
    let items = page[list].as_array().unwrap().iter();
    items.map(|item| item["user"].as_str().unwrap().to_owned()).collect()
}

fn with_admin(room: &mut Room, members: &[&str], join: &str) -> String {
    let group = room.group("alice", members, join);
    room.ask("alice", "group_role", json!({"group": group, "user": "bob", "role": "admin"}));
    room.take_events();
    group
}

#[test]
fn one_who_asks_is_no_member_until_an_admin_says_so() {
    let mut room = Room::new();
    let group = with_admin(&mut room, &["bob", "carol"], "approval");
    let ask = json!({"group": group, "note": "please"});
    assert_eq!(room.ask("dave", "group_join", ask), json!({"requested": true}));
    assert_eq!(room.take_events(), ["request dave pending -> @dave @alice @bob"]);
    assert_eq!(room.say("dave", &group, "c1"), reason("not_a_member"));
    let page = room.ask("bob", "group_requests", json!({"group": group}));
    assert_eq!(page["requests"][0]["note"], "please");
    assert_eq!(page["requests"][0]["name"], "DAVE");
    for (user, refusal) in [("carol", "not_allowed"), ("dave", "not_a_member")] {
        let asked = room.ask(user, "group_requests", json!({"group": group}));
        assert_eq!(asked, reason(refusal), "{user}");
        let approve = json!({"group": group, "user": "dave"});
        assert_eq!(room.ask(user, "group_approve", approve), reason(refusal), "{user}");
    }
    // Asking again replaces the note.
    room.ask("dave", "group_join", json!({"group": group}));
    room.take_events();
    let page = room.ask("alice", "group_requests", json!({"group": group}));
    assert_eq!(
        (ids(&page, "requests"), &page["requests"][0]["note"]),
        (vec!["dave".into()], &Value::Null)
    );
    let approve = json!({"group": group, "user": "dave", "client_id": "yes"});
    let ack = room.ask("bob", "group_approve", approve.clone());
    assert_eq!(
        room.take_events(),
        [
            "request dave approved -> @dave @alice @bob".to_owned(),
            format!("join dave {group}"),
            format!("member_joined {group}#3 -> {group}"),
        ]
    );
    assert_eq!(room.ask("bob", "group_approve", approve)["seq"], ack["seq"], "once");
    let again = json!({"group": group, "user": "dave"});
    assert_eq!(room.ask("bob", "group_approve", again), reason("already_member"));
    assert_eq!(room.ask("bob", "group_requests", json!({"group": group}))["requests"], json!([]));
    assert!(room.say("dave", &group, "c2")["seq"].is_u64());
}

#[test]
fn a_request_ends_by_a_no_a_withdrawal_an_invitation_a_ban_or_with_the_group() {
    let mut room = Room::new();
    let group = with_admin(&mut room, &["bob"], "approval");
    let join = json!({"group": group});
    let of = |user: &str| json!({"group": group, "user": user});
    let waits = |room: &mut Room| {
        room.take_events();
        ids(&room.ask("alice", "group_requests", json!({"group": group})), "requests")
    };
    for user in ["dave", "erin", "frank", "gina"] {
        room.ask(user, "group_join", join.clone());
    }
    assert_eq!(waits(&mut room), ["dave", "erin", "frank", "gina"]);
    assert_eq!(room.ask("dave", "group_reject", of("erin")), reason("not_a_member"));
    assert_eq!(room.ask("bob", "group_reject", of("dave")), json!({}));
    assert_eq!(room.take_events(), ["request dave rejected -> @dave @alice @bob"]);
    assert_eq!(room.ask("bob", "group_reject", of("dave")), reason("not_found"));
    assert_eq!(room.ask("erin", "group_reject", of("erin")), json!({}));
    assert_eq!(room.take_events(), ["request erin withdrawn -> @erin @alice @bob"]);
    room.ask("bob", "group_invite", json!({"group": group, "members": ["frank"]}));
    assert_eq!(room.take_events()[0], "request frank approved -> @frank @alice @bob");
    room.ask("bob", "group_ban", of("gina"));
    assert_eq!(room.take_events()[0], "request gina rejected -> @gina @alice @bob");
    assert_eq!(waits(&mut room), [""; 0]);
    room.ask("dave", "group_join", join);
    room.ask("alice", "group_dissolve", json!({"group": group}));
    assert_eq!(room.ask("dave", "group_reject", of("dave")), reason("not_found"));
}

#[test]
fn requests_wait_up_to_the_limits() {
    let config =
        ChatConfig { join_requests_max: 2, join_requests_per_user_max: 1, ..Default::default() };
    let mut room = Room::with(config);
    let (one, two) = (room.group("alice", &[], "approval"), room.group("bob", &[], "approval"));
    let ask = |room: &mut Room, user: &str, group: &str| {
        room.ask(user, "group_join", json!({"group": group}))
    };
    let waits = json!({"requested": true});
    let many = reason("too_many_join_requests");
    assert_eq!(ask(&mut room, "dave", &one), waits);
    assert_eq!(ask(&mut room, "dave", &two), many);
    assert_eq!(ask(&mut room, "dave", &one), waits, "the same one again");
    assert_eq!(ask(&mut room, "erin", &one), waits);
    assert_eq!(ask(&mut room, "frank", &one), many);
    room.ask("alice", "group_reject", json!({"group": one, "user": "dave"}));
    assert_eq!(ask(&mut room, "frank", &one), waits);
    assert_eq!(ask(&mut room, "dave", &two), waits);
}

#[test]
fn a_ban_beats_every_way_in() {
    let mut room = Room::new();
    let group = with_admin(&mut room, &["bob", "carol", "dave"], "open");
    let of = |user: &str| json!({"group": group, "user": user});
    let ban = json!({"group": group, "user": "carol", "client_id": "out"});
    room.ask("bob", "group_ban", ban.clone());
    assert_eq!(
        room.take_events(),
        [format!("member_banned {group}#3 -> {group}"), format!("leave carol {group}")]
    );
    assert_eq!(room.ask("bob", "group_ban", ban)["duplicate"], true);
    assert_eq!(room.say("carol", &group, "c1"), reason("not_a_member"));
    let join = json!({"group": group});
    assert_eq!(room.ask("carol", "group_join", join.clone()), reason("banned"));
    let invite = json!({"group": group, "members": ["carol", "erin"]});
    assert_eq!(room.ask("alice", "group_invite", invite.clone()), reason("banned"));
    // Under approval one who is banned cannot even ask; one who asked before is not let in.
    room.ask("alice", "group_update", json!({"group": group, "join": "approval"}));
    assert_eq!(room.ask("carol", "group_join", join.clone()), reason("banned"));
    let page = room.ask("alice", "group_bans", json!({"group": group}));
    assert_eq!((ids(&page, "bans"), &page["bans"][0]["by"]), (vec!["carol".into()], &json!("bob")));
    assert_eq!(room.ask("dave", "group_bans", json!({"group": group})), reason("not_allowed"));
    room.take_events();
    room.ask("bob", "group_unban", of("carol"));
    assert_eq!(room.take_events(), [format!("member_unbanned {group}#5 -> {group}")]);
    assert_eq!(room.ask("bob", "group_unban", of("carol")), reason("not_found"));
    assert_eq!(room.ask("carol", "group_join", join), json!({"requested": true}));
    assert!(room.ask("alice", "group_invite", invite)["seq"].is_u64());
}

#[test]
fn bans_have_a_limit_and_end() {
    let mut room = Room::with(ChatConfig { group_bans_max: 2, ..Default::default() });
    let group = room.group("alice", &[], "open");
    let start = room.now.0;
    let ban = |room: &mut Room, user: &str, after_ms: Option<u64>| {
        let until = after_ms.map(|ms| start + ms);
        room.ask("alice", "group_ban", json!({"group": group, "user": user, "until": until}))
    };
    assert!(ban(&mut room, "bob", Some(1_000))["seq"].is_u64());
    assert!(ban(&mut room, "carol", None)["seq"].is_u64());
    assert_eq!(ban(&mut room, "dave", None), reason("too_many_bans"));
    assert_eq!(ban(&mut room, "carol", None), reason("bad_field"), "the same again");
    assert!(ban(&mut room, "carol", Some(9_000))["seq"].is_u64(), "another end");
    assert_eq!(ban(&mut room, "erin", Some(0)), reason("bad_field"), "ended already");
    room.wait(999);
    assert_eq!(room.ask("bob", "group_join", json!({"group": group})), reason("banned"));
    room.wait(1);
    assert!(room.ask("bob", "group_join", json!({"group": group}))["seq"].is_u64());
    assert!(ban(&mut room, "dave", None)["seq"].is_u64(), "there is room again");
    let page = room.ask("alice", "group_bans", json!({"group": group}));
    assert_eq!(ids(&page, "bans"), ["carol", "dave"]);
}

#[test]
fn who_is_muted_says_nothing_until_it_ends() {
    let mut room = Room::new();
    let group = with_admin(&mut room, &["bob", "carol"], "open");
    let until = room.now.0 + 1_000;
    let mute = json!({"group": group, "user": "carol", "muted": true, "until": until});
    room.ask("bob", "group_mute", mute.clone());
    assert_eq!(room.take_events(), [format!("member_muted {group}#3 -> {group}")]);
    assert_eq!(room.ask("bob", "group_mute", mute), reason("bad_field"), "it is so already");
    let typing = json!({"conversation": group, "active": true});
    let silent = |room: &mut Room, id: &str| {
        assert_eq!(room.say("carol", &group, id), reason("muted"));
        assert_eq!(room.ask("carol", "typing", typing.clone()), reason("muted"));
    };
    silent(&mut room, "c1");
    // It does not help to leave and come back.
    room.ask("carol", "group_leave", json!({"group": group}));
    room.ask("carol", "group_join", json!({"group": group}));
    silent(&mut room, "c1");
    let members = room.ask("alice", "group_members", json!({"group": group}));
    assert_eq!(members["members"][2]["muted"], json!({"until": until}));
    let list = room.ask("carol", "conversations", json!({}));
    assert_eq!(list["conversations"][0]["muted"], json!({"until": until}));
    room.wait(1_000);
    assert!(room.say("carol", &group, "c1")["seq"].is_u64(), "it ended by itself");
    room.ask("bob", "group_mute", json!({"group": group, "user": "carol", "muted": true}));
    silent(&mut room, "c2");
    // A repeated command is acked, muted or not.
    assert_eq!(room.say("carol", &group, "c1")["duplicate"], true);
    room.ask("alice", "group_role", json!({"group": group, "user": "carol", "role": "admin"}));
    assert!(room.say("carol", &group, "c2")["seq"].is_u64(), "who rises may write again");
}

#[test]
fn all_are_muted_but_owner_and_admins() {
    let mut room = Room::new();
    let group = with_admin(&mut room, &["bob", "carol"], "open");
    room.ask("bob", "group_mute", json!({"group": group, "muted": true}));
    assert_eq!(room.take_events(), [format!("group_updated {group}#3 -> {group}")]);
    assert_eq!(room.say("carol", &group, "c1"), reason("muted"));
    for user in ["alice", "bob"] {
        assert!(room.say(user, &group, &format!("of-{user}"))["seq"].is_u64(), "{user}");
    }
    room.ask("dave", "group_join", json!({"group": group}));
    assert_eq!(room.say("dave", &group, "c1"), reason("muted"));
    let list = room.ask("dave", "conversations", json!({}));
    assert_eq!(list["conversations"][0]["all_muted"], json!({}));
    room.ask("bob", "group_mute", json!({"group": group, "muted": false}));
    assert!(room.say("carol", &group, "c1")["seq"].is_u64());
}

#[test]
fn an_announcement_is_for_members() {
    let mut room = Room::new();
    let group = room.group("alice", &["bob", "carol"], "open");
    let told = |room: &mut Room, user: &str| {
        room.ask(user, "conversations", json!({}))["conversations"][0]["announcement"].clone()
    };
    assert_eq!(told(&mut room, "bob"), Value::Null);
    room.ask("bob", "group_leave", json!({"group": group}));
    room.ask("alice", "group_update", json!({"group": group, "announcement": "Monday\nat nine"}));
    assert_eq!(told(&mut room, "carol"), "Monday\nat nine");
    assert_eq!(told(&mut room, "bob"), Value::Null, "one who left");
    room.ask("alice", "group_update", json!({"group": group, "name": "other"}));
    assert_eq!(told(&mut room, "carol"), "Monday\nat nine");
    room.ask("alice", "group_update", json!({"group": group, "announcement": null}));
    assert_eq!(told(&mut room, "carol"), Value::Null);
}

#[test]
fn links_let_in_as_long_and_as_often_as_was_said() {
    let mut room = Room::with(ChatConfig { group_links_max: 2, ..Default::default() });
    let group = with_admin(&mut room, &["bob", "carol"], "invite");
    let of = |more: Value| {
        let mut payload = json!({"group": group});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    };
    let make = |room: &mut Room, more: Value| {
        let made = room.ask("bob", "group_link_create", of(more));
        made["link"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    };
    assert_eq!(room.ask("carol", "group_link_create", of(json!({}))), reason("not_allowed"));
    assert_eq!(room.ask("eve", "group_link_create", of(json!({}))), reason("not_a_member"));
    for nothing in [json!({"uses_max": 0}), json!({"expires_in_ms": 0})] {
        assert_eq!(room.ask("bob", "group_link_create", of(nothing)), reason("bad_field"));
    }
    let twice = make(&mut room, json!({"uses_max": 2}));
    let soon = make(&mut room, json!({"expires_in_ms": 1_000}));
    assert_eq!(room.ask("bob", "group_link_create", of(json!({}))), reason("too_many_links"));
    let enter = |room: &mut Room, user: &str, link: &str| {
        room.ask(user, "group_join", json!({"group": group, "link": link}))
    };
    let invalid = reason("link_invalid");
    assert_eq!(enter(&mut room, "dave", "0123"), invalid);
    assert!(enter(&mut room, "dave", &twice)["seq"].is_u64());
    let history = room.ask("alice", "history", json!({"conversation": group, "limit": 1}));
    let listed = room.ask("bob", "group_links", of(json!({})));
    let names: Vec<_> =
        listed["links"].as_array().unwrap().iter().map(|l| l["link"].clone()).collect();
    assert_eq!(listed["links"][0]["uses_left"], 1);
    assert_eq!(
        history["entries"][0]["content"],
        json!({"user": "dave", "by": "bob", "link": names[0]})
    );
    // The name in the list opens nothing.
    assert_eq!(enter(&mut room, "erin", names[0].as_str().unwrap()), invalid);
    assert_eq!(enter(&mut room, "dave", &twice), reason("already_member"));
    room.ask("bob", "group_ban", json!({"group": group, "user": "erin"}));
    assert_eq!(enter(&mut room, "erin", &twice), reason("banned"), "a ban beats a link");
    assert!(enter(&mut room, "frank", &twice)["seq"].is_u64());
    assert_eq!(enter(&mut room, "gina", &twice), invalid, "used up");
    room.wait(999);
    assert!(enter(&mut room, "gina", &soon)["seq"].is_u64());
    room.wait(1);
    assert_eq!(enter(&mut room, "henry", &soon), invalid, "ended");
    assert_eq!(room.ask("bob", "group_links", of(json!({})))["links"], json!([]));
    // Revoked by itself or by its name in the list.
    for by_name in [false, true] {
        let link = make(&mut room, json!({}));
        let listed = room.ask("bob", "group_links", of(json!({})));
        let name = listed["links"][0]["link"].as_str().unwrap().to_owned();
        let named = if by_name { name } else { link.clone() };
        let revoke = of(json!({"link": named}));
        assert_eq!(room.ask("carol", "group_link_revoke", revoke.clone()), reason("not_allowed"));
        assert_eq!(room.ask("alice", "group_link_revoke", revoke.clone()), json!({}));
        assert_eq!(room.ask("alice", "group_link_revoke", revoke), reason("not_found"));
        assert_eq!(enter(&mut room, "henry", &link), invalid);
    }
    let last = make(&mut room, json!({}));
    room.ask("alice", "group_dissolve", of(json!({})));
    assert_eq!(enter(&mut room, "henry", &last), reason("not_found"));
}

#[test]
fn who_asks_again_is_told_of_only_with_another_note() {
    let mut room = Room::new();
    let group = room.group("alice", &["carol"], "approval");
    let group = group.strip_prefix("group:").unwrap();
    let mut told = |note: &str| {
        let ack = room.ask("bob", "group_join", json!({"group": group, "note": note}));
        assert_eq!(ack, json!({"requested": true}));
        room.take_events().len()
    };
    assert_eq!(
        ["please", "please", "it is me", "it is me", "please"].map(&mut told),
        [1, 0, 1, 0, 1]
    );
}
