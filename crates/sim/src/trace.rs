//! What happened, line by line: the newest lines, and a hash of them all.

use std::collections::VecDeque;
use std::hash::{Hash as _, Hasher as _};

/// Bounded; the hash covers also what was dropped.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    lines_max: usize,
    hash: std::hash::DefaultHasher,
}

impl Trace {
    pub(crate) fn new(lines_max: usize) -> Self {
        Self { lines: VecDeque::new(), lines_max, hash: std::hash::DefaultHasher::new() }
    }

    pub(crate) fn line(&mut self, elapsed_ms: u64, what: std::fmt::Arguments<'_>) {
        let line = format!("{:>4}.{:03} {what}", elapsed_ms / 1000, elapsed_ms % 1000);
        line.hash(&mut self.hash);
        if self.lines.len() >= self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The same for the same run.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
