//! What a shard measures comes and goes with what is measured.

use hubbub_hub::HubStats;
use hubbub_proto::limits::Limits;
use hubbub_proto::route::Stamp;
use hubbub_proto::{CommandId, Effect, Reason, Refusal};

use crate::stage::{Stage, entry, reply, small_buffers, user_topic};

fn parked(stats: &HubStats, why: &str) -> u64 {
    stats.parked_now.iter().find(|(name, _)| *name == why).unwrap().1
}

#[test]
fn bytes_behind_a_slow_reader_count_as_long_as_they_wait() {
    let limits = Limits { outbox_bytes_max: 64 * 1024, ..Limits::default() };
    let stage = Stage::new(1, limits);
    let content = "x".repeat(2000);
    let topics = [user_topic("slow"), user_topic("quick")];
    let (mut quick, _) = stage.session("quick");
    for round in 1..=2 {
        let (mut slow, _) = stage.session_with("slow", small_buffers);
        let mut seq = 0;
        let dropped = stage.hub.stats().dropped_lagging;
        while stage.hub.stats().dropped_lagging == dropped {
            seq += 1;
            stage.router.post(vec![Effect::Publish(entry(&topics, "g", seq, &content))]);
            quick.expect_entry(seq);
        }
        let waiting = stage.hub.stats().outbox_bytes;
        assert!((10_000..=64 * 1024).contains(&waiting), "{waiting}");
        if round == 1 {
            // It reads what there is, up to the `lag` at the end.
            while slow.receive()["type"] != "lag" {}
        } else {
            drop(slow);
        }
        stage.wait_for("nothing waits", |stats| stats.outbox_bytes == 0);
    }
    let stats = stage.hub.stats();
    let carried: Vec<_> = stats.carried.iter().filter(|one| one.opened > 0).collect();
    assert_eq!(carried.len(), 1, "{carried:?}");
    assert_eq!((carried[0].transport, carried[0].dialect, carried[0].opened), ("tcp", "json", 3));
    assert_eq!(stats.carried.iter().map(|one| one.open).sum::<u64>(), stats.connections);
    assert_eq!(stats.delivery_us.count(), stats.deliveries, "one for each that got it");
    assert!(stats.busy_us > 0 && stats.turns > 0, "{stats:?}");
    assert_eq!((stats.inbox_posts, stats.inbox_bytes), (0, 0));
}

#[test]
fn who_is_parked_counts_until_it_goes_on_or_goes_away() {
    let limits = Limits { commands_in_flight_max: 2, ..Limits::default() };
    let stage = Stage::new(1, limits);
    let (mut patient, conn) = stage.session("patient");
    let (mut leaver, _) = stage.session("leaver");
    for n in 0..3 {
        patient.command(&n.to_string());
        leaver.command(&n.to_string());
    }
    stage.wait_for("both are parked", |stats| parked(stats, "window") == 2);
    drop(leaver);
    // Nothing is read of a parked connection; what is written to it finds out that it is gone.
    stage.hub.router().post(vec![Effect::Publish(entry(&[user_topic("leaver")], "g", 1, ""))]);
    stage.reply(conn, "0");
    patient.expect("ack");
    stage.wait_for("one goes on", |stats| parked(stats, "window") <= 1);
    for n in 1..3 {
        stage.reply(conn, &n.to_string());
        patient.expect("ack");
    }
    let acks = stage.hub.stats().ack_us;
    assert_eq!(acks.count(), 2 + 3, "the two that said where they are, and the three");
}

#[test]
fn refusals_are_counted_by_reason_whoever_refuses() {
    let stage = Stage::new(1, Limits::default());
    let (mut alice, conn) = stage.session("alice");
    let id = |id: &str| CommandId::new(id).ok();
    let outcome = Err(Refusal::from(Reason::NotFound));
    let read_at = Stamp::default();
    stage
        .router
        .post(vec![Effect::Reply { conn, id: id("a"), read_at, outcome }, reply(conn, "b")]);
    alice.expect("error");
    alice.expect("ack");
    alice.send(&serde_json::json!({ "type": "nonsense", "id": "c" }));
    alice.expect("error");
    let stats = stage.hub.stats();
    let counted: Vec<_> = stats.refused.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [&(Reason::UnknownType, 1), &(Reason::NotFound, 1)]);
    assert_eq!((stats.refusals, stats.rate_limited), (1, 0), "that of the session");
}
