//! Direct messages: user i sends to user i+1, and each message is acknowledged. Loss, duplicates
//! and order are checked over the whole run, warm-up included. Without a rate the loop is
//! closed: each acknowledgement lets its sender send the next message.

use super::report::Report;
use super::usage::Usage;
use super::{Schedule, TURN_US, drain, new_io, open_all};
use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::die;
use crate::histogram::Histogram;
use crate::net::{App, Io};
use crate::payload::{Faults, Sequence, Stamp, Writer, each};
use std::collections::VecDeque;

/// One user's sending side and what it has seen of its one correspondent.
#[derive(Default, Clone)]
struct User {
    next: u32,
    /// Messages without an acknowledgement: number and when they were sent.
    pending: VecDeque<(u32, u64)>,
    seen: Sequence,
}

struct Pairs {
    measuring: bool,
    closed_loop: bool,
    ack_latency: Histogram,
    delivery_latency: Histogram,
    acks_measured: u64,
    deliveries_measured: u64,
    acked: u64,
    delivered: u64,
    unknown_acks: u64,
    misrouted: u64,
    faults: Faults,
    lost: u64,
    users: Vec<User>,
    writer: Writer,
}

impl Pairs {
    fn new(count: usize, size: usize, closed_loop: bool) -> Self {
        Self {
            measuring: false,
            closed_loop,
            ack_latency: Histogram::new(),
            delivery_latency: Histogram::new(),
            acks_measured: 0,
            deliveries_measured: 0,
            acked: 0,
            delivered: 0,
            unknown_acks: 0,
            misrouted: 0,
            faults: Faults::default(),
            lost: 0,
            users: vec![User::default(); count],
            writer: Writer::new(size),
        }
    }

    /// How many messages the users have sent.
    fn sent(&self) -> u64 {
        self.users.iter().map(|user| u64::from(user.next)).sum()
    }

    /// How many of them have not arrived: what user i + 1 misses is what user i sent.
    fn missing(&self) -> u64 {
        let receivers = self.users.iter().cycle().skip(1);
        self.users.iter().zip(receivers).map(|(from, to)| to.seen.missing(from.next)).sum()
    }

    fn send(&mut self, io: &mut Io, ci: usize, sent_ns: u64) {
        let to = (ci + 1) % self.users.len();
        let user = &mut self.users[ci];
        let seq = user.next;
        user.next += 1;
        user.pending.push_back((seq, sent_ns));
        let data = self.writer.write(Stamp { sent_ns, seq, sender: ci as u32 });
        io.queue_direct(ci, to as u32, u64::from(seq), data);
    }

    fn handle_deliveries(&mut self, ci: usize, now: u64, message: &[u8]) -> bool {
        let count = self.users.len();
        each(message, |stamp| {
            self.delivered += 1;
            if self.measuring {
                self.deliveries_measured += 1;
                self.delivery_latency.add(now.saturating_sub(stamp.sent_ns));
            }
            if (stamp.sender as usize + 1) % count == ci {
                self.faults.count(&self.users[ci].seen.see(stamp.seq));
            } else {
                self.misrouted += 1;
            }
        })
    }

    fn handle_ack(&mut self, io: &mut Io, ci: usize, number: u64) {
        let now = io.read_ns;
        let pending = &mut self.users[ci].pending;
        let place = pending.iter().position(|(seq, _)| u64::from(*seq) == number);
        let Some((_, sent_ns)) = place.and_then(|place| pending.remove(place)) else {
            self.unknown_acks += 1;
            return;
        };
        self.acked += 1;
        if self.measuring {
            self.acks_measured += 1;
            self.ack_latency.add(now.saturating_sub(sent_ns));
        }
        if self.closed_loop {
            self.send(io, ci, now_ns());
        }
    }
}

impl App for Pairs {
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]) {
        if self.handle_deliveries(ci, io.read_ns, message) {
            io.delivered(ci, message);
        } else if let Some(number) = io.handle_control(ci, message) {
            self.handle_ack(io, ci, number);
        }
    }

    fn dead(&mut self, _ci: usize) {
        self.lost += 1;
    }
}

