//! Who got and read what, and whose senders ask to be told.

use hubbub_proto::{ClientId, UserId};

use super::Result;
use crate::model::{ConversationKey, Rev, User, UserKey};

/// A message whose sender asks to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Its place in the log.
    pub seq: u64,
    /// Who wrote it.
    pub sender: UserId,
    /// Their name for it.
    pub client_id: ClientId,
}

/// How far a member is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reached {
    /// Who.
    pub user: User,
    /// The furthest any of their devices has confirmed.
    pub received_seq: u64,
    /// How far they have read.
    pub read_seq: u64,
}

/// Receipts, read.
pub trait Receipts {
    /// The messages of `from..=to` whose senders ask, the newest first, at most `limit`.
    fn receipts_wanted(
        &mut self,
        conversation: ConversationKey,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<Wanted>>;
    /// The newest such message of the log; 0 where there is none. Costs a look into an index that
    /// is empty for most conversations.
    fn newest_receipt_wanted(&mut self, conversation: ConversationKey) -> Result<u64>;
    /// Tells `visit` of each member but `except` whose present stay shows `seq`, in no order. The
    /// cost is that of the conversation's stays.
    fn reached(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
        except: UserKey,
        visit: &mut dyn FnMut(Reached),
    ) -> Result<()>;
}

/// Receipts, written in the transaction that is open.
pub trait WriteReceipts {
    /// The sender of the entry `rev`, which stands at `seq`, asks to be told.
    fn want_receipt(&mut self, conversation: ConversationKey, seq: u64, rev: Rev) -> Result<()>;
}
