use std::fmt::Write as _;

use hubbub_proto::DeviceId;
use serde_json::{Value, json};

use super::*;

fn with_roles(roles: &[&str]) -> Identity {
    Identity {
        user: UserId::new("svc").unwrap(),
        name: None,
        roles: roles.iter().map(|role| (*role).into()).collect(),
        device: DeviceId::new("d").unwrap(),
        device_named: false,
        expires_at: None,
        issued_at: None,
        rare: None,
        authority: hubbub_proto::route::Authority::default(),
    }
}

fn command(more: &Value) -> Push {
    let mut push = json!({"to": "all", "type": "notification", "data": 1});
    push.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_str(&push.to_string()).unwrap()
}

/// Every rule against every actor, audience, type and kind of push.
#[test]
fn who_may_push_what_where() {
    let rules: [(&str, &[&str]); 4] = [
        ("nobody", &[]),
        ("everyone", &["everyone"]),
        ("role:backend", &["role:backend"]),
        ("role:backend and role:admin", &["role:backend", "role:admin"]),
    ];
    let actors: [&[&str]; 4] = [&[], &["backend"], &["admin"], &["Backend", "role:backend"]];
    let audiences = [
        json!("all"),
        json!("role:staff"),
        json!("user:alice"),
        json!("user:svc"),
        json!(["user:bob", "user:alice", "user:bob"]),
    ];
    let forms = [
        json!({"type": "notification"}),
        json!({"type": "custom_one", "expires_in_ms": 500}),
        json!({"type": "order_update", "durable": false}),
    ];
    let mut matrix = String::new();
    for (name, words) in rules {
        let rule = Who::compile(words.iter().copied()).unwrap();
        for roles in actors {
            writeln!(matrix, "{name} <- {roles:?}").unwrap();
            for to in &audiences {
                let mut cells = Vec::new();
                for form in &forms {
                    let mut more = form.clone();
                    more["to"] = to.clone();
                    cells.push(
                        match plan(&rule, &with_roles(roles), &command(&more), Timestamp(7)) {
                            Err(refusal) => refusal.reason.slug().to_owned(),
                            Ok(plan) => {
                                let shown = plan.targets.iter().map(|target| {
                                    format!("{} {:?}", target.conversation(), target.topic())
                                });
                                let until = plan.expires_at.map(|at| format!(" until {}", at.0));
                                let shown: Vec<_> = shown.collect();
                                format!("{}{}", shown.join(", "), until.unwrap_or_default())
                            }
                        },
                    );
                }
                cells.dedup();
                writeln!(matrix, "  {to}: {}", cells.join(" | ")).unwrap();
            }
        }
    }
    insta::assert_snapshot!(matrix);
}

#[test]
fn audiences_of_roles_table() {
    let check = |roles: &[&str], roles_max, expect: &[&str]| {
        let roles: Vec<Box<str>> = roles.iter().map(|role| (*role).into()).collect();
        let found = audiences(&roles, roles_max);
        assert_eq!(found.iter().map(ConversationId::as_str).collect::<Vec<_>>(), expect);
    };
    check(&[], 9, &["system:all"]);
    check(&["b", "a", "b"], 9, &["system:all", "system:role:a", "system:role:b"]);
    check(&["b", "two words", "", "a:b"], 9, &["system:all", "system:role:b"]);
    check(&["c", "b", "a"], 2, &["system:all", "system:role:a", "system:role:b"]);
    check(&["a"], 0, &["system:all"]);
}
