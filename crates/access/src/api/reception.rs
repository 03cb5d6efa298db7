//! Where requests wait for the one reply to their command: each has a ticket that stands in place of
//! a connection.
//!
//! Invariants: a reply reaches the request that its ticket was given to, or nobody; whoever stops
//! waiting, for whatever reason, gives the place back with the ticket; at most so many wait. So a
//! late reply finds another tenant's generation and is dropped. Deliberately absent: time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hubbub_proto::{Ack, ConnId, Refusal};
use tokio::sync::{Notify, oneshot};

/// What came of a command.
pub type Outcome = Result<Ack, Refusal>;

/// See the module.
pub struct Reception {
    places_max: usize,
    places: Mutex<Places>,
    room: Notify,
}

#[derive(Default)]
struct Places {
    all: Vec<Place>,
    free: Vec<u32>,
}

/// One place, and who waits there.
#[derive(Default)]
struct Place {
    generation: u32,
    waiting: Option<oneshot::Sender<Outcome>>,
}

/// The right to one reply.
pub struct Ticket {
    reception: Arc<Reception>,
    conn: ConnId,
    outcome: oneshot::Receiver<Outcome>,
}

impl Reception {
    /// One where at most `places_max` wait.
    #[must_use]
    pub fn new(places_max: usize) -> Self {
        Self { places_max, places: Mutex::default(), room: Notify::new() }
    }

    /// A place to wait; `None` when all are taken.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Ticket> {
        let (sender, outcome) = oneshot::channel();
        let mut places = self.lock();
        let slot = match places.free.pop() {
            Some(slot) => slot,
            None if places.all.len() < self.places_max => {
                places.all.push(Place::default());
                u32::try_from(places.all.len() - 1).ok()?
            }
            None => return None,
        };
        let place = places.all.get_mut(slot as usize)?;
        place.waiting = Some(sender);
        let conn = ConnId { shard: ConnId::RECEPTION, slot, generation: place.generation };
        drop(places);
        Some(Ticket { reception: Arc::clone(self), conn, outcome })
    }

    /// Hands replies to those who still wait for them.
    pub fn answer(&self, outcomes: impl IntoIterator<Item = (ConnId, Outcome)>) {
        let mut places = self.lock();
        for (conn, outcome) in outcomes {
            let place = places.all.get_mut(conn.slot as usize);
            if let Some(place) = place.filter(|place| place.generation == conn.generation)
                && let Some(waiting) = place.waiting.take()
            {
                // Whoever waited may be gone this very moment.
                let _ = waiting.send(outcome);
            }
        }
    }

    /// There is room again behind: those who found none try again.
    pub fn resume(&self) {
        self.room.notify_waiters();
    }

    /// Completes when there is room again, after this call.
    pub(crate) fn room(&self) -> impl Future<Output = ()> + '_ {
        self.room.notified()
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let places = self.lock();
        places.all.len() - places.free.len()
    }

    fn give_back(&self, slot: u32) {
        let mut places = self.lock();
        if let Some(place) = places.all.get_mut(slot as usize) {
            place.generation = place.generation.wrapping_add(1);
            place.waiting = None;
            places.free.push(slot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// What stands in place of a connection.
    #[must_use]
    pub const fn conn(&self) -> ConnId {
        self.conn
    }

    /// Waits for the reply; `None` where there will be none.
    pub async fn outcome(mut self) -> Option<Outcome> {
        (&mut self.outcome).await.ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.reception.give_back(self.conn.slot);
    }
}

#[cfg(test)]
mod tests {
    use hubbub_proto::Reason;

    use super::*;

    fn ready(ticket: Ticket) -> Option<Outcome> {
        let mut outcome = std::pin::pin!(ticket.outcome());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match outcome.as_mut().poll(&mut context) {
            std::task::Poll::Ready(outcome) => outcome,
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn replies_find_their_ticket_and_no_other() {
        let reception = Arc::new(Reception::new(3));
        let [one, two, three] = [(); 3].map(|()| reception.take().unwrap());
        assert!(reception.take().is_none(), "all places are taken");
        let gone = two.conn();
        drop(two);
        let again = reception.take().unwrap();
        assert_eq!(again.conn().slot, gone.slot, "the place is used again");
        reception.answer([
            (gone, Err(Reason::Internal.into())),
            (three.conn(), Ok(Ack::Done)),
            (one.conn(), Err(Reason::NotFound.into())),
            // The second reply to the same ticket.
            (one.conn(), Ok(Ack::Done)),
            (ConnId { shard: ConnId::RECEPTION, slot: 99, generation: 0 }, Ok(Ack::Done)),
        ]);
        assert!(matches!(ready(one), Some(Err(refusal)) if refusal.reason == Reason::NotFound));
        assert!(matches!(ready(three), Some(Ok(Ack::Done))));
        assert!(ready(again).is_none(), "what was for the one before does not count");
        assert_eq!(reception.waiting(), 0, "everybody gave their place back");
    }
}
