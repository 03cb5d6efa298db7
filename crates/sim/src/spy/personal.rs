//! What users keep about conversations, and receipts: passed on as they are.

use hubbub_chat::model::{ConversationKey, Rev, Settings, UserKey};
use hubbub_chat::ports::{Reached, Receipts, Result, Wanted, WriteReceipts, WriteSettings, Writer};

use super::Spy;

impl WriteSettings for Spy<dyn Writer> {
    fn set_settings(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        settings: &Settings,
        rev: Rev,
    ) -> Result<()> {
        self.inner.set_settings(conversation, user, settings, rev)
    }
}

impl<T: Receipts + ?Sized> Receipts for Spy<T> {
    fn receipts_wanted(
        &mut self,
        conversation: ConversationKey,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<Wanted>> {
        self.inner.receipts_wanted(conversation, from, to, limit)
    }

    fn newest_receipt_wanted(&mut self, conversation: ConversationKey) -> Result<u64> {
        self.inner.newest_receipt_wanted(conversation)
    }

    fn reached(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
        except: UserKey,
        visit: &mut dyn FnMut(Reached),
    ) -> Result<()> {
        self.inner.reached(conversation, seq, except, visit)
    }
}

impl WriteReceipts for Spy<dyn Writer> {
    fn want_receipt(&mut self, conversation: ConversationKey, seq: u64, rev: Rev) -> Result<()> {
        self.inner.want_receipt(conversation, seq, rev)
    }
}
