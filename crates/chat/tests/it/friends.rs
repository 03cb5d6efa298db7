//! Friends, blocks, and what follows from them.

use hubbub_chat::ChatConfig;
use serde_json::{Value, json};

use crate::room::{Room, reason};

/// What a friend command is answered with, in short.
fn taken(room: &mut Room, user: &str, command: &str, other: &str) -> String {
    short(&room.ask(user, command, json!({ "user": other })))
}

fn short(answer: &Value) -> String {
    let relation = match answer {
        _ if answer["reason"].is_string() => return answer["reason"].as_str().unwrap().to_owned(),
        _ if answer["relation"].is_object() => &answer["relation"],
        relation => relation,
    };
    let state = relation["state"].as_str().unwrap();
    if relation["blocked"] == true { format!("{state}+blocked") } else { state.to_owned() }
}

/// The list of `user`, as `other:state`.
fn list(room: &mut Room, user: &str, since: Option<u64>) -> (Vec<String>, Value) {
    let page = room.ask(user, "friends", json!({ "since": since }));
    let line =
        |relation: &Value| format!("{}:{}", relation["user"].as_str().unwrap(), short(relation));
    (page["relations"].as_array().unwrap().iter().map(line).collect(), page)
}

fn befriend(room: &mut Room, user: &str, other: &str) {
    taken(room, user, "friend_request", other);
    assert_eq!(taken(room, other, "friend_accept", user), "friend");
    room.take_events();
}

#[test]
fn a_friendship_from_beginning_to_end() {
    let mut room = Room::new();
    let asked = json!({ "user": "bob", "note": "Hello." });
    let ack = room.ask("alice", "friend_request", asked);
    assert_eq!((short(&ack), &ack["relation"]["note"]), ("requested".into(), &json!("Hello.")));
    // The asker's other devices, and all of the other's.
    let events = room.take_relations();
    assert_eq!(events, ["@bob: alice received Hello.", "@alice: bob requested Hello."]);
    assert_eq!(taken(&mut room, "alice", "friend_request", "bob"), "requested", "again");
    assert_eq!(room.take_relations(), [""; 0]);
    assert_eq!(taken(&mut room, "bob", "friend_accept", "alice"), "friend");
    assert_eq!(room.take_relations(), ["@alice: bob friend", "@bob: alice friend"]);
    assert_eq!(taken(&mut room, "alice", "friend_remove", "bob"), "none");
    assert_eq!(room.take_relations(), ["@bob: alice none", "@alice: bob none"]);
    assert_eq!(taken(&mut room, "alice", "friend_accept", "bob"), "not_found");
    assert_eq!(taken(&mut room, "alice", "friend_request", "alice"), "bad_field");
}

#[test]
fn who_asks_each_other_are_friends() {
    let mut room = Room::new();
    assert_eq!(taken(&mut room, "alice", "friend_request", "bob"), "requested");
    assert_eq!(taken(&mut room, "bob", "friend_request", "alice"), "friend");
    assert_eq!(list(&mut room, "alice", None).0, ["bob:friend"]);
}

#[test]
fn a_list_goes_on_where_it_ended_and_tells_what_is_gone() {
    let mut room = Room::new();
    befriend(&mut room, "alice", "bob");
    befriend(&mut room, "alice", "carol");
    taken(&mut room, "dave", "friend_request", "alice");
    let (all, page) = list(&mut room, "alice", None);
    assert_eq!(all, ["bob:friend", "carol:friend", "dave:received"]);
    let rev = page["rev"].as_u64().unwrap();
    assert_eq!(room.ask("alice", "sync", json!({}))["relations_rev"], rev);
    assert_eq!(list(&mut room, "alice", Some(rev)).0, [""; 0]);
    taken(&mut room, "alice", "friend_remove", "bob");
    taken(&mut room, "alice", "friend_block", "carol");
    assert_eq!(list(&mut room, "alice", Some(rev)).0, ["bob:none", "carol:friend+blocked"]);
    let fresh = list(&mut room, "alice", None).0;
    assert_eq!(fresh, ["dave:received", "carol:friend+blocked"]);
    // Page by page, from the beginning.
    let (mut seen, mut ask) = (Vec::new(), json!({ "limit": 1 }));
    loop {
        let page = room.ask("alice", "friends", ask);
        seen.push(page["relations"][0]["user"].as_str().unwrap().to_owned());
        if page["more"] == false {
            break;
        }
        ask = json!({ "since": page["rev"], "full": true, "limit": 1 });
    }
    assert_eq!(seen, ["dave", "bob", "carol"], "a tombstone only where one might have been told");
    let other_history = room.ask("alice", "friends", json!({ "since": 1_000_000 }));
    assert_eq!(other_history["reset"], true);
    assert_eq!(room.ask("alice", "friends", json!({ "limit": 0 })), reason("bad_range"));
}

