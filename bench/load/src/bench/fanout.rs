//! Fan-out: one publisher, many subscribers of one channel. Without a rate the loop is closed:
//! a number of publications are in flight, and a server may merge them per subscriber.

use super::report::Report;
use super::usage::Usage;
use super::{Schedule, TURN_US, drain, new_io, open_all, subscribe_all};
use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::die;
use crate::histogram::Histogram;
use crate::net::{App, Io};
use crate::payload::{Faults, Sequence, Stamp, Writer, each};

struct Fanout {
    measuring: bool,
    latency: Histogram,
    measured: u64,
    received: u64,
    faults: Faults,
    lost: u64,
    publisher: usize,
    publisher_lost: bool,
    seen: Vec<Sequence>,
}

impl App for Fanout {
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]) {
        let now = io.read_ns;
        let any = each(message, |stamp| {
            // A server may send the publisher its own publications; they are not deliveries.
            let Some(seen) = self.seen.get_mut(ci) else { return };
            self.received += 1;
            if self.measuring {
                self.measured += 1;
                self.latency.add(now.saturating_sub(stamp.sent_ns));
            }
            self.faults.count(&seen.see(stamp.seq));
        });
        if !any {
            io.handle_control(ci, message);
        }
    }

    fn dead(&mut self, ci: usize) {
        self.lost += 1;
        self.publisher_lost |= ci == self.publisher;
    }
}

/// The publishing side: what was sent, and how the closed loop copes with losses.
struct Publisher {
    channel: String,
    subscribers: u64,
    writer: Writer,
    sent: u64,
    /// Deliveries given up on, so that a server that loses some cannot stop the closed loop.
    written_off: u64,
    stalls: u64,
    progress: (u64, u64),
}

impl Publisher {
    fn publish(&mut self, io: &mut Io, ci: usize, sent_ns: u64) {
        let stamp = Stamp { sent_ns, seq: self.sent as u32, sender: 0 };
        io.queue_publish(ci, &self.channel, self.writer.write(stamp));
        self.sent += 1;
    }

    /// Publishes what is due by now, stamped with the time it was due, so that sending late counts
    /// as latency. Returns the microseconds until the next one.
    fn publish_due(&mut self, io: &mut Io, ci: usize, schedule: &Schedule, rate: f64) -> u64 {
        loop {
            let due = schedule.due_ns(self.sent, rate);
            let now = now_ns();
            if due > now {
                io.flush(ci);
                return ((due - now) / 1000).clamp(1, TURN_US);
            }
            self.publish(io, ci, due);
        }
    }

    /// Publishes until `window` publications are in flight.
    fn fill_window(&mut self, io: &mut Io, ci: usize, received: u64, window: u64) {
        let now = now_ns();
        if received != self.progress.0 {
            self.progress = (received, now);
        } else if now - self.progress.1 > SECOND {
            self.stalls += 1;
            self.written_off = (self.sent * self.subscribers).saturating_sub(received);
            self.progress.1 = now;
        }
        while self.sent * self.subscribers < received + self.written_off + window * self.subscribers
        {
            self.publish(io, ci, now_ns());
        }
        io.flush(ci);
    }
}

/// Runs one publisher and `--subs` subscribers; false if a delivery is missing.
pub(crate) fn run(args: &Args) -> bool {
    let subscribers: usize = args.number("subs", 1000);
    let size: usize = args.number("size", 128);
    let window: u64 = args.number("window", 16);
    let rate = args.rate();
    let channel = args.text("channel", "room");
    let ci = subscribers;
    let mut io = new_io(args);
    open_all(&mut io, args, subscribers + 1);
    subscribe_all(&mut io, subscribers, &channel);
    let mut fanout = Fanout {
        measuring: false,
        latency: Histogram::new(),
        measured: 0,
        received: 0,
        faults: Faults::default(),
        lost: 0,
        publisher: ci,
        publisher_lost: false,
        seen: vec![Sequence::default(); subscribers],
    };
    let schedule = Schedule::from_now(args);
    let mut publisher = Publisher {
        channel,
        subscribers: subscribers as u64,
        writer: Writer::new(size),
        sent: 0,
        written_off: 0,
        stalls: 0,
        progress: (0, schedule.start_ns),
    };
    let mut report = Report::new(args, "fanout");
    let mut interval = None;
    while now_ns() < schedule.stop_ns {
        if interval.is_none() && now_ns() >= schedule.measure_ns {
            interval = Some((Usage::start(args), now_ns(), publisher.sent));
            fanout.measuring = true;
        }
        let wait_us = match rate {
            Some(rate) => publisher.publish_due(&mut io, ci, &schedule, rate),
            None => {
                publisher.fill_window(&mut io, ci, fanout.received, window);
                TURN_US
            }
        };
        io.poll(&mut fanout, wait_us);
        if fanout.publisher_lost {
            die(&format!("the publisher's connection died: {:?}", io.first_error));
        }
    }
    fanout.measuring = false;
    let (usage, measured_from, sent_before) =
        interval.unwrap_or_else(|| die("--secs is too short"));
    let seconds = (now_ns() - measured_from) as f64 / SECOND as f64;
    usage.stop(&mut report, fanout.measured, "deliveries");
    let published = publisher.sent - sent_before;
    drain(&mut io, &mut fanout, publisher.sent * subscribers as u64, |fanout| fanout.received);
    let missing: u64 = fanout.seen.iter().map(|seen| seen.missing(publisher.sent as u32)).sum();

    report.add("subs", subscribers);
    report.add("size", size);
    report.add("window", rate.is_none().then_some(window));
    report.add_rounded("secs", seconds);
    report.add_rounded("published_per_s", published as f64 / seconds);
    report.add_rounded("deliveries_per_s", fanout.measured as f64 / seconds);
    report.add_latency("", &fanout.latency);
    report.add("published_total", publisher.sent);
    report.add("delivered_total", fanout.received);
    report.add("missing", missing);
    report.add("duplicates", fanout.faults.duplicates);
    report.add("out_of_order", fanout.faults.out_of_order);
    report.add("connections_lost", fanout.lost);
    report.add("stalls", publisher.stalls);
    report.add_traffic(&io);
    report.print();
    missing == 0 && fanout.lost == 0
}
