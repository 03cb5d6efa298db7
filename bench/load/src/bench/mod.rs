//! The benches, and what they share: opening connections, a schedule of warm-up and measurement,
//! and the drain that follows, after which whatever has not arrived counts as missing.

pub(crate) mod conns;
pub(crate) mod echo;
pub(crate) mod fanout;
pub(crate) mod logins;
pub(crate) mod memory;
pub(crate) mod pairs;
mod report;
pub(crate) mod slow;
pub(crate) mod storm;
mod usage;

use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::net::{App, Io, Target};
use crate::{dialects, die};

const OPENING_STALL_NS: u64 = 15 * SECOND;
const DRAIN_STALL_NS: u64 = 3 * SECOND;
/// The longest wait of a poll while a bench runs, so that its phases end on time.
const TURN_US: u64 = 1000;

/// Answers pings, and otherwise listens.
struct Idle;

impl App for Idle {
    fn message(&mut self, io: &mut Io, ci: usize, message: &[u8]) {
        io.handle_control(ci, message);
    }
}

fn new_io(args: &Args) -> Io {
    let target =
        Target::parse(&args.text("url", "ws://127.0.0.1:9000/")).unwrap_or_else(|why| die(&why));
    let mut io = Io::new(target, dialects::by_name(args), args.number("src", 0))
        .unwrap_or_else(|error| die(&format!("epoll: {error}")));
    io.confirm_within(args.number::<u64>("confirm-ms", 200) * 1_000_000);
    io
}

/// Opens connections until there are `count`, each for the user of its own number, and waits
/// until all are ready or failed. Returns the seconds it took.
fn open_up_to(io: &mut Io, args: &Args, count: usize) -> f64 {
    let concurrent: usize = args.number("opening", 256);
    let rate: f64 = args.number("open-rate", 0.0);
    let start = now_ns();
    let seconds_since = |start| (now_ns() - start) as f64 / SECOND as f64;
    let mut progress = (0, start);
    while io.counters.ready + io.counters.dead < count {
        let mut more = concurrent.saturating_sub(io.counters.connecting).min(count - io.opened());
        if rate > 0.0 {
            let due = (seconds_since(start) * rate) as usize + 1;
            more = more.min(due.saturating_sub(io.opened()));
        }
        for _ in 0..more {
            io.open(io.opened() as u32);
        }
        io.poll(&mut Idle, 2 * TURN_US);
        let done = io.counters.ready + io.counters.dead;
        if done != progress.0 {
            progress = (done, now_ns());
        } else if now_ns() - progress.1 > OPENING_STALL_NS {
            let (ready, dead) = (io.counters.ready, io.counters.dead);
            eprintln!(
                "load: no connection came up for 15 s: {ready} ready, {dead} dead of {count}"
            );
            break;
        }
    }
    seconds_since(start)
}

fn open_all(io: &mut Io, args: &Args, count: usize) {
    open_up_to(io, args, count);
    if io.counters.ready != count {
        let (ready, error) = (io.counters.ready, &io.first_error);
        die(&format!("only {ready} of {count} connections came up; first error: {error:?}"));
    }
}

/// Subscribes the first `count` connections to `channel` and waits for the replies.
fn subscribe_all(io: &mut Io, count: usize, channel: &str) {
    subscribe_range(io, 0..count, channel);
}

/// The same for the connections in `range`.
fn subscribe_range(io: &mut Io, range: std::ops::Range<usize>, channel: &str) {
    let count = range.len();
    let before = io.counters.subscribed;
    let mut asked = 0;
    let mut progress = (0, now_ns());
    while io.counters.subscribed - before < count {
        while asked < count && asked < progress.0 + 500 {
            io.queue_subscribe(range.start + asked, channel);
            io.flush(range.start + asked);
            asked += 1;
        }
        io.poll(&mut Idle, 2 * TURN_US);
        if io.counters.subscribed - before != progress.0 {
            progress = (io.counters.subscribed - before, now_ns());
        } else if now_ns() - progress.1 > 10 * SECOND {
            die(&format!(
                "only {} of {count} subscriptions were confirmed; {:?}",
                progress.0, io.first_error
            ));
        }
    }
}

/// When a bench warms up, measures and stops.
struct Schedule {
    start_ns: u64,
    measure_ns: u64,
    stop_ns: u64,
}

impl Schedule {
    fn from_now(args: &Args) -> Self {
        let start_ns = now_ns();
        let measure_ns = start_ns + args.nanoseconds("warmup", 1.0);
        Self { start_ns, measure_ns, stop_ns: measure_ns + args.nanoseconds("secs", 5.0) }
    }

    /// When event number `count` is due at `rate` per second.
    fn due_ns(&self, count: u64, rate: f64) -> u64 {
        self.start_ns + (count as f64 / rate * SECOND as f64) as u64
    }
}

/// Polls until `progress` reaches `target` or stands still for three seconds.
fn drain<A: App>(io: &mut Io, app: &mut A, target: u64, progress: impl Fn(&A) -> u64) {
    let mut last = (progress(app), now_ns());
    while last.0 < target && now_ns() - last.1 < DRAIN_STALL_NS {
        io.poll(app, 20 * TURN_US);
        let now = progress(app);
        if now != last.0 {
            last = (now, now_ns());
        }
    }
}
