//! `conversations`, and the summary of a conversation as one member sees it.

use hubbub_proto::command::Conversations;
use hubbub_proto::event;
use hubbub_proto::event::{
    ConversationKind, ConversationPage, Entry, Listed, PeerCursors, PublicUser, Summary,
};

use super::log::Budget;
use super::members::{muted, page_size};
use super::{Desk, Place};
use crate::model::{Conversation, Counting, Membership, Pair, Rev, Unread};
use crate::plan::consent::{Act, consent};
use crate::plan::settings::shown;
use crate::plan::standing;
use crate::ports::{Order, Range, Result};
use crate::stop::Outcome;
use crate::visibility::Visibility;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;
/// Entries after which a conversation was hidden that are looked at.
const FOLLOWED_MAX: u32 = 20;

/// When a member's view of a conversation last changed.
pub(super) fn changed_at(conversation: &Conversation, membership: &Membership) -> Rev {
    if membership.is_open() { membership.rev.max(conversation.rev) } else { membership.rev }
}

/// Bytes of a summary that users have written.
pub(super) fn texts(summary: &Summary) -> usize {
    let draft = summary.settings.as_ref().and_then(|settings| settings.draft.as_deref());
    let texts = [summary.announcement.as_deref(), draft];
    texts.into_iter().flatten().map(str::len).sum()
}

