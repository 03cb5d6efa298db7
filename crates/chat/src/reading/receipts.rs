//! `receipts`: who got and read an entry, for those who see it. Of those who do not let it be known
//! nothing is said but that they are there.

use hubbub_proto::Reason;
use hubbub_proto::command::Receipts;
use hubbub_proto::event::{MemberCursors, ReceiptPage};

use super::{Desk, Place};
use crate::model::{Conversation, Pair, User};
use crate::plan::consent::{Act, consent};
use crate::plan::standing;
use crate::ports::{Order, Range, Reached, Result};
use crate::stop::Outcome;
use crate::visibility::Visibility;

impl Desk<'_> {
    pub(super) fn receipts(&mut self, command: &Receipts) -> Outcome<ReceiptPage> {
        let Some(Place { conversation, membership }) = self.place(&command.conversation)? else {
            return Err(Reason::NotFound.into());
        };
        // What is shown is how far they are now, which is not for those who were there once.
        standing(&conversation, Some(&membership)).ok_or(Reason::NotAMember)?;
        let seq = command.seq;
        let view = Visibility::of(&conversation, &membership);
        if !view.segments(seq, seq).iter().any(|segment| segment.visible) {
            return Err(Reason::NotFound.into());
        }
        let one =
            Range { from: seq, to: seq, order: Order::Descending, limit: 1, bytes: usize::MAX };
        let entries = self.reader.entries(conversation.key, one)?;
        let sender = entries.first().ok_or(Reason::NotFound)?.sender.clone();
        let sender = self.reader.user(&sender)?.ok_or(Reason::NotFound)?.key;
        let pair = self.pair_in(&conversation)?;
        let (config, own) = (self.config, self.key);
        let shows = move |user: &User| {
            let privacy = user.privacy.effective(config);
            Some(user.key) == own || consent(Act::Receipts, pair, &privacy).is_given()
        };
        let listed_max = self.config.receipt_members_max as usize;
        let (mut total, mut received, mut read) = (0, 0, 0);
        let mut members = Vec::new();
        self.reader.reached(conversation.key, seq, sender, &mut |reached: Reached| {
            total += 1;
            if !shows(&reached.user) {
                return;
            }
            received += u64::from(reached.received_seq >= seq);
            read += u64::from(reached.read_seq >= seq);
            if members.len() <= listed_max {
                members.push(MemberCursors {
                    user: reached.user.id,
                    received_seq: reached.received_seq,
                    read_seq: reached.read_seq,
                });
            }
        })?;
        members.sort_by(|a, b| a.user.cmp(&b.user));
        let members = Some(members).filter(|_| total <= listed_max as u64);
        Ok(ReceiptPage { received, read, members, total })
    }

    /// What is between the two of a direct conversation; in a group a block says nothing.
    fn pair_in(&mut self, conversation: &Conversation) -> Result<Pair> {
        let Some(peer) = conversation.id.peer_of(self.user) else { return Ok(Pair::default()) };
        match (self.key, self.reader.user(&peer)?) {
            (Some(key), Some(peer)) if peer.key != key => self.reader.pair(key, peer.key),
            _ => Ok(Pair::default()),
        }
    }
}
