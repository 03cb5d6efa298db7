//! What the upstream is told of the lives of sessions.

use hubbub_proto::limits::Limits;
use hubbub_proto::route::Work;
use hubbub_proto::{CloseCode, Effect, UserId};
use serde_json::json;

use crate::stage::{Stage, command_of, entry, id_of, user_topic};

fn stage() -> Stage {
    let stage = Stage::new(1, Limits::default());
    stage.script.keep_lives();
    stage
}

/// The user, the roles and the work of the next request.
fn next(stage: &Stage) -> String {
    let request = stage.script.next();
    let roles = request.identity.roles.join("+");
    format!("{} {roles} {}", request.identity.user, id_of(&request)).replace("  ", " ")
}

#[test]
fn a_life_is_told_around_its_commands_however_it_ends() {
    let stage = stage();
    let mut client = stage.stranger();
    client.auth("alice/phone//staff");
    client.command("one");
    client.auth("alice/phone//admin");
    client.send(&json!({"type": "refresh", "payload": {"token": "alice/phone//admin"}}));
    client.command("two");
    let told: Vec<String> = (0..5).map(|_| next(&stage)).collect();
    let expected = ["staff opened", "staff one", "admin renewed", "admin renewed", "admin two"];
    assert_eq!(told, expected.map(|what| format!("alice {what}")));

    // A newer connection of the device, a close frame, an end without one, and a close from above.
    let (mut other, _) = {
        let mut client = stage.stranger();
        client.auth("alice/phone");
        client.expect("connected");
        (client, ())
    };
    client.expect("connected");
    let told = [next(&stage), next(&stage)];
    assert_eq!(told, ["alice opened", "alice admin closed"]);
    other.socket.close(None).unwrap();
    assert_eq!(next(&stage), "alice closed");
    let mut third = stage.stranger();
    third.auth("bob");
    assert_eq!(next(&stage), "bob opened");
    drop(third);
    assert_eq!(next(&stage), "bob closed");
    drop(stage.stranger());
    let mut fourth = stage.stranger();
    fourth.auth("cat");
    let opened = stage.script.next();
    let conn = opened.conn;
    stage.router.post(vec![
        Effect::Publish(entry(&[user_topic("cat")], "g", 1, "\"before\"")),
        Effect::Close { conn, code: CloseCode::Disconnected },
        Effect::Publish(entry(&[user_topic("cat")], "g", 2, "\"behind\"")),
    ]);
    fourth.expect("connected");
    fourth.expect("ack");
    fourth.expect_entry(1);
    fourth.expect_close(CloseCode::Disconnected);
    let closed = stage.script.next();
    assert!(matches!(closed.work, Work::Closed) && closed.conn == conn, "{closed:?}");
    assert!(stage.script.is_idle(), "nobody is told of those who never signed in");
}

#[test]
fn what_the_upstream_has_no_room_for_waits_in_order() {
    let stage = stage();
    stage.script.give_room(0);
    let mut older = stage.stranger();
    older.auth("alice/phone");
    older.expect("connected");
    stage.script.wait_until_full();
    let mut newer = stage.stranger();
    newer.auth("alice/phone");
    newer.expect("connected");
    newer.command("one");
    older.expect("ack");
    older.expect_close(CloseCode::Replaced);
    assert!(stage.script.is_idle());
    stage.script.give_room(usize::MAX);
    stage.router.resume();
    let told: Vec<_> = (0..4).map(|_| stage.script.next()).collect();
    let what: Vec<String> = told.iter().map(id_of).collect();
    assert_eq!(what, ["opened", "opened", "closed", "one"]);
    assert_eq!((told[0].conn, told[1].conn), (told[2].conn, told[3].conn));
}

#[test]
fn sessions_that_come_and_go_while_nobody_listens_do_not_pile_up() {
    let stage = stage();
    stage.script.give_room(0);
    let newcomer = || {
        let mut client = stage.stranger();
        client.auth("alice/phone");
        client
    };
    newcomer().expect("connected");
    stage.script.wait_until_full();
    let mut opened = 1;
    let last = loop {
        let mut client = newcomer();
        let soon = Some(std::time::Duration::from_millis(300));
        client.socket.get_ref().set_read_timeout(soon).unwrap();
        if client.socket.read().is_err() {
            break client;
        }
        opened += 1;
        assert!(opened < 10_000, "they are let in for ever");
    };
    assert!(opened > 1_000, "{opened}");
    stage.script.give_room(usize::MAX);
    stage.router.resume();
    let mut here = 0;
    // The last one is let in now, and takes the place of the one before.
    for _ in 0..2 * opened + 1 {
        match stage.script.next().work {
            Work::Opened => here += 1,
            Work::Closed => here -= 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(here, 1);
    drop(last);
    assert!(matches!(stage.script.next().work, Work::Closed));
}

#[test]
fn roles_from_above_count_for_channels_and_requests_until_others_come() {
    use hubbub_hub::{LiveConfig, Namespace};
    use hubbub_proto::Who;
    let staff = Namespace {
        subscribe: Who::compile(["role:staff"]).unwrap().into(),
        publish: Who::compile(["role:staff"]).unwrap().into(),
        ..Namespace::default()
    };
    let live = LiveConfig { namespaces: vec![("desk".into(), staff)], ..LiveConfig::default() };
    for shards in [1, 2] {
        let stage = Stage::with_live(shards, Limits::default(), live.clone());
        let (mut phone, _) = stage.session("alice/phone");
        let (mut laptop, _) = stage.session("alice/laptop");
        let (mut bob, _) = stage.session("bob");
        let set = |roles: &[&str]| Effect::Identity {
            user: UserId::new("alice").unwrap(),
            roles: roles.iter().map(|role| (*role).into()).collect(),
        };
        let subscribe = json!({"type": "subscribe", "id": "s", "payload": {"channel": "desk:1"}});
        phone.send(&subscribe);
        phone.expect("error");
        stage.router.post(vec![set(&["staff", "night"])]);
        for client in [&mut phone, &mut laptop] {
            // What was posted is taken before what is read later.
            client.expect_silence();
            client.send(&subscribe);
            client.expect("ack");
            client.command("with");
            let request = stage.script.next();
            assert_eq!(command_of(&request).type_name(), "group_leave");
            assert_eq!(request.identity.granted().join(" "), "staff night");
        }
        bob.send(&subscribe);
        bob.expect("error");
        phone.send(&json!({"type": "refresh", "id": "r", "payload": {"token": "alice/phone"}}));
        phone.expect("ack");
        phone.command("newer");
        assert_eq!(stage.script.next().identity.granted().join(" "), "staff night");
        stage.router.post(vec![set(&[])]);
        phone.expect_silence();
        phone.command("without");
        assert_eq!(stage.script.next().identity.granted().len(), 0);
        phone.send(&json!({"type": "subscribe", "id": "s", "payload": {"channel": "desk:2"}}));
        phone.expect("error");
    }
}
