//! CPU used by the server, the generator and everything else over the measured interval.

use super::report::Report;
use crate::args::Args;
use crate::clock::{SECOND, now_ns};
use crate::procs::{self, CpuTimes};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) struct Usage {
    pids: Vec<i32>,
    core: Option<u32>,
    start_ns: u64,
    server_s: f64,
    threads: BTreeMap<String, f64>,
    own_s: f64,
    kernel_s: f64,
    core_times: CpuTimes,
    machine_times: CpuTimes,
}

impl Usage {
    /// Begins the interval.
    pub(super) fn start(args: &Args) -> Self {
        let pids = args.pids();
        let core = args.has("core").then(|| args.number("core", 0));
        Self {
            server_s: procs::cpu_s(&pids),
            threads: pids.first().map(|pid| procs::thread_cpu_s(*pid)).unwrap_or_default(),
            own_s: procs::own_cpu_s(),
            kernel_s: procs::kernel_threads_cpu_s(),
            core_times: procs::cpu_times(core),
            machine_times: procs::cpu_times(None),
            start_ns: now_ns(),
            pids,
            core,
        }
    }

    /// Ends the interval, in which `units` things called `unit` were done.
    pub(super) fn stop(&self, report: &mut Report, units: u64, unit: &str) {
        let wall_s = (now_ns() - self.start_ns) as f64 / SECOND as f64;
        let percent = |seconds: f64| seconds / wall_s * 100.0;
        let per_million = |seconds: f64| seconds / units.max(1) as f64 * 1e6;
        let server_s = procs::cpu_s(&self.pids) - self.server_s;
        let own_s = procs::own_cpu_s() - self.own_s;
        let kernel_s = procs::kernel_threads_cpu_s() - self.kernel_s;
        let machine = procs::cpu_times(None);
        if !self.pids.is_empty() {
            report.add_rounded("server_cpu_s", server_s);
            report.add_rounded("server_cpu_pct", percent(server_s));
            report.add_rounded(&format!("server_cpu_s_per_million_{unit}"), per_million(server_s));
            report.add("server_rss_mib", procs::rss_kib(&self.pids) / 1024);
        }
        if let Some(pid) = self.pids.first() {
            let busy = procs::thread_cpu_s(*pid).into_iter().filter_map(|(name, seconds)| {
                let used = seconds - self.threads.get(&name).copied().unwrap_or(0.0);
                (used > 0.0).then(|| (name, Value::from((percent(used) * 10.0).round() / 10.0)))
            });
            report.add("server_threads_cpu_pct", busy.collect::<Map<_, _>>());
        }
        report.add_rounded("generator_cpu_pct", percent(own_s));
        if self.core.is_some() {
            // Interrupt time is part of the busy time, and most kernels charge it to the process
            // it interrupts: on loopback the receiver's TCP input counts as the sender's CPU.
            let core = procs::cpu_times(self.core);
            report.add_rounded("core_busy_pct", percent(core.busy_s - self.core_times.busy_s));
            report.add_rounded(
                "core_interrupts_pct",
                percent(core.interrupts_s - self.core_times.interrupts_s),
            );
        }
        // A server that syncs makes the kernel's threads work, so they are not counted among others.
        report.add_rounded("kernel_threads_cpu_pct", percent(kernel_s));
        let others_s = machine.busy_s - self.machine_times.busy_s - server_s - own_s - kernel_s;
        report.add_rounded("others_cpu_pct", percent(others_s).max(0.0));
        report.add_rounded("stolen_pct", percent(machine.stolen_s - self.machine_times.stolen_s));
    }
}
