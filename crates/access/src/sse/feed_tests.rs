use serde_json::{Value, json};

use super::super::position;
use super::*;

/// A stream of these channels, and perhaps the user's events.
fn feed(channels: &[&str], user: bool, from: From) -> Feed {
    let channels = channels.iter().map(|name| ChannelPattern::new(name).unwrap()).collect();
    Feed::new(channels, user, from)
}

fn from(text: &str) -> From {
    From::Position(position::read(text).unwrap())
}

/// The one command that was said.
#[track_caller]
fn asked(feed: &mut Feed) -> Value {
    assert_eq!(feed.commands.len(), 1, "{:?}", feed.commands);
    let command: Value = serde_json::from_str(&feed.commands.remove(0)).unwrap();
    json!([command["type"], command["payload"]])
}

fn hear(feed: &mut Feed, kind: &str, payload: &Value) {
    let id = matches!(kind, "ack" | "error").then_some("a");
    feed.on_text(&json!({ "type": kind, "id": id, "payload": payload }).to_string());
}

/// What went out since the last call: the kind of each event with the id after it and its payload.
fn said(feed: &mut Feed) -> Vec<(String, Option<String>, Value)> {
    let text = String::from_utf8(std::mem::take(&mut feed.out)).unwrap();
    let mut events = Vec::new();
    for block in text.split_terminator("\n\n").filter(|block| !block.starts_with(':')) {
        let field = |name: &str| {
            let found = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.map(str::to_owned)
        };
        let data: Value = serde_json::from_str(&field("data").unwrap()).unwrap();
        assert_eq!(data["type"], field("event").unwrap());
        events.push((field("event").unwrap(), field("id"), data["payload"].clone()));
    }
    events
}

fn kinds(feed: &mut Feed) -> Vec<String> {
    said(feed).into_iter().map(|(kind, ..)| kind).collect()
}

fn published(offset: u64) -> Value {
    json!({ "channel": "news:a", "offset": offset, "from": "eve", "data": offset })
}

fn kept(offset: u64) -> Value {
    json!({ "offset": offset, "from": "eve", "timestamp": 7, "data": offset })
}

#[test]
fn a_stream_begins_when_everything_was_answered_and_goes_on_where_it_ended() {
    let mut first = feed(&["news:a", "news:b"], false, From::Now);
    assert_eq!(asked(&mut first), json!(["subscribe", { "channel": "news:a" }]));
    hear(&mut first, "ack", &json!({ "channel": "news:a", "offset": 4, "epoch": "00c0ffee" }));
    assert_eq!(asked(&mut first), json!(["subscribe", { "channel": "news:b" }]));
    assert!(!first.has_begun());
    hear(&mut first, "ack", &json!({ "channel": "news:b", "offset": 0, "epoch": "0000000b" }));
    assert!(first.has_begun());
    assert_eq!(kinds(&mut first), ["subscribed", "subscribed"]);
    hear(&mut first, "publication", &published(5));
    let id = said(&mut first)[0].1.clone().unwrap();

    let mut second = feed(&["news:b", "news:a"], false, from(&id));
    let recover = json!({ "offset": 0, "epoch": "0000000b" });
    let expected = json!(["subscribe", { "channel": "news:b", "recover": recover }]);
    assert_eq!(asked(&mut second), expected);
    let nothing =
        json!({ "channel": "news:b", "offset": 0, "epoch": "0000000b", "recovered": true });
    hear(&mut second, "ack", &nothing);
    let recover = json!({ "offset": 5, "epoch": "00c0ffee" });
    let expected = json!(["subscribe", { "channel": "news:a", "recover": recover }]);
    assert_eq!(asked(&mut second), expected);
    let missed = json!({
        "channel": "news:a", "offset": 7, "epoch": "00c0ffee", "recovered": true,
        "publications": [kept(6), kept(7)],
    });
    hear(&mut second, "ack", &missed);
    let out = said(&mut second);
    assert_eq!(out[0].2["recovered"], true);
    assert_eq!((&out[1].2, &out[2].2), (&published(6), &published(7)));
    // Broken off between the two, the next stream has the second one only.
    let at = position::read(out[1].1.as_deref().unwrap()).unwrap();
    assert_eq!(at.channels[&mark("news:a")].offset, 6);
    assert_eq!(out[3].0, "subscribed");
}

