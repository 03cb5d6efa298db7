use std::collections::BTreeMap;

use hubbub_proto::Channel;
use hubbub_proto::command::{ChannelHistory, ChannelPosition};
use hubbub_proto::event::Epoch;
use proptest::prelude::*;
use serde_json::value::to_raw_value;

use super::*;
use crate::channels::{Channels, Keeping, Traits};

fn channel(n: u8) -> Channel {
    Channel::new(&format!("news:{n}")).unwrap()
}

fn kept(offset: u64, number: u64, len: usize, at: u64) -> Kept {
    Kept {
        offset,
        from: UserId::new("alice").unwrap(),
        timestamp: Timestamp(at),
        data: to_raw_value(&(number, "x".repeat(len))).unwrap().into(),
        client_id: Some(ClientId::new(&format!("c-{number}")).unwrap()),
    }
}

/// What was published, as a number.
fn number(kept: &Kept) -> u64 {
    serde_json::from_str::<(u64, String)>(kept.data.get()).unwrap().0
}

const PLENTY: Portion = Portion { size: 1000, bytes: 1 << 20 };

fn offsets(list: &KeptList) -> Vec<u64> {
    list.iter().map(|kept| kept.offset).collect()
}

#[test]
fn a_history_is_bounded_in_number_bytes_and_age() {
    let check = |extent: Extent, len: usize, now: u64, expected: &[u64]| {
        let mut history = History::new(extent);
        for offset in 1..=10 {
            history.push(kept(offset, offset, len, offset * 10));
        }
        history.prune(Timestamp(now));
        assert_eq!(offsets(&history.after(0, PLENTY).list), expected, "{extent:?} at {now}");
        assert_eq!(history.bytes, history.items.iter().map(weight).sum::<usize>());
    };
    let wide = Extent { size: 100, bytes: 1 << 20, ms: 1000 };
    check(wide, 10, 100, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    check(Extent { size: 3, ..wide }, 10, 100, &[8, 9, 10]);
    check(Extent { bytes: 3 * (OVERHEAD + 20), ..wide }, 10, 100, &[8, 9, 10]);
    check(Extent { bytes: 100, ..wide }, 200, 100, &[]);
    check(Extent { ms: 25, ..wide }, 10, 100, &[8, 9, 10]);
    check(Extent { ms: 25, ..wide }, 10, 124, &[10]);
    check(Extent { ms: 25, ..wide }, 10, 125, &[]);
}

#[test]
fn what_was_missed_is_all_there_or_not_told() {
    let mut history = History::new(Extent { size: 5, bytes: 1 << 20, ms: 1000 });
    for offset in 1..=8 {
        history.push(kept(offset, offset, 100, offset));
    }
    let mut check = |after: u64, portion: Portion, expected: Option<&[u64]>| {
        let missed = history.since(after, 8, portion).map(|list| offsets(&list));
        assert_eq!(missed.as_deref(), expected, "after {after}");
    };
    check(8, PLENTY, Some(&[]));
    check(7, PLENTY, Some(&[8]));
    check(3, PLENTY, Some(&[4, 5, 6, 7, 8]));
    check(3, PLENTY, Some(&[4, 5, 6, 7, 8]));
    check(2, PLENTY, None);
    check(9, PLENTY, None);
    check(5, Portion { size: 2, ..PLENTY }, None);
    check(6, Portion { size: 2, ..PLENTY }, Some(&[7, 8]));
    check(4, Portion { bytes: 3 * (OVERHEAD + 110), ..PLENTY }, None);
}

#[test]
fn pages_lead_through_everything_in_both_directions() {
    let mut history = History::new(Extent { size: 50, bytes: 1 << 20, ms: 1000 });
    for offset in 1..=60 {
        history.push(kept(offset, offset, 10, offset));
    }
    for portion in [Portion { size: 7, ..PLENTY }, Portion { bytes: 7 * (OVERHEAD + 20), ..PLENTY }]
    {
        let (mut after, mut forward) = (0, Vec::new());
        loop {
            let page = history.after(after, portion);
            forward.extend(offsets(&page.list));
            after = *forward.last().unwrap();
            if !page.more {
                break;
            }
        }
        assert!(forward.iter().copied().eq(11..=60));
        let (mut before, mut backward) = (u64::MAX, Vec::new());
        loop {
            let page = history.before(before, portion);
            assert!(page.list.is_sorted_by_key(|kept| kept.offset));
            backward.extend(offsets(&page.list).into_iter().rev());
            before = *backward.last().unwrap();
            if !page.more {
                break;
            }
        }
        assert!(backward.iter().copied().eq((11..=60).rev()));
    }
}

#[test]
fn a_name_is_found_as_long_as_it_is_kept_and_only_for_its_user() {
    let mut history = History::new(Extent { size: 2, bytes: 1 << 20, ms: 1000 });
    for offset in 1..=3 {
        history.push(kept(offset, offset, 1, offset));
    }
    let find = |user: &str, id: &str| {
        let found = history.find(&UserId::new(user).unwrap(), &ClientId::new(id).unwrap());
        found.map(|kept| kept.offset)
    };
    assert_eq!(find("alice", "c-3"), Some(3));
    assert_eq!(find("alice", "c-2"), Some(2));
    assert_eq!(find("alice", "c-1"), None);
    assert_eq!(find("bob", "c-3"), None);
}

#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: u8,
        len: usize,
    },
    /// A subscriber loses its connection.
    Drop {
        subscriber: u8,
    },
    /// It comes back to the channel that it is for.
    Return {
        subscriber: u8,
    },
    /// Time passes, and the shard looks at what is old.
    Pass {
        ms: u64,
    },
    /// Somebody asks for a page, which makes a history be of use.
    Read {
        channel: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..CHANNELS, 0..400_usize).prop_map(|(channel, len)| Step::Publish { channel, len }),
        2 => (0..SUBSCRIBERS).prop_map(|subscriber| Step::Drop { subscriber }),
        3 => (0..SUBSCRIBERS).prop_map(|subscriber| Step::Return { subscriber }),
        2 => (1..800_u64).prop_map(|ms| Step::Pass { ms }),
        1 => (0..CHANNELS).prop_map(|channel| Step::Read { channel }),
    ]
}