/// Sends what is due by now, user after user, stamped with the time it was due. Returns the
/// microseconds until the next message.
fn send_due(pairs: &mut Pairs, io: &mut Io, schedule: &Schedule, sent: &mut u64, rate: f64) -> u64 {
    loop {
        let due = schedule.due_ns(*sent, rate);
        let now = now_ns();
        if due > now {
            return ((due - now) / 1000).clamp(1, TURN_US);
        }
        let ci = (*sent % pairs.users.len() as u64) as usize;
        pairs.send(io, ci, due);
        io.flush(ci);
        *sent += 1;
    }
}

/// Runs `--conns` users with `--inflight` messages each, or `--rate` messages per second in all;
/// false if anything was lost, doubled, refused or reordered.
pub(crate) fn run(args: &Args) -> bool {
    let count: usize = args.number("conns", 1000);
    let in_flight: usize = args.number("inflight", 1);
    let size: usize = args.number("size", 128);
    let rate = args.rate();
    let mut io = new_io(args);
    open_all(&mut io, args, count);
    let mut pairs = Pairs::new(count, size, rate.is_none());
    let schedule = Schedule::from_now(args);
    if pairs.closed_loop {
        for ci in 0..count {
            for _ in 0..in_flight {
                pairs.send(&mut io, ci, now_ns());
            }
            io.flush(ci);
        }
    }
    let mut report = Report::new(args, "pairs");
    let mut interval = None;
    let mut paced = 0;
    while now_ns() < schedule.stop_ns {
        if interval.is_none() && now_ns() >= schedule.measure_ns {
            interval = Some((Usage::start(args), now_ns()));
            pairs.measuring = true;
        }
        let wait_us =
            rate.map_or(TURN_US, |rate| send_due(&mut pairs, &mut io, &schedule, &mut paced, rate));
        io.poll(&mut pairs, wait_us);
    }
    pairs.measuring = false;
    pairs.closed_loop = false;
    let (usage, measured_from) = interval.unwrap_or_else(|| die("--secs is too short"));
    let seconds = (now_ns() - measured_from) as f64 / SECOND as f64;
    usage.stop(&mut report, pairs.deliveries_measured, "deliveries");
    let sent = pairs.sent();
    drain(&mut io, &mut pairs, 2 * sent, |pairs| pairs.delivered.min(sent) + pairs.acked.min(sent));
    let missing = pairs.missing();

    report.add("conns", count);
    report.add("inflight", rate.is_none().then_some(in_flight));
    report.add("size", size);
    report.add_rounded("secs", seconds);
    report.add_rounded("acked_per_s", pairs.acks_measured as f64 / seconds);
    report.add_rounded("delivered_per_s", pairs.deliveries_measured as f64 / seconds);
    report.add_latency("ack_", &pairs.ack_latency);
    report.add_latency("", &pairs.delivery_latency);
    report.add("sent_total", sent);
    report.add("unacked", sent - pairs.acked.min(sent));
    report.add("missing", missing);
    report.add("duplicates", pairs.faults.duplicates);
    report.add("out_of_order", pairs.faults.out_of_order);
    report.add("misrouted", pairs.misrouted);
    report.add("unknown_acks", pairs.unknown_acks);
    report.add("connections_lost", pairs.lost);
    report.add_traffic(&io);
    report.print();
    let clean =
        pairs.faults.duplicates + pairs.faults.out_of_order + pairs.misrouted + io.counters.refused
            == 0;
    clean && missing == 0 && sent == pairs.acked && pairs.lost == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_doubles_and_strays_are_counted() {
        let mut pairs = Pairs::new(3, 40, false);
        pairs.users[0].next = 4;
        let mut deliver = |ci, seq, sender| {
            let message = Writer::new(40).write(Stamp { sent_ns: 0, seq, sender }).to_vec();
            assert!(pairs.handle_deliveries(ci, 0, &message));
        };
        // User 1 gets what user 0 sent: number 1 late, number 2 twice, number 3 never.
        for seq in [0, 2, 2, 1] {
            deliver(1, seq, 0);
        }
        // User 0 sends to user 1 alone.
        deliver(2, 3, 0);
        assert!(!pairs.handle_deliveries(1, 0, b"no payload"));
        assert_eq!((pairs.sent(), pairs.delivered), (4, 5));
        assert_eq!((pairs.missing(), pairs.misrouted), (1, 1));
        assert_eq!((pairs.faults.duplicates, pairs.faults.out_of_order), (1, 1));
    }
}