#[test]
fn what_was_dropped_is_asked_for_and_nothing_goes_out_twice() {
    let mut feed = feed(&["news:a"], false, From::Now);
    asked(&mut feed);
    hear(&mut feed, "ack", &json!({ "offset": 1, "epoch": "00c0ffee" }));
    said(&mut feed);
    hear(&mut feed, "publication", &published(2));
    hear(&mut feed, "lag", &json!({}));
    assert_eq!(kinds(&mut feed), ["publication", "lag"]);
    let recover = json!({ "offset": 2, "epoch": "00c0ffee" });
    assert_eq!(asked(&mut feed), json!(["subscribe", { "channel": "news:a", "recover": recover }]));
    // It does not follow on what went out, and neither is it in the answer.
    hear(&mut feed, "publication", &published(6));
    assert!(said(&mut feed).is_empty());
    let missed = json!({
        "offset": 5, "epoch": "00c0ffee", "recovered": true,
        "publications": [kept(3), kept(4), kept(5)],
    });
    hear(&mut feed, "ack", &missed);
    assert_eq!(kinds(&mut feed), ["publication", "publication", "publication", "subscribed"]);
    let recover = json!({ "offset": 5, "epoch": "00c0ffee" });
    assert_eq!(asked(&mut feed), json!(["subscribe", { "channel": "news:a", "recover": recover }]));
    let missed =
        json!({ "offset": 6, "epoch": "00c0ffee", "recovered": true, "publications": [kept(6)] });
    hear(&mut feed, "ack", &missed);
    hear(&mut feed, "publication", &published(6));
    hear(&mut feed, "publication", &published(7));
    let offsets: Vec<_> = said(&mut feed)
        .into_iter()
        .filter(|(kind, ..)| kind == "publication")
        .map(|(.., payload)| payload["offset"].clone())
        .collect();
    assert_eq!(offsets, [6, 7]);
}

#[test]
fn what_is_not_recovered_is_said_before_anything_else_of_the_channel() {
    let stands =
        json!({ "offset": 9, "epoch": "00c0ffee", "recovered": false, "publications": [kept(9)] });
    let mut again = feed(&["news:a"], false, from(&format!("1-{:08x}.00c0ffee.2", mark("news:a"))));
    hear(&mut again, "ack", &stands);
    assert_eq!(kinds(&mut again), ["not_recovered", "publication", "subscribed"]);
    let mut unknown = feed(&["news:a"], true, From::Lost);
    asked(&mut unknown);
    hear(&mut unknown, "ack", &json!({ "offset": 9, "epoch": "00c0ffee" }));
    assert_eq!(kinds(&mut unknown), ["not_recovered", "subscribed"]);
    assert_eq!(asked(&mut unknown), json!(["sync", {}]));
    hear(&mut unknown, "ack", &page(5, false, &json!([])));
    assert_eq!(kinds(&mut unknown), ["not_recovered", "synced"]);
}

fn page(rev: u64, more: bool, conversations: &Value) -> Value {
    json!({ "epoch": "4f0c2a9e", "rev": rev, "more": more, "conversations": conversations })
}

fn conversation(name: &str, from_seq: u64, ids: &[u64]) -> Value {
    let entries: Vec<Value> = ids.iter().zip(from_seq..).map(|(id, seq)| entry(*id, seq)).collect();
    json!({
        "id": name, "floor_seq": 0, "first_seq": 1, "from_seq": from_seq, "more": false,
        "entries": entries,
    })
}

fn entry(id: u64, seq: u64) -> Value {
    json!({
        "type": "message", "conversation": "x", "seq": seq, "message_id": id.to_string(), "at": 3,
        "content": "hi",
    })
}

fn live(id: u64) -> Value {
    json!({ "conversation": "x", "seq": 1, "message_id": id.to_string(), "attempt": 1 })
}

/// The entries that went out, by their ids, and what else did.
fn entries(feed: &mut Feed) -> (Vec<u64>, Vec<(String, Value)>) {
    let (mut ids, mut others) = (Vec::new(), Vec::new());
    for (kind, id, payload) in said(feed) {
        match payload["message_id"].as_str() {
            Some(number) => {
                let number = number.parse().unwrap();
                let at = position::read(&id.unwrap()).unwrap().user;
                assert!(at.is_none_or(|at| at.rev == number), "it stands at {at:?} with {number}");
                ids.push(number);
            }
            None => others.push((kind, payload)),
        }
    }
    (ids, others)
}

