//! One conversation as it was committed: its entries, and what they say about its members.
//!
//! Invariant: who was a member when, who may write and what became of a message is read from the
//! entries themselves, not from what the store keeps beside them, so that the two can disagree and
//! be caught. What leaves no entry (what somebody hid from themselves, and what was let go of) is
//! taken down at the store's port.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_chat::model::Unread;
use hubbub_proto::command::{Content, Kind};
use hubbub_proto::event::Head;
use hubbub_proto::{ClientId, Timestamp, UserId};
use serde_json::Value;

use crate::rules::Rules;

/// An entry as committed.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) seq: u64,
    pub(crate) message_id: u64,
    pub(crate) sender: UserId,
    pub(crate) client_id: ClientId,
    pub(crate) at: Timestamp,
    pub(crate) kind: Kind,
    pub(crate) content: Content,
    /// What was said beside the content.
    pub(crate) head: Head,
}

impl Committed {
    /// The message that it says something about.
    pub(crate) fn target(&self) -> Option<u64> {
        self.is_update().then_some(self.head.about).flatten()
    }

    /// Whether it says what was done to an earlier entry.
    pub(crate) fn is_update(&self) -> bool {
        self.kind.as_str().starts_with("message_")
    }

    /// Whether it takes the content of its target away, and why.
    pub(crate) fn removes(&self) -> Option<&'static str> {
        match self.kind.as_str() {
            "message_recalled" => Some("recalled"),
            "message_deleted" => Some("deleted"),
            _ => None,
        }
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(self.content.get()).unwrap_or_default()
    }
}

/// A stay, both ends inclusive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) join: u64,
    pub(crate) left: Option<u64>,
}

/// What somebody does not want to see any more.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    pub(crate) seqs: BTreeSet<u64>,
    pub(crate) through: u64,
}

/// One conversation.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<Committed>,
    pub(crate) stays: BTreeMap<UserId, Vec<Span>>,
    pub(crate) dissolved: bool,
    /// Everything up to here was let go of.
    pub(crate) floor: u64,
    pub(crate) hidden: BTreeMap<UserId, Hidden>,
    pub(crate) rules: Rules,
    /// The updates of each message.
    updates: BTreeMap<u64, Vec<u64>>,
}

