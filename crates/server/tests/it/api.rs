//! The HTTP API for back ends: what it does, as clients on the other side see it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::node::Node;
use crate::process::say;
use crate::talk::Talk;
use crate::wire::{Answer, ask};

/// A back end with a key.
pub(crate) struct BackEnd {
    address: SocketAddr,
    pub(crate) key: String,
}

/// Makes a key by the command line, on the data of a server that runs.
pub(crate) fn make_key(node: &Node, scopes: &[&str], more: &[&str]) -> String {
    let data = node.home().data();
    let mut arguments =
        vec!["key", "create", "--name", "test", "--data-dir", data.to_str().unwrap()];
    arguments.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
    arguments.extend(more);
    let said = say(&arguments);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out.trim().to_owned()
}

impl BackEnd {
    pub(crate) fn new(node: &Node, scopes: &[&str]) -> Self {
        Self { address: node.address(), key: make_key(node, scopes, &[]) }
    }

    /// One request; the answer is JSON of the right media type.
    #[track_caller]
    pub(crate) fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let mut all =
            vec![("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        all.extend(headers);
        let answer = ask(self.address, line, &all, body);
        let media =
            if answer.status < 400 { "application/json" } else { "application/problem+json" };
        assert!(answer.head.contains(&format!("content-type: {media}\r\n")), "{}", answer.head);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);
        if answer.status >= 400 {
            let problem = answer.json();
            assert_eq!(problem["status"], answer.status);
            assert_eq!(problem["code"], answer.status);
            assert!(problem["reason"].is_string() && problem["detail"].is_string(), "{problem}");
        }
        answer
    }

    #[track_caller]
    pub(crate) fn ok(&self, line: &str, body: &Value) -> Value {
        self.ok_as(line, &[], body)
    }

    #[track_caller]
    pub(crate) fn ok_as(&self, line: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.ask(line, headers, &body);
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        answer.json()
    }

    /// The status and reason of a refusal.
    #[track_caller]
    pub(crate) fn refused(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let answer = self.ask(line, headers, body);
        assert!(answer.status >= 400, "{line}: {}", answer.body);
        (answer.status, answer.json()["reason"].as_str().unwrap().to_owned())
    }
}