#[test]
fn the_users_entries_go_out_once_in_the_order_of_their_commits() {
    let mut feed = feed(&[], true, from("1-u.4f0c2a9e.a"));
    assert_eq!(asked(&mut feed), json!(["sync", { "epoch": "4f0c2a9e", "rev": 10 }]));
    // These come live before the answer: one that is in it, one that is not.
    hear(&mut feed, "message", &live(13));
    hear(&mut feed, "message", &live(17));
    hear(&mut feed, "typing", &json!({}));
    assert_eq!(kinds(&mut feed), ["typing"]);
    hear(&mut feed, "ack", &page(14, true, &json!([conversation("a", 1, &[9, 12, 14])])));
    assert_eq!(asked(&mut feed), json!(["sync", { "epoch": "4f0c2a9e", "rev": 14 }]));
    let pushed = json!({
        "id": "system:all", "floor_seq": 0, "first_seq": 1, "from_seq": 1, "more": false,
        "entries": [{
            "type": "push", "kind": "push:notification", "conversation": "system:all", "seq": 1,
            "message_id": "15", "from": "shop", "to": "all", "at": 3, "content": "Back at nine",
        }],
    });
    let last = json!([conversation("b", 3, &[8, 13, 16]), pushed, conversation("c", 5, &[11])]);
    hear(&mut feed, "ack", &page(16, false, &last));
    let out = std::mem::take(&mut feed.out);
    let text = String::from_utf8(out.clone()).unwrap();
    assert!(text.contains("event: notification\n") && text.contains(r#""data":"Back at nine""#));
    feed.out = out;
    let (ids, others) = entries(&mut feed);
    assert_eq!(ids, [11, 12, 13, 14, 15, 16, 17]);
    // Of `c` came what is newer, and nobody knows whether that is all.
    let incomplete = ("not_recovered".to_owned(), json!({ "conversation": "c" }));
    assert_eq!(others, [incomplete, ("synced".to_owned(), json!({}))]);
    // One that was in the answer comes late.
    for id in [16, 18] {
        hear(&mut feed, "message", &live(id));
    }
    assert_eq!(entries(&mut feed).0, [18]);
}

#[test]
fn a_position_of_another_store_or_too_much_recovers_nothing() {
    for rev in ["4f0c2a9f.1", "4f0c2a9e.ff"] {
        let mut feed = feed(&[], true, from(&format!("1-u.{rev}")));
        hear(&mut feed, "ack", &page(20, false, &json!([conversation("a", 1, &[12])])));
        let lost = ("not_recovered".to_owned(), json!({ "user": true }));
        assert_eq!(entries(&mut feed).1, [lost, ("synced".to_owned(), json!({}))], "{rev}");
    }
    let mut feed = feed(&[], true, from("1-u.4f0c2a9e.1"));
    let ids: Vec<u64> = (2..1100).collect();
    hear(&mut feed, "ack", &page(1100, false, &json!([conversation("a", 1, &ids)])));
    assert_eq!(kinds(&mut feed), ["not_recovered", "synced"]);
}

#[test]
fn who_wants_channels_gets_nothing_of_the_users() {
    let mut feed = feed(&["news:a"], false, From::Now);
    hear(&mut feed, "ack", &json!({ "offset": 0, "epoch": "00c0ffee" }));
    said(&mut feed);
    for kind in ["message", "typing", "notification", "online_status"] {
        hear(&mut feed, kind, &live(3));
    }
    hear(&mut feed, "channel_joined", &json!({ "channel": "news:a" }));
    assert_eq!(kinds(&mut feed), ["channel_joined"]);
}

#[test]
fn pings_are_answered_and_keep_proxies_awake() {
    let mut feed = feed(&[], true, From::Now);
    feed.commands.clear();
    hear(&mut feed, "ping", &json!({}));
    assert_eq!(feed.commands, [r#"{"type":"pong"}"#]);
    assert_eq!(feed.out, b":\n\n");
}

#[test]
fn the_end_says_whether_to_come_back() {
    for (code, retry) in [(1001, true), (4002, true), (4003, false), (4004, true), (4005, false)] {
        let mut feed = feed(&["news:a"], false, From::Now);
        hear(&mut feed, "ack", &json!({ "offset": 3, "epoch": "00c0ffee" }));
        hear(&mut feed, "bye", &json!({ "reconnect": true, "retry_after_ms": 1500 }));
        assert!(String::from_utf8_lossy(&feed.out).contains("retry: 1500\nevent: bye\n"));
        feed.out.clear();
        feed.on_close(Some(code), "why");
        let (kind, id, payload) = said(&mut feed).remove(0);
        assert_eq!((kind.as_str(), &payload["reconnect"]), ("closed", &json!(retry)), "{code}");
        let at = position::read(&id.unwrap()).unwrap();
        assert_eq!((at.is_over, at.channels.len()), (!retry, 1));
        hear(&mut feed, "publication", &published(4));
        assert!(feed.out.is_empty());
    }
}

#[test]
fn a_refusal_names_its_channel() {
    let mut feed = feed(&["news:a"], false, From::Now);
    let refusal = json!({
        "code": 403, "reason": "not_allowed", "message": "No.", "retry": false,
    });
    hear(&mut feed, "error", &refusal);
    let end = feed.end.unwrap();
    assert_eq!((end.code, end.message.as_str(), end.retry), (403, "news:a: No.", false));
    assert!(feed.out.is_empty());
}

#[test]
fn a_pattern_has_no_place_and_what_nobody_asked_for_is_passed_on() {
    for (from, expected) in
        [(From::Now, &["subscribed"][..]), (from("1"), &["not_recovered", "subscribed"])]
    {
        let mut feed = feed(&["news:*"], false, from);
        hear(&mut feed, "ack", &json!({ "channel": "news:*" }));
        assert!(feed.has_begun());
        assert_eq!(kinds(&mut feed), expected);
        hear(&mut feed, "publication", &published(9));
        feed.on_text(r#"{"type":"error","payload":{"code":403,"reason":"not_allowed"}}"#);
        assert_eq!(kinds(&mut feed), ["publication", "refused"]);
        assert_eq!(feed.end, None);
    }
}
