//! Echo: each connection keeps a number of requests in flight and sends another for each answer.

use super::report::Report;
use super::usage::Usage;
use super::{Schedule, TURN_US, drain, new_io, open_all};
use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::histogram::Histogram;
use crate::net::{App, Io};
use crate::payload::{Arrival, Sequence, Stamp, Writer, each};

struct Echo {
    measuring: bool,
    stopping: bool,
    latency: Histogram,
    measured: u64,
    received: u64,
    /// Answers that were not the next one of their connection.
    wrong: u64,
    lost: u64,
    next: Vec<u32>,
    seen: Vec<Sequence>,
    writer: Writer,
}

impl Echo {
    fn send(&mut self, io: &mut Io, ci: usize, count: usize) {
        for _ in 0..count {
            let stamp = Stamp { sent_ns: now_ns(), seq: self.next[ci], sender: ci as u32 };
            self.next[ci] += 1;
            io.queue_echo(ci, self.writer.write(stamp));
        }
    }
}

impl App for Echo {
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]) {
        let now = io.read_ns;
        let mut count = 0;
        let any = each(message, |stamp| {
            count += 1;
            if self.measuring {
                self.measured += 1;
                self.latency.add(now.saturating_sub(stamp.sent_ns));
            }
            let in_order = self.seen[ci].see(stamp.seq) == Arrival::InOrder;
            self.wrong += u64::from(!in_order || stamp.sender != ci as u32);
        });
        self.received += count as u64;
        if !any {
            io.handle_control(ci, message);
        } else if !self.stopping {
            self.send(io, ci, count);
        }
    }

    fn dead(&mut self, _ci: usize) {
        self.lost += 1;
    }
}

/// Runs `--conns` connections with `--inflight` requests each; false if an answer is missing.
pub(crate) fn run(args: &Args) -> bool {
    let count: usize = args.number("conns", 1000);
    let in_flight: usize = args.number("inflight", 1);
    let size: usize = args.number("size", 128);
    let mut io = new_io(args);
    open_all(&mut io, args, count);
    let mut echo = Echo {
        measuring: false,
        stopping: false,
        latency: Histogram::new(),
        measured: 0,
        received: 0,
        wrong: 0,
        lost: 0,
        next: vec![0; count],
        seen: vec![Sequence::default(); count],
        writer: Writer::new(size),
    };
    let schedule = Schedule::from_now(args);
    for ci in 0..count {
        echo.send(&mut io, ci, in_flight);
        io.flush(ci);
    }
    while now_ns() < schedule.measure_ns {
        io.poll(&mut echo, TURN_US);
    }
    let mut report = Report::new(args, "echo");
    let usage = Usage::start(args);
    let measured_from = now_ns();
    echo.measuring = true;
    while now_ns() < schedule.stop_ns {
        io.poll(&mut echo, TURN_US);
    }
    echo.measuring = false;
    echo.stopping = true;
    let seconds = (now_ns() - measured_from) as f64 / SECOND as f64;
    usage.stop(&mut report, echo.measured, "echoes");
    let sent: u64 = echo.next.iter().map(|next| u64::from(*next)).sum();
    drain(&mut io, &mut echo, sent, |echo| echo.received);

    report.add("conns", count);
    report.add("inflight", in_flight);
    report.add("size", size);
    report.add_rounded("secs", seconds);
    report.add_rounded("echoes_per_s", echo.measured as f64 / seconds);
    report.add_latency("", &echo.latency);
    report.add("missing", sent - echo.received.min(sent));
    report.add("wrong_or_reordered", echo.wrong);
    report.add("connections_lost", echo.lost);
    report.add_traffic(&io);
    report.print();
    sent == echo.received && echo.wrong == 0 && echo.lost == 0
}