fn no(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

#[test]
fn a_message_of_a_back_end_is_one_like_any_other() {
    let node = Node::start(&[("SERVER_SHARDS", "2")]);
    let back = BackEnd::new(&node, &["messages"]);
    let mut bob = Talk::open(&node, "bob");
    let written =
        back.ok("POST /api/v1/messages", &json!({"to": "user:bob", "content": "order 7"}));
    let message = bob.event("message");
    assert_eq!(message["content"], "order 7");
    assert_eq!(message["message_id"], written["message_id"]);
    assert_eq!(message["seq"], 1);
    let from = message["from"].as_str().unwrap();
    assert_eq!(from, format!("api.{}", &back.key[4..16]));
    // It can be answered, and is there after a crash.
    bob.ok("send", json!({"to": format!("user:{from}"), "content": "thanks", "client_id": "b1"}));
    let node = node.kill().start();
    let mut bob = Talk::open(&node, "bob");
    let page = bob.ok("history", json!({"conversation": written["conversation"]}));
    let contents: Vec<_> =
        page["entries"].as_array().unwrap().iter().map(|entry| &entry["content"]).collect();
    assert_eq!(contents, ["order 7", "thanks"]);
    node.stop();
}

#[test]
fn an_idempotency_key_makes_a_request_once() {
    let node = Node::start(&[]);
    let back = BackEnd::new(&node, &["messages", "push", "groups"]);
    let mut bob = Talk::open(&node, "bob");
    let once = [("Idempotency-Key", "order-7")];
    let body = json!({"to": "user:bob", "content": 1, "kind": "custom:order"});
    let first = back.ok_as("POST /api/v1/messages", &once, &body);
    let again = back.ok_as("POST /api/v1/messages", &once, &body);
    assert_eq!((&first["duplicate"], &again["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["message_id"], again["message_id"]);
    let other = json!({"to": "user:bob", "content": 2, "kind": "custom:order"}).to_string();
    assert_eq!(back.refused("POST /api/v1/messages", &once, &other), no(409, "conflict"));
    // A client id in the body does the same, and both are one too many.
    let named =
        json!({"to": "user:bob", "content": 1, "kind": "custom:order", "client_id": "order-7"});
    assert_eq!(back.ok("POST /api/v1/messages", &named)["duplicate"], true);
    let both = back.refused("POST /api/v1/messages", &once, &named.to_string());
    assert_eq!(both, no(400, "bad_field"));
    // Without either, each is a request of its own; `null` is nothing.
    let null = json!({"to": "user:cat", "content": {"client_id": null}, "kind": "custom:x",
        "client_id": null});
    for (headers, duplicate) in [(&[][..], false), (&[], false), (&once[..], true)] {
        let to_cat =
            json!({"to": "user:bob", "content": 1, "kind": "custom:order", "client_id": null});
        let body = if duplicate { &to_cat } else { &null };
        let written = back.ok_as("POST /api/v1/messages", headers, body);
        assert_eq!(written["duplicate"], duplicate);
    }
    for _ in 0..2 {
        assert_eq!(back.ok("POST /api/v1/messages", &body)["duplicate"], false);
    }
    let push = json!({"to": ["user:cat"], "type": "notification", "data": 1});
    let once = [("Idempotency-Key", "push-7")];
    for duplicate in [false, true] {
        let pushed = back.ok_as("POST /api/v1/push", &once, &push);
        assert_eq!(pushed["duplicate"], duplicate, "{pushed}");
    }
    let group = json!({"name": "g"});
    let once = [("Idempotency-Key", "group-7")];
    let [one, two] = [(); 2].map(|()| back.ok_as("POST /api/v1/groups", &once, &group));
    assert_eq!(one["group"], two["group"]);
    let seqs: Vec<u64> = (0..3).map(|_| bob.event("message")["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3]);
    node.stop();
}

#[test]
fn pushes_reach_users_roles_and_those_who_come_later() {
    let node = Node::start(&[("SERVER_SHARDS", "2")]);
    // No rule of the configuration lets anybody push: the key does.
    let back = BackEnd::new(&node, &["push"]);
    back.ok("POST /api/v1/push", &json!({"to": "all", "type": "notification", "data": 0}));
    let mut bob = Talk::open_with(&node, "?device=d", &node.token_with("bob", &["staff"]));
    assert_eq!(
        bob.refused("push", json!({"to": "all", "type": "notification", "data": 1})),
        "not_allowed"
    );
    bob.sync();
    for to in ["user:bob", "role:staff", "all"] {
        back.ok("POST /api/v1/push", &json!({"to": to, "type": "notification", "data": to}));
        assert_eq!(bob.event("notification")["data"], to);
    }
    drop(bob);
    back.ok("POST /api/v1/push", &json!({"to": "all", "type": "notification", "data": "later"}));
    let mut bob = Talk::open_with(&node, "?device=d", &node.token_with("bob", &["staff"]));
    let page = bob.sync();
    assert!(page.to_string().contains("later"), "{page}");
    node.stop();
}

#[test]
fn groups_are_made_and_changed_by_the_key_or_on_behalf_of_a_user() {
    let node = Node::start(&[]);
    let back = BackEnd::new(&node, &["groups", "users", "messages"]);
    let ann = [("X-Hubbub-User", "ann")];
    let made =
        back.ok_as("POST /api/v1/groups", &ann, &json!({"name": "Team", "members": ["bob"]}));
    let group = made["group"].as_str().unwrap();
    let at = |rest: &str| format!("/api/v1/groups/{group}{rest}");
    // The key is no member, so that only its messages get in.
    let text = json!({"to": format!("group:{group}"), "content": "from outside"});
    back.ok("POST /api/v1/messages", &text);
    let refused = back.refused(&format!("PATCH {}", at("")), &[], r#"{"name":"Other"}"#);
    assert_eq!(refused.0, 403, "{refused:?}");
    back.ok_as(&format!("PATCH {}", at("")), &ann, &json!({"name": "Crew"}));
    back.ok_as(&format!("POST {}", at("/members")), &ann, &json!({"members": ["cat", "dan"]}));
    back.ok_as(&format!("DELETE {}", at("/members/dan")), &ann, &Value::Null);
    back.ok_as(&format!("PUT {}", at("/members/cat/role")), &ann, &json!({"role": "admin"}));
    let page = back.ok_as(&format!("GET {}?limit=2", at("/members")), &ann, &Value::Null);
    assert_eq!(page["count"], 3);
    let next = page["next"].as_str().unwrap();
    let rest =
        back.ok_as(&format!("GET {}?limit=2&after={next}", at("/members")), &ann, &Value::Null);
    assert_eq!(rest["members"], json!([{"id": "cat", "role": "admin"}]));
    let mut bob = Talk::attached(&node, "bob");
    // The form of simple chat servers.
    let sent = back.ok("POST /api/message", &json!({"roomId": group, "text": "hello"}));
    assert_eq!(sent, json!({"sent": true}));
    assert_eq!(bob.event("message")["content"], "hello");
    let history = format!("GET /api/v1/users/bob/conversations/group:{group}/messages?limit=1");
    assert_eq!(back.ok(&history, &Value::Null)["entries"][0]["content"], "hello");
    let outsider = format!("GET /api/v1/users/eve/conversations/group:{group}/messages");
    assert_eq!(back.refused(&outsider, &[], ""), no(403, "not_a_member"));
    back.ok_as(&format!("DELETE {}", at("")), &ann, &Value::Null);
    let closed = back.refused("POST /api/v1/messages", &[], &text.to_string());
    assert_eq!(closed, no(403, "not_a_member"));
    node.stop();
}

#[test]
fn what_holds_between_users_holds_for_those_who_act_on_their_behalf() {
    let node = Node::start(&[]);
    let back = BackEnd::new(&node, &["messages", "users"]);
    let mut bob = Talk::open(&node, "bob");
    bob.ok("friend_block", json!({"user": "eve"}));
    let eve = [("X-Hubbub-User", "eve")];
    let body = r#"{"to":"user:bob","content":"let me in"}"#;
    assert_eq!(back.refused("POST /api/v1/messages", &eve, body), no(403, "refused"));
    assert_eq!(back.ask("POST /api/v1/messages", &[], body).status, 200);
    assert_eq!(bob.event("message")["content"], "let me in");
    // On behalf of somebody needs its scope.
    let plain = BackEnd::new(&node, &["messages"]);
    assert_eq!(plain.refused("POST /api/v1/messages", &eve, body), no(403, "not_allowed"));
    node.stop();
}

#[test]
fn users_are_seen_and_changed_as_they_see_themselves() {
    let node = Node::start(&[]);
    let back = BackEnd::new(&node, &["users", "presence", "connections", "tokens"]);
    let token =
        back.ok("POST /api/v1/tokens", &json!({"user": "bob", "name": "Bob", "device": "d1"}));
    let mut bob = Talk::open_with(&node, "", token["token"].as_str().unwrap());
    assert_eq!(bob.connected["name"], "Bob");
    assert!(token["expires_at"].as_u64().unwrap() > 1_700_000_000_000);
    back.ok("PATCH /api/v1/users/bob", &json!({"about": "hi"}));
    back.ok("PUT /api/v1/users/bob/roles", &json!({"roles": ["staff"]}));
    let me = back.ok("GET /api/v1/users/bob", &Value::Null);
    assert_eq!((&me["user"]["about"], &me["roles"]), (&json!("hi"), &json!(["staff"])));
    bob.text("user:cat", "hi", "b1");
    let list = back.ok("GET /api/v1/users/cat/conversations", &Value::Null);
    assert_eq!(list["conversations"][0]["id"], "direct:bob:cat");
    assert_eq!(back.ok("GET /api/v1/users/bob/friends", &Value::Null)["relations"], json!([]));
    let there = |user: &str| {
        let path = format!("GET /api/v1/users/{user}/presence");
        back.ok(&path, &Value::Null)["presences"][0]["status"].clone()
    };
    assert_eq!((there("bob"), there("cat")), (json!("online"), json!("offline")));
    // Whoever asks does not count as somebody who is there.
    assert_eq!(there("cat"), "offline");
    let devices = back.ok("GET /api/v1/users/bob/devices", &Value::Null);
    assert!(devices["devices"].as_array().unwrap().len() <= 1, "{devices}");
    back.ok("POST /api/v1/users/bob/disconnect", &json!({"device": "another"}));
    bob.ok("me", json!({}));
    back.ok("POST /api/v1/users/bob/disconnect", &Value::Null);
    assert_eq!(bob.closed(), 4003);
    // The token goes on, until its device is signed out.
    let mut bob = Talk::open_with(&node, "", token["token"].as_str().unwrap());
    back.ok("DELETE /api/v1/users/bob/devices/d1", &Value::Null);
    assert_eq!(bob.closed(), 4003);
    node.stop();
}

#[test]
fn what_is_published_reaches_subscribers_and_says_where_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("hubbub.toml");
    let rules = "subscribe = \"everyone\"\nhistory_size = 10\ntrack_presence = true\n";
    std::fs::write(&config, format!("[namespaces.news]\n{rules}")).unwrap();
    let node = Node::start(&[("CONFIG", config.to_str().unwrap()), ("SERVER_SHARDS", "2")]);
    let back = BackEnd::new(&node, &["channels", "users"]);
    let mut readers: Vec<_> = ["a", "b", "c"].map(|user| Talk::open(&node, user)).into();
    for reader in &mut readers {
        reader.ok("subscribe", json!({"channel": "news:1"}));
    }
    let first = back.ok("POST /api/v1/channels/news:1/publish", &json!({"data": {"n": 1}}));
    assert_eq!(first["offset"], 1);
    let ann = [("X-Hubbub-User", "ann")];
    let body = json!({"channels": ["news:1", "news:2", "other:1"], "data": [2]});
    let results = back.ok_as("POST /api/v1/broadcast", &ann, &body)["results"].take();
    assert_eq!((&results[0]["channel"], &results[0]["offset"]), (&json!("news:1"), &json!(2)));
    assert_eq!(results[1]["offset"], 1);
    assert_eq!(results[2]["reason"], "channel_unknown");
    for reader in &mut readers {
        let one = reader.event("publication");
        assert_eq!((&one["data"], &one["offset"]), (&json!({"n": 1}), &json!(1)));
        let two = reader.event("publication");
        assert_eq!((&two["data"], &two["from"]), (&json!([2]), &json!("ann")));
    }
    // Once for as long as the history keeps it, and nothing else under the same key.
    let once = [("Idempotency-Key", "p-1")];
    let line = "POST /api/v1/channels/news:3/publish";
    for _ in 0..2 {
        assert_eq!(back.ok_as(line, &once, &json!({"data": "a"}))["offset"], 1);
    }
    assert_eq!(back.refused(line, &once, r#"{"data":"b"}"#), no(409, "conflict"));
    assert_eq!(back.ok(line, &json!({"data": "b"}))["offset"], 2);
    let page = back.ok("GET /api/v1/channels/news:1/history?after=1&limit=5", &Value::Null);
    assert_eq!(page["publications"][0]["data"], json!([2]));
    assert_eq!((&page["offset"], &page["epoch"]), (&json!(2), &first["epoch"]));
    let there = back.ok("GET /api/v1/channels/news:1/presence?limit=2", &Value::Null);
    assert_eq!((&there["total"], &there["more"]), (&json!(3), &json!(true)), "{there}");
    // A back end puts a user's connections on a channel, and takes them off.
    back.ok("POST /api/v1/users/a/subscriptions/news:9", &Value::Null);
    readers[0].event("subscribed");
    back.ok("POST /api/v1/channels/news:9/publish", &json!({"data": 9}));
    assert_eq!(readers[0].event("publication")["data"], 9);
    back.ok("DELETE /api/v1/users/a/subscriptions/news:9", &Value::Null);
    readers[0].event("unsubscribed");
    let unknown = back.refused("POST /api/v1/users/a/subscriptions/other:9", &[], "");
    assert_eq!(unknown, no(404, "channel_unknown"));
    let unknown = back.refused("POST /api/v1/channels/other:1/publish", &[], r#"{"data":1}"#);
    assert_eq!(unknown, no(404, "channel_unknown"));
    for channel in ["news", "user:1", "news:%22", "news:%ff"] {
        let line = format!("POST /api/v1/channels/{channel}/publish");
        assert_eq!(back.refused(&line, &[], r#"{"data":1}"#), no(400, "bad_field"), "{channel}");
    }
    node.stop();
}

#[test]
fn a_batch_is_carried_out_in_order_each_with_its_own_status() {
    let node = Node::start(&[]);
    let back = BackEnd::new(&node, &["messages", "users", "channels"]);
    let mut bob = Talk::open(&node, "bob");
    let message = |n: u64| {
        json!({"method": "POST", "path": "/api/v1/messages",
            "body": {"to": "user:bob", "content": n.to_string()}})
    };
    let mut requests: Vec<Value> = (0..50).map(message).collect();
    requests.extend([
        json!({"method": "GET", "path": "/api/v1/users/bob"}),
        json!({"method": "POST", "path": "/api/v1/push", "body": {}}),
        json!({"method": "GET", "path": "/api/v1/nothing"}),
        json!({"method": "PUT", "path": "/api/v1/messages"}),
        json!({"method": "POST", "path": "/api/v1/batch", "body": {"requests": []}}),
        json!({"method": "POST", "path": "/api/v1/broadcast",
            "body": {"channels": ["news:1"], "data": 1}}),
        json!({"method": "GET", "path": "/livez"}),
        json!({"method": "POST", "path": "/api/v1/messages", "idempotency_key": "a b"}),
        json!({"method": "POST", "path": "/api/v1/messages", "user": "eve", "idempotency_key": "x",
            "body": {"to": "user:bob", "content": "as eve"}}),
    ]);
    let results = back.ok("POST /api/v1/batch", &json!({"requests": requests}))["results"].take();
    let statuses: Vec<u64> =
        results.as_array().unwrap().iter().map(|r| r["status"].as_u64().unwrap()).collect();
    assert!(statuses[..50].iter().all(|status| *status == 200), "{results}");
    assert_eq!(statuses[50..], [200, 403, 404, 405, 400, 400, 400, 400, 200], "{results}");
    for n in 0..50 {
        assert_eq!(bob.event("message")["content"], n.to_string());
    }
    assert_eq!(bob.event("message")["from"], "eve");
    let many = json!({"requests": vec![message(0); 101]}).to_string();
    assert_eq!(back.refused("POST /api/v1/batch", &[], &many), no(400, "bad_field"));
    assert_eq!(back.refused("POST /api/v1/batch", &[], r#"{"requests":[]}"#), no(400, "bad_field"));
    node.stop();
}

#[test]
fn a_running_server_answers_many_at_a_time_and_stops_in_order() {
    let node = Node::start(&[("SERVER_SHARDS", "2")]);
    let back = BackEnd::new(&node, &["messages"]);
    std::thread::scope(|scope| {
        for sender in 0..8 {
            let back = &back;
            scope.spawn(move || {
                for n in 0..25 {
                    let key = format!("s{sender}-{n}");
                    let body = json!({"to": "user:bob", "content": key}).to_string();
                    let once = [("Idempotency-Key", key.as_str())];
                    assert_eq!(back.ask("POST /api/v1/messages", &once, &body).status, 200);
                }
            });
        }
    });
    let mut bob = Talk::open(&node, "bob");
    let list = bob.ok("conversations", json!({}));
    assert_eq!(list["conversations"][0]["head_seq"], 200);
    node.stop();
}

#[test]
fn a_key_with_the_scope_sees_the_metrics() {
    let node = Node::start(&[]);
    let status = |scope: &str| {
        let bearer = format!("Bearer {}", make_key(&node, &[scope], &[]));
        node.server.ask("GET /metrics", &[("Authorization", &bearer)], "").status
    };
    assert_eq!((status("metrics"), status("*"), status("messages")), (200, 200, 404));
    // What the API did is among them.
    let back = BackEnd::new(&node, &["*"]);
    back.ok("GET /api/v1/users/ann", &Value::Null);
    assert_eq!(node.server.get("/api/v1/keys").status, 401);
    let bearer = format!("Bearer {}", back.key);
    let seen = node.server.ask("GET /metrics", &[("Authorization", &bearer)], "").body;
    for line in ["hubbub_api_requests_total 2", "hubbub_api_refused_total{reason=\"stranger\"} 1"] {
        assert!(seen.lines().any(|known| known == line), "{line}: {seen}");
    }
    node.stop();
}

#[test]
fn the_reference_is_made_of_what_the_server_says_of_itself() {
    let node = Node::start(&[]);
    let document = node.server.get("/api/v1/openapi.json");
    assert_eq!(document.status, 200);
    let document = document.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/v1/messages"]["post"]["requestBody"].is_object());
    for path in ["/api", "/api/"] {
        let page = node.server.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert!(page.head.contains("content-type: text/html"), "{path}: {}", page.head);
        // Nothing of it comes from elsewhere, nor is a script or a style within the page.
        assert!(!page.body.contains("://") && !page.body.contains("<style"), "{}", page.body);
        for file in ["/reference/reference.js", "/reference/reference.css"] {
            assert!(page.body.contains(file), "{}", page.body);
            let file = node.server.get(file);
            assert!(file.status == 200 && !file.body.contains("://"), "{}", file.body);
        }
    }
    node.stop();
}
