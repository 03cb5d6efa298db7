//! The context of a connection: the end of what was said so far, in plain form.
//!
//! Invariant: holds the last bytes of the compressed messages of one direction, at most a window of
//! them, and memory in proportion to what was said. Only messages that travelled compressed belong
//! into it, for only they enter the peer's window.

use super::window::WindowBits;
use crate::utf8::growth;

/// What the next message of one direction may refer to.
#[derive(Debug)]
pub struct History {
    bytes: Vec<u8>,
    window: WindowBits,
    /// Which message was the last; see [`Deflater`](super::Deflater). 0 for none.
    pub(super) stamp: u64,
}

impl History {
    /// A history without messages, which owns no memory.
    #[must_use]
    pub const fn new(window: WindowBits) -> Self {
        Self { bytes: Vec::new(), window, stamp: 0 }
    }

    /// The window that bounds it.
    #[must_use]
    pub const fn window(&self) -> WindowBits {
        self.window
    }

    /// Bytes of memory allocated.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends a message and forgets what is out of reach.
    pub(super) fn push(&mut self, message: &[u8]) {
        let max = self.window.bytes();
        let message = &message[message.len().saturating_sub(max)..];
        let over = (self.bytes.len() + message.len()).saturating_sub(max);
        self.bytes.drain(..over);
        let room = growth(self.bytes.len(), self.bytes.capacity(), message.len(), max);
        self.bytes.reserve_exact(room);
        self.bytes.extend_from_slice(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_in_no_more_memory_than_the_window() {
        let mut history = History::new(WindowBits::MIN);
        assert_eq!(history.capacity(), 0);
        let mut all = Vec::new();
        for (i, len) in [1, 0, 100, 300, 111, 1, 512, 40, 513, 5000, 7].into_iter().enumerate() {
            let message = vec![i as u8; len];
            history.push(&message);
            all.extend_from_slice(&message);
            assert_eq!(history.bytes(), &all[all.len().saturating_sub(512)..], "message {i}");
            assert!(history.capacity() <= 512, "{}", history.capacity());
        }
    }
}
