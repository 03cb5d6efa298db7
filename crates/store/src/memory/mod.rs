//! A store in memory, for tests and the simulation.
//!
//! Invariant: the committed state is one immutable value behind an `Arc`. A transaction works on a
//! copy that shares everything it does not touch, a commit swaps the value, and a snapshot is a
//! clone of the `Arc`: so atomicity and isolation hold by construction, and a handle that is dropped
//! in mid-transaction (a crash) leaves nothing behind. A commit costs a copy of the conversations it
//! touched, which is right for small histories and wrong for large ones. Deliberately absent:
//! durability beyond the life of the [`MemoryStore`] and its clones.

mod conversations;
mod groups;
mod messages;
mod operations;
mod people;
mod presence;
mod push;
mod receipts;
mod retention;
mod settings;
mod users;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hubbub_chat::model::{Conversation, ConversationKey, NewEntry, Profile, Rev, User, UserKey};
use hubbub_chat::ports::{Appended, Reader, Result, Store, StoreError, Writer};
use hubbub_proto::command::Role;
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ConversationId, Timestamp, UserId};
use uuid::Uuid;

/// A store whose data lives as long as it and its clones do.
///
/// A clone is the same store, as a second process that opens the same directory would see it; it
/// stays when handles are dropped in mid-transaction, which is how a simulation crashes a server.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    epoch: Arc<str>,
    shared: Arc<Shared>,
}

impl MemoryStore {
    /// An empty store with a random epoch.
    #[must_use]
    pub fn new() -> Self {
        Self::with_epoch(&Uuid::new_v4().to_string())
    }

    /// An empty store with this epoch, for runs that are to be repeated exactly.
    #[must_use]
    pub fn with_epoch(epoch: &str) -> Self {
        Self { epoch: epoch.into(), shared: Arc::default() }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn writer(&self) -> Result<Box<dyn Writer>> {
        if self.shared.writer_taken.swap(true, Ordering::AcqRel) {
            return Err(StoreError::InUse("the writer of this store is taken".into()));
        }
        let seat = Writing { shared: Arc::clone(&self.shared), working: None };
        Ok(Box::new(Handle { seat }))
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        let seat = Reading { shared: Arc::clone(&self.shared), snapshot: None };
        Ok(Box::new(Handle { seat }))
    }
}

#[derive(Debug, Default)]
struct Shared {
    committed: Mutex<Arc<State>>,
    writer_taken: AtomicBool,
}

impl Shared {
    fn committed(&self) -> Arc<State> {
        Arc::clone(&self.committed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, state: State) {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }
}

/// Everything. A clone copies five pointers and a few numbers.
#[derive(Clone, Debug, Default)]
struct State {
    /// The newest change that was committed.
    rev: Rev,
    /// The newest change that was an entry.
    newest_entry: Rev,
    /// Up to which entry the logs were swept.
    swept: Rev,
    people: Arc<BTreeMap<UserKey, Arc<users::Person>>>,
    people_by_id: Arc<BTreeMap<UserId, UserKey>>,
    logs: Arc<BTreeMap<ConversationKey, Arc<conversations::Log>>>,
    logs_by_id: Arc<BTreeMap<ConversationId, ConversationKey>>,
}

/// A handle; what it sees and may do depends on its seat.
struct Handle<S> {
    seat: S,
}

/// Which state a handle sees.
trait Seat {
    fn state(&self) -> Arc<State>;
}

/// Sees one commit between `begin_read` and `end_read`, and the newest outside of that.
struct Reading {
    shared: Arc<Shared>,
    snapshot: Option<Arc<State>>,
}

impl Seat for Reading {
    fn state(&self) -> Arc<State> {
        self.snapshot.clone().unwrap_or_else(|| self.shared.committed())
    }
}

/// Sees its own transaction, and the newest commit outside of one.
struct Writing {
    shared: Arc<Shared>,
    working: Option<Arc<State>>,
}

impl Seat for Writing {
    fn state(&self) -> Arc<State> {
        self.working.clone().unwrap_or_else(|| self.shared.committed())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.shared.writer_taken.store(false, Ordering::Release);
    }
}

impl Writing {
    /// The state to be changed.
    fn working(&mut self) -> Result<&mut State> {
        match &mut self.working {
            Some(state) => Ok(Arc::make_mut(state)),
            None => Err(StoreError::Io("nothing can be written outside a transaction".into())),
        }
    }
}

fn refused<T>(why: &str) -> Result<T> {
    Err(StoreError::Row(why.to_owned()))
}

impl Reader for Handle<Reading> {
    fn begin_read(&mut self) -> Result<()> {
        self.seat.snapshot = Some(self.seat.shared.committed());
        Ok(())
    }

