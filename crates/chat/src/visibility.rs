//! What of a log a member may see (P7): the union of their stays, above the floor.
//!
//! Invariant: every function is total and pure; seqs start at 1, ranges are inclusive, and the
//! segments of a range cover it without hole or overlap. Deliberately absent: per-entry rules
//! (expiry, deletion); what the store no longer has becomes a void where entries are assembled.

use crate::model::{Conversation, Membership, Stay};

/// A member's view of a conversation's log.
#[derive(Clone, Copy, Debug)]
pub struct Visibility<'a> {
    stays: &'a [Stay],
    head: u64,
    floor: u64,
}

/// A stretch of a log that is visible as a whole or not at all, both ends inclusive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// First seq.
    pub from: u64,
    /// Last seq.
    pub to: u64,
    /// Whether the member may see it.
    pub visible: bool,
}

impl<'a> Visibility<'a> {
    /// The view of the member whose place is `membership`; what they cleared is below the floor.
    #[must_use]
    pub fn of(conversation: &Conversation, membership: &'a Membership) -> Self {
        let floor = conversation.floor_seq.max(membership.cleared_seq);
        Self::new(&membership.stays, conversation.head_seq, floor)
    }

    /// The view through `stays` (ascending, not overlapping) of a log with this head and floor.
    #[must_use]
    pub const fn new(stays: &'a [Stay], head: u64, floor: u64) -> Self {
        Self { stays, head, floor }
    }

    /// Up to where nothing is kept of the log, as the member may know it: how the floor rises after
    /// they left says how the log went on without them (P7).
    #[must_use]
    pub fn floor_of(&self, conversation: &Conversation) -> u64 {
        self.clamp(conversation.floor_seq)
    }

