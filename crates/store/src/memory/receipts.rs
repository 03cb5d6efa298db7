//! Who got and read what, and whose senders ask to be told, in memory.

use hubbub_chat::model::{ConversationKey, Rev, UserKey};
use hubbub_chat::ports::{Reached, Receipts, Result, Wanted, WriteReceipts};

use super::{Handle, Seat, Writing, conversations, refused};

impl<S: Seat> Receipts for Handle<S> {
    fn receipts_wanted(
        &mut self,
        conversation: ConversationKey,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<Wanted>> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation).filter(|_| from <= to) else {
            return Ok(Vec::new());
        };
        let wanted = log.receipts.range(from..=to).rev().take(limit as usize);
        let wanted = wanted.filter_map(|seq| log.entries.get(seq)).map(|row| row.wanted());
        Ok(wanted.collect())
    }

    fn newest_receipt_wanted(&mut self, conversation: ConversationKey) -> Result<u64> {
        let state = self.seat.state();
        let newest = state.logs.get(&conversation).and_then(|log| log.receipts.last().copied());
        Ok(newest.unwrap_or(0))
    }

    fn reached(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
        except: UserKey,
        visit: &mut dyn FnMut(Reached),
    ) -> Result<()> {
        let state = self.seat.state();
        let Some(log) = state.logs.get(&conversation) else { return Ok(()) };
        for (key, membership) in log.open_members().filter(|(key, _)| **key != except) {
            let present = membership.stays.last().is_some_and(|stay| stay.join_seq <= seq);
            let Some(person) = state.people.get(key).filter(|_| present) else { continue };
            visit(Reached {
                user: person.user.clone(),
                received_seq: membership.received_seq,
                read_seq: membership.read_seq,
            });
        }
        Ok(())
    }
}

impl WriteReceipts for Handle<Writing> {
    fn want_receipt(&mut self, conversation: ConversationKey, seq: u64, rev: Rev) -> Result<()> {
        let log = conversations::log(self.seat.working()?, conversation)?;
        if log.entries.get(&seq).is_none_or(|row| row.rev() != rev) {
            return refused("there is no such entry");
        }
        log.receipts.insert(seq);
        Ok(())
    }
}
