//! Slow subscribers: one publisher at a fixed rate, many subscribers of one channel, some of which
//! stop reading half way. What the others then wait for their publications is compared with what
//! they waited before, in the same run on the same connections.
//!
//! The stopped ones begin to read again at the end, which shows what the server did with them:
//! delivered late, left things out, or closed the connection.

use super::report::Report;
use super::usage::Usage;
use super::{Schedule, TURN_US, new_io, open_all, subscribe_all};
use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::die;
use crate::histogram::Histogram;
use crate::net::{App, Io};
use crate::payload::{Faults, Sequence, Stamp, Writer, each};

/// Receive buffer of those that stop: small, so that the server notices within the run.
const STOPPED_RECEIVE_BYTES: i32 = 16_384;
/// How long the stopped ones may catch up at the end.
const CATCHING_UP_NS: u64 = 5 * SECOND;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    AllRead,
    SomeStopped,
    CatchingUp,
}

struct Slow {
    phase: Phase,
    readers: usize,
    all_read: Histogram,
    some_stopped: Histogram,
    measured: u64,
    faults: Faults,
    /// What each subscriber has seen; those that stop come after the readers.
    seen: Vec<Sequence>,
    readers_lost: u64,
    stopped_lost: u64,
    late: u64,
    publisher_lost: bool,
}

impl App for Slow {
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]) {
        let now = io.read_ns;
        let any = each(message, |stamp| {
            let Some(seen) = self.seen.get_mut(ci) else { return };
            let arrival = seen.see(stamp.seq);
            if ci >= self.readers {
                self.late += u64::from(self.phase == Phase::CatchingUp);
                return;
            }
            self.faults.count(&arrival);
            let latency = now.saturating_sub(stamp.sent_ns);
            match self.phase {
                Phase::AllRead => self.all_read.add(latency),
                Phase::SomeStopped => self.some_stopped.add(latency),
                Phase::WarmUp | Phase::CatchingUp => return,
            }
            self.measured += 1;
        });
        if !any {
            io.handle_control(ci, message);
        }
    }

    fn dead(&mut self, ci: usize) {
        if ci < self.readers {
            self.readers_lost += 1;
        } else if ci < self.seen.len() {
            self.stopped_lost += 1;
        } else {
            self.publisher_lost = true;
        }
    }
}

impl Slow {
    fn missing(&self, subscribers: std::ops::Range<usize>, sent: u64) -> u64 {
        self.seen[subscribers].iter().map(|seen| seen.missing(sent as u32)).sum()
    }
}

/// Runs `--subs` subscribers that read and `--stopped` that stop; false if a reader misses anything.
pub(crate) fn run(args: &Args) -> bool {
    let readers: usize = args.number("subs", 100);
    let stopped: usize = args.number("stopped", 10);
    let size: usize = args.number("size", 4096);
    let rate = args.rate().unwrap_or_else(|| die("slow needs a --rate"));
    let channel = args.text("channel", "room");
    let count = readers + stopped;
    let mut io = new_io(args);
    open_all(&mut io, args, readers);
    io.set_receive_buffer(Some(STOPPED_RECEIVE_BYTES));
    open_all(&mut io, args, count);
    io.set_receive_buffer(None);
    open_all(&mut io, args, count + 1);
    subscribe_all(&mut io, count, &channel);
    let mut slow = Slow {
        phase: Phase::WarmUp,
        readers,
        all_read: Histogram::new(),
        some_stopped: Histogram::new(),
        measured: 0,
        faults: Faults::default(),
        seen: vec![Sequence::default(); count],
        readers_lost: 0,
        stopped_lost: 0,
        late: 0,
        publisher_lost: false,
    };
    let mut report = Report::new(args, "slow");
    let mut writer = Writer::new(size);
    let mut sent = 0;
    let mut usage = None;
    let schedule = Schedule::from_now(args);
    let half_ns = (schedule.stop_ns - schedule.measure_ns) / 2;
    while now_ns() < schedule.stop_ns {
        match slow.phase {
            Phase::WarmUp if now_ns() >= schedule.measure_ns => {
                slow.phase = Phase::AllRead;
                usage = Some(Usage::start(args));
            }
            Phase::AllRead if now_ns() >= schedule.measure_ns + half_ns => {
                slow.phase = Phase::SomeStopped;
                (readers..count).for_each(|ci| io.set_reading(ci, false));
            }
            _ => {}
        }
        let mut due = schedule.due_ns(sent, rate);
        while due <= now_ns() {
            let stamp = Stamp { sent_ns: due, seq: sent as u32, sender: 0 };
            io.queue_publish(count, &channel, writer.write(stamp));
            sent += 1;
            due = schedule.due_ns(sent, rate);
        }
        io.flush(count);
        let wait_us = (due.saturating_sub(now_ns()) / 1000).clamp(1, TURN_US);
        io.poll(&mut slow, wait_us);
        if slow.publisher_lost {
            die(&format!("the publisher's connection died: {:?}", io.first_error));
        }
    }
    usage.unwrap_or_else(|| die("--secs is too short")).stop(
        &mut report,
        slow.measured,
        "deliveries",
    );
    slow.phase = Phase::CatchingUp;
    (readers..count).for_each(|ci| io.set_reading(ci, true));
    let end = now_ns() + CATCHING_UP_NS;
    while now_ns() < end && slow.missing(0..count, sent) > 0 {
        io.poll(&mut slow, TURN_US);
    }

    let missing = slow.missing(0..readers, sent);
    let seconds = (schedule.stop_ns - schedule.measure_ns) as f64 / SECOND as f64;
    report.add("subs", readers);
    report.add("stopped", stopped);
    report.add("size", size);
    report.add_rounded("deliveries_per_s", slow.measured as f64 / seconds);
    report.add_latency("before_", &slow.all_read);
    report.add_latency("", &slow.some_stopped);
    let ratio = slow.some_stopped.quantile_us(0.99) / slow.all_read.quantile_us(0.99).max(1.0);
    report.add_rounded("p99_ratio", ratio);
    report.add("missing", missing);
    report.add("duplicates", slow.faults.duplicates);
    report.add("out_of_order", slow.faults.out_of_order);
    report.add("readers_lost", slow.readers_lost);
    report.add("stopped_closed", slow.stopped_lost);
    report.add("stopped_late", slow.late);
    report.add("stopped_missing", slow.missing(readers..count, sent));
    report.add_traffic(&io);
    report.print();
    missing == 0 && slow.readers_lost == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_and_stopped_ones_miss_is_counted_apart() {
        let slow = Slow {
            phase: Phase::WarmUp,
            readers: 1,
            all_read: Histogram::new(),
            some_stopped: Histogram::new(),
            measured: 0,
            faults: Faults::default(),
            seen: {
                let mut seen = vec![Sequence::default(); 2];
                seen[0].see(0);
                seen
            },
            readers_lost: 0,
            stopped_lost: 0,
            late: 0,
            publisher_lost: false,
        };
        assert_eq!((slow.missing(0..1, 3), slow.missing(1..2, 3)), (2, 3));
    }
}
