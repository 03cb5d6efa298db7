//! `pull`: raw entries without a hole, to repair a gap.

use hubbub_proto::Reason;
use hubbub_proto::command::Pull;
use hubbub_proto::event::{LogItem, PullPage};

use super::log::{Budget, dense};
use super::{Desk, Place};
use crate::stop::Outcome;
use crate::visibility::Visibility;

/// Most seqs that one answer covers, voids included.
const SEQS_MAX: u64 = 1_000;

impl Desk<'_> {
    pub(super) fn pull(&mut self, command: &Pull) -> Outcome<PullPage> {
        if command.from == 0 || command.from > command.to {
            return Err(Reason::BadRange.into());
        }
        let Some(Place { conversation, membership }) = self.place(&command.conversation)? else {
            return Ok(PullPage { entries: Vec::new(), head_seq: 0, more: false });
        };
        let view = Visibility::of(&conversation, &membership);
        let wanted = command.to.min(view.head());
        let to = wanted.min(command.from.saturating_add(SEQS_MAX - 1));
        let mut budget = Budget {
            entries: self.config.sync_entries_max as usize,
            bytes: self.config.sync_bytes_max as usize,
            first_free: true,
        };
        let range = (command.from, to);
        let sight = self.sight(&conversation, &membership, range)?;
        let entries = dense(self.reader, &conversation, &sight, range, &mut budget)?.items;
        let covered = entries.last().map_or(command.from - 1, LogItem::through);
        Ok(PullPage { entries, head_seq: view.head(), more: covered < wanted })
    }
}
