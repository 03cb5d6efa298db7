//! No ack before the disk has it (P1): the system calls of the real binary, seen by strace.
//!
//! `kill -9` leaves the page cache, so a crash test cannot tell a commit that was synced from one
//! that was not. Here each message's content holds a mark; in the trace, the write of the mark into
//! the write-ahead log must have ended before an `fdatasync` (or `fsync`) of that log began, and
//! that must have succeeded before the write of the ack to a socket began.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::node::Home;
use crate::talk::Talk;

/// Messages sent one after the other, each after the ack of the one before.
const SEQUENTIAL: usize = 150;
/// Messages of one burst, all on their way at the same time.
const BURST: usize = 60;
const BURSTS: usize = 4;

#[test]
fn no_ack_before_the_disk_has_it() {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    assert!(
        strace.is_ok_and(|status| status.success()),
        "strace is missing; it is needed to see what reaches the disk: apt-get install strace"
    );
    let home = Home::new(&[
        ("LIMITS_COMMANDS_PER_SECOND", "1000000"),
        ("LIMITS_COMMANDS_BURST", "1000000"),
    ]);
    let file = home.around().join("trace");
    // -D: the server stays our child; -y: descriptors with their paths; -s: whole pages and writes.
    let mut prefix: Vec<OsString> = "strace -D -f -qq -y -s 1000000 -e signal=none -e \
         trace=fsync,fdatasync,sync_file_range,write,writev,pwrite64,pwritev,sendto,sendmsg -o"
        .split_whitespace()
        .map(OsString::from)
        .collect();
    prefix.push(file.clone().into());
    let node = home.start_under(&prefix);
    let mut alice = Talk::open(&node, "alice");
    let mut bob = Talk::open(&node, "bob");
    let mut sent = 0;
    let mut post = |talk: &mut Talk, to: &str| {
        sent += 1;
        let payload = json!({ "to": to, "content": mark(sent), "client_id": format!("c{sent}") });
        talk.say(&json!({ "type": "send", "id": ack_id(sent), "payload": payload }).to_string());
        ack_id(sent)
    };
    for _ in 0..SEQUENTIAL {
        let id = post(&mut alice, "user:bob");
        alice.reply(&id).unwrap();
    }
    for _ in 0..BURSTS {
        // Two senders at once, so that commits hold messages of both.
        let ids: Vec<_> = (0..BURST)
            .map(|_| (post(&mut alice, "user:bob"), post(&mut bob, "user:carol")))
            .collect();
        for (a, b) in ids {
            alice.reply(&a).unwrap();
            bob.reply(&b).unwrap();
        }
    }
    let home = node.stop();
    let seen = read(&file);
    let acked = SEQUENTIAL + BURSTS * 2 * BURST;
    let mut syncs = 0;
    for n in 1..=acked {
        let ack = seen.acks.get(&n).unwrap_or_else(|| panic!("the ack of {n} is not in the trace"));
        let logged =
            seen.marks.get(&n).unwrap_or_else(|| panic!("message {n} is not in the trace"));
        let covered = seen.syncs.iter().any(|sync| logged < &sync.began && sync.ended < *ack);
        assert!(
            covered,
            "message {n} was acked in line {ack} of {}; it was in the log from line {logged} on, \
             and no sync lies between them",
            kept(home.around())
        );
        syncs += 1;
    }
    println!("{syncs} acks, each after one of {} syncs that covers it", seen.syncs.len());
}

/// Leaves the trace of a failure where it can be looked at.
fn kept(dir: &Path) -> String {
    let kept = std::env::temp_dir().join("hubbub-durability.trace");
    match std::fs::copy(dir.join("trace"), &kept) {
        Ok(_) => kept.display().to_string(),
        Err(error) => format!("the trace, which could not be kept ({error})"),
    }
}

fn mark(n: usize) -> String {
    format!("mark<{n}>")
}

fn ack_id(n: usize) -> String {
    format!("ack<{n}>")
}

/// Places in the trace, by line. A call that others interrupted has two lines.
#[derive(Default)]
struct Seen {
    /// Where the write of a mark into the log had ended.
    marks: BTreeMap<usize, usize>,
    /// Where the write of an ack to a socket began.
    acks: BTreeMap<usize, usize>,
    /// Syncs of the log that succeeded.
    syncs: Vec<Sync>,
}