#[test]
fn devices_that_were_away_for_long_begin_anew() {
    let mut room = Room::with(ChatConfig { ended_relations_max: 4, ..ChatConfig::default() });
    befriend(&mut room, "alice", "old");
    let old = list(&mut room, "alice", None).1["rev"].as_u64().unwrap();
    befriend(&mut room, "alice", "bob");
    let rev = list(&mut room, "alice", None).1["rev"].as_u64().unwrap();
    for n in 0..5 {
        let name = format!("user-{n}");
        befriend(&mut room, "alice", &name);
        taken(&mut room, "alice", "friend_remove", &name);
    }
    let page = list(&mut room, "alice", Some(rev));
    assert_eq!(
        (page.0, &page.1["reset"]),
        (vec!["old:friend".into(), "bob:friend".into()], &json!(true))
    );
    let newest = page.1["rev"].as_u64().unwrap();
    let again = list(&mut room, "alice", Some(newest));
    assert_eq!((again.0.len(), &again.1["reset"]), (0, &Value::Null), "and it goes on from there");
    // A list that is being read from its beginning is not begun anew for what it never told.
    let on = room.ask("alice", "friends", json!({ "since": old, "full": true }));
    assert_eq!((&on["reset"], &on["relations"][0]["user"]), (&Value::Null, &json!("bob")));
}

/// What the user `kept-out` gets to see of `owner`, whatever they try.
fn tries(room: &mut Room) -> Vec<Value> {
    let me = "kept-out";
    let mut seen = Vec::new();
    let mut ask = |room: &mut Room, command: &str, payload: Value| {
        let mut answer = room.ask(me, command, payload);
        seen.push(normal(&mut answer));
        // Their own events, which their other devices would see.
        let own = room.take_events().into_iter().filter(|event| event.contains("@kept-out"));
        // Who else gets them does not show.
        seen.extend(own.map(|event| Value::from(event.replace(" @owner", ""))));
    };
    let direct = "direct:kept-out:owner";
    let text = |id: &str| json!({ "to": "user:owner", "content": "x", "client_id": id });
    ask(room, "send", text("c1"));
    ask(room, "typing", json!({ "conversation": direct, "active": true }));
    ask(room, "read", json!({ "conversation": direct, "seq": 1 }));
    ask(room, "group_create", json!({ "name": "g", "members": ["owner"] }));
    ask(room, "friends", json!({}));
    ask(room, "friend_request", json!({ "user": "owner", "note": "please" }));
    ask(room, "friend_request", json!({ "user": "owner" }));
    ask(room, "send", text("c2"));
    ask(room, "conversations", json!({}));
    ask(room, "friend_cancel", json!({ "user": "owner" }));
    ask(room, "friend_request", json!({ "user": "owner" }));
    // What the owner does in the conversation that they have.
    room.ask("owner", "read", json!({ "conversation": direct, "seq": 2 }));
    room.ask("owner", "received", json!({ "conversation": direct, "seq": 2 }));
    room.wait(2_000);
    ask(room, "sync", json!({}));
    ask(room, "conversations", json!({}));
    ask(room, "users", json!({ "users": ["owner"] }));
    ask(room, "friend_block", json!({ "user": "owner" }));
    ask(room, "friend_unblock", json!({ "user": "owner" }));
    ask(room, "friends", json!({}));
    seen
}

/// Without the numbers of the order of changes, in which others take part.
fn normal(answer: &mut Value) -> Value {
    match answer {
        Value::Object(fields) => {
            fields.retain(|name, _| !["rev", "relations_rev", "at"].contains(&name.as_str()));
            fields.values_mut().for_each(|value| *value = normal(value));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = normal(item)),
        _ => {}
    }
    answer.clone()
}