const CHANNELS: u8 = 4;
const SUBSCRIBERS: u8 = 8;

/// One who has seen a channel from some moment on.
#[derive(Default)]
struct Subscriber {
    here: bool,
    position: Option<(u64, Epoch)>,
    /// How many of the channel's publications, of all times, came before what it has to show.
    begun_at: usize,
    seen: Vec<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens, who recovers has seen every publication since they began, once and in
    /// order, or is told otherwise and begins anew; and memory is bounded all the time.
    #[test]
    fn who_comes_back_sees_everything_once_in_order_or_is_told(
        steps in prop::collection::vec(step(), 1..200),
        history_bytes_max in 500..6000_usize,
        size in 1..12_usize,
    ) {
        let mut channels = Channels::new(Keeping {
            channels_max: 100,
            idle_ms: 1000,
            history_bytes_max,
            portion: Portion { size: 6, bytes: 3000 },
            members_max: 0,
            patterns_max: 0,
        });
        let extent = Some(Extent { size, bytes: 4000, ms: 2000 });
        let traits = |_: &Channel| Traits { extent, recover: true, ..Traits::default() };
        let mut now = Timestamp(1_000);
        // All that was ever published, by channel.
        let mut published: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
        let mut subscribers: Vec<Subscriber> =
            (0..SUBSCRIBERS).map(|_| Subscriber::default()).collect();
        let mut next = 0;
        let of = |n: u8| channel(n % CHANNELS);
        for step in steps {
            match step {
                Step::Publish { channel: n, len } => {
                    next += 1;
                    let index = channels.at_home(&channel(n), now, traits).unwrap();
                    let record = channels.get_mut(index).unwrap();
                    record.offset += 1;
                    let position = record.position();
                    channels.keep(index, kept(position.offset, next, len, now.0));
                    published.entry(n).or_default().push(next);
                    for (i, one) in subscribers.iter_mut().enumerate() {
                        if one.here && i as u8 % CHANNELS == n {
                            one.seen.push(next);
                            one.position = Some((position.offset, position.epoch));
                        }
                    }
                }
                Step::Drop { subscriber } => subscribers[usize::from(subscriber)].here = false,
                Step::Return { subscriber } => {
                    let index = channels.at_home(&of(subscriber), now, traits).unwrap();
                    let one = &mut subscribers[usize::from(subscriber)];
                    let recover =
                        one.position.map(|(offset, epoch)| ChannelPosition { offset, epoch });
                    let standing = channels.standing(index, recover, now).unwrap();
                    prop_assert_eq!(standing.recovered.is_some(), recover.is_some());
                    let all = published.entry(subscriber % CHANNELS).or_default();
                    if standing.recovered == Some(true) {
                        let missed = standing.publications.unwrap();
                        let after = recover.unwrap().offset;
                        prop_assert_eq!(after + missed.len() as u64, standing.position.offset);
                        one.seen.extend(missed.iter().map(number));
                    } else {
                        one.begun_at = all.len();
                        one.seen.clear();
                    }
                    one.here = true;
                    one.position = Some((standing.position.offset, standing.position.epoch));
                }
                Step::Pass { ms } => {
                    now = now.plus_ms(ms);
                    channels.expire(now);
                }
                Step::Read { channel: n } => {
                    let wanted = ChannelHistory {
                        channel: channel(n),
                        after: None,
                        before: None,
                        epoch: None,
                        limit: 3,
                    };
                    channels.page(&wanted, now).unwrap();
                }
            }
            prop_assert!(channels.history_bytes() <= history_bytes_max);
            for (n, one) in subscribers.iter().enumerate().filter(|(_, one)| one.here) {
                let all = published.entry(n as u8 % CHANNELS).or_default();
                prop_assert_eq!(&one.seen[..], &all[one.begun_at..], "subscriber {}", n);
            }
        }
    }
}
