//! Idle connections: how fast they open, and the memory each one costs.

use super::report::Report;
use super::usage::Usage;
use super::{Idle, new_io, open_all, open_up_to};
use crate::args::Args;
use crate::clock::now_ns;
use crate::procs;
use std::thread::sleep;
use std::time::Duration;

/// Long enough for a server to settle after its first connection.
const SETTLING: Duration = Duration::from_millis(300);

struct Memory {
    server_rss_kib: u64,
    generator_rss_kib: u64,
    tcp_pages: u64,
    slab_kib: u64,
    available_kib: u64,
}

impl Memory {
    fn now(pids: &[i32]) -> Self {
        Self {
            server_rss_kib: procs::rss_kib(pids),
            generator_rss_kib: procs::own_rss_kib(),
            tcp_pages: procs::tcp_memory_pages(),
            slab_kib: procs::meminfo_kib("Slab:"),
            available_kib: procs::meminfo_kib("MemAvailable:"),
        }
    }
}

/// Opens `--count` connections, holds them for `--hold` seconds; false if any failed.
pub(crate) fn run(args: &Args) -> bool {
    let count: usize = args.number("count", 1000);
    let pids = args.pids();
    let mut io = new_io(args);
    // One connection comes first, so that what a server makes lazily is not charged to the others.
    open_all(&mut io, args, 1);
    sleep(SETTLING);
    let before = Memory::now(&pids);
    let usage = Usage::start(args);
    let seconds = open_up_to(&mut io, args, count + 1);
    let open = io.counters.ready.saturating_sub(1);

    let mut report = Report::new(args, "conns");
    report.add("asked", count);
    report.add("open", open);
    report.add("failed", io.counters.dead);
    report.add_rounded("open_s", seconds);
    report.add_rounded("open_per_s", open as f64 / seconds);
    usage.stop(&mut report, count as u64, "opens");

    io.shrink();
    let end = now_ns() + args.nanoseconds("hold", 5.0);
    while now_ns() < end {
        io.poll(&mut Idle, 100_000);
    }
    let after = Memory::now(&pids);
    let per_connection =
        |from: u64, to: u64, unit: f64| (to as f64 - from as f64) * unit / open.max(1) as f64;
    report.add("open_after_hold", io.counters.ready.saturating_sub(1));
    report.add("sockets_in_use", procs::tcp_sockets());
    if !pids.is_empty() {
        report.add("server_rss_before_kib", before.server_rss_kib);
        report.add("server_rss_after_kib", after.server_rss_kib);
        report.add_rounded(
            "server_rss_bytes_per_conn",
            per_connection(before.server_rss_kib, after.server_rss_kib, 1024.0),
        );
    }
    report.add_rounded(
        "tcp_mem_bytes_per_conn",
        per_connection(before.tcp_pages, after.tcp_pages, 4096.0),
    );
    report.add_rounded(
        "slab_bytes_per_conn_both_ends",
        per_connection(before.slab_kib, after.slab_kib, 1024.0),
    );
    report.add_rounded(
        "memavailable_bytes_per_conn_all",
        per_connection(after.available_kib, before.available_kib, 1024.0),
    );
    report.add_rounded(
        "generator_rss_bytes_per_conn",
        per_connection(before.generator_rss_kib, after.generator_rss_kib, 1024.0),
    );
    report.add_traffic(&io);
    report.print();
    open == count && io.counters.ready == count + 1
}
