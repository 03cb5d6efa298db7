use hubbub_access::{TokenPolicy, Verifier};
use hubbub_proto::Timestamp;

use crate::process::{Data, hubbub, say};

#[test]
fn version_and_help() {
    let version = format!("hubbub {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [["version"], ["--version"]] {
        let said = say(&arguments);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), &*version, ""));
    }
    for (arguments, parts) in [
        (&["--help"][..], &["hubbub serve --dev", "hubbub config default", "Commands:"][..]),
        (&["serve", "--help"], &["--bind", "--data-dir", "--config", "--dev", "SIGTERM"]),
        (&["token", "--help"], &["--user", "--role", "--ttl", "--device", "HS256"]),
        (&["config", "--help"], &["check", "default", "doc"]),
    ] {
        let said = say(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}");
        for part in parts {
            assert!(said.out.contains(part), "{arguments:?}: {part}: {}", said.out);
        }
    }
}

#[test]
fn what_cannot_be_asked_is_2() {
    for arguments in [
        &[][..],
        &["surve"],
        &["serve", "--bind", "nowhere"],
        &["token"],
        &["token", "--user", "white space"],
        &["token", "--user", "a", "--ttl", "soon"],
        &["config"],
    ] {
        let said = say(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert_eq!(said.out, "", "{arguments:?}");
        assert_ne!(said.err, "", "{arguments:?}");
    }
}

#[test]
fn a_token_says_what_was_asked_and_nothing_else_is_printed() {
    let data = Data::new();
    data.serve().stop();
    let dir = data.path();
    let made = |more: &[&str]| {
        let output = hubbub()
            .args(["token", "--user", "alice", "--data-dir"])
            .arg(&dir)
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success());
        assert_eq!(output.stderr, b"");
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(out.lines().count(), 1);
        out.trim_end().to_owned()
    };
    let policy = TokenPolicy { algorithms: vec!["HS256".into()], ..TokenPolicy::default() };
    let verifier = Verifier::new(&data.secret(), policy).unwrap();
    let now = Timestamp(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64);

    let plain = verifier.verify(&made(&[]), None, now).unwrap();
    assert_eq!((plain.user.as_str(), plain.name, plain.roles.len()), ("alice", None, 0));
    assert!(!plain.device_named);
    let all = made(&[
        "--name", "Alice L", "--role", "admin", "--role", "staff", "--ttl", "7d", "--device",
        "phone",
    ]);
    let all = verifier.verify(&all, None, now).unwrap();
    assert_eq!(all.name.as_deref(), Some("Alice L"));
    assert_eq!(*all.roles, ["admin".into(), "staff".into()]);
    assert_eq!(all.device.as_str(), "phone");
    let holds_s = all.expires_at.unwrap().since(now) / 1000;
    assert!((604_700..=604_810).contains(&holds_s), "{holds_s}");
}

#[test]
fn without_a_secret_there_is_no_token() {
    let data = Data::new();
    let output = hubbub()
        .args(["token", "--user", "alice", "--data-dir"])
        .arg(data.path())
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len(), err.lines().count()), (Some(1), 0, 1));
    assert!(err.contains("hubbub serve"), "{err}");
    assert!(!data.path().exists());
}

#[test]
fn configuration() {
    let data = Data::new();
    let file = data.around().join("hubbub.toml");
    std::fs::write(&file, say(&["config", "default"]).out).unwrap();
    let file = file.to_str().unwrap();
    let said = say(&["config", "check", "--config", file]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "ok\n", ""));

    let said = hubbub()
        .args(["config", "check"])
        .env("HUBBUB_CONFIG", file)
        .env("HUBBUB_LIMITS_MESSAGE_BYTES_MAX", "10")
        .output()
        .unwrap();
    let err = String::from_utf8(said.stderr).unwrap();
    assert_eq!((said.status.code(), said.stdout.len()), (Some(2), 0));
    assert_eq!(
        err,
        "hubbub: limits.message_bytes_max: 10 is too small; use at least 1024 (set by \
         HUBBUB_LIMITS_MESSAGE_BYTES_MAX)\n"
    );
    assert!(say(&["config", "doc"]).out.starts_with("# Configuration\n"));
}
