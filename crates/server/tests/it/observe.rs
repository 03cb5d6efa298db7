//! What an operator sees, and that nobody else does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hubbub_server::metrics::{FAMILIES, Kind};
use serde_json::{Value, json};

use crate::exposition::Exposition;
use crate::node::Node;
use crate::process::{Data, Server};
use crate::talk::Talk;
use crate::wire::{Answer, ask};

const TOKEN: &str = "a-token-for-whoever-collects-metrics";

/// A file with a token, readable by its owner only.
fn token_file(dir: &Path, token: &str) -> String {
    let file = dir.join("metrics-token");
    fs::write(&file, format!("{token}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file.to_str().unwrap().to_owned()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn with(server: &Server, line: &str, token: &str) -> Answer {
    server.ask(line, &[("Authorization", &bearer(token))], "")
}

/// A server whose admins have the role `ops`, and what signs their tokens.
fn with_admins() -> Node {
    admins_and(&[])
}

/// The same with one shard, so that its numbers are those of all, and more settings.
fn admins_and(settings: &[(&str, &str)]) -> Node {
    let own =
        [("ADMIN_WHO", "role:ops"), ("LIMITS_PING_INTERVAL_MS", "3600000"), ("SERVER_SHARDS", "1")];
    Node::start(&[&own, settings].concat())
}

fn scrape(node: &Node) -> Exposition {
    let answer = with(&node.server, "GET /metrics", &node.token_with("root", &["ops"]));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    Exposition::read(&answer.body)
}

#[test]
fn strangers_see_no_metrics() {
    let nobody = Data::new();
    let server = nobody.launch().start();
    for token in ["", TOKEN, &nobody.token_with("alice", None, &["ops"], 3600)] {
        for path in ["/metrics", "/metrics/websocket"] {
            let answer = with(&server, &format!("GET {path}"), token);
            assert_eq!((answer.status, &answer.json()["reason"]), (404, &json!("not_found")));
        }
        assert_eq!(with(&server, "POST /metrics/websocket/reset", token).status, 404);
    }
    let data = Data::new();
    let file = token_file(data.around(), TOKEN);
    let launch = data.launch().set("ADMIN_WHO", "role:ops").set("METRICS_TOKEN_FILE", &file);
    let server = launch.start();
    let user = data.token("alice");
    let old = data.token_with("root", None, &["ops"], -100);
    let admin = data.token_with("root", None, &["ops"], 3600);
    for (line, yes) in [
        ("GET /metrics", 200),
        ("GET /metrics/websocket", 200),
        ("POST /metrics/websocket/reset", 204),
    ] {
        for (token, status, reason) in [
            ("", 401, "unauthorized"),
            ("x", 401, "bad_token"),
            (&TOKEN[1..], 401, "bad_token"),
            (&old, 401, "token_expired"),
            (&user, 403, "not_allowed"),
        ] {
            let answer = with(&server, line, token);
            assert_eq!(
                (answer.status, &answer.json()["reason"]),
                (status, &json!(reason)),
                "{line}"
            );
            assert!(!answer.body.contains("hubbub_"), "{}", answer.body);
        }
        // What a browser sends by itself, or stands in an address that is logged, does not count.
        let cookie = server.ask(line, &[("Cookie", &format!("hubbub_token={admin}"))], "");
        let query = server.ask(&format!("{line}?token={admin}"), &[], "");
        assert_eq!((cookie.status, query.status), (401, 401), "{line}");
        for token in [TOKEN, &admin] {
            let answer = with(&server, line, token);
            assert_eq!(answer.status, yes, "{line}: {}", answer.body);
            assert!(answer.head.contains("x-content-type-options: nosniff"));
        }
    }
    assert_eq!(with(&server, "GET /metrics/websocket/reset", TOKEN).status, 405);
}

#[test]
fn a_listener_of_their_own_serves_this_machine() {
    let data = Data::new();
    let mut server =
        data.launch().set("METRICS_BIND", "127.0.0.1:0").set("ADMIN_WHO", "role:ops").start();
    let metrics = server.said("metrics on ");
    assert_ne!(metrics, server.address);
    let get = |path: &str, host: &str| ask(metrics, &format!("GET {path}"), &[("Host", host)], "");
    Exposition::read(&get("/metrics", "localhost:9464").body);
    assert!(get("/metrics/websocket", "127.0.0.1").json()["uptime"].is_u64());
    for path in ["/livez", "/readyz", "/version"] {
        assert_eq!(get(path, "anything").status, 200, "{path}");
    }
    // A page of somebody else's whose name leads here reads nothing, and nobody changes anything.
    assert_eq!(get("/metrics", "evil.example").status, 404);
    assert_eq!(ask(metrics, "POST /metrics/websocket/reset", &[], "").status, 401);
    let admin = bearer(&data.token_with("root", None, &["ops"], 3600));
    let reset = ask(metrics, "POST /metrics/websocket/reset", &[("Authorization", &admin)], "");
    assert_eq!(reset.status, 204);
    assert_eq!((get("/", "localhost").status, get("/ws", "localhost").status), (404, 404));
    assert_eq!(server.get("/metrics").status, 401, "the main address is for those permitted");
}

#[test]
fn elsewhere_the_listener_asks_for_the_token() {
    let data = Data::new();
    let refused = data.launch().set("METRICS_BIND", "0.0.0.0:0").refused();
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("metrics.token_file"), "{}", refused.err);
    let file = token_file(data.around(), TOKEN);
    let launch = data.launch().set("METRICS_BIND", "0.0.0.0:0").set("METRICS_TOKEN_FILE", &file);
    let mut server = launch.start();
    let port = server.said("metrics on ").port();
    let metrics = ([127, 0, 0, 1], port).into();
    assert_eq!(ask(metrics, "GET /metrics", &[], "").status, 401);
    let shown = ask(metrics, "GET /metrics", &[("Authorization", &bearer(TOKEN))], "");
    Exposition::read(&shown.body);
}

#[test]
fn a_token_that_others_can_read_or_guess_is_refused_at_the_start() {
    let data = Data::new();
    let exposed = token_file(data.around(), TOKEN);
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o644)).unwrap();
    for (file, part) in [
        (exposed, "chmod 600"),
        (data.around().join("none").to_str().unwrap().to_owned(), "openssl rand"),
    ] {
        let said = data.launch().set("METRICS_TOKEN_FILE", &file).refused();
        assert!(said.err.contains("metrics.token_file") && said.err.contains(part), "{}", said.err);
    }
    let short = token_file(data.around(), "short");
    let said = data.launch().set("METRICS_TOKEN_FILE", &short).refused();
    assert!(said.err.contains("32 characters"), "{}", said.err);
}