    /// The newest seq the member may see; 0 where there is none.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.stays
            .last()
            .map_or(0, |stay| stay.left_seq.map_or(self.head, |left| left.min(self.head)))
    }

    /// The first seq the member may ever see.
    #[must_use]
    pub fn first(&self) -> u64 {
        let joined = self.stays.first().map_or(self.head + 1, |stay| stay.join_seq);
        joined.max(self.clamp(self.floor) + 1)
    }

    /// The first seq of the newest stay: nothing before it counts as unread.
    #[must_use]
    pub fn newest_join(&self) -> u64 {
        self.stays.last().map_or(self.head + 1, |stay| stay.join_seq)
    }

    /// A cursor moved to `seq`, but never beyond what the member may see (P5).
    #[must_use]
    pub fn clamp(&self, seq: u64) -> u64 {
        seq.min(self.head())
    }

    /// Where the view through the stay with `seq` in it ends; `None` where the member may not see it.
    #[must_use]
    pub fn end_of(&self, seq: u64) -> Option<u64> {
        let stay = self.stays.iter().rev().find(|stay| stay.join_seq <= seq)?;
        let end = stay.left_seq.unwrap_or(self.head).min(self.head);
        (seq > self.floor && seq <= end).then_some(end)
    }

    /// Whether one stay shows both an entry and an earlier one that it is about. What was done to a
    /// message is not for those who came after it, nor for those who left before.
    #[must_use]
    pub fn covers(&self, seq: u64, about: u64) -> bool {
        about <= seq && self.end_of(about).is_some_and(|end| seq <= end)
    }

    /// `from..=to` cut into visible and invisible stretches, ascending. Empty when `from > to`.
    #[must_use]
    pub fn segments(&self, from: u64, to: u64) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut next = from;
        for stay in self.stays {
            let begin = stay.join_seq.max(self.floor + 1).max(next);
            let end = stay.left_seq.unwrap_or(self.head).min(self.head).min(to);
            if begin > end {
                continue;
            }
            if begin > next {
                segments.push(Segment { from: next, to: begin - 1, visible: false });
            }
            segments.push(Segment { from: begin, to: end, visible: true });
            next = end + 1;
        }
        if next <= to {
            segments.push(Segment { from: next, to, visible: false });
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn stay(join_seq: u64, left: u64) -> Stay {
        Stay { join_seq, left_seq: if left == 0 { None } else { Some(left) } }
    }

    fn shown(view: &Visibility<'_>, from: u64, to: u64) -> String {
        let text =
            |s: &Segment| format!("{}{}-{}", if s.visible { "" } else { "void " }, s.from, s.to);
        view.segments(from, to).iter().map(text).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn segments_table() {
        let check = |stays: &[Stay], head, floor, (from, to), expect: &str| {
            let view = Visibility::new(stays, head, floor);
            assert_eq!(shown(&view, from, to), expect, "{stays:?} head {head} floor {floor}");
        };
        let whole = [stay(1, 0)];
        check(&whole, 9, 0, (1, 9), "1-9");
        check(&whole, 9, 4, (1, 9), "void 1-4, 5-9");
        check(&whole, 9, 0, (10, 9), "");
        check(&whole, 9, 0, (8, 12), "8-9, void 10-12");
        let late = [stay(5, 0)];
        check(&late, 9, 0, (1, 9), "void 1-4, 5-9");
        check(&late, 9, 0, (6, 6), "6-6");
        let twice = [stay(1, 3), stay(7, 0)];
        check(&twice, 9, 0, (1, 9), "1-3, void 4-6, 7-9");
        check(&twice, 9, 3, (2, 9), "void 2-6, 7-9");
        check(&twice, 9, 0, (4, 6), "void 4-6");
        let left = [stay(2, 4)];
        check(&left, 9, 0, (1, 9), "void 1-1, 2-4, void 5-9");
        check(&[stay(1, 3), stay(4, 5)], 9, 0, (1, 5), "1-3, 4-5");
        check(&[], 9, 0, (1, 9), "void 1-9");
    }

    #[test]
    fn ends_table() {
        let check = |stays: &[Stay], head, floor, expect: (u64, u64)| {
            let view = Visibility::new(stays, head, floor);
            assert_eq!((view.first(), view.head()), expect, "{stays:?} head {head} floor {floor}");
        };
        check(&[stay(1, 0)], 0, 0, (1, 0));
        check(&[stay(1, 0)], 9, 0, (1, 9));
        check(&[stay(1, 0)], 9, 6, (7, 9));
        check(&[stay(3, 5)], 9, 0, (3, 5));
        check(&[stay(3, 5)], 9, 4, (5, 5));
        check(&[stay(3, 5)], 9, 8, (6, 5));
        check(&[stay(3, 5), stay(6, 7)], 9, 9, (8, 7));
        check(&[stay(3, 5), stay(8, 0)], 9, 0, (3, 9));
        check(&[], 9, 0, (10, 0));
    }

    fn stays() -> impl Strategy<Value = Vec<Stay>> {
        (prop::collection::vec((1u64..6, 0u64..6), 0..5), any::<bool>()).prop_map(
            |(steps, open)| {
                let mut at = 0;
                let mut stays: Vec<Stay> = steps
                    .into_iter()
                    .map(|(gap, length)| {
                        let join_seq = at + gap;
                        at = join_seq + length;
                        Stay { join_seq, left_seq: Some(at) }
                    })
                    .collect();
                if open && let Some(last) = stays.last_mut() {
                    last.left_seq = None;
                }
                stays
            },
        )
    }

    /// P7 word for word, one seq at a time.
    fn may_see(view: &Visibility<'_>, seq: u64) -> bool {
        let within = |stay: &Stay| {
            seq >= stay.join_seq && stay.left_seq.is_none_or(|left_seq| seq <= left_seq)
        };
        seq > view.floor && seq <= view.head && view.stays.iter().any(within)
    }

    proptest! {
        #[test]
        fn segments_are_dense_and_agree_with_the_promise(
            stays in stays(), head in 0u64..40, floor in 0u64..20, from in 1u64..40, to in 1u64..50,
        ) {
            let floor = floor.min(head);
            let view = Visibility::new(&stays, head, floor);
            let mut next = from;
            for segment in view.segments(from, to) {
                prop_assert_eq!(segment.from, next);
                prop_assert!(segment.to >= segment.from && segment.to <= to);
                for seq in segment.from..=segment.to {
                    prop_assert_eq!(may_see(&view, seq), segment.visible, "seq {}", seq);
                }
                next = segment.to + 1;
            }
            prop_assert_eq!(next, from.max(to + 1));
        }

        #[test]
        fn what_an_entry_is_about_lies_in_the_same_stay(
            stays in stays(), head in 0u64..40, floor in 0u64..20, seq in 1u64..45, about in 1u64..45,
        ) {
            let view = Visibility::new(&stays, head, floor.min(head));
            let both = |stay: &&Stay| {
                let alone = std::slice::from_ref(*stay);
                let view = Visibility::new(alone, head, floor.min(head));
                may_see(&view, seq) && may_see(&view, about)
            };
            // A gap of nothing between two stays may leave one seq in both of them.
            let expect = about <= seq && stays.iter().rfind(|stay| stay.join_seq <= about)
                .is_some_and(|stay| both(&stay));
            prop_assert_eq!(view.covers(seq, about), expect);
            prop_assert_eq!(view.end_of(seq).is_some(), may_see(&view, seq));
        }

        #[test]
        fn the_view_of_one_who_left_stays_as_it_is(
            stays in stays(), head in 0u64..40, floor in 0u64..40, more in 0u64..20,
        ) {
            let floor = floor.min(head);
            let left = Visibility::new(&stays, head, floor);
            let ended = stays.last().and_then(|stay| stay.left_seq).is_some_and(|left| left <= head);
            let later = Visibility::new(&stays, head + more, (floor + more).min(head + more));
            if ended && floor >= left.head() {
                prop_assert_eq!((left.first(), left.head()), (later.first(), later.head()));
            }
        }

        #[test]
        fn a_clamped_cursor_is_never_beyond_the_visible_head(
            stays in stays(), head in 0u64..40, seq in 0u64..u64::MAX,
        ) {
            let view = Visibility::new(&stays, head, 0);
            prop_assert!(view.clamp(seq) <= view.head());
            prop_assert!(view.clamp(seq) <= seq);
            prop_assert!(view.head() <= head);
            for beyond in view.head() + 1..=head {
                prop_assert!(!may_see(&view, beyond));
            }
        }
    }
}
