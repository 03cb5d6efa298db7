//! Full windows, full queues, slow readers, floods.

use hubbub_proto::event::{
    ConversationUpdated, JoinRequestEvent, JoinRequestState, MessageHidden, Settings,
};
use hubbub_proto::limits::Limits;
use hubbub_proto::route::{DeliveryClass, Publication, Stamp};
use hubbub_proto::{
    CloseCode, CommandId, Effect, Event, GroupId, Reason, Refusal, Timestamp, UserId,
};
use serde_json::Value;
use tungstenite::Message;

use crate::stage::{
    INBOX_BYTES_MAX, Stage, conversation, entry, id_of, reply, small_buffers, user_topic,
};

#[test]
fn a_full_window_parks_and_loses_nothing() {
    let limits = Limits { commands_in_flight_max: 4, ..Limits::default() };
    let stage = Stage::new(1, limits);
    let (mut client, conn) = stage.session("alice");
    for n in 0..100 {
        client.command(&n.to_string());
    }
    let mut waiting = Vec::new();
    for n in 0..100 {
        if waiting.len() == 4 {
            stage.wait_for("parked", |stats| stats.parked >= n as u64 / 4);
            assert!(stage.script.is_idle(), "more than the window went up");
            stage.router.post(waiting.drain(..).map(|id: String| reply(conn, &id)).collect());
        }
        let id = id_of(&stage.script.next());
        assert_eq!(id, n.to_string());
        waiting.push(id);
    }
    stage.router.post(waiting.iter().map(|id| reply(conn, id)).collect());
    for n in 0..100 {
        assert_eq!(client.expect("ack")["id"], n.to_string());
    }
}

#[test]
fn a_full_upstream_parks_and_goes_on_in_order() {
    let stage = Stage::new(1, Limits::default());
    let mut clients: Vec<_> = ["alice", "bob", "carol"].map(|who| stage.session(who)).into();
    stage.script.give_room(3);
    for n in 0..20 {
        for (client, _) in &mut clients {
            client.command(&n.to_string());
        }
    }
    stage.script.wait_until_full();
    for n in 20..40 {
        for (client, _) in &mut clients {
            client.command(&n.to_string());
        }
    }
    stage.wait_for("all parked", |stats| stats.parked >= 3);
    let mut next = vec![0; clients.len()];
    for taken in 0..40 * clients.len() {
        if stage.script.is_idle() {
            stage.script.give_room(1 + taken % 7);
            stage.router.resume();
        }
        let request = stage.script.next();
        let who = clients.iter().position(|(_, conn)| *conn == request.conn).unwrap();
        assert_eq!(id_of(&request), next[who].to_string(), "client {who}");
        next[who] += 1;
    }
    assert_eq!(next, [40, 40, 40]);
}

fn small_outbox() -> Limits {
    Limits { outbox_bytes_max: 64 * 1024, ..Limits::default() }
}

#[test]
fn a_slow_reader_is_told_that_it_lags_and_others_notice_nothing() {
    let stage = Stage::new(1, small_outbox());
    let (mut slow, _) = stage.session_with("slow", small_buffers);
    let (mut quick, _) = stage.session("quick");
    let content = "x".repeat(2000);
    let topics = [user_topic("slow"), user_topic("quick")];
    let mut seq = 0;
    while stage.hub.stats().dropped_lagging < 20 {
        seq += 1;
        stage.router.post(vec![Effect::Publish(entry(&topics, "g", seq, &content))]);
        quick.expect_entry(seq);
    }
    let mut typing = entry(&topics, "g", 0, "");
    typing.class = DeliveryClass::Volatile;
    stage.router.post(vec![Effect::Publish(typing)]);
    quick.expect_entry(0);
    assert_eq!(stage.hub.stats().dropped_volatile, 1);

    // How often it lags is up to the kernel, which may take more in between; but nothing is missing
    // without a `lag` in its place.
    let dropped = stage.hub.stats().dropped_lagging;
    let (mut last, mut received, mut lags, mut told) = (0, 0, 0, false);
    while received + dropped < seq || !(told || last == seq) {
        let event = slow.receive();
        if event["type"] == "lag" {
            assert_eq!(event["payload"], serde_json::json!({}));
            lags += 1;
            told = true;
            continue;
        }
        let next = event["payload"]["seq"].as_u64().unwrap();
        assert!(next == last + 1 || (told && next > last), "{next} after {last}");
        (last, received, told) = (next, received + 1, false);
    }
    assert!(lags > 0);
    loop {
        seq += 1;
        stage.router.post(vec![Effect::Publish(entry(&topics, "g", seq, ""))]);
        let event = slow.receive();
        if event["type"] == "message" {
            assert_eq!(event["payload"]["seq"], seq);
            break;
        }
        lags += 1;
    }
    slow.expect_silence();
    assert_eq!(stage.hub.stats().lags, lags);
}