impl Log {
    pub(crate) fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn entry(&self, seq: u64) -> Option<&Committed> {
        self.entries.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    pub(crate) fn is_member(&self, user: &UserId) -> bool {
        self.stays.get(user).and_then(|spans| spans.last()).is_some_and(|span| span.left.is_none())
    }

    /// Where the stay ends that shows `seq` to `user`.
    pub(crate) fn end_of(&self, user: &UserId, seq: u64) -> Option<u64> {
        let head = self.head();
        let spans = self.stays.get(user)?;
        spans
            .iter()
            .map(|span| (span.join, span.left.unwrap_or(head).min(head)))
            .find(|(join, end)| (*join..=*end).contains(&seq))
            .map(|(_, end)| end)
    }

    /// P7: whether an entry is for `user`. An update is for those who have its target in the same
    /// stay.
    pub(crate) fn sees(&self, user: &UserId, seq: u64) -> bool {
        let about = self.entry(seq).and_then(Committed::target).unwrap_or(seq);
        self.end_of(user, about).is_some_and(|end| seq <= end)
    }

    /// Whether an entry that was for `user` is so no more: it expired, was hidden, or let go of,
    /// or is about one of which that is true.
    pub(crate) fn is_gone(&self, user: &UserId, seq: u64, now: Timestamp) -> bool {
        let hidden = self.hidden.get(user);
        let gone = |seq: u64| {
            seq <= self.floor
                || self.is_over(seq, now)
                || hidden.is_some_and(|own| seq <= own.through || own.seqs.contains(&seq))
        };
        gone(seq) || self.entry(seq).and_then(Committed::target).is_some_and(gone)
    }

    /// Whether the time of an entry is over. That of a message which was taken back never is: what
    /// says that there was one lasts.
    pub(crate) fn is_over(&self, seq: u64, now: Timestamp) -> bool {
        self.ends_by_itself(seq, now) && self.removal(seq).is_none()
    }

    /// Whether the time for which an entry was meant is over.
    pub(crate) fn ends_by_itself(&self, seq: u64, now: Timestamp) -> bool {
        let expires_at = self.entry(seq).and_then(|entry| entry.head.expires_at);
        expires_at.is_some_and(|at| at <= now)
    }

    /// Up to where `user` sees nothing, by their own wish.
    pub(crate) fn cleared(&self, user: &UserId) -> u64 {
        self.hidden.get(user).map_or(0, |own| own.through)
    }

    /// The updates of a message, in order.
    pub(crate) fn updates(&self, seq: u64) -> impl Iterator<Item = &Committed> {
        self.updates.get(&seq).into_iter().flatten().filter_map(|seq| self.entry(*seq))
    }

    /// Which entry took the content of a message, or of an edit with its message, away.
    pub(crate) fn removal(&self, seq: u64) -> Option<&Committed> {
        let entry = self.entry(seq)?;
        let whose = match entry.kind.as_str() {
            "message_edited" => entry.head.about?,
            _ => seq,
        };
        self.updates(whose).find(|update| update.removes().is_some())
    }

    /// The newest seq that `user` may see; `None` where they never were here.
    pub(crate) fn visible_head(&self, user: &UserId) -> Option<u64> {
        let last = self.stays.get(user)?.last()?;
        Some(last.left.unwrap_or_else(|| self.head()))
    }

    pub(crate) fn first_seq(&self, user: &UserId) -> Option<u64> {
        let gone = self.floor.max(self.cleared(user));
        Some(self.stays.get(user)?.first()?.join.max(gone + 1))
    }

    /// P6, counted anew.
    pub(crate) fn unread(&self, user: &UserId, read_seq: u64, now: Timestamp) -> Unread {
        let join = self.stays.get(user).and_then(|spans| spans.last()).map_or(0, |span| span.join);
        let counts = |e: &&Committed| {
            e.seq > read_seq
                && e.seq >= join
                && e.kind.counts_as_unread()
                && e.sender != *user
                && self.sees(user, e.seq)
                && !self.is_gone(user, e.seq, now)
                && self.removal(e.seq).is_none()
        };
        let mut unread = Unread::default();
        for entry in self.entries.iter().rev().filter(counts).take(100) {
            let named = entry.head.mention_all || entry.head.mentions.contains(user);
            unread.add(entry.seq, named);
        }
        unread
    }

    /// Takes an entry in, and from it who came and went.
    pub(crate) fn append(&mut self, entry: Committed) {
        self.follow(&entry);
        self.rules.follow(&entry);
        if let Some(target) = entry.target() {
            self.updates.entry(target).or_default().push(entry.seq);
        }
        self.entries.push(entry);
    }

    /// An audience of pushes, in which no entry says who came: `user` is in it from here on.
    pub(crate) fn enter_audience(&mut self, user: UserId, stays_max: u32) {
        let head = self.head();
        let spans = self.stays.entry(user).or_default();
        match spans.last_mut().filter(|last| last.left == Some(head)) {
            Some(last) => last.left = None,
            None => spans.push(Span { join: head + 1, left: None }),
        }
        let surplus = spans.len().saturating_sub(stays_max as usize);
        spans.drain(..surplus);
    }

    /// And is so no more.
    pub(crate) fn leave_audience(&mut self, user: &UserId) {
        let head = self.head();
        self.exit(user, head);
        if let Some(spans) = self.stays.get_mut(user) {
            spans.retain(|span| span.left.is_none_or(|left| span.join <= left));
        }
    }

    fn enter(&mut self, user: UserId, seq: u64) {
        self.stays.entry(user).or_default().push(Span { join: seq, left: None });
    }

    fn exit(&mut self, user: &UserId, seq: u64) {
        if let Some(span) = self.stays.get_mut(user).and_then(|spans| spans.last_mut()) {
            span.left = span.left.or(Some(seq));
        }
    }

    fn follow(&mut self, entry: &Committed) {
        let content = entry.value();
        let seq = entry.seq;
        match entry.kind.as_str() {
            "group_created" => {
                self.enter(entry.sender.clone(), seq);
                for user in users(&content["members"]) {
                    if user != entry.sender {
                        self.enter(user, seq);
                    }
                }
            }
            "member_joined" => {
                let named = users(&content["users"]).into_iter().chain(one(&content["user"]));
                for user in named {
                    self.enter(user, seq);
                }
            }
            "member_left" | "member_kicked" | "member_banned" => {
                if let Some(user) = one(&content["user"]) {
                    self.exit(&user, seq);
                }
            }
            "group_dissolved" => {
                self.dissolved = true;
                for spans in self.stays.values_mut() {
                    if let Some(span) = spans.last_mut() {
                        span.left = span.left.or(Some(seq));
                    }
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn one(value: &Value) -> Option<UserId> {
    value.as_str().and_then(|id| UserId::new(id).ok())
}

pub(crate) fn users(value: &Value) -> Vec<UserId> {
    value.as_array().into_iter().flatten().filter_map(one).collect()
}
