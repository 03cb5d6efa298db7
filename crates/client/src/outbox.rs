//! What is sent and not acked: kept in order, retried under the same client id.
//!
//! Invariant: to one recipient, messages are handed out in the order they were put in, and one that
//! waits for a retry holds back those behind it. Each names the one before it as `after`, so that
//! the server keeps the order even when an earlier one was refused.

use std::collections::VecDeque;

use serde_json::{Map, Value};

/// Most messages kept.
pub const OUTBOX_MAX: usize = 1_000;

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The address: `user:ID`, `group:ID` or a conversation id.
    pub to: String,
    /// The content.
    pub content: Value,
    /// The kind.
    pub kind: String,
    /// The name under which it is retried.
    pub client_id: String,
    /// The other fields of `send`: `reply_to`, `mentions`, `expires_in_ms` …
    pub extra: Map<String, Value>,
    state: State,
}

impl Outgoing {
    /// A message to be sent.
    #[must_use]
    pub fn new(to: &str, content: Value, kind: &str, client_id: &str) -> Self {
        Self {
            to: to.to_owned(),
            content,
            kind: kind.to_owned(),
            client_id: client_id.to_owned(),
            extra: Map::new(),
            state: State::Due(0),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// To be sent at this time, in milliseconds.
    Due(u64),
    InFlight,
}

/// Messages that are not acked, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Outgoing>,
}

impl Outbox {
    /// Adds a message; false when there are too many.
    #[must_use]
    pub fn push(&mut self, message: Outgoing) -> bool {
        let room = self.queue.len() < OUTBOX_MAX;
        if room {
            self.queue.push_back(message);
        }
        room
    }

    /// The next message that may go, and the client id before it to the same recipient.
    pub fn next(&mut self, now: u64) -> Option<(Outgoing, Option<String>)> {
        for i in 0..self.queue.len() {
            let to = &self.queue[i].to;
            let State::Due(at) = self.queue[i].state else { continue };
            let mut before = self.queue.range(..i).rev().filter(|m| m.to == *to);
            let blocked = self.queue.range(..i).any(|m| m.to == *to && m.state != State::InFlight);
            if at > now || blocked {
                continue;
            }
            let after = before.next().map(|m| m.client_id.clone());
            self.queue[i].state = State::InFlight;
            return Some((self.queue[i].clone(), after));
        }
        None
    }

    /// The message was acked, or refused for good.
    pub fn settle(&mut self, client_id: &str) -> Option<Outgoing> {
        let at = self.queue.iter().position(|m| m.client_id == client_id)?;
        self.queue.remove(at)
    }

    /// The message was refused for now.
    pub fn retry(&mut self, client_id: &str, at: u64) {
        if let Some(message) = self.queue.iter_mut().find(|m| m.client_id == client_id) {
            message.state = State::Due(at);
        }
    }

    /// The connection is gone: everything is due again.
    pub fn disconnected(&mut self) {
        for message in &mut self.queue {
            message.state = State::Due(0);
        }
    }

    /// How many are not acked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether everything is acked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(outbox: &mut Outbox, to: &str, id: &str) {
        assert!(outbox.push(Outgoing::new(to, Value::Null, "text", id)));
    }

    fn next(outbox: &mut Outbox, now: u64) -> Option<(String, Option<String>)> {
        outbox.next(now).map(|(m, after)| (m.client_id, after))
    }

    #[test]
    fn names_the_one_before() {
        let mut outbox = Outbox::default();
        put(&mut outbox, "user:a", "1");
        put(&mut outbox, "user:b", "2");
        put(&mut outbox, "user:a", "3");
        assert_eq!(next(&mut outbox, 0), Some(("1".into(), None)));
        assert_eq!(next(&mut outbox, 0), Some(("2".into(), None)));
        assert_eq!(next(&mut outbox, 0), Some(("3".into(), Some("1".into()))));
        assert_eq!(next(&mut outbox, 0), None);
    }

    #[test]
    fn a_retry_holds_back_those_behind_it() {
        let mut outbox = Outbox::default();
        put(&mut outbox, "user:a", "1");
        put(&mut outbox, "user:a", "2");
        next(&mut outbox, 0);
        next(&mut outbox, 0);
        outbox.retry("1", 100);
        outbox.retry("2", 0);
        assert_eq!(next(&mut outbox, 50), None);
        assert_eq!(next(&mut outbox, 100), Some(("1".into(), None)));
        assert_eq!(next(&mut outbox, 100), Some(("2".into(), Some("1".into()))));
    }

    #[test]
    fn an_acked_one_is_named_no_more() {
        let mut outbox = Outbox::default();
        put(&mut outbox, "user:a", "1");
        put(&mut outbox, "user:a", "2");
        next(&mut outbox, 0);
        assert!(outbox.settle("1").is_some());
        assert_eq!(next(&mut outbox, 0), Some(("2".into(), None)));
    }

    #[test]
    fn is_bounded() {
        let mut outbox = Outbox::default();
        for i in 0..OUTBOX_MAX {
            put(&mut outbox, "user:a", &i.to_string());
        }
        assert!(!outbox.push(Outgoing::new("user:a", Value::Null, "text", "x")));
    }
}