struct Sync {
    began: usize,
    ended: usize,
}

/// A call under way: where it began, and what it is.
struct Call<'a> {
    began: usize,
    text: &'a str,
}

fn read(file: &Path) -> Seen {
    let trace = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let mut seen = Seen::default();
    let mut under_way: BTreeMap<&str, Call<'_>> = BTreeMap::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((thread, text)) = text.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(began) = text.strip_suffix(" <unfinished ...>") {
            under_way.insert(thread, Call { began: line, text: began });
            seen.note_acks(began, line);
        } else if text.starts_with("<... ") {
            let call = under_way.remove(thread).expect("a call that is resumed has begun");
            let result = text.rsplit_once(" = ").map_or("", |(_, result)| result);
            seen.note_end(call.text, call.began, line, result);
        } else if let Some((call, result)) = text.rsplit_once(" = ") {
            seen.note_acks(call, line);
            seen.note_end(call, line, line, result);
        }
    }
    seen
}

impl Seen {
    /// Something is about to be written to a socket.
    fn note_acks(&mut self, call: &str, line: usize) {
        let to_socket = ["write(", "writev(", "sendto(", "sendmsg("];
        if !to_socket.iter().any(|name| call.starts_with(name)) || is_log(call) {
            return;
        }
        for reply in call.split(r#"\"type\":\"ack\""#).skip(1) {
            for n in numbers(reply, "ack<") {
                self.acks.entry(n).or_insert(line);
            }
        }
    }

    /// A call has ended.
    fn note_end(&mut self, call: &str, began: usize, ended: usize, result: &str) {
        if !is_log(call) {
            return;
        }
        if call.starts_with("fdatasync(") || call.starts_with("fsync(") {
            if result.trim() == "0" {
                self.syncs.push(Sync { began, ended });
            }
        } else {
            for n in numbers(call, "mark<") {
                self.marks.entry(n).or_insert(ended);
            }
        }
    }
}

/// Whether the first argument is the write-ahead log.
fn is_log(call: &str) -> bool {
    call.split_once('<')
        .and_then(|(_, path)| path.split_once('>'))
        .is_some_and(|(path, _)| path.ends_with("-wal"))
}

/// The numbers behind `name`, up to the bracket that closes them.
fn numbers<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.split(name).skip(1).filter_map(|rest| rest.split_once('>')?.0.parse().ok())
}

#[test]
fn the_reading_of_a_trace_tells_right_from_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let check = |lines: &[&str], covered: bool| {
        let file = dir.path().join("trace");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let seen = read(&file);
        let found =
            seen.syncs.iter().any(|sync| seen.marks[&1] < sync.began && sync.ended < seen.acks[&1]);
        assert_eq!(found, covered, "{lines:#?}");
    };
    let log = r#"7 pwrite64(9</d/hubbub.db-wal>, "\0\1mark<1>", 4096, 32) = 4096"#;
    let log_begun = r#"7 pwrite64(9</d/hubbub.db-wal>, "\0\1mark<1>", 4096, 32 <unfinished ...>"#;
    let log_ended = "7 <... pwrite64 resumed>) = 4096";
    let sync = "7 fdatasync(9</d/hubbub.db-wal>) = 0";
    let begun = "7 fdatasync(9</d/hubbub.db-wal> <unfinished ...>";
    let ended = "7 <... fdatasync resumed>) = 0";
    let failed = "7 fdatasync(9</d/hubbub.db-wal>) = -1 EIO (Input/output error)";
    let elsewhere = "7 fdatasync(8</d/hubbub.db>) = 0";
    let ack = r#"8 writev(12<socket:[5]>, [{iov_base="\201~\0\2{\"type\":\"ack\",\"id\":\"ack<1>\"}", iov_len=9}], 1) = 9"#;
    check(&[log, sync, ack], true);
    check(&[log, begun, ended, ack], true);
    check(&[log, begun, ack, ended], false);
    check(&[log, ack, sync], false);
    check(&[log, ack], false);
    check(&[sync, log, ack], false);
    check(&[log_begun, "8 fdatasync(9</d/hubbub.db-wal>) = 0", log_ended, ack], false);
    check(&[log, failed, ack], false);
    check(&[log, elsewhere, ack], false);
}
