//! Who may do what in a namespace: every rule against everyone.

use std::fmt::Write as _;

use hubbub_hub::{LiveConfig, Namespace, Permit};
use hubbub_proto::limits::Limits;
use serde_json::{Value, json};

use crate::stage::{Client, Stage};

const RULES: [(&str, &[&str]); 6] = [
    ("nobody", &["nobody"]),
    ("everyone", &["everyone"]),
    ("roles", &["role:editor"]),
    ("claim", &["claim"]),
    ("both", &["role:editor", "claim"]),
    ("none", &[]),
];

/// A name, and how the stage is told of them.
const PEOPLE: [(&str, &str); 7] = [
    ("anybody", "ann/d"),
    ("editor", "eve/d//editor"),
    ("other role", "rob/d//reader"),
    ("claims the channel", "cid/d//+NS:a"),
    ("claims the namespace", "cal/d//+NS:*"),
    ("claims another channel", "col/d//+NS:b/+other:*"),
    ("claims to publish only", "pat/d//+publish=NS:*"),
];

fn what_came_of(client: &mut Client, kind: &str, payload: &Value) -> String {
    client.send(&json!({"type": kind, "id": kind, "payload": payload}));
    loop {
        let answer = client.receive();
        match answer["type"].as_str().unwrap() {
            "ack" => return "yes".to_owned(),
            "error" => return answer["payload"]["reason"].as_str().unwrap().to_owned(),
            _ => {}
        }
    }
}

#[test]
fn who_may_do_what() {
    let namespaces = RULES.iter().map(|(name, words)| {
        let permit = Permit::compile(words.iter().copied()).unwrap();
        let rules = Namespace {
            subscribe: permit.clone(),
            publish: permit.clone(),
            wildcard: permit.clone(),
            presence: permit.clone(),
            history: permit,
            history_size: 10,
            history_bytes: 10_000,
            history_ms: 10_000,
            ..Namespace::default()
        };
        ((*name).into(), rules)
    });
    let live = LiveConfig { namespaces: namespaces.collect(), ..LiveConfig::default() };
    let limits = Limits { commands_burst: 100_000, ..Limits::default() };
    let mut table = String::new();
    for shards in [1, 2] {
        let stage = Stage::with_live(shards, limits, live.clone());
        let mut part = String::new();
        for name in RULES.iter().map(|(name, _)| *name).chain(["unknown"]) {
            for (who, token) in PEOPLE {
                let (mut client, _) = stage.session(&token.replace("NS", name));
                let channel = format!("{name}:a");
                let outcomes = [
                    ("subscribe", json!({"channel": channel})),
                    ("publish", json!({"channel": channel, "data": 1})),
                    ("channel_history", json!({"channel": channel})),
                    ("channel_presence", json!({"channel": channel})),
                    ("subscribe", json!({"channel": format!("{name}:*")})),
                ]
                .map(|(kind, payload)| what_came_of(&mut client, kind, &payload));
                let [subscribe, publish, history, presence, wildcard] = outcomes;
                writeln!(
                    part,
                    "{name:9} {who:22} | {subscribe:15} | {publish:15} | {history:15} | \
                     {presence:15} | {wildcard}"
                )
                .unwrap();
            }
        }
        assert!(table.is_empty() || table == part, "the number of shards changes nothing");
        table = part;
    }
    insta::assert_snapshot!(table);
}
