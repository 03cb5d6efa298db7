//! Locks `docs/protocol.md` to the wire: tables and examples are generated, field tables compared.
//!
//! `UPDATE_DOCS=1 cargo test -p hubbub-proto` rewrites what stands between the markers
//! `<!-- generated: NAME -->` and `<!-- /generated -->`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use hubbub_proto::{CloseCode, Command, Event, Reason};
use serde_json::Value;

use crate::pretty::pretty;
use crate::samples::{COMMANDS, acks, encoded, events, message, refusals, reply};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
const OPEN: &str = "<!-- generated: ";
const CLOSE: &str = "<!-- /generated -->";

fn document() -> String {
    std::fs::read_to_string(PATH).unwrap()
}

/// What belongs between the markers of this name.
fn generated(name: &str) -> String {
    match name.split_once(' ') {
        None if name == "reasons" => reasons(),
        None if name == "limits" => limits(),
        Some(("close", "codes")) => close_codes(),
        Some(("command", name)) => {
            let (_, _, full) = COMMANDS.iter().find(|(sample, ..)| *sample == name).unwrap();
            example(&message(name, full))
        }
        Some(("event", name)) => {
            let (_, event) = events().into_iter().find(|(label, _)| *label == name).unwrap();
            example(&encoded(&event))
        }
        Some(("ack", name)) => {
            let (_, ack) = acks().into_iter().find(|(label, _)| *label == name).unwrap();
            example(&reply(Some("c-1"), &Ok(ack)))
        }
        Some(("reply", "error")) => {
            let (_, refusal) = refusals().into_iter().next_back().unwrap();
            example(&reply(Some("c-1"), &Err(refusal)))
        }
        _ => panic!("nothing is generated under the name `{name}`"),
    }
}

fn example(json: &str) -> String {
    format!("```json\n{}\n```\n", pretty(json))
}

fn reasons() -> String {
    let mut table = "| code | reason | retry | meaning |\n|---|---|---|---|\n".to_owned();
    for reason in Reason::ALL {
        let retry = if reason.retry() { "yes" } else { "no" };
        let (code, slug, message) = (reason.code(), reason.slug(), reason.message());
        writeln!(table, "| {code} | `{slug}` | {retry} | {message} |").unwrap();
    }
    table
}

fn close_codes() -> String {
    let mut table = "| code | reason text | the client should |\n|---|---|---|\n".to_owned();
    for close in CloseCode::ALL {
        let (code, reason, advice) = (close.code(), close.reason(), close.advice());
        writeln!(table, "| {code} | {reason} | {advice} |").unwrap();
    }
    table
}

