//! `typing`: told now and then, and not of those who are invisible.

use serde_json::json;

use crate::room::Room;

const DIRECT: &str = "direct:alice:bob";

fn types(room: &mut Room, active: bool) -> Vec<String> {
    let ack = room.ask("alice", "typing", json!({"conversation": DIRECT, "active": active}));
    assert_eq!(ack, json!({}), "always acked");
    room.take_events()
}

fn room() -> Room {
    let mut room = Room::new();
    room.say("alice", "user:bob", "c1");
    room.take_events();
    room
}

#[test]
fn who_types_is_told_of_every_two_seconds_and_ends_once() {
    let mut room = room();
    let begins = ["typing direct:alice:bob alice true -> @bob"];
    let ends = ["typing direct:alice:bob alice false -> @bob"];
    let nothing: [&str; 0] = [];
    assert_eq!(types(&mut room, false), nothing, "it never began");
    assert_eq!(types(&mut room, true), begins);
    room.wait(1_900);
    assert_eq!(types(&mut room, true), nothing);
    room.wait(100);
    assert_eq!(types(&mut room, true), begins);
    assert_eq!(types(&mut room, false), ends);
    assert_eq!(types(&mut room, false), nothing);
    room.wait(10_000);
    assert_eq!(types(&mut room, true), begins);
    room.wait(6_000);
    assert_eq!(types(&mut room, false), nothing, "others have ended it by themselves");
}

#[test]
fn nobody_learns_that_one_who_is_invisible_types() {
    let mut room = room();
    room.ask("alice", "presence_set", json!({"status": "invisible"}));
    assert!(types(&mut room, true).is_empty());
    room.ask("alice", "presence_set", json!({"status": "away"}));
    assert!(types(&mut room, true).is_empty(), "away is of a connection");
    room.ask("alice", "presence_set", json!({"status": "busy"}));
    assert_eq!(types(&mut room, true).len(), 1);
}