#[test]
fn replies_are_never_dropped_and_close_a_reader_that_takes_none() {
    let stage = Stage::new(1, small_outbox());
    let (mut slow, conn) = stage.session_with("slow", small_buffers);
    let detail = "y".repeat(8000);
    let mut replies = 0;
    while stage.hub.stats().closes.iter().all(|(_, count)| *count == 0) {
        replies += 1;
        assert!(replies < 10_000, "never closed");
        stage.router.post(vec![Effect::Reply {
            read_at: Stamp::default(),
            conn,
            id: CommandId::new(&replies.to_string()).ok(),
            outcome: Err(Refusal::with(Reason::NotFound, detail.clone())),
        }]);
    }
    let (code, before) = slow.close_code();
    assert_eq!(code, CloseCode::SlowConsumer.code());
    let ids: Vec<&Value> = before.iter().map(|reply| &reply["id"]).collect();
    for (i, id) in ids.iter().enumerate() {
        assert_eq!(**id, (i + 1).to_string());
    }
}

#[test]
fn a_reader_that_takes_nothing_for_long_is_closed() {
    let stage = Stage::new(1, small_outbox());
    let (mut slow, _) = stage.session_with("slow", small_buffers);
    let (mut other, _) = stage.session("other");
    let content = "x".repeat(2000);
    let mut seq = 0;
    while stage.hub.stats().dropped_lagging == 0 {
        seq += 1;
        stage.router.post(vec![Effect::Publish(entry(&[user_topic("slow")], "g", seq, &content))]);
    }
    // What the kernels pass on between them counts as progress, so it may take some periods. An
    // answer to the other connection says that the shard has seen the new time.
    let mut periods = 0;
    while stage.hub.stats().sessions > 1 {
        periods += 1;
        assert!(periods < 100, "never closed");
        stage.advance(41_000);
        other.socket.send(Message::Ping(bytes::Bytes::new())).unwrap();
        while !matches!(other.socket.read().unwrap(), Message::Pong(_)) {}
    }
    let (code, _) = slow.close_code();
    assert_eq!(code, CloseCode::SlowConsumer.code());
}

#[test]
fn a_reader_that_is_behind_is_not_read_from() {
    let limits = Limits { commands_in_flight_max: 1000, ..small_outbox() };
    let stage = Stage::new(1, limits);
    let (mut slow, conn) = stage.session_with("slow", small_buffers);
    let detail = "z".repeat(8000);
    let refuse = |id: &str| Effect::Reply {
        read_at: Stamp::default(),
        conn,
        id: CommandId::new(id).ok(),
        outcome: Err(Refusal::with(Reason::NotFound, detail.clone())),
    };
    // One command at a time, each answered at length and none of it read, until no more comes up.
    let mut sent = 0;
    while stage.hub.stats().parked == 0 {
        slow.command(&sent.to_string());
        sent += 1;
        stage.wait_for("taken or parked", |stats| !stage.script.is_idle() || stats.parked > 0);
        if !stage.script.is_idle() {
            stage.router.post(vec![refuse(&id_of(&stage.script.next()))]);
        }
    }
    // Now it reads: everything is answered, in order.
    for n in 0..sent {
        if n == sent - 1 {
            let id = id_of(&stage.script.next());
            stage.router.post(vec![refuse(&id)]);
        }
        assert_eq!(slow.expect("error")["id"], n.to_string());
    }
}

#[test]
fn a_shard_that_is_behind_drops_entries_and_tells_everybody_to_pull() {
    for shards in [1, 2] {
        let stage = Stage::new(shards, Limits::default());
        let (mut alice, conn) = stage.session("alice");
        let mut others: Vec<_> = (0..5).map(|n| stage.session(&format!("idle{n}"))).collect();
        // With two shards it is a tie, which goes to the first one, where alice is.
        let mut stranger = stage.stranger();
        stranger.auth("hold");
        stage.script.wait_until_held();

        let publish = |user: &str, seq, content: &str| {
            stage.router.post(vec![Effect::Publish(entry(&[user_topic(user)], "g", seq, content))]);
        };
        publish("alice", 1, "");
        let content = "x".repeat(10_000);
        // More than the inbox may hold.
        let published = 2 * INBOX_BYTES_MAX / content.len();
        for n in 1..=published as u64 {
            publish("nobody", n, &content);
            // The other shard, where there is one, keeps up.
            let others = u64::from(shards) - 1;
            stage.wait_for("keeping up", |stats| stats.publications >= n * others);
        }
        publish("alice", 2, "");
        stage.reply(conn, "kept");
        stage.script.let_go();

        alice.expect_entry(1);
        assert_eq!(alice.expect("ack")["id"], "kept");
        assert_eq!(alice.expect("lag")["payload"], serde_json::json!({}));
        publish("alice", 3, "");
        alice.expect_entry(3);
        stranger.expect("connected");
        stranger.expect("ack");
        stranger.expect("lag");
        let mut told = 2;
        for (other, at) in &mut others {
            if at.shard == conn.shard {
                told += 1;
                other.expect("lag");
            }
            other.expect_silence();
        }
        alice.expect_silence();
        let stats = stage.hub.stats();
        assert_eq!(stats.lags, told);
        assert!(stats.dropped_inbox_durable > published as u64 / 2, "{stats:?}");
        assert!(stats.dropped_inbox_durable < published as u64, "{stats:?}");
    }
}

