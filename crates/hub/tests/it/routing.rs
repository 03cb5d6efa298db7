//! Who gets what, and in which order.

use std::sync::Arc;

use hubbub_proto::limits::Limits;
use hubbub_proto::route::Stamp;
use hubbub_proto::{CommandId, Effect, Reason, UserId};
use serde_json::json;

use crate::stage::{Stage, entry, group_topic, id_of, reply, user_topic};

fn stage() -> Stage {
    Stage::new(2, Limits::default())
}

#[test]
fn commands_go_up_in_order_and_replies_come_down() {
    let stage = stage();
    let (mut client, conn) = stage.session("alice");
    for n in 0..50 {
        client.command(&n.to_string());
    }
    for n in 0..50 {
        let request = stage.script.next();
        assert_eq!((request.conn, id_of(&request)), (conn, n.to_string()));
        assert_eq!(request.identity.user.as_str(), "alice");
    }
    let refused = Effect::Reply {
        read_at: Stamp::default(),
        conn,
        id: CommandId::new("0").ok(),
        outcome: Err(Reason::NotAMember.into()),
    };
    stage.router.post(vec![refused, reply(conn, "1")]);
    assert_eq!(client.expect("error")["payload"]["reason"], "not_a_member");
    assert_eq!(client.expect("ack")["id"], "1");
}

#[test]
fn without_an_id_only_a_failure_is_answered() {
    let stage = stage();
    let (mut client, conn) = stage.session("alice");
    let outcome = |outcome| Effect::Reply { read_at: Stamp::default(), conn, id: None, outcome };
    stage
        .router
        .post(vec![outcome(Ok(hubbub_proto::Ack::Done)), outcome(Err(Reason::NotFound.into()))]);
    let error = client.expect("error");
    assert_eq!(error["payload"]["reason"], "not_found");
    assert!(error.get("id").is_none(), "{error}");
}

#[test]
fn everybody_on_the_topics_gets_it_once_except_who_caused_it() {
    let stage = stage();
    let (mut phone, conn) = stage.session("alice/phone");
    let (mut laptop, _) = stage.session("alice/laptop");
    let (mut bob, _) = stage.session("bob");
    let (mut carol, _) = stage.session("carol");
    let mut both =
        entry(&[user_topic("alice"), user_topic("bob"), user_topic("alice")], "g", 1, "");
    both.except = Some(conn);
    stage.router.post(vec![Effect::Publish(both)]);
    for client in [&mut laptop, &mut bob] {
        client.expect_entry(1);
        client.expect_silence();
    }
    for client in [&mut phone, &mut carol] {
        client.expect_silence();
    }
}

#[test]
fn groups_reach_synced_connections_from_attach_and_join_to_leave() {
    let stage = stage();
    let (mut synced, conn) = stage.session("alice/phone");
    let (mut unsynced, _) = stage.session("alice/laptop");
    let alice = UserId::new("alice").unwrap();
    let publish = |group: &str, seq| Effect::Publish(entry(&[group_topic(group)], group, seq, ""));
    stage.router.post(vec![
        publish("a", 1),
        Effect::Attach { conn, topics: vec![group_topic("a"), group_topic("b")] },
        publish("a", 2),
        publish("b", 3),
        publish("c", 4),
        Effect::Join { user: alice.clone(), topic: group_topic("c") },
        publish("c", 5),
        Effect::Leave { user: alice, topic: group_topic("a") },
        publish("a", 6),
        publish("b", 7),
        // A second sync says what is subscribed, and nothing else is.
        Effect::Attach { conn, topics: vec![group_topic("c"), group_topic("d")] },
        publish("b", 8),
        publish("c", 9),
        publish("d", 10),
    ]);
    for seq in [2, 3, 5, 7, 9, 10] {
        synced.expect_entry(seq);
    }
    synced.expect_silence();
    unsynced.expect_silence();
}

