//! What the API refuses: strangers, keys that are not for it, and everything that is not as it must
//! be.

use serde_json::json;

use crate::api::{BackEnd, make_key};
use crate::node::Node;
use crate::process::say;
use crate::talk::Talk;

const SEND: &str = "POST /api/v1/messages";
const BODY: &str = r#"{"to":"user:bob","content":"hi"}"#;

/// Every route, and the scope that it needs.
const ROUTES: &[(&str, &str, &str)] = &[
    (SEND, BODY, "messages"),
    ("POST /api/message", r#"{"roomId":"user:bob","text":"hi"}"#, "messages"),
    ("POST /api/v1/push", r#"{"to":"user:bob","type":"notification","data":1}"#, "push"),
    ("POST /api/v1/channels/news:1/publish", r#"{"data":1}"#, "channels"),
    ("POST /api/v1/broadcast", r#"{"channels":["news:1"],"data":1}"#, "channels"),
    ("GET /api/v1/channels/news:1/history", "", "channels"),
    ("GET /api/v1/channels/news:1/presence", "", "channels"),
    ("POST /api/v1/users/bob/subscriptions/news:1", "", "channels"),
    ("DELETE /api/v1/users/bob/subscriptions/news:1", "", "channels"),
    ("GET /api/v1/users/bob", "", "users"),
    ("PATCH /api/v1/users/bob", "{}", "users"),
    ("PUT /api/v1/users/bob/roles", r#"{"roles":[]}"#, "users"),
    ("GET /api/v1/users/bob/conversations", "", "users"),
    ("GET /api/v1/users/bob/conversations/direct:bob:cat/messages", "", "users"),
    ("GET /api/v1/users/bob/friends", "", "users"),
    ("GET /api/v1/users/bob/devices", "", "users"),
    ("DELETE /api/v1/users/bob/devices/d", "", "users"),
    ("GET /api/v1/users/bob/presence", "", "presence"),
    ("POST /api/v1/users/bob/disconnect", "", "connections"),
    ("POST /api/v1/groups", r#"{"name":"g"}"#, "groups"),
    ("PATCH /api/v1/groups/g", r#"{"name":"g"}"#, "groups"),
    ("DELETE /api/v1/groups/g", "", "groups"),
    ("GET /api/v1/groups/g/members", "", "groups"),
    ("POST /api/v1/groups/g/members", r#"{"members":["a"]}"#, "groups"),
    ("DELETE /api/v1/groups/g/members/a", "", "groups"),
    ("PUT /api/v1/groups/g/members/a/role", r#"{"role":"admin"}"#, "groups"),
    ("POST /api/v1/tokens", r#"{"user":"a"}"#, "tokens"),
    ("GET /api/v1/keys", "", "keys"),
    ("POST /api/v1/keys", r#"{"name":"k","scopes":["keys"]}"#, "keys"),
    ("POST /api/v1/keys/none/rotate", "{}", "keys"),
    ("DELETE /api/v1/keys/none", "", "keys"),
];

#[test]
fn each_route_needs_its_scope_and_no_other() {
    let node = Node::start(&[]);
    let scopes = [
        "messages",
        "channels",
        "push",
        "users",
        "groups",
        "presence",
        "connections",
        "tokens",
        "keys",
    ];
    for scope in scopes {
        let back = BackEnd::new(&node, &[scope]);
        for (line, body, needed) in ROUTES {
            let answer = back.ask(line, &[], body);
            let refused = answer.body.contains("does not have the scope");
            assert_eq!(refused, *needed != scope, "{scope} {line}: {}", answer.body);
            assert!(answer.status < 500, "{scope} {line}: {}", answer.body);
        }
    }
    let everything = BackEnd::new(&node, &["*"]);
    for (line, body, _) in ROUTES {
        let answer = everything.ask(line, &[], body);
        assert!(!answer.body.contains("have the scope"), "{line}: {}", answer.body);
    }
    node.stop();
}

#[test]
fn strangers_get_nothing() {
    let node = Node::start(&[("ADMIN_WHO", "role:ops")]);
    let good = make_key(&node, &["messages"], &[]);
    let (head, _) = good.rsplit_once('_').unwrap();
    let user = node.token("alice");
    let admin = node.token_with("root", &["ops"]);
    let over = node.token_for("root", -60);
    let check = |authorization: Option<&str>, status: u16, reason: &str| {
        let json = ("Content-Type", "application/json");
        let headers: Vec<_> =
            authorization.map(|value| ("Authorization", value)).into_iter().chain([json]).collect();
        let answer = node.server.ask(SEND, &headers, BODY);
        assert_eq!(answer.status, status, "{authorization:?}: {}", answer.body);
        if status != 200 {
            assert_eq!(answer.json()["reason"], reason, "{authorization:?}: {}", answer.body);
        }
        let challenged = answer.head.contains("www-authenticate: bearer");
        assert_eq!(challenged, status == 401, "{authorization:?}");
    };
    check(None, 401, "unauthorized");
    check(Some("Bearer"), 401, "bad_token");
    check(Some("Basic YTpi"), 401, "bad_token");
    check(Some(&good), 401, "bad_token");
    check(Some(&format!("Bearer {head}_")), 401, "bad_token");
    check(Some(&format!("Bearer {}", good.replace(head, "hbk_ffffffffffff"))), 401, "bad_token");
    check(Some(&format!("Bearer {}0", &good[..good.len() - 1])), 401, "bad_token");
    check(Some(&format!("Bearer {}", "x".repeat(9_000))), 401, "bad_token");
    check(Some(&format!("Bearer {over}")), 401, "token_expired");
    check(Some(&format!("Bearer {user}")), 403, "not_allowed");
    check(Some(&format!("Bearer {admin}")), 200, "");
    check(Some(&format!("Bearer {good}")), 200, "");
    // Not where a token may come for a WebSocket.
    let query = node.server.ask(&format!("{SEND}?token={good}"), &[], BODY);
    assert_eq!(query.status, 401);
    let home = node.stop();
    let log = std::fs::read_to_string(home.data().join("api-keys.json")).unwrap();
    assert!(!log.contains(good.rsplit_once('_').unwrap().1));
}

#[test]
fn keys_are_made_listed_rotated_and_revoked_by_both_ways_while_the_server_runs() {
    let node = Node::start(&[]);
    let data = node.home().data();
    let data = data.to_str().unwrap();
    let cli = |arguments: &[&str]| {
        let said = say(&[&["key"], arguments, &["--data-dir", data]].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.out
    };
    let works = |key: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        node.server.ask(SEND, &headers, BODY).status
    };
    // A change by another process is seen within a moment.
    let settles = |key: &str, wanted: u16| {
        let settled = (0..10_000).any(|_| works(key) == wanted);
        assert!(settled, "never {wanted}");
    };
    let ops = BackEnd::new(&node, &["keys", "messages"]);
    let made = ops.ok("POST /api/v1/keys", &json!({"name": "shop", "scopes": ["messages"]}));
    let (id, first) = (made["key"]["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(made["key"]["scopes"], json!(["messages"]));
    settles(first, 200);
    assert!(cli(&["list"]).contains(&format!("{id}\tshop\tmessages\tactive")));
    let second = cli(&["rotate", id, "--grace", "0s"]);
    settles(first, 401);
    settles(second.trim(), 200);
    let rotate = format!("POST /api/v1/keys/{id}/rotate");
    let third = ops.ok(&rotate, &json!({"grace_s": 60}))["token"].as_str().unwrap().to_owned();
    assert_eq!((works(second.trim()), works(&third)), (200, 200));
    assert_eq!(cli(&["revoke", id]), "revoked\n");
    settles(&third, 401);
    settles(second.trim(), 401);
    assert_eq!(ops.refused(&rotate, &[], "{}"), (409, "key_refused".into()));
    let list = ops.ok("GET /api/v1/keys", &serde_json::Value::Null);
    assert!(!list.to_string().contains("sha256"));
    assert!(list["keys"][1]["revoked"].is_u64(), "{list}");
    // Nobody gives what they do not have, by a new key or a new secret of another one.
    let strong = BackEnd::new(&node, &["*"]);
    for line in
        ["POST /api/v1/keys".to_owned(), format!("POST /api/v1/keys/{}/rotate", &strong.key[4..16])]
    {
        let refused = ops.refused(&line, &[], r#"{"name":"up","scopes":["*"]}"#);
        assert_eq!(refused, (403, "not_allowed".into()), "{line}");
    }
    // One that is made by the API can be used at once, and is over at once.
    let brief =
        ops.ok("POST /api/v1/keys", &json!({"name": "b", "scopes": ["keys"], "expires_in_s": 60}));
    let id = brief["key"]["id"].as_str().unwrap();
    ops.ok(&format!("DELETE /api/v1/keys/{id}"), &serde_json::Value::Null);
    assert_eq!(works(brief["token"].as_str().unwrap()), 401);
    for (arguments, code) in [
        (&["create", "--name", "x"][..], 2),
        (&["create", "--name", "x", "--scope", "root"], 2),
        (&["create", "--name", "", "--scope", "keys"], 1),
        (&["rotate", "none"], 1),
        (&["revoke", "none"], 1),
    ] {
        let said = say(&[&["key"], arguments, &["--data-dir", data]].concat());
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert_eq!(said.out, "");
    }
    node.stop();
}

#[test]
fn what_is_not_as_it_must_be_is_refused_with_its_reason() {
    let node = Node::start(&[]);
    let back = BackEnd::new(&node, &["*"]);
    let long = format!(r#"{{"to":"user:bob","content":"{}"}}"#, "x".repeat(70_000));
    let deep = format!(
        r#"{{"to":"user:bob","kind":"custom:x","content":{}{}}}"#,
        "[".repeat(60),
        "]".repeat(60)
    );
    for (line, body, status, reason) in [
        (SEND, "", 400, "bad_json"),
        (SEND, "{", 400, "bad_json"),
        (SEND, "[]", 400, "bad_json"),
        (SEND, "null", 400, "bad_json"),
        (SEND, "\"x\"", 400, "bad_json"),
        (SEND, "{}", 400, "bad_field"),
        (SEND, "{} {}", 400, "bad_json"),
        (SEND, r#"{"to":"user:bob","content":"x"},"type":"push","x":{}"#, 400, "bad_json"),
        (SEND, r#"{"to":"bob","content":"x"}"#, 400, "bad_field"),
        (SEND, r#"{"to":7,"content":"x"}"#, 400, "bad_field"),
        (SEND, r#"{"to":"user:bob"}"#, 400, "bad_field"),
        (SEND, r#"{"to":"user:bob","to":"user:eve","content":"x"}"#, 400, "bad_field"),
        (SEND, r#"{"to":"group:none","content":"x"}"#, 404, "not_found"),
        (SEND, r#"{"to":"user:bob","content":{}}"#, 422, "bad_content"),
        (SEND, r#"{"to":"user:bob","content":"x","kind":"member_left"}"#, 400, "bad_field"),
        (SEND, long.as_str(), 413, "too_big"),
        (SEND, deep.as_str(), 400, "too_deep"),
        ("POST /api/v1/push", r#"{"to":"bob","type":"x","data":1}"#, 400, "bad_field"),
        ("POST /api/v1/push", r#"{"to":"all","type":"message","data":1}"#, 400, "bad_field"),
        ("POST /api/v1/broadcast", r#"{"channels":[],"data":1}"#, 400, "bad_field"),
        ("POST /api/v1/broadcast", r#"{"channels":["x"],"data":1}"#, 400, "bad_field"),
        ("POST /api/v1/broadcast", r#"{"channels":["news:1"]}"#, 400, "bad_field"),
        ("PATCH /api/v1/users/bob", r#"{"avatar":"javascript:1"}"#, 400, "bad_field"),
        ("PUT /api/v1/users/bob/roles", r#"{"roles":"x"}"#, 400, "bad_field"),
        ("PUT /api/v1/users/bob/roles", r#"{"user":"eve","roles":[]}"#, 400, "bad_field"),
        ("GET /api/v1/users/b%20b", "", 400, "bad_field"),
        ("GET /api/v1/users/%ff", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations?limit=0", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations?limit=201", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations?limit=x", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations?limit=1&limit=2", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations?after=-1", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations?after=+1", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations?after=99999999999999999999", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations/nothing/messages", "", 400, "bad_field"),
        ("GET /api/v1/users/bob/conversations/group:none/messages", "", 403, "not_a_member"),
        (
            "GET /api/v1/users/bob/conversations/direct:bob:cat/messages?before=1&after=1",
            "",
            400,
            "bad_field",
        ),
        ("POST /api/v1/users/bob/disconnect", r#"{"device":""}"#, 400, "bad_field"),
        ("POST /api/v1/groups", r#"{"name":""}"#, 400, "bad_field"),
        ("PATCH /api/v1/groups/none", r#"{"name":"x"}"#, 404, "not_found"),
        ("POST /api/v1/groups/none/members", r#"{"members":[]}"#, 400, "bad_field"),
        ("POST /api/v1/tokens", r#"{"user":""}"#, 400, "bad_field"),
        ("POST /api/v1/tokens", r#"{"user":"a","ttl_s":0}"#, 400, "bad_field"),
        ("POST /api/v1/tokens", r#"{"user":"a","roles":[""]}"#, 400, "bad_field"),
        ("POST /api/v1/tokens", r#"{"user":"a","name":"a\nb"}"#, 400, "bad_field"),
        ("POST /api/v1/keys", r#"{"name":"","scopes":["keys"]}"#, 400, "bad_field"),
        ("POST /api/v1/keys", r#"{"name":"x","scopes":[]}"#, 400, "bad_field"),
        ("POST /api/v1/keys", r#"{"name":"x","scopes":["root"]}"#, 400, "bad_field"),
        ("POST /api/v1/keys/none/rotate", r#"{"grace_s":-1}"#, 400, "bad_field"),
        ("DELETE /api/v1/keys/none", "", 404, "not_found"),
        ("POST /api/message", r#"{"roomId":"none","text":"x"}"#, 404, "not_found"),
        ("POST /api/message", r#"{"roomId":"","text":"x"}"#, 400, "bad_field"),
        ("POST /api/message", r#"{"roomId":"user:bob","text":""}"#, 422, "bad_content"),
        ("POST /api/message", r#"{"text":"x"}"#, 400, "bad_field"),
        ("GET /api/v1/nothing", "", 404, "not_found"),
        ("GET /api/v2/messages", "", 404, "not_found"),
        ("GET /api/v1/messages", "", 405, "method_not_allowed"),
        ("TRACE /api/v1/messages", "", 405, "method_not_allowed"),
        ("DELETE /api/v1/openapi.json", "", 405, "method_not_allowed"),
    ] {
        assert_eq!(back.refused(line, &[], body), (status, reason.into()), "{line} {body}");
    }
    for (headers, status, reason) in [
        (&[("Content-Type", "text/plain")][..], 415, "media_type"),
        (&[("Idempotency-Key", "a b")], 400, "bad_field"),
        (&[("Idempotency-Key", "")], 400, "bad_field"),
        (&[("Idempotency-Key", "a"), ("Idempotency-Key", "b")], 400, "bad_field"),
        (&[("X-Hubbub-User", "a b")], 400, "bad_field"),
        (&[("X-Hubbub-User", "")], 400, "bad_field"),
    ] {
        assert_eq!(back.refused(SEND, headers, BODY), (status, reason.into()), "{headers:?}");
    }
    let header = [("X-Hubbub-User", "ann")];
    assert_eq!(back.refused("GET /api/v1/users/bob", &header, ""), (400, "bad_field".into()));
    let allow = back.ask("PUT /api/v1/messages", &[], "");
    assert!(allow.head.contains("allow: post\r\n"), "{}", allow.head);
    node.stop();
}

#[test]
fn requests_have_a_size_a_rate_and_a_number() {
    let node = Node::start(&[("API_BODY_BYTES_MAX", "2000"), ("API_REQUESTS_PER_SECOND", "5")]);
    let back = BackEnd::new(&node, &["messages"]);
    let big = format!(r#"{{"to":"user:bob","content":"{}"}}"#, "x".repeat(3_000));
    assert_eq!(back.refused(SEND, &[], &big), (413, "too_big".into()));
    let paced = (0..1_000).map(|_| back.ask(SEND, &[], BODY)).find(|answer| answer.status != 200);
    let paced = paced.expect("above the rate");
    assert_eq!((paced.status, paced.json()["reason"].as_str()), (429, Some("rate_limited")));
    assert!(paced.head.contains("retry-after: 1\r\n"), "{}", paced.head);
    assert!((1..=1_000).contains(&paced.json()["retry_after_ms"].as_u64().unwrap()));
    // The rate is the key's own.
    let other = BackEnd::new(&node, &["messages"]);
    assert_eq!(other.ask(SEND, &[], BODY).status, 200);
    node.stop();
}

#[test]
fn who_sends_a_body_slowly_takes_one_place_and_not_for_long() {
    use std::io::{Read as _, Write as _};
    let node = Node::start(&[("API_IN_FLIGHT_MAX", "1"), ("API_TIMEOUT_MS", "1000")]);
    let back = BackEnd::new(&node, &["messages"]);
    let mut slow = crate::wire::tcp(node.address());
    let head = format!(
        "{SEND} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\
         Connection: close\r\n\r\n{{",
        back.key
    );
    slow.write_all(head.as_bytes()).unwrap();
    // It has the only place from a moment on, until it is given up.
    let crowded =
        (0..10_000).map(|_| back.ask(SEND, &[], BODY)).find(|answer| answer.status != 200);
    let crowded = crowded.expect("no place");
    assert_eq!((crowded.status, crowded.json()["reason"].as_str()), (503, Some("overloaded")));
    assert!(crowded.head.contains("retry-after: 1\r\n"), "{}", crowded.head);
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(back.ask(SEND, &[], BODY).status, 200, "the place is free again");
    node.stop();
}

#[test]
fn without_the_api_there_is_nothing_at_its_addresses() {
    let node = Node::start(&[("API_ENABLED", "false")]);
    let key = make_key(&node, &["*"], &[]);
    let bearer = format!("Bearer {key}");
    let answer = node.server.ask(SEND, &[("Authorization", &bearer)], BODY);
    assert_eq!(answer.status, 404);
    node.stop();
}

#[test]
fn nobody_gets_more_than_they_have_by_way_of_tokens_or_keys() {
    let node = Node::start(&[("ADMIN_WHO", "role:ops")]);
    let back = BackEnd::new(&node, &["tokens", "keys"]);
    let strong = BackEnd::new(&node, &["*"]);
    let ops = r#"{"user":"eve","roles":["staff","ops"]}"#;
    assert_eq!(back.refused("POST /api/v1/tokens", &[], ops), (403, "not_allowed".into()));
    assert_eq!(
        back.ask("POST /api/v1/tokens", &[], r#"{"user":"eve","roles":["staff"]}"#).status,
        200
    );
    assert_eq!(strong.ask("POST /api/v1/tokens", &[], ops).status, 200);
    let revoke = |key: &str| format!("DELETE /api/v1/keys/{}", &key[4..16]);
    assert_eq!(back.refused(&revoke(&strong.key), &[], ""), (403, "not_allowed".into()));
    assert_eq!(strong.ask("POST /api/v1/tokens", &[], ops).status, 200, "it still holds");
    assert_eq!(back.refused("DELETE /api/v1/keys/none", &[], ""), (404, "not_found".into()));
    // A key's id is no secret, and its user nobody's but its own.
    let of_key = format!("api.{}", &strong.key[4..16]);
    let token = json!({"user": of_key}).to_string();
    assert_eq!(strong.refused("POST /api/v1/tokens", &[], &token), (400, "bad_field".into()));
    let as_it = [("X-Hubbub-User", of_key.as_str())];
    assert_eq!(strong.refused(SEND, &as_it, BODY), (403, "not_allowed".into()));
    let bearer = format!("Bearer {}", node.token_with(&of_key, &["ops"]));
    let answer = node.server.ask("GET /api/v1/keys", &[("Authorization", &bearer)], "");
    assert_eq!((answer.status, &answer.json()["reason"]), (401, &json!("bad_token")));
    assert_eq!(strong.ask(&revoke(&back.key), &[], "").status, 200);
    node.stop();
}

#[test]
fn an_administrators_device_that_was_signed_out_does_nothing_more() {
    let node = Node::start(&[("ADMIN_WHO", "role:ops")]);
    let strong = BackEnd::new(&node, &["*"]);
    let token = json!({"user": "root", "roles": ["ops"], "device": "laptop"});
    let made = strong.ok("POST /api/v1/tokens", &token);
    let token = made["token"].as_str().unwrap();
    // A device is known once it was there.
    let mut root = Talk::open_with(&node, "", token);
    let bearer = format!("Bearer {token}");
    let asked = || {
        ["GET /api/v1/keys", "GET /metrics", "GET /api/v1/users/ann"]
            .map(|line| node.server.ask(line, &[("Authorization", &bearer)], "").status)
    };
    root.ok("me", json!({}));
    assert_eq!(asked(), [200; 3]);
    strong.ok("DELETE /api/v1/users/root/devices/laptop", &json!(null));
    assert_eq!(root.closed(), 4003);
    assert_eq!(asked(), [401; 3]);
    node.stop();
}

#[test]
fn an_idempotency_key_is_refused_where_it_would_do_nothing() {
    let node = Node::start(&[]);
    let back = BackEnd::new(&node, &["*"]);
    let part =
        r#"{"method":"POST","path":"/api/v1/tokens","idempotency_key":"k","body":{"user":"a"}}"#;
    let batch = format!(r#"{{"requests":[{part}]}}"#);
    for (line, body) in [
        ("POST /api/v1/keys", r#"{"name":"k","scopes":["keys"]}"#),
        ("POST /api/v1/tokens", r#"{"user":"a"}"#),
        ("POST /api/v1/broadcast", r#"{"channels":["news:1"],"data":1}"#),
        ("PATCH /api/v1/users/bob", "{}"),
        ("PUT /api/v1/users/bob/roles", r#"{"roles":[]}"#),
        ("POST /api/v1/batch", &batch),
        ("GET /api/v1/users/bob", ""),
    ] {
        let refused = back.refused(line, &[("Idempotency-Key", "k")], body);
        assert_eq!(refused, (400, "bad_field".into()), "{line}");
    }
    assert_eq!(back.ok("GET /api/v1/keys", &json!(null))["keys"].as_array().unwrap().len(), 1);
    let results = back.ok("POST /api/v1/batch", &serde_json::from_str(&batch).unwrap());
    assert_eq!(results["results"][0]["status"], 400);
    node.stop();
}

#[test]
fn a_part_of_a_batch_is_asked_for_from_where_the_batch_came() {
    let node = Node::start(&[("EDGE_ENDPOINTS", "/api/v1/keys 192.0.2.1")]);
    let back = BackEnd::new(&node, &["*"]);
    let bearer = format!("Bearer {}", back.key);
    let alone = node.server.ask("GET /api/v1/keys", &[("Authorization", &bearer)], "");
    assert_eq!(alone.status, 403, "{}", alone.body);
    let part = |path: &str| json!({"method": "GET", "path": path});
    let paths = ["/api/v1/keys", "/api/v1/users/ann"].map(part);
    let results = back.ok("POST /api/v1/batch", &json!({ "requests": paths }))["results"].take();
    assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!(403), &json!(200)));
    node.stop();
}