#[test]
fn what_happens_is_counted() {
    const SENDS: u64 = 25;
    let node = with_admins();
    let before = scrape(&node);
    let began = std::time::Instant::now();
    let mut alice = Talk::open(&node, "alice");
    let mut bobs = [Talk::open(&node, "bob"), Talk::open(&node, "bob")];
    for n in 0..SENDS {
        alice.text("user:bob", "hi", &format!("m{n}"));
        for bob in &mut bobs {
            bob.content();
        }
    }
    assert_eq!(
        alice.refused("send", json!({ "to": "nobody", "content": 1, "client_id": "x" })),
        "bad_field"
    );
    let now = scrape(&node);
    let moved = |key: &str| now.get(key) - before.get(key);
    for (key, wanted) in [
        ("hubbub_connections{transport=\"tcp\",dialect=\"json\"}", 3),
        ("hubbub_connections{transport=\"tls\",dialect=\"json\"}", 0),
        ("hubbub_sessions", 3),
        ("hubbub_connections_opened_total{transport=\"tcp\",dialect=\"json\"}", 3),
        ("hubbub_shard_connections{shard=\"0\"}", 3),
        ("hubbub_refusals_total{reason=\"bad_field\"}", 1),
        ("hubbub_refused_by_total{by=\"session\"}", 1),
        // One for each send, and one for each that got it.
        ("hubbub_ack_seconds_count", SENDS),
        ("hubbub_delivery_seconds_count", 2 * SENDS),
        // The sessions' openings are requests too.
        ("hubbub_queue_wait_seconds_count{by=\"writer\"}", 3 + SENDS),
        ("hubbub_batch_requests_sum", 3 + SENDS),
        ("hubbub_read_seconds_count", 0),
        ("hubbub_upgraded_total", 3),
        ("hubbub_deliveries_total", 2 * SENDS),
        ("hubbub_messages_total{direction=\"in\"}", SENDS + 1),
        // `connected`, the acks and the refusal, and what the bobs got.
        ("hubbub_messages_total{direction=\"out\"}", 3 + SENDS + 1 + 2 * SENDS),
        ("hubbub_commits_total", now.get("hubbub_commit_seconds_count") as u64),
    ] {
        assert_eq!(moved(key), wanted as f64, "{key}");
    }
    assert!(moved("hubbub_commits_total") >= SENDS as f64, "each was acked before the next");
    assert_eq!(now.sum("hubbub_connections_closed_total"), 0.0);
    assert_eq!(now.sum("hubbub_dropped_total"), 0.0);
    // An ack takes at least its commit, and what was measured is what the clients waited for.
    let took = began.elapsed().as_secs_f64();
    let acks = moved("hubbub_ack_seconds_sum");
    assert!(acks >= moved("hubbub_commit_seconds_sum") / 2.0 && acks < took, "{acks} of {took}");
    assert!(now.get("hubbub_shard_busy_seconds_total{shard=\"0\"}") < took * 2.0);
    assert!(moved("hubbub_shard_turns_total{shard=\"0\"}") >= 2.0 * SENDS as f64);
    alice.ok("history", json!({ "conversation": "direct:alice:bob" }));
    assert_eq!(scrape(&node).get("hubbub_read_seconds_count"), 1.0);
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
        assert!(now.get(name) > 0.0, "{name}");
    }
    assert_eq!(
        now.get(&format!("hubbub_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))),
        1.0
    );
}

#[test]
fn ends_are_counted_by_how_they_came() {
    let node = admins_and(&[
        ("LIMITS_COMMANDS_PER_SECOND", "1"),
        ("LIMITS_COMMANDS_BURST", "1"),
        ("LIMITS_RATE_REFUSALS_MAX", "3"),
        ("ECHO_ENABLED", "true"),
    ]);
    let mut gone = Talk::open(&node, "gone");
    gone.write(tungstenite::Message::Close(None));
    gone.closed();
    let mut fast = Talk::open(&node, "fast");
    for n in 0..6 {
        fast.try_say(
            &json!({ "type": "send", "payload":
            { "to": "user:x", "content": "hi", "client_id": format!("m{n}") } })
            .to_string(),
        );
    }
    assert_eq!(fast.closed(), 4009);
    drop(Talk::open(&node, "lost"));
    let mut mad = Talk::open(&node, "mad");
    mad.raw(&[0xff; 8]);
    assert_eq!(mad.closed(), 1002);
    // With a bad token the handshake succeeds, so that a page can read the code.
    let (mut refused, _) = node.server.handshake("/ws?token=x", &[]).ok().unwrap();
    assert_eq!(refused.close_code(), 4001);
    let echo = node.server.handshake("/echo", &[]).ok().unwrap();
    let seen = loop {
        let seen = scrape(&node);
        let lost = seen.get("hubbub_connections_closed_total{code=\"lost\"}");
        if lost > 0.0 && seen.get("hubbub_ack_seconds_count") > 0.0 {
            break seen;
        }
    };
    for (key, wanted) in [
        ("hubbub_connections_closed_total{code=\"client\"}", 1.0),
        ("hubbub_connections_closed_total{code=\"lost\"}", 1.0),
        ("hubbub_connections_closed_total{code=\"4009\"}", 1.0),
        ("hubbub_connections_closed_total{code=\"4001\"}", 1.0),
        ("hubbub_connections_closed_total{code=\"1002\"}", 1.0),
        ("hubbub_connections_opened_total{transport=\"tcp\",dialect=\"json\"}", 4.0),
        ("hubbub_connections_opened_total{transport=\"tcp\",dialect=\"refused\"}", 1.0),
        ("hubbub_connections{transport=\"tcp\",dialect=\"echo\"}", 1.0),
        ("hubbub_rate_limited_total{scope=\"connection\"}", 3.0),
        ("hubbub_ack_seconds_count", 1.0),
        ("hubbub_rate_limited_total{scope=\"user\"}", 0.0),
    ] {
        assert_eq!(seen.get(key), wanted, "{key}");
    }
    assert_eq!(seen.sum("hubbub_connections_closed_total"), 5.0);
    assert_eq!(seen.sum("hubbub_refusals_total"), 0.0, "rates are counted apart");
    drop(echo);
}

#[test]
fn the_summary_begins_anew_and_prometheus_does_not() {
    let node = with_admins();
    let admin = node.token_with("root", &["ops"]);
    let view = || with(&node.server, "GET /metrics/websocket", &admin).json();
    let mut alice = Talk::open(&node, "alice");
    for n in 0..20 {
        alice.text("user:bob", "hi", &format!("m{n}"));
    }
    let seen = view();
    assert_eq!((&seen["activeConnections"], &seen["connectedSockets"]), (&json!(1), &json!(1)));
    assert_eq!(seen["rooms"], 0);
    let commits = &seen["metrics"]["commit"];
    let field = |name: &str| commits[name].as_f64().unwrap_or_else(|| panic!("{name} in {seen}"));
    assert!(field("count") >= 20.0, "{seen}");
    assert_eq!(seen["metrics"]["ack"]["count"], 20);
    assert_eq!(seen["metrics"]["delivery"], json!({ "count": 0 }), "nobody else was there");
    assert!(field("min") > 0.0 && field("min") <= field("avg") && field("avg") <= field("max"));
    assert!(field("p95") <= field("p99") && field("p99") <= field("max"), "{seen}");
    let counted = scrape(&node).get("hubbub_commit_seconds_count");
    assert_eq!(with(&node.server, "POST /metrics/websocket/reset", &admin).status, 204);
    let anew = view();
    assert!(anew["metrics"]["commit"]["count"].as_f64().unwrap() < 20.0, "{anew}");
    assert!(anew["measuredFor"].as_u64() <= anew["uptime"].as_u64());
    assert!(anew["uptime"].as_u64() >= seen["uptime"].as_u64());
    assert!(scrape(&node).get("hubbub_commit_seconds_count") >= counted);
}

#[test]
fn a_disk_that_is_nearly_full_is_not_ready() {
    let full = (i64::MAX).to_string();
    let data = Data::new();
    let server = data.launch().dev().set("STORE_DISK_FREE_MIN_BYTES", &full).start();
    let answer = server.get("/readyz");
    assert_eq!((answer.status, &answer.json()["reason"]), (503, &json!("not_ready")));
    assert!(!answer.body.contains(&full), "strangers need not know: {}", answer.body);
    assert_eq!((server.get("/livez").status, server.get("/version").status), (200, 200));
    // What is there goes on.
    let token = data.token("alice");
    server.session(&token).next_of("connected");
    let log = server.stop().log;
    assert!(log.contains("not ready") && log.contains("store.disk_free_min_bytes"), "{log}");
    let off = data.launch().set("STORE_DISK_FREE_MIN_BYTES", "0").start();
    assert_eq!(off.get("/readyz").status, 200);
}

#[test]
fn the_log_sums_up_what_happened_and_is_silent_otherwise() {
    let data = Data::new();
    let launch = data.launch().set("LOG_SUMMARY_MS", "50").set("LOG_FORMAT", "json");
    let server = launch.set("LIMITS_PING_INTERVAL_MS", "3600000").start();
    let mut alice = server.session(&data.token("alice"));
    for n in 0..5 {
        let id = n.to_string();
        alice.send("send", &id, &json!({ "to": "user:bob", "content": "hi", "client_id": id }));
        alice.answer(&id);
    }
    // So long that there would be lines: what is looked at is that there are none.
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(alice);
    let log = server.stop().log;
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let summaries: Vec<Value> =
        lines.map(|line| line["fields"].clone()).filter(|f| f["message"] == "summary").collect();
    let sum = |field: &str| summaries.iter().map(|line| line[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("opened"), sum("messages_in"), sum("messages_out")), (1, 5, 6), "{log}");
    assert!(sum("commits") >= 5 && summaries.len() <= 5, "{log}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_page_lists_what_is_exported() {
    let page = root().join("docs/metrics.md");
    let made = hubbub_server::metrics::as_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &made).unwrap();
    }
    assert!(fs::read_to_string(page).unwrap() == made, "run it with UPDATE_DOCS=1");
    let exported = scrape(&with_admins());
    let listed: Vec<&str> =
        made.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(listed.len(), exported.kinds.len());
    for name in listed {
        assert!(exported.kinds.contains_key(name), "{name} is not exported");
    }
}

