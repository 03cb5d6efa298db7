//! A connection between a device and the node: two reliable, ordered pipes, until they are cut.
//!
//! Invariant, as of TCP: what arrives is a prefix of what was sent, in order. A cut loses a random
//! suffix of each direction; each end may learn of it, or not (half open).

use std::collections::VecDeque;

use crate::rng::Rng;

/// What arrives.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    Text(String),
    /// The connection is over; 0 where nobody said why.
    End(u16),
}

#[derive(Debug, Default)]
pub(crate) struct Pipe {
    queue: VecDeque<(u64, Frame)>,
    newest_ms: u64,
    /// Nothing gets in any more.
    closed: bool,
}

impl Pipe {
    /// Takes a frame; answers when it arrives, or nothing where it is lost.
    pub(crate) fn push(&mut self, now_ms: u64, delay_ms: u64, frame: Frame) -> Option<u64> {
        if self.closed {
            return None;
        }
        self.closed = matches!(frame, Frame::End(_));
        self.newest_ms = self.newest_ms.max(now_ms + delay_ms);
        self.queue.push_back((self.newest_ms, frame));
        Some(self.newest_ms)
    }

    /// The frame that has arrived.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<Frame> {
        let (at_ms, _) = self.queue.front()?;
        if *at_ms > now_ms {
            return None;
        }
        self.queue.pop_front().map(|(_, frame)| frame)
    }

    /// Loses a random suffix of what is under way, and everything that follows. Answers when the
    /// receiver learns of it, where it is to learn of it.
    pub(crate) fn cut(&mut self, now_ms: u64, rng: &mut Rng, told: bool) -> Option<u64> {
        let kept = rng.index(self.queue.len() + 1);
        self.queue.truncate(kept);
        if !told {
            self.closed = true;
            return None;
        }
        self.closed = false;
        self.push(now_ms, rng.between(0, 50), Frame::End(0))
    }

    /// Holds up everything that is sent from now on.
    pub(crate) fn stall(&mut self, until_ms: u64) {
        self.newest_ms = self.newest_ms.max(until_ms);
    }

    /// Loses everything, without a word.
    pub(crate) fn forget(&mut self) {
        self.queue.clear();
        self.closed = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// One connection. Links are never reused; a link's index also names its connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) device: usize,
    /// To the node.
    pub(crate) up: Pipe,
    /// To the device.
    pub(crate) down: Pipe,
}

impl Link {
    pub(crate) fn new(device: usize) -> Self {
        Self { device, up: Pipe::default(), down: Pipe::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pipe: &mut Pipe, now_ms: u64) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(frame) = pipe.pop(now_ms) {
            texts.push(match frame {
                Frame::Text(text) => text,
                Frame::End(code) => format!("end {code}"),
            });
        }
        texts
    }

    #[test]
    fn what_arrives_is_a_prefix_in_order() {
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let mut pipe = Pipe::default();
            for i in 0..5 {
                pipe.push(0, rng.between(0, 9), Frame::Text(i.to_string()));
            }
            let told = rng.chance(500);
            pipe.cut(0, &mut rng, told);
            assert_eq!(pipe.push(0, 0, Frame::Text("late".into())), None);
            let mut arrived = texts(&mut pipe, 1_000);
            if told {
                assert_eq!(arrived.pop().as_deref(), Some("end 0"));
            }
            let expect: Vec<String> = (0..arrived.len()).map(|i| i.to_string()).collect();
            assert_eq!(arrived, expect);
        }
    }

    #[test]
    fn nothing_overtakes_in_a_pipe() {
        let mut pipe = Pipe::default();
        assert_eq!(pipe.push(10, 100, Frame::Text("slow".into())), Some(110));
        assert_eq!(pipe.push(20, 1, Frame::Text("fast".into())), Some(110));
        assert!(texts(&mut pipe, 109).is_empty());
        assert_eq!(texts(&mut pipe, 110), ["slow", "fast"]);
    }
}
