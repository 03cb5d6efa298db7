use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::process::{Data, Launch, Said, hubbub};

#[track_caller]
fn check(said: &Said, code: i32, parts: &[&str]) {
    assert_eq!(said.code, Some(code), "{}", said.err);
    assert_eq!(said.out, "");
    // Lines of the log may come before; the failure itself is one line.
    let line = said.err.lines().last().unwrap();
    assert!(line.starts_with("hubbub: "), "{}", said.err);
    for part in parts {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_the_first_goes_on() {
    let data = Data::new();
    let first = data.serve();
    let said = data.launch().dev().refused();
    check(&said, 1, &["another server is running on this data", "--data-dir"]);
    assert_eq!(first.get("/readyz").status, 200);
    assert_eq!(first.stop().code, Some(0));
}

#[test]
fn a_port_in_use_is_named() {
    let data = Data::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = hubbub();
    command.args(["serve", "--bind", &address, "--data-dir"]).arg(data.path());
    check(&command.output().unwrap().into(), 1, &[&address, "in use", "--bind"]);
    drop(taken);
    // Nothing is left behind that would keep the next one out.
    data.serve().stop();
}

#[test]
fn a_bad_configuration_is_refused_before_anything_is_made() {
    let data = Data::new();
    let check = |launch: Launch, parts: &[&str]| {
        check(&launch.refused(), 2, parts);
        assert!(!data.path().exists());
    };
    check(
        data.launch().set("LIMITS_MESSAGE_BYTES_MAX", "10"),
        &["limits.message_bytes_max: 10 is too small; use at least 1024"],
    );
    check(data.launch().set("LIMITS_MESSAGE_BYTE_MAX", "10"), &["did you mean message_bytes_max?"]);
    check(data.launch().set("AUTH_ALGORITHMS", "none"), &["auth.algorithms"]);
    check(data.launch().arg("--config").arg("/nowhere.toml"), &["/nowhere.toml", "--config"]);
    check(data.launch().dev().set("SERVER_CONNECTIONS_MAX", "many"), &["server.connections_max"]);
}

#[test]
fn development_mode_is_for_loopback_only_and_loud() {
    let data = Data::new();
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let mut command = hubbub();
        command.args(["serve", "--dev", "--bind", bind, "--data-dir"]).arg(data.path());
        check(&command.output().unwrap().into(), 2, &["server.dev", bind, "127.0.0.1"]);
    }
    let ended = data.serve().stop();
    assert!(ended.log.contains("DEVELOPMENT MODE"), "{}", ended.log);
    let ended = data.launch().start().stop();
    assert!(!ended.log.contains("DEVELOPMENT"), "{}", ended.log);
}

#[test]
fn what_is_printed() {
    let data = Data::new();
    let server = data.launch().start();
    let address = server.address;
    assert_eq!(
        server.stop().out,
        format!("listening on {address}\nopen http://{address}/ to chat")
    );
}

#[test]
fn an_unsafe_secret_is_refused_with_the_fix() {
    let data = Data::new();
    data.serve().stop();
    let secret = data.path().join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    check(&data.launch().refused(), 1, &["chmod 600", secret.to_str().unwrap()]);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&secret, "short").unwrap();
    check(&data.launch().refused(), 1, &["fewer than 32 characters"]);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let data = Data::new();
    fs::write(data.path(), "a file").unwrap();
    check(&data.launch().refused(), 1, &["data directory", data.path().to_str().unwrap()]);
}
