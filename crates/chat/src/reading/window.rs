//! Where a device continues in a conversation when it syncs. Pure.
//!
//! Invariant: where the answer is not a reset, a device that named its cursor continues right after
//! it; in every case it gets at most [`BEHIND_MAX`] seqs, and no more than are left for it.

/// A device further behind than this is reset.
pub const BEHIND_MAX: u64 = 1_000;
/// Entries that a device gets of a conversation it does not know or has to begin anew.
pub const RECENT: u64 = 50;

/// What the decision depends on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The newest seq the member may see.
    pub head: u64,
    /// Everything up to here is gone.
    pub floor: u64,
    /// The first seq the member may ever see.
    pub first: u64,
    /// The first seq written within the offline window; above the head where there is none.
    pub window: u64,
    /// The furthest any device of the user has confirmed.
    pub received: u64,
    /// How many seqs may still be given to this user in all.
    pub left: u64,
}

/// What the device says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Known {
    /// It does not name the conversation.
    Nothing,
    /// It has everything up to this seq.
    Cursor(u64),
    /// Its cursor belongs to another history of the store.
    Foreign,
}

/// Where it continues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start {
    /// The first seq it gets.
    pub from: u64,
    /// It is to drop what it has.
    pub reset: bool,
}

/// Decides where a device continues.
#[must_use]
pub fn start(known: Known, place: &Place) -> Start {
    let recent = (place.head + 1).saturating_sub(RECENT);
    let within = (place.head + 1).saturating_sub(place.left.min(BEHIND_MAX));
    let earliest = place.first.max(place.window).max(within).max(1);
    match known {
        Known::Cursor(cursor) if continues(cursor, place) => {
            Start { from: cursor + 1, reset: false }
        }
        Known::Cursor(_) | Known::Foreign => Start { from: earliest.max(recent), reset: true },
        Known::Nothing => {
            let unconfirmed = (place.received + 1).min(recent);
            Start { from: earliest.max(unconfirmed), reset: false }
        }
    }
}

fn continues(cursor: u64, place: &Place) -> bool {
    if cursor > place.head || cursor < place.floor {
        return false;
    }
    let missed = place.head - cursor;
    missed == 0 || (missed <= BEHIND_MAX.min(place.left) && cursor + 1 >= place.window)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place =
        Place { head: 5_000, floor: 0, first: 1, window: 1, received: 4_990, left: 10_000 };

    #[test]
    fn windows_table() {
        let check = |known, place: Place, from, reset| {
            assert_eq!(start(known, &place), Start { from, reset }, "{known:?} {place:?}");
        };
        // A cursor within reach continues.
        check(Known::Cursor(4_999), PLACE, 5_000, false);
        check(Known::Cursor(5_000), PLACE, 5_001, false);
        check(Known::Cursor(4_000), PLACE, 4_001, false);
        check(Known::Cursor(4_500), Place { window: 4_501, ..PLACE }, 4_501, false);
        check(Known::Cursor(4_500), Place { floor: 4_500, first: 4_501, ..PLACE }, 4_501, false);
        check(Known::Cursor(0), Place { head: 20, first: 10, ..PLACE }, 1, false);
        // At the head nothing is missed, however old.
        check(Known::Cursor(5_000), Place { window: 5_001, ..PLACE }, 5_001, false);
        // Too far, above the head, below the floor, outside the window, of another epoch.
        check(Known::Cursor(3_999), PLACE, 4_951, true);
        check(Known::Cursor(5_001), PLACE, 4_951, true);
        check(Known::Cursor(u64::MAX), PLACE, 4_951, true);
        check(Known::Cursor(4_499), Place { floor: 4_500, first: 4_501, ..PLACE }, 4_951, true);
        check(Known::Cursor(4_500), Place { window: 4_502, ..PLACE }, 4_951, true);
        check(Known::Cursor(4_500), Place { window: 4_990, ..PLACE }, 4_990, true);
        check(Known::Cursor(4_500), Place { window: 5_001, ..PLACE }, 5_001, true);
        check(Known::Foreign, PLACE, 4_951, true);
        check(Known::Foreign, Place { first: 4_980, ..PLACE }, 4_980, true);
        // Others have taken most of what is left for the user.
        check(Known::Cursor(4_970), Place { left: 30, ..PLACE }, 4_971, false);
        check(Known::Cursor(4_969), Place { left: 30, ..PLACE }, 4_971, true);
        check(Known::Cursor(4_999), Place { left: 0, ..PLACE }, 5_001, true);
        check(Known::Cursor(5_000), Place { left: 0, ..PLACE }, 5_001, false);
        check(Known::Nothing, Place { left: 7, ..PLACE }, 4_994, false);
        check(Known::Nothing, Place { left: 0, ..PLACE }, 5_001, false);
        // Not named: what no device has, and some context, but not without end.
        check(Known::Nothing, PLACE, 4_951, false);
        check(Known::Nothing, Place { received: 5_000, ..PLACE }, 4_951, false);
        check(Known::Nothing, Place { received: 4_500, ..PLACE }, 4_501, false);
        check(Known::Nothing, Place { received: 0, ..PLACE }, 4_001, false);
        check(Known::Nothing, Place { received: 4_500, window: 4_700, ..PLACE }, 4_700, false);
        check(Known::Nothing, Place { received: 0, head: 7, ..PLACE }, 1, false);
        check(Known::Nothing, Place { received: 0, head: 0, ..PLACE }, 1, false);
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_bound_or_misses_something_unsaid(
            head in 0u64..5_000, floor in 0u64..5_000, window in 1u64..5_002, join in 1u64..5_000,
            received in 0u64..6_000, cursor in 0u64..6_000, named in 0u8..3, left in 0u64..2_000,
        ) {
            let floor = floor.min(head);
            let place = Place { head, floor, first: join.max(floor + 1), window, received, left };
            let known = match named {
                0 => Known::Nothing,
                1 => Known::Foreign,
                _ => Known::Cursor(cursor),
            };
            let start = start(known, &place);
            prop_assert!(start.from >= 1);
            prop_assert!((head + 1).saturating_sub(start.from) <= BEHIND_MAX.min(left));
            if let (Known::Cursor(cursor), false) = (known, start.reset) {
                prop_assert_eq!(start.from, cursor + 1);
            }
        }
    }
}
