//! Memory of a server over the life of its connections: a warm-up that comes and goes, growing
//! numbers of idle connections, all of them gone again, then the same number once more with a
//! channel each and after a burst.
//!
//! Every figure is the server's resident memory at a moment when nothing happens.

use super::report::Report;
use super::{Idle, TURN_US, drain, new_io, open_all, subscribe_range};
use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::net::{App, Io};
use crate::payload::{Stamp, Writer, each};
use crate::{die, procs};

const WARM_UP: usize = 1_000;
/// Connections that share a channel.
const CHANNEL_SIZE: usize = 100;
/// Within which memory has to be back after connections have closed.
const GIVING_BACK_NS: u64 = 10 * SECOND;
const BURST_MESSAGES: u64 = 16;
const BURST_BYTES: usize = 2048;
/// Connections that burst at the same time.
const BURSTING: usize = 200;

/// Counts what a burst brings.
struct Burst {
    arrived: u64,
}

impl App for Burst {
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]) {
        if each(message, |_| self.arrived += 1) {
            io.delivered(ci, message);
        } else if io.handle_control(ci, message).is_some() {
            self.arrived += 1;
        }
    }
}

/// The server's memory after `hold_ns` in which connections only answer pings, KiB.
fn settled(io: &mut Io, pids: &[i32], hold_ns: u64) -> u64 {
    io.shrink();
    let end = now_ns() + hold_ns;
    while now_ns() < end {
        io.poll(&mut Idle, 50 * TURN_US);
    }
    procs::rss_kib(pids)
}

/// Each user sends to the next one, some users at a time; returns how many deliveries and
/// acknowledgements are missing.
fn burst(io: &mut Io, count: usize) -> u64 {
    let mut burst = Burst { arrived: 0 };
    let mut writer = Writer::new(BURST_BYTES);
    let mut expected = 0;
    for first in (0..count).step_by(BURSTING) {
        let users = first..(first + BURSTING).min(count);
        for ci in users {
            let to = (ci + 1) % count;
            for number in 0..BURST_MESSAGES {
                let stamp = Stamp { sent_ns: now_ns(), seq: number as u32, sender: ci as u32 };
                io.queue_direct(ci, to as u32, number, writer.write(stamp));
            }
            io.flush(ci);
            expected += 2 * BURST_MESSAGES;
        }
        drain(io, &mut burst, expected, |burst| burst.arrived);
    }
    expected - burst.arrived.min(expected)
}

fn per_connection(before_kib: u64, after_kib: u64, count: usize) -> f64 {
    (after_kib as f64 - before_kib as f64) * 1024.0 / count as f64
}

/// Runs the series up to `--count` connections, `--hold` seconds at each step; false if a
/// connection failed. `--plain` leaves out channels and the burst, for servers that have neither.
pub(crate) fn run(args: &Args) -> bool {
    let count: usize = args.number("count", 19_000);
    let hold_ns = args.nanoseconds("hold", 3.0);
    let pids = args.pids();
    if pids.is_empty() {
        die("memory needs the server's --pid");
    }
    let mut report = Report::new(args, "memory");
    report.add("count", count);

    let mut io = new_io(args);
    open_all(&mut io, args, WARM_UP.min(count));
    report.add("warm_open_rss_kib", settled(&mut io, &pids, hold_ns));
    drop(io);
    let mut io = new_io(args);
    let warm = settled(&mut io, &pids, hold_ns);
    report.add("warm_rss_kib", warm);

    for step in [WARM_UP, 5_000, count] {
        if step <= count {
            open_all(&mut io, args, step);
            let rss = settled(&mut io, &pids, hold_ns);
            report.add_rounded(&format!("bytes_at_{step}"), per_connection(warm, rss, step));
            if step == count {
                report.add("open_rss_kib", rss);
                report.add_rounded("bytes_per_conn", per_connection(warm, rss, step));
            }
        }
    }
    drop(io);
    let closed_ns = now_ns();
    let mut lowest = (u64::MAX, 0);
    while now_ns() - closed_ns < GIVING_BACK_NS {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let rss = procs::rss_kib(&pids);
        if rss < lowest.0 {
            lowest = (rss, now_ns() - closed_ns);
        }
    }
    let after = procs::rss_kib(&pids);
    report.add("after_close_rss_kib", after);
    report.add_rounded("after_close_ratio", after as f64 / warm.max(1) as f64);
    report.add_rounded("lowest_after_s", lowest.1 as f64 / SECOND as f64);

    let mut missing = 0;
    if !args.has("plain") {
        let mut io = new_io(args);
        open_all(&mut io, args, count);
        let idle = settled(&mut io, &pids, hold_ns);
        for first in (0..count).step_by(CHANNEL_SIZE) {
            let members = first..(first + CHANNEL_SIZE).min(count);
            subscribe_range(&mut io, members, &format!("group{}", first / CHANNEL_SIZE));
        }
        let subscribed = settled(&mut io, &pids, hold_ns);
        report.add_rounded("bytes_per_channel", per_connection(idle, subscribed, count));
        missing = burst(&mut io, count);
        report.add("burst_rss_kib", procs::rss_kib(&pids));
        let calm = settled(&mut io, &pids, GIVING_BACK_NS);
        report.add_rounded("bytes_left_by_burst", per_connection(subscribed, calm, count));
        report.add_traffic(&io);
    }
    report.add("missing", missing);
    report.print();
    missing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_shared_out() {
        assert_eq!(per_connection(1000, 3000, 1024), 2000.0);
        assert_eq!(per_connection(3000, 1000, 1024), -2000.0);
    }
}