impl Desk<'_> {
    pub(super) fn conversations(&mut self, command: &Conversations) -> Outcome<ConversationPage> {
        let limit = page_size(command.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let mut page = ConversationPage { conversations: Vec::new(), next: None };
        let Some(key) = self.key else { return Ok(page) };
        let found = self.reader.recent(key, command.before_rev.map(Rev), limit + 1)?;
        let is_last = found.len() <= limit as usize;
        let mut bytes = self.config.sync_bytes_max as usize;
        let mut passed = None;
        for (conversation, membership) in found {
            if page.conversations.len() == limit as usize || bytes == 0 {
                page.next = passed;
                return Ok(page);
            }
            passed = Some(changed_at(&conversation, &membership).0);
            let place = Place { conversation, membership };
            if place.shows_nothing() {
                continue;
            }
            let last = self.newest(&place)?;
            let size = last.as_ref().map_or(0, |entry| entry.content.get().len());
            bytes = bytes.saturating_sub(size);
            let summary = self.summary(&place)?;
            bytes = bytes.saturating_sub(texts(&summary));
            page.conversations.push(Listed { summary, last });
        }
        // Those that were passed over left room for more.
        page.next = passed.filter(|_| !is_last);
        Ok(page)
    }

    fn newest(&mut self, place: &Place) -> Result<Option<Entry>> {
        let view = Visibility::of(&place.conversation, &place.membership);
        let one = Budget { entries: 1, bytes: usize::MAX, first_free: true };
        let all = (view.first(), view.head());
        let sight = self.sight(&place.conversation, &place.membership, all)?;
        let page = self.page(&place.conversation, &sight, all, Order::Descending, one)?;
        Ok(page.entries.into_iter().next())
    }

    /// The conversation and the user's place in it.
    pub(super) fn summary(&mut self, place: &Place) -> Result<Summary> {
        let Place { conversation, membership } = place;
        let view = Visibility::of(conversation, membership);
        let group = conversation.kind == ConversationKind::Group;
        let (peer, peer_cursors) = self.peer(conversation)?;
        let unread = self.unread(place)?;
        Ok(Summary {
            id: conversation.id.clone(),
            kind: conversation.kind,
            name: self.name(place).filter(|_| group),
            peer,
            role: group.then_some(membership.role),
            join: (group && membership.is_open()).then_some(conversation.profile.join),
            announcement: conversation
                .profile
                .announcement
                .clone()
                .filter(|_| membership.is_open()),
            retention_ms: self.config.retention(conversation.profile.retention_ms),
            muted: muted(membership.silenced, self.now),
            all_muted: muted(conversation.silenced, self.now).filter(|_| membership.is_open()),
            member: standing(conversation, Some(membership)).is_some(),
            head_seq: view.head(),
            floor_seq: view.floor_of(conversation),
            first_seq: view.first(),
            unread: unread.count,
            mentions: unread.mentions,
            mention_seq: unread.mention_seq,
            cleared_seq: Some(membership.cleared_seq).filter(|seq| *seq > 0),
            received_seq: membership.received_seq,
            read_seq: membership.read_seq,
            peer_cursors,
            settings: self.settings(place, &view)?,
            rev: changed_at(conversation, membership).0,
        })
    }

    /// What the user keeps about it. What is hidden stays so until a message follows; where very
    /// much else does, it is shown rather than searched.
    fn settings(
        &mut self,
        place: &Place,
        view: &Visibility<'_>,
    ) -> Result<Option<event::Settings>> {
        let Place { conversation, membership } = place;
        let Some(settings) = membership.settings.as_deref() else { return Ok(None) };
        let hidden = match settings.hidden_seq {
            None => false,
            Some(seq) if seq >= view.head() => true,
            Some(seq) => {
                let followed = Range {
                    from: seq + 1,
                    to: view.head(),
                    order: Order::Descending,
                    limit: FOLLOWED_MAX,
                    bytes: usize::MAX,
                };
                let followed = self.reader.entries(conversation.key, followed)?;
                followed.len() < FOLLOWED_MAX as usize
                    && !followed.iter().any(|entry| entry.kind.is_message())
            }
        };
        Ok(Some(shown(settings, hidden)).filter(|told| *told != event::Settings::default()))
    }

    /// The name that the member may know (P7): for one who left, that of the moment they did.
    fn name(&self, place: &Place) -> Option<Box<str>> {
        let Place { conversation, membership } = place;
        let known =
            if membership.is_open() { &conversation.profile.name } else { &membership.left_name };
        known.clone()
    }

    /// The other side of a direct conversation and how far they are, where they let it be known; of
    /// a note to oneself there are no other cursors.
    fn peer(
        &mut self,
        conversation: &Conversation,
    ) -> Result<(Option<PublicUser>, Option<PeerCursors>)> {
        let Some(peer) = conversation.id.peer_of(self.user) else { return Ok((None, None)) };
        let public = self.public(&peer)?;
        if peer == *self.user {
            return Ok((Some(public), None));
        }
        let Some(user) = self.reader.user(&peer)? else { return Ok((Some(public), None)) };
        let pair = match self.key {
            Some(key) => self.reader.pair(key, user.key)?,
            None => Pair::default(),
        };
        let privacy = user.privacy.effective(self.config);
        if !consent(Act::Receipts, pair, &privacy).is_given() {
            return Ok((Some(public), None));
        }
        let cursors = self
            .reader
            .membership(conversation.key, user.key)?
            .map(|m| PeerCursors { received_seq: m.received_seq, read_seq: m.read_seq });
        Ok((Some(public), cursors))
    }

    /// P6: messages by others beyond what is read, from the newest stay on, above the floor.
    fn unread(&mut self, place: &Place) -> Result<Unread> {
        let Place { conversation, membership } = place;
        let view = Visibility::of(conversation, membership);
        let Some(user) = self.key else { return Ok(Unread::default()) };
        let joined = view.newest_join().saturating_sub(1);
        let gone = conversation.floor_seq.max(membership.cleared_seq);
        let from = membership.read_seq.max(joined).max(gone) + 1;
        if from > view.head() {
            return Ok(Unread::default());
        }
        let hidden = self.sight(conversation, membership, (from, view.head()))?.hidden;
        let counting = Counting { user, id: self.user, now: self.now, hidden: &hidden };
        self.reader.unread(conversation.key, counting, from, view.head())
    }
}