#[test]
fn being_blocked_cannot_be_told_from_privacy() {
    let nobody = json!({
        "presence": "nobody", "last_seen": "nobody", "messages": "nobody", "invites": "nobody",
        "receipts": false
    });
    for friends in [false, true] {
        let played =
            [("privacy_update", nobody.clone()), ("friend_block", json!({ "user": "kept-out" }))]
                .map(|(command, payload)| {
                    let mut room = Room::new();
                    room.say("kept-out", "user:owner", "before");
                    room.say("owner", "user:kept-out", "before");
                    if friends {
                        befriend(&mut room, "owner", "kept-out");
                    }
                    room.take_events();
                    room.ask("owner", command, payload);
                    let told: Vec<String> = room.take_events();
                    assert!(told.iter().all(|event| !event.contains("@kept-out")), "{told:?}");
                    tries(&mut room)
                });
        assert_eq!(played[0], played[1], "friends: {friends}");
        let sent = &played[0][0];
        assert_eq!(*sent, reason("refused"));
    }
}

#[test]
fn a_blocker_sees_nothing_and_addresses_nothing() {
    let mut room = Room::new();
    room.say("alice", "user:bob", "m1");
    befriend(&mut room, "alice", "bob");
    assert_eq!(taken(&mut room, "alice", "friend_block", "bob"), "friend+blocked");
    assert_eq!(room.take_relations(), ["@alice: bob friend+blocked"], "bob is told nothing");
    assert_eq!(room.say("alice", "user:bob", "m2"), reason("blocked"));
    assert_eq!(room.say("bob", "user:alice", "m3"), reason("refused"));
    let invite = json!({ "name": "g", "members": ["bob"] });
    assert_eq!(room.ask("alice", "group_create", invite), reason("blocked"));
    let invite = json!({ "name": "g", "members": ["carol", "alice"] });
    assert_eq!(room.ask("bob", "group_create", invite), reason("refused"));
    let group = room.group("bob", &["carol"], "open");
    let invite = json!({ "group": group, "members": ["alice"] });
    assert_eq!(room.ask("bob", "group_invite", invite), reason("refused"));
    for (user, other) in [("alice", "bob"), ("bob", "alice")] {
        let read = json!({ "conversation": "direct:alice:bob", "seq": 1 });
        room.ask(user, "read", read);
        room.ask(user, "typing", json!({ "conversation": "direct:alice:bob", "active": true }));
        room.wait(2_000);
        let events = room.take_events();
        assert!(events.iter().all(|event| !event.contains(&format!("@{other}"))), "{events:?}");
    }
    // A request shows only when it is made again after the block.
    taken(&mut room, "bob", "friend_remove", "alice");
    assert_eq!(taken(&mut room, "bob", "friend_request", "alice"), "requested");
    assert_eq!(list(&mut room, "alice", None).0, ["bob:none+blocked"]);
    assert_eq!(taken(&mut room, "alice", "friend_unblock", "bob"), "none");
    room.take_events();
    assert_eq!(taken(&mut room, "bob", "friend_request", "alice"), "requested");
    assert_eq!(room.take_relations(), ["@alice: bob received"]);
    room.ask("bob", "send", json!({ "to": "user:alice", "content": "x", "client_id": "m4" }));
    assert_eq!(room.say("alice", "user:bob", "m5")["seq"], 3);
}

#[test]
fn what_was_sent_before_a_block_is_acked_again() {
    let mut room = Room::new();
    assert_eq!(room.say("alice", "user:bob", "m1")["seq"], 1);
    taken(&mut room, "bob", "friend_block", "alice");
    let again = room.say("alice", "user:bob", "m1");
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!(room.say("alice", "user:bob", "m2"), reason("refused"));
}

#[test]
fn only_friends_write_where_that_is_the_rule() {
    let mut room = Room::with(ChatConfig { friends_only: true, ..ChatConfig::default() });
    assert_eq!(room.say("alice", "user:bob", "m1"), reason("refused"));
    assert_eq!(room.say("alice", "user:alice", "m2")["seq"], 1, "notes to oneself");
    befriend(&mut room, "alice", "bob");
    assert_eq!(room.say("alice", "user:bob", "m1")["seq"], 1);
    room.ask("bob", "privacy_update", json!({ "messages": "everyone" }));
    assert_eq!(room.say("carol", "user:bob", "m3")["seq"], 1);
    room.ask("bob", "privacy_update", json!({ "messages": "nobody" }));
    assert_eq!(room.say("alice", "user:bob", "m4"), reason("refused"));
}

