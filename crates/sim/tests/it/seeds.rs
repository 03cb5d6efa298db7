//! Every promise holds in every run.
//!
//! `HUBBUB_SIM_SEEDS` says how many seeds; `HUBBUB_SIM_SEED` names one to be run with its whole
//! trace printed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hubbub_sim::{Config, run};

const SEEDS: u64 = 3_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn every_promise_holds_in_every_run() {
    if let Some(seed) = number("HUBBUB_SIM_SEED") {
        let config = Config { trace_lines: usize::MAX, ..Config::default() };
        match run(seed, &config) {
            Ok(report) => println!("{}\n{:#?}", report.trace.join("\n"), report.counts),
            Err(violation) => panic!("\n{violation}"),
        }
        return;
    }
    let seeds = number("HUBBUB_SIM_SEEDS").unwrap_or(SEEDS);
    let counts = run_all(seeds);
    println!("{seeds} seeds: {counts:#?}");
    if seeds >= 500 {
        check_coverage(&counts, seeds / 200);
    }
}

/// Runs the seeds on two threads; each run is a world of its own.
fn run_all(seeds: u64) -> BTreeMap<&'static str, u64> {
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let total = Mutex::new(BTreeMap::new());
    let work = || {
        let config = Config::default();
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            match run(seed, &config) {
                Ok(report) => {
                    let mut total = total.lock().expect("no thread has failed");
                    for (what, count) in report.counts {
                        *total.entry(what).or_insert(0) += count;
                    }
                }
                Err(violation) => {
                    failed.store(true, Ordering::Relaxed);
                    panic!("\n{violation}\nrun it alone with HUBBUB_SIM_SEED={seed}");
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    total.into_inner().expect("no thread has failed")
}

/// A run in which nothing happens keeps every promise; so everything must have happened.
fn check_coverage(counts: &BTreeMap<&'static str, u64>, least: u64) {
    for what in [
        "banned",
        "blocked",
        "cleared",
        "commands acked",
        "conflicts",
        "connections cut",
        "crashes",
        "crashes after a commit",
        "devices started anew",
        "dropped with a lag",
        "duplicates",
        "entries",
        "expired",
        "forwarded",
        "group_updated",
        "hidden for one",
        "idle connections given up",
        "member_banned",
        "member_kicked",
        "member_left",
        "member_muted",
        "member_unbanned",
        "mentions",
        "message_deleted",
        "message_edited",
        "message_pin",
        "message_reaction",
        "message_recalled",
        "muted",
        "parked",
        "pushes",
        "receipts",
        "redeliveries",
        "refused",
        "requests tried again",
        "resets",
        "stalls",
        "store troubles",
    ] {
        assert!(counts.get(what).is_some_and(|count| *count >= least), "{what}: {counts:#?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..40 {
        let hash = || run(seed, &Config::default()).map(|report| report.trace_hash);
        let (first, second) = (hash().unwrap(), hash().unwrap());
        assert_eq!(first, second, "seed {seed}");
    }
    let hash = |seed| run(seed, &Config::default()).unwrap().trace_hash;
    assert_ne!(hash(1), hash(2));
}