#[test]
fn a_dropped_redelivery_makes_its_connection_lag_and_no_other() {
    let stage = Stage::new(1, Limits::default());
    let (mut alice, conn) = stage.session("alice");
    let (mut bob, _) = stage.session("bob");
    let mut stranger = stage.stranger();
    stranger.auth("hold");
    stage.script.wait_until_held();
    // The inbox is filled with what nobody misses.
    let content = "x".repeat(10_000);
    for n in 1..=2 * INBOX_BYTES_MAX / content.len() {
        let mut typing = entry(&[user_topic("nobody")], "g", n as u64, &content);
        typing.class = DeliveryClass::Volatile;
        stage.router.post(vec![Effect::Publish(typing)]);
    }
    let pushes = (1..=3).map(|seq| Effect::Push { conn, event: entry(&[], "g", seq, "").event });
    stage.router.post(pushes.collect());
    stage.reply(conn, "kept");
    stage.script.let_go();
    assert_eq!(alice.expect("ack")["id"], "kept");
    assert_eq!(alice.expect("lag")["payload"], serde_json::json!({}));
    alice.expect_silence();
    bob.expect_silence();
    stranger.expect("connected");
    stranger.expect("ack");
    stranger.expect_silence();
    let stats = stage.hub.stats();
    assert_eq!((stats.lags, stats.dropped_inbox_durable), (1, 3));
}

#[test]
fn a_change_of_kept_state_that_is_dropped_is_made_up_for_by_a_lag() {
    let conversation = conversation("g");
    let hidden = MessageHidden { conversation: conversation.clone(), seqs: vec![1], through: None };
    let updated = ConversationUpdated { conversation, settings: Settings::default(), rev: 7 };
    let asks = JoinRequestEvent {
        group: GroupId::new("g").unwrap(),
        user: UserId::new("carol").unwrap(),
        name: None,
        note: None,
        at: Timestamp(1),
        state: JoinRequestState::Pending,
    };
    let asks = Event::JoinRequest(Box::new(asks));
    for event in [Event::MessageHidden(hidden), Event::ConversationUpdated(Box::new(updated)), asks]
    {
        for class in [DeliveryClass::Durable, DeliveryClass::Volatile] {
            let stage = Stage::new(1, Limits::default());
            let (mut alice, conn) = stage.session("alice");
            let mut stranger = stage.stranger();
            stranger.auth("hold");
            stage.script.wait_until_held();
            let content = "x".repeat(10_000);
            for n in 1..=2 * INBOX_BYTES_MAX / content.len() {
                let mut typing = entry(&[user_topic("nobody")], "g", n as u64, &content);
                typing.class = DeliveryClass::Volatile;
                stage.router.post(vec![Effect::Publish(typing)]);
            }
            let topics = [user_topic("alice")].into_iter().collect();
            let told = Publication { topics, event: event.clone(), except: None, class };
            stage.router.post(vec![Effect::Publish(told)]);
            stage.reply(conn, "kept");
            stage.script.let_go();
            assert_eq!(alice.expect("ack")["id"], "kept");
            if class == DeliveryClass::Durable {
                alice.expect("lag");
            }
            alice.expect_silence();
        }
    }
}

#[test]
fn too_many_small_frames_close_a_reader_as_too_many_bytes_do() {
    let limits = Limits { outbox_frames_max: 64, outbox_bytes_max: 1 << 30, ..Limits::default() };
    let stage = Stage::new(1, limits);
    let (mut slow, conn) = stage.session_with("slow", small_buffers);
    let (mut other, _) = stage.session("other");
    // Some frames fill what the kernels keep, the small ones behind them count.
    let big = "y".repeat(60_000);
    let refuse = |id: u32, detail: &str| Effect::Reply {
        read_at: Stamp::default(),
        conn,
        id: CommandId::new(&id.to_string()).ok(),
        outcome: Err(Refusal::with(Reason::NotFound, detail)),
    };
    let mut replies = 0;
    while stage.hub.stats().closes.iter().all(|(_, count)| *count == 0) {
        replies += 1;
        assert!(replies < 100_000, "never closed");
        let detail = if replies < 150 { &*big } else { "" };
        stage.router.post(vec![refuse(replies, detail)]);
    }
    let (code, before) = slow.close_code();
    assert_eq!(code, CloseCode::SlowConsumer.code());
    for (i, reply) in before.iter().enumerate() {
        assert_eq!(reply["id"], (i + 1).to_string());
    }
    other.expect_silence();
}
