//! A backup is put back: clients are told, by a new epoch, that what they saw is not there any more.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use crate::api::make_key;
use crate::node::Node;
use crate::process::say;
use crate::talk::Talk;

const AB: &str = "direct:alice:bob";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn after_a_restore_every_device_begins_anew() {
    let node = Node::start(&[]);
    Talk::open(&node, "alice").text("user:bob", "kept", "m1");
    let home = node.stop();
    let (data, backup) = (home.data(), home.around().join("backup"));
    copy(&data, &backup);

    let node = home.start();
    Talk::open(&node, "alice").text("user:bob", "lost", "m2");
    let mut bob = Talk::open(&node, "bob");
    let seen = bob.sync();
    assert_eq!(seen["conversations"][0]["head_seq"], 2);
    let home = node.stop();
    fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    let said = say(&["restored", "--data-dir", data.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");

    let node = home.start();
    Talk::open(&node, "alice").text("user:bob", "anew", "m3");
    let mut bob = Talk::open(&node, "bob");
    let asked = json!({ "epoch": seen["epoch"], "rev": seen["rev"], "cursors": { AB: 2 } });
    let page = bob.ok("sync", asked);
    assert_eq!(page["epoch"], said.out.trim());
    assert_ne!(page["epoch"], seen["epoch"]);
    let found = &page["conversations"][0];
    assert_eq!(found["reset"], true);
    let contents: Vec<_> =
        found["entries"].as_array().unwrap().iter().map(|entry| &entry["content"]).collect();
    assert_eq!(contents, ["kept", "anew"]);
}

#[test]
fn a_copy_made_while_messages_are_written_is_whole_as_of_a_commit() {
    let node = Node::start(&[]);
    let mut alice = Talk::open(&node, "alice");
    alice.text("user:bob", "before", "m0");
    let key = make_key(&node, &["users"], &[]);
    let data = node.home().data();
    let around = node.home().around().to_owned();
    let backup = around.join("backup");
    let arguments = ["backup", "--data-dir", data.to_str().unwrap(), backup.to_str().unwrap()];
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.into()).collect();
    let copying =
        std::thread::spawn(move || say(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    let mut written = 0;
    while written < 20 || !copying.is_finished() {
        written += 1;
        alice.text("user:bob", "meanwhile", &format!("n{written}"));
    }
    let said = copying.join().unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let again = say(&["backup", "--data-dir", data.to_str().unwrap(), backup.to_str().unwrap()]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.err.contains("exists"), "{again:?}");
    assert!(!around.join("backup.partial").exists());
    let files = ["hubbub.db", "secret", "api-keys.json"].map(|path| (path, 0o100_600));
    for (path, mode) in [("", 0o40700)].into_iter().chain(files) {
        let found = fs::metadata(backup.join(path)).unwrap().permissions().mode();
        assert_eq!(found, mode, "{path}");
    }

    let home = node.stop();
    fs::remove_dir_all(&data).unwrap();
    copy(&backup, &data);
    let said = say(&["restored", "--data-dir", data.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{said:?}");
    // The tokens of before still hold, because the secret is in the copy.
    let node = home.start();
    let head = Talk::open(&node, "bob").sync()["conversations"][0]["head_seq"].as_u64().unwrap();
    assert!((1..=1 + written).contains(&head), "{head} of {written}");
    let bearer = format!("Bearer {key}");
    let answer = node.server.ask("GET /api/v1/users/bob", &[("Authorization", &bearer)], "");
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn there_is_nothing_to_copy_where_no_store_is() {
    let node = Node::start(&[]);
    let nothing = node.home().around().join("nothing");
    let to = node.home().around().join("backup");
    let said = say(&["backup", "--data-dir", nothing.to_str().unwrap(), to.to_str().unwrap()]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(!to.exists() && !to.with_extension("partial").exists() && !nothing.exists());
}

#[test]
fn a_running_server_is_not_restored_under_its_feet() {
    let node = Node::start(&[]);
    let home = node.home();
    let said = say(&["restored", "--data-dir", home.data().to_str().unwrap()]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("running"), "{said:?}");
    drop(node.stop());
}