/// The expressions of a dashboard, each with what its legend shows.
fn asked(dashboard: &Value, found: &mut Vec<(String, String)>) {
    if let Some(expression) = dashboard["expr"].as_str().or_else(|| dashboard["query"].as_str()) {
        let legend = dashboard["legendFormat"].as_str().unwrap_or_default();
        found.push((expression.to_owned(), legend.to_owned()));
    }
    match dashboard {
        Value::Object(fields) => fields.values().for_each(|value| asked(value, found)),
        Value::Array(values) => values.iter().for_each(|value| asked(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let file = fs::read_to_string(root().join("deploy/grafana/hubbub.json")).unwrap();
    let mut expressions = Vec::new();
    asked(&serde_json::from_str(&file).unwrap(), &mut expressions);
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut seen = std::collections::BTreeSet::new();
    for (expression, legend) in &expressions {
        let words = expression.split(|c| !is_name(c));
        let ours = |word: &&str| word.starts_with("hubbub_") || word.starts_with("process_");
        for word in words.filter(ours) {
            let family = FAMILIES.iter().find(|family| match family.kind {
                Kind::Histogram(_) => word.strip_suffix("_bucket") == Some(family.name),
                Kind::Counter | Kind::Gauge => word == family.name,
            });
            let family = family.unwrap_or_else(|| panic!("{word} of {expression} is not exported"));
            seen.insert(family.name);
            let groups = expression.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
            let shown = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
            for label in groups.flat_map(|group| group.split(", ")).chain(shown) {
                let known = family.labels.contains(&label);
                assert!(known || ["le", "instance"].contains(&label), "{label} of {expression}");
            }
        }
    }
    assert!(seen.len() > 35, "{seen:?}");
}
