//! When an HTTP/2 connection has been there long enough.
//!
//! Invariants: one without a WebSocket ends when it asks for nothing and, whatever it asks for,
//! after a lifetime; one that has too many WebSockets refused at a time is told to go and keeps
//! those that it has, and only one that goes on regardless is cut off. Absent: ending it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::permit::{Permit, Permits};

/// WebSockets that may be refused in one [`WINDOW`] before the connection is told to go.
const REFUSED_MAX: u32 = 100;
/// What refusals are counted in.
const WINDOW: Duration = Duration::from_secs(1);
/// WebSockets that may be refused after that, before the connection is cut off: what was on its way
/// when the peer was told.
const REFUSED_LEAVING_MAX: u32 = 1000;

/// What the refusals so far come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Stays,
    Leaves,
    Cut,
}

/// Counts refusals; times are since any fixed moment.
#[derive(Debug, Default)]
struct Refusals {
    window_began: Duration,
    refused: u32,
    leaves: bool,
}

impl Refusals {
    fn add(&mut self, now: Duration) -> Verdict {
        if !self.leaves && now >= self.window_began + WINDOW {
            self.window_began = now;
            self.refused = 0;
        }
        self.refused = self.refused.saturating_add(1);
        match self.leaves {
            false if self.refused > REFUSED_MAX => {
                self.leaves = true;
                self.refused = 0;
                Verdict::Leaves
            }
            true if self.refused > REFUSED_LEAVING_MAX => Verdict::Cut,
            _ => Verdict::Stays,
        }
    }
}

/// A WebSocket's place on its connection.
#[derive(Debug)]
pub(crate) struct Stay {
    _permit: Permit,
    outstay: Arc<Outstay>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        // Before its place is given back: nobody sees a connection that has long been without.
        *self.outstay.without_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outstay {
    opened_at: Instant,
    /// The WebSockets.
    sockets: Permits,
    /// When the last WebSocket ended.
    without_since: Mutex<Instant>,
    requests: AtomicU64,
    refusals: Mutex<Refusals>,
    leaves: Notify,
    cut: Notify,
}

impl Outstay {
    /// Of a connection that was just opened and may have so many WebSockets.
    pub(crate) fn new(sockets_max: usize) -> Self {
        let now = Instant::now();
        Self {
            opened_at: now,
            sockets: Permits::new(sockets_max),
            without_since: Mutex::new(now),
            requests: AtomicU64::new(0),
            refusals: Mutex::default(),
            leaves: Notify::new(),
            cut: Notify::new(),
        }
    }

    /// How long the connection has been open.
    pub(crate) fn age(&self) -> Duration {
        self.opened_at.elapsed()
    }

    /// How many WebSockets there are.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets.used()
    }

    /// A place for one more WebSocket.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Stay> {
        Some(Stay { _permit: self.sockets.take()?, outstay: self.clone() })
    }

    /// There was a request.
    pub(crate) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A WebSocket was refused.
    pub(crate) fn refused(&self) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        match refusals.add(self.age()) {
            Verdict::Stays => {}
            Verdict::Leaves => self.leave(),
            Verdict::Cut => self.cut.notify_one(),
        }
    }

    /// The connection is to take no more requests.
    pub(crate) fn leave(&self) {
        self.leaves.notify_one();
    }

    /// Completes when it is to take no more requests: it was told so, it is idle, or it has been
    /// without a WebSocket for a lifetime.
    pub(crate) async fn leaves(&self, idle: Duration, lifetime: Duration) {
        tokio::select! {
            () = self.leaves.notified() => {}
            () = self.idle(idle) => {}
            () = self.outlived(lifetime) => {}
        }
    }

    /// Completes when it is to be cut off.
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }

    /// Completes when there was neither a WebSocket nor a request for a while.
    async fn idle(&self, timeout: Duration) {
        let mut before = 0;
        loop {
            tokio::time::sleep(timeout).await;
            let requests = self.requests.load(Ordering::Relaxed);
            if self.sockets() == 0 && before == requests {
                return;
            }
            before = requests;
        }
    }

    /// Completes when there was no WebSocket for a lifetime.
    pub(crate) async fn outlived(&self, lifetime: Duration) {
        loop {
            let left = if self.sockets() > 0 {
                lifetime
            } else {
                let since = *self.without_since.lock().unwrap_or_else(PoisonError::into_inner);
                lifetime.saturating_sub(since.elapsed())
            };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// What so many refusals at one moment come to.
    fn add(refusals: &mut Refusals, times: u32, now: Duration) -> Vec<Verdict> {
        (0..times).map(|_| refusals.add(now)).filter(|verdict| *verdict != Verdict::Stays).collect()
    }

    #[test]
    fn refusals_count_for_a_moment_and_a_flood_has_two_steps() {
        let mut refusals = Refusals::default();
        for second in 0..1000 {
            let now = WINDOW * second;
            assert_eq!(add(&mut refusals, REFUSED_MAX, now), [], "{second}");
        }
        let now = WINDOW * 2000;
        assert_eq!(add(&mut refusals, REFUSED_MAX + 1, now), [Verdict::Leaves]);
        // Time does not help any more, and what was under way does not harm.
        assert_eq!(add(&mut refusals, REFUSED_LEAVING_MAX / 2, now + WINDOW), []);
        assert_eq!(add(&mut refusals, REFUSED_LEAVING_MAX / 2, now + WINDOW * 2), []);
        assert_eq!(add(&mut refusals, 2, now + WINDOW * 3), [Verdict::Cut; 2]);
    }

    #[tokio::test]
    async fn requests_do_not_lengthen_a_life_and_a_socket_does() {
        let lifetime = Duration::from_millis(50);
        let outstay = Arc::new(Outstay::new(1));
        let socket = outstay.take();
        assert!(socket.is_some() && outstay.take().is_none());
        assert!(tokio::time::timeout(lifetime * 3, outstay.leaves(LONG, lifetime)).await.is_err());
        drop(socket);
        let without = Instant::now();
        let asking = async {
            loop {
                outstay.asked();
                tokio::time::sleep(lifetime / 10).await;
            }
        };
        tokio::select! {
            () = outstay.leaves(LONG, lifetime) => {}
            () = asking => {}
            () = tokio::time::sleep(LONG) => {}
        }
        assert!(without.elapsed() >= lifetime - Duration::from_millis(1));
    }

    #[tokio::test]
    async fn a_flood_is_told_before_it_is_cut() {
        let outstay = Outstay::new(1);
        // All of this within a window, or the count begins again.
        while tokio::time::timeout(Duration::ZERO, outstay.leaves(LONG, LONG)).await.is_err() {
            outstay.refused();
        }
        assert!(tokio::time::timeout(Duration::ZERO, outstay.cut()).await.is_err());
        (0..=REFUSED_LEAVING_MAX).for_each(|_| outstay.refused());
        outstay.cut().await;
    }
}
