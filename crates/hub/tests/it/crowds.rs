//! Who is on a channel: pages of users, and who is told of whom.

use std::collections::BTreeSet;

use hubbub_hub::{LiveConfig, Namespace};
use hubbub_proto::Who;
use hubbub_proto::limits::Limits;
use serde_json::{Value, json};

use crate::stage::{Client, Stage};

fn stage(shards: u16, members_max: u32) -> Stage {
    let open = Namespace {
        subscribe: Who::Everyone.into(),
        publish: Who::Everyone.into(),
        presence: Who::Everyone.into(),
        ..Namespace::default()
    };
    let tracked = Namespace { track_presence: true, ..open.clone() };
    let told = Namespace { join_leave_members_max: 3, ..tracked.clone() };
    let live = LiveConfig {
        namespaces: vec![("open".into(), open), ("tracked".into(), tracked), ("told".into(), told)],
        members_max,
        ..LiveConfig::default()
    };
    let limits = Limits { commands_burst: 100_000, ..Limits::default() };
    Stage::with_live(shards, limits, live)
}

fn there(client: &mut Client, channel: &str, more: &Value) -> Value {
    let mut payload = json!({"channel": channel});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.answer("channel_presence", &payload)
}

fn users(page: &Value) -> Vec<(String, u64)> {
    let list = page["users"].as_array().unwrap_or_else(|| panic!("{page}"));
    let one = |user: &Value| {
        (user["user"].as_str().unwrap().to_owned(), user["connections"].as_u64().unwrap())
    };
    list.iter().map(one).collect()
}

/// Everybody who is there, by small pages.
fn all(client: &mut Client, channel: &str) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = Vec::new();
    loop {
        let mut more = json!({"limit": 3});
        if let Some((last, _)) = all.last() {
            more["after"] = json!(last);
        }
        let page = there(client, channel, &more);
        all.extend(users(&page));
        if page["more"] == false {
            return all;
        }
    }
}

#[test]
fn a_user_is_there_from_their_first_connection_to_their_last() {
    for shards in [1, 3] {
        let stage = stage(shards, 1000);
        let (mut asker, _) = stage.session("asker");
        for channel in ["tracked:a", "tracked:b"] {
            let target = json!({"channel": channel});
            let mut clients: Vec<Client> = Vec::new();
            for n in 0..12 {
                let (mut client, _) = stage.session(&format!("u{:02}/d{n}", n % 7));
                client.answer("subscribe", &target);
                client.answer("subscribe", &target);
                clients.push(client);
            }
            let expected: Vec<_> =
                (0..7).map(|n| (format!("u{n:02}"), if n < 5 { 2 } else { 1 })).collect();
            // The last of them may have been told where it stands before its home counted it.
            while all(&mut asker, channel) != expected {}
            clients[0].answer("unsubscribe", &target);
            drop(clients.pop());
            drop(clients.drain(4..6));
            // u04 has lost both, u05 the only one.
            let expected = [("u00", 1), ("u01", 2), ("u02", 2), ("u03", 2), ("u06", 1)];
            let expected = expected.map(|(user, connections)| (user.to_owned(), connections));
            while all(&mut asker, channel) != expected {}
            assert_eq!(there(&mut asker, channel, &json!({"limit": 1}))["total"], 5);
            drop(clients);
            while !all(&mut asker, channel).is_empty() {}
        }
        let stats = stage.wait_for("nobody is kept", |stats| stats.channel_members == 0);
        assert_eq!((stats.members_told, stats.members_unlisted, stats.panics), (0, 0, 0));
    }
}

#[test]
fn namespaces_that_do_not_track_know_of_nobody() {
    let stage = stage(2, 1000);
    let (mut client, _) = stage.session("alice");
    client.answer("subscribe", &json!({"channel": "open:a"}));
    let page = there(&mut client, "open:a", &json!({}));
    assert_eq!(page, json!({"users": [], "total": 0, "more": false}));
    assert_eq!(stage.hub.stats().channel_members, 0);
}

#[test]
fn so_many_are_listed_and_no_more() {
    let stage = stage(1, 3);
    let mut clients: Vec<_> = (0..5).map(|n| stage.session(&format!("u{n}")).0).collect();
    for client in &mut clients {
        client.answer("subscribe", &json!({"channel": "tracked:a"}));
    }
    assert_eq!(there(&mut clients[0], "tracked:a", &json!({}))["total"], 3);
    assert_eq!(stage.hub.stats().members_unlisted, 2);
    drop(clients.drain(0..2));
    let mut last = clients.pop().unwrap();
    while there(&mut last, "tracked:a", &json!({}))["total"] != 1 {}
}

/// The next events of coming and going, as a set.
fn moves(client: &mut Client, count: usize) -> BTreeSet<String> {
    let one = |_| {
        let value = client.receive();
        let kind = value["type"].as_str().unwrap().strip_prefix("channel_").unwrap().to_owned();
        assert_eq!(value["payload"]["channel"], "told:a");
        format!("{} {kind}", value["payload"]["user"].as_str().unwrap())
    };
    (0..count).map(one).collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn who_comes_and_goes_is_told_once_a_second_while_they_are_few() {
    for shards in [1, 2] {
        let stage = stage(shards, 1000);
        let target = json!({"channel": "told:a"});
        let join = |who: &str| {
            let (mut client, _) = stage.session(who);
            client.answer("subscribe", &target);
            client
        };
        let mut ann = join("ann");
        stage.advance(1000);
        assert_eq!(moves(&mut ann, 1), set(&["ann joined"]));
        let bob = join("bob/1");
        let second = join("bob/2");
        stage.advance(1000);
        assert_eq!(moves(&mut ann, 1), set(&["bob joined"]));
        // Gone and back within the second, on another connection: nothing to tell.
        drop(bob);
        drop(second);
        let mut bob = join("bob/3");
        stage.wait_for("the old ones are gone", |stats| stats.sessions == 2);
        stage.advance(1000);
        ann.expect_silence();
        let cid = join("cid");
        stage.advance(1000);
        assert_eq!(moves(&mut ann, 1), set(&["cid joined"]));
        assert_eq!(moves(&mut bob, 1), set(&["cid joined"]));
        // A fourth: from here on nobody is told.
        let dan = join("dan");
        stage.advance(1000);
        stage.advance(1000);
        ann.expect_silence();
        drop(dan);
        drop(cid);
        stage.wait_for("two are left", |stats| stats.sessions == 2);
        while there(&mut ann, "told:a", &json!({}))["total"] != 2 {}
        stage.advance(1000);
        // They are few again; of dan nobody was told that they came.
        assert_eq!(moves(&mut ann, 1), set(&["cid left"]));
        assert_eq!(moves(&mut bob, 1), set(&["cid left"]));
        // Publications keep their order beside it.
        bob.put("told:a", &json!(1));
        ann.expect("publication");
        let stats = stage.hub.stats();
        assert_eq!((stats.lags, stats.panics), (0, 0));
    }
}

#[test]
fn many_who_come_at_once_tell_nobody() {
    let stage = stage(2, 1000);
    let mut clients: Vec<_> = (0..40)
        .map(|n| {
            let (mut client, _) = stage.session(&format!("u{n}"));
            client.answer("subscribe", &json!({"channel": "told:a"}));
            client
        })
        .collect();
    stage.advance(1000);
    stage.advance(1000);
    while there(&mut clients[0], "told:a", &json!({}))["total"] != 40 {}
    // Only those who were told of before there were four.
    assert!(stage.hub.stats().members_told <= 3);
}
