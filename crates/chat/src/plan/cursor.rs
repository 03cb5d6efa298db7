//! How far a cursor moves: forward only, and not beyond what the member may see (P5).

use crate::visibility::Visibility;

/// Which cursor a command moves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// `received`
    Received,
    /// `read`, which raises `received` too.
    Read,
}

/// A member's cursors.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cursors {
    /// Some device has everything up to here.
    pub received: u64,
    /// Read up to here.
    pub read: u64,
}

impl Cursors {
    /// The further of each.
    #[must_use]
    pub fn furthest(self, other: Self) -> Self {
        Self { received: self.received.max(other.received), read: self.read.max(other.read) }
    }
}

/// The cursors after the command; `None` where it moves nothing.
#[must_use]
pub fn advance(which: Which, seq: u64, view: &Visibility<'_>, now: Cursors) -> Option<Cursors> {
    let seq = view.clamp(seq);
    let wanted = match which {
        Which::Received => Cursors { received: seq, read: 0 },
        Which::Read => Cursors { received: seq, read: seq },
    };
    let next = now.furthest(wanted);
    (next != now).then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Stay;

    #[test]
    fn moves_table() {
        let open = [Stay { join_seq: 1, left_seq: None }];
        let left = [Stay { join_seq: 2, left_seq: Some(5) }];
        let check = |which, seq, stays: &[Stay], now: (u64, u64), expect: Option<(u64, u64)>| {
            let view = Visibility::new(stays, 9, 0);
            let moved = advance(which, seq, &view, Cursors { received: now.0, read: now.1 });
            assert_eq!(moved.map(|c| (c.received, c.read)), expect, "{which:?} {seq} from {now:?}");
        };
        check(Which::Received, 4, &open, (2, 1), Some((4, 1)));
        check(Which::Received, 2, &open, (2, 1), None);
        check(Which::Received, 1, &open, (2, 1), None);
        check(Which::Received, 99, &open, (2, 1), Some((9, 1)));
        check(Which::Received, 99, &left, (2, 1), Some((5, 1)));
        check(Which::Read, 4, &open, (2, 1), Some((4, 4)));
        check(Which::Read, 4, &open, (8, 1), Some((8, 4)));
        check(Which::Read, 4, &open, (8, 4), None);
        check(Which::Read, u64::MAX, &open, (9, 8), Some((9, 9)));
        check(Which::Read, 5, &[], (0, 0), None);
    }

    proptest! {
        #[test]
        fn cursors_never_go_back_nor_beyond_the_head(
            steps in prop::collection::vec((any::<bool>(), 0u64..30), 0..20), head in 0u64..20,
        ) {
            let stays = [Stay { join_seq: 1, left_seq: None }];
            let view = Visibility::new(&stays, head, 0);
            let mut now = Cursors::default();
            for (read, seq) in steps {
                let which = if read { Which::Read } else { Which::Received };
                if let Some(next) = advance(which, seq, &view, now) {
                    prop_assert!(next.received >= now.received && next.read >= now.read);
                    now = next;
                }
                prop_assert!(now.read <= now.received && now.received <= head);
            }
        }
    }
}
