//! A connection storm: many clients connect, each with a token of its own, while established ones
//! send each other messages. What the storm must not do is counted: a client that does not get in,
//! one that gets in twice, one that is refused twice, and deliveries that are lost or late.
//!
//! A client that is refused and told when to come back comes back then; one that fails otherwise
//! comes back after a second, so that the run ends, and makes it incomplete.

use super::report::Report;
use super::usage::Usage;
use super::{Idle, TURN_US, drain, new_io, open_all};
use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::histogram::Histogram;
use crate::net::{App, Failure, Io};
use crate::payload::{Faults, Sequence, Stamp, Writer, each};
use crate::procs;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Connections started before the others are looked at again.
const STARTS_PER_TURN: usize = 32;
/// How long a client waits that was not told how long.
const RETRY_NS: u64 = SECOND;
/// Without any progress for this long the storm is given up.
const STALL_NS: u64 = 30 * SECOND;

struct Storm {
    /// Users 0 to `established` are connected before the storm and send.
    established: usize,
    measuring: bool,
    delivery: Histogram,
    delivered: u64,
    faults: Faults,
    next: Vec<u32>,
    seen: Vec<Sequence>,
    lost: u64,
    writer: Writer,
    /// The user of each connection, and when the user first tried to connect.
    users: Vec<u32>,
    began_ns: Vec<u64>,
    refusals: Vec<u8>,
    connected: Vec<u8>,
    /// How many clients of the storm are where they want to be.
    inside: usize,
    opened: Histogram,
    failures: BTreeMap<String, u64>,
    unpaced: u64,
    returning: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Storm {
    fn new(established: usize, clients: usize, size: usize) -> Self {
        let users = established + clients;
        Self {
            established,
            measuring: false,
            delivery: Histogram::new(),
            delivered: 0,
            faults: Faults::default(),
            next: vec![0; established],
            seen: vec![Sequence::default(); established],
            lost: 0,
            writer: Writer::new(size),
            users: (0..established as u32).collect(),
            began_ns: vec![0; users],
            refusals: vec![0; users],
            connected: vec![0; users],
            inside: 0,
            opened: Histogram::new(),
            failures: BTreeMap::new(),
            unpaced: 0,
            returning: BinaryHeap::new(),
        }
    }

    fn connect(&mut self, io: &mut Io, user: u32) {
        self.users.push(user);
        let began = &mut self.began_ns[user as usize];
        if *began == 0 {
            *began = now_ns();
        }
        io.open(user);
    }

    fn send(&mut self, io: &mut Io, ci: usize, sent_ns: u64) {
        let seq = self.next[ci];
        self.next[ci] += 1;
        let data = self.writer.write(Stamp { sent_ns, seq, sender: ci as u32 });
        io.queue_direct(ci, ((ci + 1) % self.established) as u32, u64::from(seq), data);
        io.flush(ci);
    }

    fn sent(&self) -> u64 {
        self.next.iter().map(|next| u64::from(*next)).sum()
    }

    fn missing(&self) -> u64 {
        let receivers = self.seen.iter().cycle().skip(1);
        self.next.iter().zip(receivers).map(|(sent, seen)| seen.missing(*sent)).sum()
    }
}

impl App for Storm {
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]) {
        let now = now_ns();
        let any = each(message, |stamp| {
            self.delivered += 1;
            if self.measuring {
                self.delivery.add(now.saturating_sub(stamp.sent_ns));
            }
            self.faults.count(&self.seen[ci].see(stamp.seq));
        });
        if any {
            io.delivered(ci, message);
        } else {
            io.handle_control(ci, message);
        }
    }

    fn dead(&mut self, _ci: usize) {
        self.lost += 1;
    }

    fn ready(&mut self, ci: usize) {
        let user = self.users[ci] as usize;
        self.inside += usize::from(self.connected[user] == 0);
        self.connected[user] = self.connected[user].saturating_add(1);
        self.opened.add(now_ns() - self.began_ns[user]);
    }

    fn failed(&mut self, ci: usize, why: &Failure) {
        let user = self.users[ci];
        *self.failures.entry(why.what.clone()).or_default() += 1;
        let refusals = &mut self.refusals[user as usize];
        *refusals = refusals.saturating_add(1);
        let wait_ns = match why.retry_after_ms {
            Some(ms) => ms * (SECOND / 1000),
            None => {
                self.unpaced += 1;
                RETRY_NS
            }
        };
        self.returning.push(Reverse((now_ns() + wait_ns, user)));
    }
}

/// The pace of the established clients' messages.
struct Pace {
    start_ns: u64,
    rate: f64,
    sent: u64,
}

impl Pace {
    /// Sends what is due by now, stamped with the time it was due. Returns the microseconds until
    /// the next message.
    fn send_due(&mut self, storm: &mut Storm, io: &mut Io) -> u64 {
        if storm.established == 0 || self.rate <= 0.0 {
            return TURN_US;
        }
        loop {
            let due = self.start_ns + (self.sent as f64 / self.rate * SECOND as f64) as u64;
            let now = now_ns();
            if due > now {
                return ((due - now) / 1000).clamp(1, TURN_US);
            }
            let ci = (self.sent % storm.established as u64) as usize;
            storm.send(io, ci, due);
            self.sent += 1;
        }
    }
}

