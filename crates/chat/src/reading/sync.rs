//! `sync`, second half: what a device missed, out of one snapshot. Live delivery was turned on by
//! the writer before that, so that nothing falls between.

use std::collections::{HashMap, HashSet};

use hubbub_proto::ConversationId;
use hubbub_proto::command::Sync;
use hubbub_proto::event::{SyncPage, SyncedConversation};

use super::conversations::{changed_at, texts};
use super::log::{Budget, dense};
use super::window::{self, Known, Start};
use super::{Desk, Place};
use crate::model::Rev;
use crate::ports::Result;
use crate::stop::Outcome;
use crate::visibility::Visibility;

/// Most conversations of one answer; the bytes of their summaries are bounded as those of entries
/// are.
const CONVERSATIONS_MAX: usize = 1_000;
/// About what a summary occupies in an answer besides its names, in bytes.
const SUMMARY_BYTES: usize = 320;

/// What the device said, in a form to ask.
struct Told<'a> {
    cursors: HashMap<&'a ConversationId, u64>,
    foreign: bool,
}

impl Told<'_> {
    fn of(&self, conversation: &ConversationId) -> Known {
        match self.cursors.get(conversation) {
            None => Known::Nothing,
            Some(_) if self.foreign => Known::Foreign,
            Some(cursor) => Known::Cursor(*cursor),
        }
    }
}

impl Desk<'_> {
    pub(super) fn sync(&mut self, command: &Sync) -> Outcome<SyncPage> {
        let newest = self.reader.rev()?.0;
        let told = Told {
            cursors: command.cursors.iter().map(|c| (&c.conversation, c.seq)).collect(),
            // A client that names no epoch is taken at its word.
            foreign: command.epoch.as_deref().is_some_and(|epoch| epoch != self.epoch),
        };
        // A rev that has not been reached is of another history, whatever the epoch says.
        let known = command.rev.filter(|rev| !told.foreign && *rev <= newest);
        let since = known.unwrap_or(0);
        let mut page = SyncPage {
            epoch: self.epoch.into(),
            conversations: Vec::new(),
            rev: since,
            relations_rev: 0,
            more: false,
        };
        let Some(key) = self.key else { return Ok(page) };
        page.relations_rev = self.reader.relations_rev(key)?.0.0;
        let limit = u32::try_from(CONVERSATIONS_MAX + 1).unwrap_or(u32::MAX);
        let mut changed = self.reader.changed(key, Rev(since), limit)?;
        page.more = changed.len() > CONVERSATIONS_MAX;
        changed.truncate(CONVERSATIONS_MAX);

        let mut budget = Budget {
            entries: self.config.sync_entries_max as usize,
            bytes: self.config.sync_bytes_max as usize,
            first_free: false,
        };
        let mut included = HashSet::default();
        let mut places = Vec::with_capacity(changed.len());
        let mut room = self.config.sync_bytes_max as usize;
        for (conversation, membership) in changed {
            let bytes = SUMMARY_BYTES + 2 * conversation.id.as_str().len();
            if bytes > room && !places.is_empty() {
                page.more = true;
                break;
            }
            room = room.saturating_sub(bytes);
            let rev = changed_at(&conversation, &membership).0;
            included.insert(conversation.id.clone());
            let place = Place { conversation, membership };
            if place.shows_nothing() {
                // Passed for good, unless something before it is left for the next answer.
                if places.is_empty() {
                    page.rev = page.rev.max(rev);
                }
                continue;
            }
            places.push((place, rev));
        }
        // What changed last comes first where not everything that was missed is given.
        let mut left = u64::from(self.config.offline_entries_max);
        let mut starts = Vec::with_capacity(places.len());
        for (place, _) in places.iter().rev() {
            starts.push(self.start(place, &told, &mut left)?);
        }
        for ((place, rev), start) in places.iter().zip(starts.into_iter().rev()) {
            // Announcements, drafts and hidden seqs count too, once they are known; the rest is for
            // the next answer.
            if room == 0 && !page.conversations.is_empty() {
                page.more = true;
                break;
            }
            page.rev = page.rev.max(*rev);
            let synced = self.synced(place, start, &mut budget)?;
            let hidden: usize = synced.hidden.iter().map(|seq| digits(*seq) + 1).sum();
            room = room.saturating_sub(texts(&synced.summary) + hidden);
            page.conversations.push(synced);
        }
        if !page.more {
            self.add_named(command, &told, included, &mut left, &mut budget, &mut page)?;
        }
        Ok(page)
    }

    /// Where the device continues in one conversation; `left` is what the user may still get in all.
    fn start(&mut self, place: &Place, told: &Told<'_>, left: &mut u64) -> Result<Start> {
        let Place { conversation, membership } = place;
        let view = Visibility::of(conversation, membership);
        let at = self.now.minus_ms(self.config.offline_window_ms);
        let window = self.reader.first_seq_at(conversation.key, at)?;
        let start = window::start(
            told.of(&conversation.id),
            &window::Place {
                head: view.head(),
                floor: view.floor_of(conversation),
                first: view.first(),
                window: window.unwrap_or(u64::MAX).min(view.head() + 1),
                received: membership.received_seq,
                left: *left,
            },
        );
        *left = left.saturating_sub((view.head() + 1).saturating_sub(start.from));
        Ok(start)
    }

    /// Conversations that did not change since, but of which the device does not have everything:
    /// an earlier answer was cut, or its cursor is off.
    fn add_named(
        &mut self,
        command: &Sync,
        told: &Told<'_>,
        mut included: HashSet<ConversationId>,
        left: &mut u64,
        budget: &mut Budget,
        page: &mut SyncPage,
    ) -> Result<()> {
        for cursor in &command.cursors {
            if !included.insert(cursor.conversation.clone()) {
                continue;
            }
            let Some(place) = self.find(&cursor.conversation)? else { continue };
            if Visibility::of(&place.conversation, &place.membership).head() == cursor.seq {
                continue;
            }
            if page.conversations.len() == CONVERSATIONS_MAX {
                page.more = true;
                return Ok(());
            }
            let start = self.start(&place, told, left)?;
            page.conversations.push(self.synced(&place, start, budget)?);
        }
        Ok(())
    }

    fn synced(
        &mut self,
        place: &Place,
        Start { from, reset }: Start,
        budget: &mut Budget,
    ) -> Result<SyncedConversation> {
        let Place { conversation, membership } = place;
        let view = Visibility::of(conversation, membership);
        let range = (from, view.head());
        let sight = self.sight(conversation, membership, range)?;
        let dense = dense(self.reader, conversation, &sight, range, budget)?;
        Ok(SyncedConversation {
            summary: self.summary(place)?,
            reset,
            // All of it: in a round of several answers the rev of an earlier one may be beyond that
            // of what was hidden in a conversation which comes later.
            hidden: sight.hidden,
            from_seq: from,
            entries: dense.items,
            more: dense.cut,
        })
    }
}

/// Of a number as it is written.
fn digits(n: u64) -> usize {
    n.checked_ilog10().map_or(1, |log| log as usize + 1)
}
