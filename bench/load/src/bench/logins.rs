//! A mass login: every user connects, asks which friends are there, and watches them.
//!
//! What is budgeted is counted: at most one event of presence for a watcher in each second, and the
//! server's CPU for each login. Nothing may be lost either: of two friends the one who came later is
//! told of the other by the answer, and the earlier one by an event.

use super::report::Report;
use super::usage::Usage;
use super::{TURN_US, new_io};
use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::histogram::Histogram;
use crate::net::{App, Io};
use memchr::memmem;

/// The command that each connection sends once it is open.
const WATCH: &[u8] = br#"{"type":"presence_get","id":"w","payload":{"friends":true,"watch":true}}"#;
/// Less than this between two events of one watcher breaks the budget. The server counts from when it
/// sends, and a busy reader may be late for the first of the two.
const APART_NS: u64 = SECOND * 8 / 10;
/// Without any event for this long all has been told.
const QUIET_NS: u64 = 3 * SECOND;
/// Without any progress for this long the bench is given up.
const STALL_NS: u64 = 30 * SECOND;

#[derive(Clone, Copy, Default)]
struct Watcher {
    began_ns: u64,
    answered: bool,
    /// Friends of whom the answer and the events told, as often as they did.
    told: u32,
    event_ns: u64,
}

struct Logins {
    watchers: Vec<Watcher>,
    /// Open, and about to ask.
    opened: Vec<usize>,
    answered: usize,
    dead: usize,
    events: u64,
    told_by_answers: u64,
    told_by_events: u64,
    too_close: u64,
    last_ns: u64,
    login: Histogram,
}

impl App for Logins {
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]) {
        let is = |kind: &[u8]| memmem::find(message, kind).is_some();
        let is_event = is(br#""type":"online_status""#);
        if !is_event && !is(br#""presences":"#) {
            io.handle_control(ci, message);
            return;
        }
        let count = memmem::find_iter(message, br#""user":""#).count() as u32;
        let now = now_ns();
        let watcher = &mut self.watchers[ci];
        watcher.told += count;
        if is_event {
            self.events += 1;
            self.told_by_events += u64::from(count);
            let is_first = watcher.event_ns == 0;
            self.too_close += u64::from(!is_first && now - watcher.event_ns < APART_NS);
            watcher.event_ns = now;
            self.last_ns = now;
        } else if !watcher.answered {
            watcher.answered = true;
            self.answered += 1;
            self.told_by_answers += u64::from(count);
            self.login.add(now - watcher.began_ns);
            self.last_ns = now;
        }
    }

    fn ready(&mut self, ci: usize) {
        self.opened.push(ci);
    }

    fn dead(&mut self, _ci: usize) {
        self.dead += 1;
    }
}

/// Logs in `--count` users who have `--friends` friends each; false if one did not get in, was not
/// told of a friend, or was told more than once a second.
pub(crate) fn run(args: &Args) -> bool {
    let count: usize = args.number("count", 19_000);
    let friends: u32 = args.number("friends", 100);
    let at_a_time: usize = args.number("opening", 256).max(1);
    let rate: f64 = args.number("open-rate", 0.0);
    let mut io = new_io(args);
    let mut logins = Logins {
        watchers: vec![Watcher::default(); count],
        opened: Vec::new(),
        answered: 0,
        dead: 0,
        events: 0,
        told_by_answers: 0,
        told_by_events: 0,
        too_close: 0,
        last_ns: now_ns(),
        login: Histogram::new(),
    };
    let usage = Usage::start(args);
    let start = now_ns();
    let mut all_in_ns = start;
    let mut progress = (0, start);
    loop {
        let now = now_ns();
        let mut room = at_a_time.saturating_sub(io.counters.connecting).min(count - io.opened());
        if rate > 0.0 {
            let due = ((now - start) as f64 / SECOND as f64 * rate) as usize + 1;
            room = room.min(due.saturating_sub(io.opened()));
        }
        for _ in 0..room.min(32) {
            let ci = io.opened();
            logins.watchers[ci].began_ns = now;
            io.open(ci as u32);
        }
        io.poll(&mut logins, TURN_US);
        for ci in std::mem::take(&mut logins.opened) {
            io.queue_text(ci, WATCH);
            io.flush(ci);
        }
        if logins.answered != progress.0 {
            all_in_ns = now_ns();
            progress = (logins.answered, all_in_ns);
        }
        let is_quiet = now_ns().saturating_sub(logins.last_ns) > QUIET_NS;
        if logins.answered == count && is_quiet {
            break;
        }
        if now_ns() - progress.1 > STALL_NS && is_quiet {
            eprintln!("load: the logins stand still at {} of {count}", logins.answered);
            break;
        }
    }
    let seconds = |ns: u64| (ns - start) as f64 / SECOND as f64;
    let told_ns = logins.last_ns.max(all_in_ns);
    let unaware = logins.watchers.iter().filter(|watcher| watcher.told < friends).count();
    let mut report = Report::new(args, "logins");
    report.add("users", count);
    report.add("friends", friends);
    report.add("inside", logins.answered);
    report.add_rounded("logins_per_s", logins.answered as f64 / seconds(all_in_ns));
    report.add_rounded("secs", seconds(all_in_ns));
    report.add_rounded("told_secs", seconds(told_ns));
    usage.stop(&mut report, count as u64, "logins");
    report.add_latency("login_", &logins.login);
    report.add("events", logins.events);
    let watcher_seconds = count as f64 * seconds(told_ns);
    report.add_rounded("events_per_watcher_s", logins.events as f64 / watcher_seconds);
    report.add("too_close", logins.too_close);
    report.add("told_by_answers", logins.told_by_answers);
    report.add("told_by_events", logins.told_by_events);
    report.add("unaware", unaware);
    report.add("connections_lost", logins.dead);
    report.add_traffic(&io);
    report.print();
    logins.answered == count && unaware + logins.dead == 0 && logins.too_close == 0
}