    fn end_read(&mut self) -> Result<()> {
        self.seat.snapshot = None;
        Ok(())
    }

    fn rev(&mut self) -> Result<Rev> {
        Ok(self.seat.state().rev)
    }
}

impl Writer for Handle<Writing> {
    fn committed_rev(&mut self) -> Result<Rev> {
        Ok(self.seat.shared.committed().rev)
    }

    fn begin(&mut self) -> Result<()> {
        if self.seat.working.is_some() {
            return Err(StoreError::Io("a transaction is open already".into()));
        }
        // A value of its own, so that the first write does not copy a shared one.
        self.seat.working = Some(Arc::new((*self.seat.shared.committed()).clone()));
        Ok(())
    }

    fn commit(&mut self, rev: Rev) -> Result<()> {
        let state = self.seat.working()?;
        state.rev = state.rev.max(rev);
        if let Some(state) = self.seat.working.take() {
            self.seat.shared.publish(Arc::unwrap_or_clone(state));
        }
        Ok(())
    }

    fn rollback(&mut self) -> Result<()> {
        self.seat.working = None;
        Ok(())
    }

    fn put_user(&mut self, id: &UserId, name: Option<&str>, _at: Timestamp) -> Result<User> {
        Ok(users::put(self.seat.working()?, id, name))
    }

    fn create_conversation(
        &mut self,
        id: &ConversationId,
        kind: ConversationKind,
        profile: &Profile,
        _at: Timestamp,
    ) -> Result<Conversation> {
        conversations::create(self.seat.working()?, id, kind, profile)
    }

    fn set_head(&mut self, conversation: ConversationKey, head_seq: u64, rev: Rev) -> Result<()> {
        let row = conversations::row(self.seat.working()?, conversation)?;
        row.head_seq = head_seq;
        row.rev = rev;
        Ok(())
    }

    fn set_profile(&mut self, conversation: ConversationKey, profile: &Profile) -> Result<()> {
        conversations::row(self.seat.working()?, conversation)?.profile = profile.clone();
        Ok(())
    }

    fn dissolve(&mut self, conversation: ConversationKey) -> Result<()> {
        conversations::row(self.seat.working()?, conversation)?.dissolved = true;
        Ok(())
    }

    fn open_stay(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        role: Role,
        join_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        conversations::open_stay(self.seat.working()?, conversation, user, role, join_seq, rev)
    }

    fn close_stay(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        left_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        conversations::close_stay(self.seat.working()?, conversation, user, left_seq, rev)
    }

    fn set_role(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        role: Role,
        rev: Rev,
    ) -> Result<()> {
        let place = conversations::place(self.seat.working()?, conversation, user)?;
        place.role = role;
        place.rev = rev;
        Ok(())
    }

    fn advance_cursors(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        received_seq: u64,
        read_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        let place = conversations::place(self.seat.working()?, conversation, user)?;
        if place.received_seq < received_seq || place.read_seq < read_seq {
            place.received_seq = place.received_seq.max(received_seq);
            place.read_seq = place.read_seq.max(read_seq);
            place.rev = rev;
        }
        Ok(())
    }

    fn append(&mut self, entry: &NewEntry<'_>) -> Result<Appended> {
        messages::append(self.seat.working()?, entry)
    }
}