fn limits() -> String {
    // Taken apart by name, so that a new limit does not compile until it is described here.
    let Limits {
        message_bytes_max,
        fragments_max,
        content_depth_max,
        commands_in_flight_max,
        commands_per_second,
        commands_burst,
        rate_refusals_max,
        control_frames_per_second,
        outbox_bytes_max,
        outbox_frames_max,
        unconfirmed_max,
        subscriptions_max,
        ping_interval_ms,
        pong_timeout_ms,
        auth_timeout_ms,
        expiry_warning_ms,
        redelivery_after_ms,
        redelivery_rounds_max,
        linger_ms,
    } = Limits::default();
    let rows: [(&str, u64, &str); 19] = [
        ("message_bytes_max", message_bytes_max.into(), "a larger message: close 1009"),
        ("fragments_max", fragments_max.into(), "a message in more fragments: close 1009"),
        ("content_depth_max", content_depth_max.into(), "`content` nested deeper: `too_deep`"),
        (
            "commands_in_flight_max",
            commands_in_flight_max.into(),
            "commands without a reply: the server reads no further until one is answered",
        ),
        (
            "commands_per_second",
            commands_per_second.into(),
            "commands per second, sustained: `rate_limited`",
        ),
        ("commands_burst", commands_burst.into(), "commands at once on top of the sustained rate"),
        (
            "rate_refusals_max",
            rate_refusals_max.into(),
            "`rate_limited` refusals in a row: close 4009; each costs a tenth of a command",
        ),
        (
            "control_frames_per_second",
            control_frames_per_second.into(),
            "pings and pongs of RFC 6455, and reads of less than 64 bytes in the midst of a frame: \
             close 4009",
        ),
        (
            "outbox_bytes_max",
            outbox_bytes_max.into(),
            "bytes waiting for a client that reads slowly: close 4008; from half of it the \
             server reads no further",
        ),
        ("outbox_frames_max", outbox_frames_max.into(), "the same in frames: close 4008"),
        (
            "unconfirmed_max",
            unconfirmed_max.into(),
            "conversations with unconfirmed entries that the server tracks: above it, `resync`",
        ),
        (
            "subscriptions_max",
            subscriptions_max.into(),
            "channels that one connection is subscribed to: `too_many_subscriptions`",
        ),
        ("ping_interval_ms", ping_interval_ms.into(), "time between the server's pings"),
        ("pong_timeout_ms", pong_timeout_ms.into(), "silence after a ping: close 4002"),
        ("auth_timeout_ms", auth_timeout_ms.into(), "time until `auth` must have come: close 4010"),
        (
            "expiry_warning_ms",
            expiry_warning_ms.into(),
            "`token_expiring` comes this long before the token's end",
        ),
        (
            "redelivery_after_ms",
            redelivery_after_ms.into(),
            "entries not confirmed for this long are sent again",
        ),
        ("redelivery_rounds_max", redelivery_rounds_max.into(), "how often they are sent again"),
        (
            "linger_ms",
            linger_ms.into(),
            "time that a client has to read the close frame and answer it",
        ),
    ];
    let mut table = "| limit | default | above it, or meaning |\n|---|---|---|\n".to_owned();
    for (name, default, meaning) in rows {
        writeln!(table, "| `{name}` | {default} | {meaning} |").unwrap();
    }
    table
}

/// The document with everything between markers made anew, and the names of the markers.
fn regenerated(document: &str) -> (String, Vec<String>) {
    let (mut out, mut names, mut rest) = (String::new(), Vec::new(), document);
    while let Some(start) = rest.find(OPEN) {
        let name_start = start + OPEN.len();
        let name_end = name_start + rest[name_start..].find(" -->").unwrap();
        let name = &rest[name_start..name_end];
        let body = name_end + " -->".len();
        let end = body + rest[body..].find(CLOSE).unwrap_or_else(|| panic!("{name} has no end"));
        out.push_str(&rest[..body]);
        out.push('\n');
        out.push_str(&generated(name));
        out.push_str(CLOSE);
        names.push(name.to_owned());
        rest = &rest[end + CLOSE.len()..];
    }
    out.push_str(rest);
    (out, names)
}

#[test]
fn tables_and_examples_are_what_the_code_says() {
    let document = document();
    let (fresh, names) = regenerated(&document);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, &fresh).unwrap();
    } else {
        for (old, new) in document.lines().zip(fresh.lines()) {
            assert_eq!(old, new, "run with UPDATE_DOCS=1 and look at the difference");
        }
        assert_eq!(document, fresh, "run with UPDATE_DOCS=1 and look at the difference");
    }
    let mut wanted: Vec<String> = ["reasons", "close codes", "limits"].map(str::to_owned).into();
    wanted.extend(Command::TYPES.iter().map(|name| format!("command {name}")));
    wanted.extend(Event::TYPES.iter().map(|name| format!("event {name}")));
    wanted.extend(acks().iter().map(|(name, _)| format!("ack {name}")));
    for name in wanted {
        assert!(names.contains(&name), "docs/protocol.md shows no `{name}`");
    }
}

