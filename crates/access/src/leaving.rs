//! Connections that were told to come back and are given time to read it.
//!
//! They cost a descriptor for a moment and no task. Invariant: at most [`LEAVING_MAX`] at a time;
//! one more ends the one that has had the longest time.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::rejection::Rejection;

/// Connections that are leaving at a time.
const LEAVING_MAX: usize = 128;
/// How long one has: closing a socket whose peer is still sending resets it, and what was answered
/// may be lost.
const TIME: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Leaving(VecDeque<(Instant, TcpStream)>);

impl Leaving {
    /// Answers with a rejection, and ends our direction of a nonblocking socket.
    pub(crate) fn send_off(&mut self, mut stream: TcpStream, rejection: &Rejection) {
        let now = Instant::now();
        self.end(now);
        // A socket that was just accepted takes so little at once, or its peer is gone.
        let answered = stream.write_all(&rejection.answer());
        if answered.and_then(|()| stream.shutdown(Shutdown::Write)).is_err() {
            return;
        }
        if self.0.len() >= LEAVING_MAX {
            self.0.pop_front();
        }
        self.0.push_back((now + TIME, stream));
    }

    /// When the next one has had its time.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.0.front().map(|(end, _)| *end)
    }

    /// Closes those that have had their time.
    pub(crate) fn end(&mut self, now: Instant) {
        while self.next_end().is_some_and(|end| end <= now) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn told_and_closed_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut leaving = Leaving::default();
        let mut clients = Vec::new();
        for _ in 0..=LEAVING_MAX {
            clients.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            let (stream, _) = listener.accept().unwrap();
            leaving.send_off(stream, &Rejection::crowded(Duration::from_millis(1500)));
        }
        assert_eq!(leaving.0.len(), LEAVING_MAX);
        let mut answer = String::new();
        clients[5].read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert!(answer.contains("\r\nretry-after: 2\r\n"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(answer.ends_with("\"retry_after_ms\":1500}"), "{answer}");
        let end = leaving.next_end().unwrap();
        leaving.end(end);
        assert!(leaving.0.len() < LEAVING_MAX);
        leaving.end(end + TIME * 60);
        assert!(leaving.next_end().is_none());
    }
}