#[test]
fn those_who_may_not_see_what_an_entry_is_about_get_a_void_in_its_place() {
    let stage = stage();
    let topics = || vec![group_topic("a")];
    let mut seeing = Vec::new();
    let mut unseeing = Vec::new();
    for who in ["alice/phone", "bob/phone", "bob/laptop", "carol/phone"] {
        let (client, conn) = stage.session(who);
        stage.router.post(vec![Effect::Attach { conn, topics: topics() }]);
        if who.starts_with("bob") { unseeing.push(client) } else { seeing.push(client) }
    }
    let (mut stranger, _) = stage.session("dave/phone");
    let unseen: Arc<[UserId]> =
        ["bob", "dave", "nobody"].iter().map(|user| UserId::new(user).unwrap()).collect();
    let publication = Box::new(entry(&topics(), "a", 7, "secret"));
    stage.router.post(vec![
        Effect::Veil { publication, unseen },
        Effect::Publish(entry(&topics(), "a", 8, "open")),
    ]);
    for client in &mut seeing {
        client.expect_entry(7);
        client.expect_entry(8);
    }
    for client in &mut unseeing {
        let void = client.expect("void")["payload"].clone();
        assert_eq!(void, json!({"conversation": "group:a", "seq": 7, "through": 7}));
        client.expect_entry(8);
        client.expect_silence();
    }
    stranger.expect_silence();
}

#[test]
fn a_place_taken_again_gets_nothing_of_its_former_tenant() {
    let stage = Stage::new(1, Limits::default());
    let (client, former) = stage.session("alice");
    stage.router.post(vec![Effect::Attach { conn: former, topics: vec![group_topic("a")] }]);
    drop(client);
    stage.wait_for("gone", |stats| stats.connections == 0);
    let (mut client, conn) = stage.session("bob");
    assert_eq!((conn.slot, conn.generation), (former.slot, former.generation + 1));
    stage.router.post(vec![
        reply(former, "stale"),
        Effect::Attach { conn: former, topics: vec![group_topic("a")] },
        Effect::Publish(entry(&[group_topic("a"), user_topic("alice")], "a", 1, "")),
        Effect::Push { conn: former, event: hubbub_proto::Event::Pong },
    ]);
    client.expect_silence();
    assert_eq!(stage.hub.stats().sessions, 1);
}

#[test]
fn a_push_reaches_one_connection() {
    let stage = stage();
    let (mut phone, conn) = stage.session("alice/phone");
    let (mut laptop, _) = stage.session("alice/laptop");
    let publication = entry(&[], "g", 3, "again");
    stage.router.post(vec![Effect::Push { conn, event: publication.event }]);
    let message = phone.expect("message");
    assert_eq!(message["payload"]["content"], json!("again"));
    laptop.expect_silence();
}

#[test]
fn nobody_gets_a_topic_that_has_ended() {
    let stage = stage();
    let publish = |group: &str, seq| Effect::Publish(entry(&[group_topic(group)], group, seq, ""));
    let mut clients: Vec<_> =
        ["alice", "bob", "carol"].iter().map(|who| stage.session(who)).collect();
    for (_, conn) in &clients {
        let topics = vec![group_topic("a"), group_topic("b"), group_topic("c")];
        stage.router.post(vec![Effect::Attach { conn: *conn, topics }]);
    }
    stage.router.post(vec![
        publish("a", 1),
        Effect::End { topic: group_topic("a") },
        publish("a", 2),
        publish("b", 3),
        // Another topic may take its place and must not take its subscribers.
        Effect::Join { user: UserId::new("bob").unwrap(), topic: group_topic("d") },
        publish("d", 4),
        Effect::End { topic: group_topic("never-heard-of") },
        publish("c", 5),
        // Nor does it look to them as if they were there already.
        Effect::Join { user: UserId::new("carol").unwrap(), topic: group_topic("d") },
        publish("d", 6),
    ]);
    for (who, (client, _)) in clients.iter_mut().enumerate() {
        let expected: &[u64] = [&[1, 3, 5][..], &[1, 3, 4, 5, 6], &[1, 3, 5, 6]][who];
        for seq in expected {
            client.expect_entry(*seq);
        }
        client.expect_silence();
    }
}
