use std::os::unix::fs::PermissionsExt as _;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn all() -> Scopes {
    Scopes::EVERYTHING
}

fn place() -> (tempfile::TempDir, KeyFile) {
    let dir = tempfile::tempdir().unwrap();
    let file = KeyFile::in_dir(dir.path());
    (dir, file)
}

fn reason(keys: &ApiKeys, token: &str, now: Timestamp) -> Option<Reason> {
    keys.check(token, now).err().map(|refusal| refusal.reason)
}

#[test]
fn a_key_is_known_by_its_secret_alone() {
    let (_dir, file) = place();
    let messages = Scopes::parse(["messages"]).unwrap();
    let made = file.create("shop", messages, None, NOW).unwrap();
    let keys = ApiKeys::open(file.clone(), |_| {}).unwrap();
    let key = keys.check(&made.token, NOW).unwrap();
    assert_eq!((&*key.record.name, key.record.scopes), ("shop", messages));
    assert_eq!(key.identity.user.as_str(), format!("api.{}", made.record.id));

    let other = file.create("other", all(), None, NOW).unwrap();
    let (head, secret) = made.token.rsplit_once('_').unwrap();
    let (_, another) = other.token.rsplit_once('_').unwrap();
    for wrong in [
        String::new(),
        "hbk_".into(),
        "hbk__".into(),
        format!("{head}_"),
        format!("{head}_{another}"),
        format!("{head}_{secret}0"),
        format!("{head}_{}", &secret[1..]),
        format!("hbk_nobody_{secret}"),
        format!("hbk__{secret}"),
        made.token.replace("hbk", "key"),
        made.token.to_uppercase(),
    ] {
        assert_eq!(reason(&keys, &wrong, NOW), Some(Reason::BadToken), "{wrong}");
    }
    let kept = fs::read_to_string(&file.path).unwrap();
    assert!(!kept.contains(secret) && kept.contains(&hex(&hash(secret))));
    let mode = fs::metadata(&file.path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_running_server_follows_what_others_change() {
    let (_dir, file) = place();
    let keys = ApiKeys::open(file.clone(), |_| {}).unwrap();
    let made = file.create("shop", all(), None, NOW).unwrap();
    let at = |ms: u64| Timestamp(NOW.0 + ms);
    assert_eq!(reason(&keys, &made.token, NOW), None, "a new one is good at once");
    file.revoke(&made.record.id, at(10)).unwrap();
    assert_eq!(reason(&keys, &made.token, at(100)), None, "not looked again yet");
    assert_eq!(reason(&keys, &made.token, at(LOOK_EVERY_MS)), Some(Reason::BadToken));
    assert!(file.list().unwrap()[0].revoked.is_some(), "it stays on the list");
    assert!(matches!(file.rotate(&made.record.id, 0, NOW), Err(KeyError::Revoked)));
    // A damaged file takes nothing from those who are known.
    let other = file.create("other", all(), None, NOW).unwrap();
    assert_eq!(reason(&keys, &other.token, at(1_000)), None);
    fs::write(&file.path, "{").unwrap();
    assert_eq!(reason(&keys, &other.token, at(2_000)), None);
    assert!(matches!(ApiKeys::open(file.clone(), |_| {}), Err(KeyError::Damaged(..))));
    // One that is gone takes all keys with it.
    fs::remove_file(&file.path).unwrap();
    assert_eq!(reason(&keys, &other.token, at(3_000)), Some(Reason::BadToken));
}

#[test]
fn a_file_that_cannot_be_read_is_read_once_for_each_change() {
    let (_dir, file) = place();
    let made = file.create("shop", all(), None, NOW).unwrap();
    let keys = ApiKeys::open(file.clone(), |_| {}).unwrap();
    assert!(keys.look().is_none(), "nothing changed");
    fs::write(&file.path, "{").unwrap();
    assert!(matches!(keys.look(), Some(Err(KeyError::Damaged(..)))));
    assert!(keys.look().is_none(), "this was said already");
    assert_eq!(reason(&keys, &made.token, NOW), None);
    fs::write(&file.path, "{]").unwrap();
    assert!(matches!(keys.look(), Some(Err(KeyError::Damaged(..)))));
    fs::write(&file.path, r#"{"keys":[]}"#).unwrap();
    assert!(matches!(keys.look(), Some(Ok(()))));
    assert_eq!(reason(&keys, &made.token, NOW), Some(Reason::BadToken));
}

#[test]
fn whoever_changes_the_file_it_stays_the_servers() {
    use std::os::unix::fs::chown;

    const SERVER: u32 = 65_534;
    let (dir, file) = place();
    let owner = |path: &Path| fs::metadata(path).unwrap().uid();
    let lock = file.path.with_extension("lock");
    let draft = file.path.with_extension("draft");
    // What a change that was cut short left behind is in nobody's way.
    fs::write(&draft, "half").unwrap();
    if chown(dir.path(), Some(SERVER), Some(SERVER)).is_err() {
        // Only root gives files away; others are told so before anything is replaced.
        file.create("own", all(), None, NOW).unwrap();
        return;
    }
    let made = file.create("shop", all(), None, NOW).unwrap();
    assert_eq!([&file.path, &lock].map(|path| owner(path)), [SERVER; 2]);
    assert!(!draft.exists());
    // The store is the server's wherever the directory came from.
    chown(dir.path(), Some(0), Some(0)).unwrap();
    fs::write(dir.path().join(STORE_FILE), "").unwrap();
    chown(dir.path().join(STORE_FILE), Some(SERVER), Some(SERVER)).unwrap();
    file.revoke(&made.record.id, NOW).unwrap();
    assert_eq!([&file.path, &lock].map(|path| owner(path)), [SERVER; 2]);
    let mode = fs::metadata(&file.path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn the_old_secret_holds_for_the_grace() {
    let (_dir, file) = place();
    let first = file.create("shop", all(), None, NOW).unwrap();
    let second = file.rotate(&first.record.id, 5_000, NOW).unwrap();
    let keys = ApiKeys::open(file.clone(), |_| {}).unwrap();
    let at = |ms: u64| Timestamp(NOW.0 + ms);
    assert_eq!(second.record.id, first.record.id);
    assert_eq!(reason(&keys, &first.token, at(4_999)), None);
    assert_eq!(reason(&keys, &first.token, at(5_000)), Some(Reason::BadToken));
    assert_eq!(reason(&keys, &second.token, at(5_000)), None);
    // A later rotation does not give the first one more time, and no grace ends it at once.
    file.rotate(&first.record.id, 60_000, at(1)).unwrap();
    let last = file.rotate(&first.record.id, 0, at(2)).unwrap();
    let keys = ApiKeys::open(file.clone(), |_| {}).unwrap();
    for old in [&first, &second] {
        assert_eq!(reason(&keys, &old.token, at(3)), Some(Reason::BadToken));
    }
    assert_eq!(reason(&keys, &last.token, at(3)), None);
    // No secret ends before its time for want of room.
    let rotate = |grace_ms: u64| file.rotate(&first.record.id, grace_ms, at(3));
    for _ in 1..SECRETS_MAX {
        rotate(60_000).unwrap();
    }
    assert!(matches!(rotate(60_000), Err(KeyError::Crowded)));
    assert_eq!(reason(&keys, &last.token, at(4)), None);
    keys.reload();
    assert_eq!(reason(&keys, &last.token, at(4)), None);
    assert!(rotate(0).is_ok(), "without a grace there is room again");
    keys.reload();
    assert_eq!(reason(&keys, &last.token, at(4)), Some(Reason::BadToken));
}

#[test]
fn keys_end_are_named_and_are_not_without_number() {
    let (_dir, file) = place();
    let made = file.create("brief", all(), Some(Timestamp(NOW.0 + 10)), NOW).unwrap();
    let keys = ApiKeys::open(file.clone(), |_| {}).unwrap();
    assert_eq!(reason(&keys, &made.token, Timestamp(NOW.0 + 9)), None);
    assert_eq!(reason(&keys, &made.token, Timestamp(NOW.0 + 10)), Some(Reason::TokenExpired));
    let late = file.rotate(&made.record.id, 0, Timestamp(NOW.0 + 10));
    assert!(matches!(late, Err(KeyError::Expired)));
    for name in ["", "a\nb", &"x".repeat(65)] {
        assert!(matches!(file.create(name, all(), None, NOW), Err(KeyError::Name)), "{name}");
    }
    assert!(matches!(file.revoke("nobody", NOW), Err(KeyError::Unknown)));
    let mut contents = file.read().unwrap();
    let one = contents.keys[0].clone();
    contents.keys = vec![one; KEYS_MAX];
    file.replace(&serde_json::to_vec(&contents).unwrap()).unwrap();
    assert!(matches!(file.create("more", all(), None, NOW), Err(KeyError::Full)));
}

#[test]
fn uses_are_noted_once() {
    let (_dir, file) = place();
    let made = file.create("shop", all(), None, NOW).unwrap();
    let keys = ApiKeys::open(file.clone(), |_| {}).unwrap();
    keys.note_uses().unwrap();
    assert_eq!(file.list().unwrap()[0].last_used, None);
    keys.check(&made.token, NOW).unwrap();
    keys.note_uses().unwrap();
    assert_eq!(file.list().unwrap()[0].last_used, Some(NOW));
    let stamp = file.stamp();
    keys.reload();
    keys.note_uses().unwrap();
    assert_eq!(file.stamp(), stamp, "nothing to say is not written");
}

#[test]
fn changes_at_the_same_time_are_all_kept() {
    let (_dir, file) = place();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let file = &file;
            scope.spawn(move || file.create(&format!("k{n}"), all(), None, NOW).unwrap());
        }
    });
    assert_eq!(file.list().unwrap().len(), 8);
}

#[test]
fn a_rate_is_held_and_says_when_to_come_back() {
    let usage = Usage::default();
    let admitted = (0..100).filter(|_| usage.admit(10, NOW).is_ok()).count();
    assert_eq!(admitted, 10);
    let wait = usage.admit(10, NOW).unwrap_err();
    assert_eq!(wait, 100);
    assert!(usage.admit(10, Timestamp(NOW.0 + wait - 1)).is_err());
    assert!(usage.admit(10, Timestamp(NOW.0 + wait)).is_ok());
    assert!((0..1_000).all(|_| Usage::default().admit(0, NOW).is_ok()));
}
