//! What the system says of the process and of the disk. What it does not say is left out.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Clock ticks of a second and bytes of a page do not change while the process runs.
pub(crate) struct Process {
    /// Bytes in memory.
    pub(crate) resident: Option<u64>,
    /// Open descriptors.
    pub(crate) descriptors: Option<u64>,
    /// How many there may be.
    pub(crate) descriptors_max: Option<u64>,
    /// Seconds of CPU.
    pub(crate) cpu_s: Option<f64>,
    pub(crate) threads: Option<u64>,
}

impl Process {
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let page = rustix::param::page_size() as u64;
        let resident = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Self {
            resident: resident.map(|pages| pages * page),
            descriptors: descriptors(),
            descriptors_max: getrlimit(Resource::Nofile).current,
            cpu_s: cpu_ticks(&stat)
                .map(|n| n as f64 / rustix::param::clock_ticks_per_second() as f64),
            threads: field(&stat, 20),
        }
    }
}

/// A field of `/proc/PID/stat`, counted from 1 as proc(5) does. The second is a name in parentheses
/// that may hold anything.
fn field(stat: &str, number: usize) -> Option<u64> {
    let behind = stat.rsplit_once(')')?.1;
    behind.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    Some(field(stat, 14)? + field(stat, 15)?)
}

fn descriptors() -> Option<u64> {
    // The size of the directory is their number since Linux 6.2; before that it is 0.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        many => Some(many),
    }
}

/// Bytes that this user may still write where `dir` is.
pub(crate) fn disk_free(dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) b) (c) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 123 456 789";
        assert_eq!((cpu_ticks(stat), field(stat, 20)), (Some(300), Some(9)));
        assert_eq!(field("nothing", 20), None);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_a_disk() {
        let process = Process::read();
        assert!(process.resident.is_some_and(|bytes| bytes > 100_000));
        assert!(process.descriptors.is_some_and(|count| count >= 3));
        assert!(process.descriptors_max >= process.descriptors);
        assert!(process.threads.is_some_and(|count| count >= 1) && process.cpu_s.is_some());
        assert!(disk_free(Path::new("/")).is_some());
        assert_eq!(disk_free(Path::new("/nothing/here")), None);
    }
}