/// The sections under `## TITLE`, as (name in the heading, text).
fn sections(document: &str, title: &str) -> Vec<(String, String)> {
    let start = document.find(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no {title}"));
    let part = &document[start + 4..];
    let part = &part[..part.find("\n## ").unwrap_or(part.len())];
    part.split("\n### ")
        .skip(1)
        .map(|section| {
            let (heading, text) = section.split_once('\n').unwrap();
            (heading.trim_matches('`').to_owned(), text.to_owned())
        })
        .collect()
}

/// The names in the first column of the first table after `caption`.
fn table(text: &str, caption: &str) -> BTreeSet<String> {
    let Some(start) = text.find(caption) else { return BTreeSet::new() };
    text[start + caption.len()..]
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .flat_map(|row| {
            let first = row.split('|').nth(1).unwrap_or_default();
            first.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn keys(payload: &Value) -> BTreeSet<String> {
    payload.as_object().unwrap().keys().cloned().collect()
}

fn payload(message: &str) -> Value {
    serde_json::from_str::<Value>(message).unwrap()["payload"].take()
}

#[test]
fn every_command_has_its_section_and_fields() {
    let document = document();
    let sections = sections(&document, "Commands");
    let names: Vec<_> = sections.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, Command::TYPES);
    for ((name, text), (_, least, full)) in sections.iter().zip(COMMANDS.iter()) {
        let mut fields = keys(&serde_json::from_str(full).unwrap());
        fields.extend(keys(&serde_json::from_str(least).unwrap()));
        // What excludes another field is in no sample.
        let others: &[&str] = match name.as_str() {
            "history" => &["after", "around"],
            "send" => &["forward"],
            "channel_history" => &["before"],
            _ => &[],
        };
        fields.extend(others.iter().map(|field| (*field).to_owned()));
        assert_eq!(table(text, "**Payload**"), fields, "fields of {name}");
    }
    for (name, ack) in acks() {
        let Some((_, text)) = sections.iter().find(|(section, _)| section == name) else {
            panic!("no section {name}")
        };
        let fields = keys(&payload(&reply(None, &Ok(ack))));
        assert_eq!(table(text, "**Ack**"), fields, "ack of {name}");
    }
}

#[test]
fn every_event_has_its_section_and_fields() {
    let document = document();
    let sections = sections(&document, "Events");
    let names: Vec<_> = sections.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<_> = Event::TYPES.iter().copied().chain(["ack"]).collect();
    assert_eq!(names, expected);
    for (name, text) in &sections {
        let mut fields = BTreeSet::new();
        for (_, event) in events().iter().filter(|(_, event)| event.type_name() == name) {
            fields.extend(keys(&payload(&encoded(event))));
        }
        if name == "error" {
            fields.insert("retry_after_ms".to_owned());
            fields.insert("until".to_owned());
        }
        assert_eq!(table(text, "**Payload**"), fields, "fields of {name}");
    }
}

#[test]
fn every_json_example_is_json_and_every_client_message_decodes() {
    let document = document();
    let mut rest = document.as_str();
    let mut commands = 0;
    while let Some(start) = rest.find("\n```json") {
        let (info, body) = rest[start + "\n```json".len()..].split_once('\n').unwrap();
        let end = body.find("\n```").unwrap();
        let json = &body[..end];
        let value: Value = serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"));
        let is_command = value.get("timestamp").is_none() && value.get("type").is_some();
        if info.trim() == "command" || is_command {
            let decoded = Codec::Json.decode(json.as_bytes(), &Limits::default());
            assert!(decoded.is_ok(), "{json}: {decoded:?}");
            commands += 1;
        }
        rest = &body[end..];
    }
    for line in document.lines() {
        if let Some(sent) = line.strip_prefix("→ ") {
            let decoded = Codec::Json.decode(sent.as_bytes(), &Limits::default());
            assert!(decoded.is_ok(), "{sent}: {decoded:?}");
        } else if let Some(answer) = line.strip_prefix("← ") {
            assert!(serde_json::from_str::<Value>(answer).is_ok(), "{answer}");
        }
    }
    assert!(commands > Command::TYPES.len(), "{commands} client messages in examples");
}
