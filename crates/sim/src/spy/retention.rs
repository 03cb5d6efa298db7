//! What is kept no longer, passed on.

use hubbub_chat::model::{Aged, ConversationKey, EntryKey, Rev};
use hubbub_chat::ports::{Result, Retention, RetentionWrites, Writer};
use hubbub_proto::{ConversationId, Timestamp};

use super::Spy;

impl<T: Retention + ?Sized> Retention for Spy<T> {
    fn committed_after(&mut self, after: Rev, limit: u32) -> Result<Vec<Aged>> {
        self.inner.committed_after(after, limit)
    }

    fn newest_at(&mut self) -> Result<Option<Timestamp>> {
        self.inner.newest_at()
    }

    fn swept(&mut self) -> Result<Rev> {
        self.inner.swept()
    }

    fn overdue(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ConversationId>> {
        self.inner.overdue(now, limit)
    }

    fn next_overdue(&mut self) -> Result<Option<Timestamp>> {
        self.inner.next_overdue()
    }

    fn retired(&mut self, limit: u32) -> Result<Vec<Aged>> {
        self.inner.retired(limit)
    }
}

impl RetentionWrites for Spy<dyn Writer> {
    fn set_swept(&mut self, rev: Rev) -> Result<()> {
        self.inner.set_swept(rev)
    }

    fn set_overdue(&mut self, conversation: ConversationKey, at: Option<Timestamp>) -> Result<()> {
        self.inner.set_overdue(conversation, at)
    }

    fn raise_floor(&mut self, conversation: ConversationKey, seq: u64) -> Result<()> {
        self.inner.raise_floor(conversation, seq)
    }

    fn retire(&mut self, entry: EntryKey) -> Result<()> {
        self.inner.retire(entry)
    }

    fn forget(&mut self, entry: EntryKey) -> Result<()> {
        self.inner.forget(entry)
    }
}