#[test]
fn a_block_is_told_where_the_operator_wants_it() {
    let mut room = Room::with(ChatConfig { reveal_blocks: true, ..ChatConfig::default() });
    taken(&mut room, "bob", "friend_block", "alice");
    assert_eq!(room.say("alice", "user:bob", "m1"), reason("refused"));
    assert_eq!(room.last_refusal(), "This user has blocked you.");
    room.ask("bob", "friend_unblock", json!({ "user": "alice" }));
    room.ask("bob", "privacy_update", json!({ "messages": "nobody" }));
    assert_eq!(room.say("alice", "user:bob", "m2"), reason("refused"));
    assert_eq!(room.last_refusal(), "The recipient does not accept this from you.");
}

#[test]
fn nobody_has_more_friends_than_the_limit() {
    let mut room = Room::with(ChatConfig { friends_max: 2, ..ChatConfig::default() });
    for name in ["bob", "carol"] {
        befriend(&mut room, "alice", name);
    }
    taken(&mut room, "dave", "friend_request", "alice");
    assert_eq!(taken(&mut room, "alice", "friend_accept", "dave"), "too_many_friends");
    taken(&mut room, "alice", "friend_request", "erin");
    assert_eq!(taken(&mut room, "erin", "friend_accept", "alice"), "too_many_friends");
    taken(&mut room, "alice", "friend_remove", "bob");
    assert_eq!(taken(&mut room, "erin", "friend_accept", "alice"), "friend");
}

#[test]
fn requests_that_wait_are_bounded_on_both_sides() {
    let mut room = Room::with(ChatConfig { friend_requests_max: 2, ..ChatConfig::default() });
    for name in ["bob", "carol"] {
        assert_eq!(taken(&mut room, "alice", "friend_request", name), "requested");
        assert_eq!(taken(&mut room, name, "friend_request", "zoe"), "requested");
    }
    assert_eq!(taken(&mut room, "alice", "friend_request", "dave"), "too_many_requests");
    assert_eq!(taken(&mut room, "dave", "friend_request", "zoe"), "too_many_requests");
    // A block changes nothing about that, or it would show.
    taken(&mut room, "zoe", "friend_block", "dave");
    assert_eq!(taken(&mut room, "dave", "friend_request", "zoe"), "too_many_requests");
    taken(&mut room, "zoe", "friend_reject", "bob");
    assert_eq!(taken(&mut room, "dave", "friend_request", "zoe"), "requested");
    assert_eq!(list(&mut room, "bob", None).0, ["alice:received"]);
}

#[test]
fn requests_are_so_many_a_day() {
    let mut room = Room::with(ChatConfig { friend_requests_per_day: 2, ..ChatConfig::default() });
    for _ in 0..2 {
        assert_eq!(taken(&mut room, "alice", "friend_request", "bob"), "requested");
        taken(&mut room, "alice", "friend_cancel", "bob");
    }
    assert_eq!(taken(&mut room, "alice", "friend_request", "bob"), "rate_limited");
    assert_eq!(taken(&mut room, "bob", "friend_request", "alice"), "requested", "of each user");
    room.wait(12 * 60 * 60 * 1_000);
    assert_eq!(taken(&mut room, "alice", "friend_request", "carol"), "requested");
    assert_eq!(taken(&mut room, "alice", "friend_request", "dave"), "rate_limited");
}

#[test]
fn blocks_are_bounded() {
    let mut room = Room::with(ChatConfig { blocks_max: 2, ..ChatConfig::default() });
    for name in ["bob", "carol", "bob"] {
        assert_eq!(taken(&mut room, "alice", "friend_block", name), "none+blocked");
    }
    assert_eq!(taken(&mut room, "alice", "friend_block", "dave"), "too_many_blocks");
    taken(&mut room, "alice", "friend_unblock", "bob");
    assert_eq!(taken(&mut room, "alice", "friend_block", "dave"), "none+blocked");
}

#[test]
fn a_refusal_makes_nobody_known() {
    let mut room = Room::with(ChatConfig { friends_only: true, ..ChatConfig::default() });
    assert_eq!(room.say("alice", "user:bob", "m1"), reason("refused"));
    assert_eq!(taken(&mut room, "alice", "friend_accept", "bob"), "not_found");
    assert_eq!(taken(&mut room, "alice", "friend_remove", "bob"), "none");
    let known = room.ask("carol", "users", json!({ "users": ["alice", "bob"] }));
    assert_eq!(known["users"], json!([]));
}