/// Runs the storm of `--count` clients; false if anybody stayed outside, got in twice, was refused
/// twice, failed without being told when to come back, or if a message was lost.
pub(crate) fn run(args: &Args) -> bool {
    let clients: usize = args.number("count", 18_000);
    let established: usize = args.number("conns", 900);
    let at_a_time: usize = args.number("opening", clients).max(1);
    let settle_ns = args.nanoseconds("settle", 2.0);
    let mut io = new_io(args);
    open_all(&mut io, args, established);
    let announced_before = io.counters.announced;
    let mut storm = Storm::new(established, clients, args.number("size", 128));
    let mut pace = Pace { start_ns: now_ns(), rate: args.number("rate", 1000.0), sent: 0 };

    // The same messages without a storm, to compare with.
    let calm_end = now_ns() + settle_ns;
    storm.measuring = true;
    while now_ns() < calm_end {
        let wait_us = pace.send_due(&mut storm, &mut io);
        io.poll(&mut storm, wait_us);
    }
    let calm = std::mem::replace(&mut storm.delivery, Histogram::new());

    let usage = Usage::start(args);
    let overflows = procs::listen_overflows();
    let start = now_ns();
    let mut progress = (0, start);
    let mut fresh = established as u32..(established + clients) as u32;
    let mut last_ns = start;
    while storm.inside < clients {
        let mut room = at_a_time.saturating_sub(io.counters.connecting).min(STARTS_PER_TURN);
        while room > 0 {
            let now = now_ns();
            let back = storm.returning.peek().is_some_and(|Reverse((due, _))| *due <= now);
            let next = if back {
                storm.returning.pop().map(|Reverse((_, user))| user)
            } else {
                fresh.next()
            };
            let Some(user) = next else { break };
            storm.connect(&mut io, user);
            room -= 1;
        }
        let wait_us = pace.send_due(&mut storm, &mut io);
        let more_to_start = room == 0 && !fresh.is_empty() && io.counters.connecting < at_a_time;
        io.poll(&mut storm, if more_to_start { 0 } else { wait_us });
        let inside = storm.inside;
        if inside != progress.0 {
            progress = (inside, now_ns());
            last_ns = progress.1;
        } else if now_ns() - progress.1 > STALL_NS {
            eprintln!("load: the storm stands still at {inside} of {clients}");
            break;
        }
    }
    let seconds = (last_ns - start) as f64 / SECOND as f64;
    let inside = storm.inside;
    let mut report = Report::new(args, "storm");
    report.add("clients", clients);
    report.add("at_a_time", at_a_time);
    report.add("established", established);
    report.add("inside", inside);
    report.add_rounded("secs", seconds);
    report.add_rounded("opens_per_s", inside as f64 / seconds);
    usage.stop(&mut report, inside as u64, "opens");
    report.add("listen_overflows", procs::listen_overflows() - overflows);
    storm.measuring = false;
    let during = std::mem::replace(&mut storm.delivery, Histogram::new());

    // What comes late — a second `connected`, a close — shows within this time.
    let end = now_ns() + settle_ns;
    while now_ns() < end {
        let wait_us = pace.send_due(&mut storm, &mut io);
        io.poll(&mut storm, wait_us);
    }
    let sent = storm.sent();
    drain(&mut io, &mut storm, sent, |storm| storm.delivered);
    io.poll(&mut Idle, 0);

    let refused = |least: u8| storm.refusals.iter().filter(|times| **times >= least).count();
    let twice = storm.connected.iter().filter(|times| **times > 1).count();
    let announced_twice = (io.counters.announced - announced_before).saturating_sub(inside as u64);
    report.add_latency("open_", &storm.opened);
    report.add("refused_clients", refused(1));
    report.add("refused_twice", refused(2));
    report.add("failed_unpaced", storm.unpaced);
    report.add("inside_twice", twice as u64 + announced_twice);
    for (what, times) in &storm.failures {
        report.add(&format!("failed: {what}"), *times);
    }
    report.add_latency("calm_", &calm);
    report.add_latency("storm_", &during);
    report.add("sent_total", sent);
    report.add("missing", storm.missing());
    report.add("duplicates", storm.faults.duplicates);
    report.add("connections_lost", storm.lost);
    report.add_traffic(&io);
    report.print();
    inside == clients
        && twice as u64 + announced_twice + storm.unpaced + storm.lost + storm.missing() == 0
        && refused(2) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_back_when_told() {
        let mut storm = Storm::new(1, 2, 40);
        storm.users.extend([1, 2]);
        let told = Failure { what: "503".into(), retry_after_ms: Some(0) };
        storm.failed(1, &told);
        storm.failed(2, &Failure { what: "reset".into(), retry_after_ms: None });
        assert_eq!((storm.unpaced, storm.refusals[1], storm.refusals[2]), (1, 1, 1));
        assert_eq!(storm.returning.pop().map(|Reverse((_, user))| user), Some(1));
        storm.ready(1);
        assert_eq!(storm.inside, 1);
        storm.ready(1);
        assert_eq!((storm.inside, storm.connected[1]), (1, 2));
    }
}
