//! What posts weigh in an inbox.
//!
//! Roughly the memory that a post keeps, in bytes: exact for the contents of entries, which make up
//! nearly all of what is large, estimated for everything around them. Deliberately absent: what a
//! heavy inbox means (see `inbox`).

use std::sync::Arc;

use hubbub_proto::event::{
    Ack, BanItem, ChannelUser, DeviceItem, Entry, JoinRequestItem, Kept, KeptList, LinkItem,
    Listed, LogItem, Me, Member, MemberCursors, Presence, Presences, PushEntry, Reaction, Relation,
    Summary, SyncedConversation, UserProfile,
};
use hubbub_proto::{Event, Refusal, Topic};

use crate::inbox::Post;

/// The frames of a publication, besides the contents of its entry.
const FRAMES: usize = 600;
/// The ids and names of an element of a page.
const NAMES: usize = 64;

impl Post {
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                // Once as it came and once encoded.
                Self::Publish(broadcast) => {
                    let veil = broadcast
                        .veil()
                        .map_or(0, |veil| FRAMES + NAMES + size_of_val(&*veil.unseen));
                    FRAMES + 2 * event(&broadcast.publication().event) + veil
                }
                Self::Push { event: pushed, .. } => event(pushed),
                Self::Reply { outcome: Ok(ack), .. } => of_ack(ack),
                Self::Reply { outcome: Err(refusal), .. } => of_refusal(refusal),
                Self::Draft(draft) => size_of_val(&**draft) + NAMES + draft.data.get().len(),
                // The frames are shared with other shards; each of them holds them for itself.
                Self::Parcel(parcel) => size_of_val(&**parcel) + NAMES + parcel.bytes(),
                Self::Subscribed { outcome: Ok(standing), .. } => {
                    2 * NAMES + of_kept(standing.publications.as_ref())
                }
                Self::Signal { event, .. } => NAMES + event.data.get().len(),
                Self::Identity { roles, .. } => NAMES + roles.len() * NAMES,
                Self::Attach { topics, .. } => topics.len() * (size_of::<Topic>() + NAMES),
                _ => NAMES,
            }
    }
}

fn event(event: &Event) -> usize {
    match event {
        Event::Entry(delivered) => content(&delivered.entry),
        Event::ConversationUpdated(update) => NAMES + text(update.settings.draft.as_deref()),
        Event::Push(pushed) => size_of_val(&**pushed) + NAMES + pushed.data.get().len(),
        Event::OnlineStatus(page) => presences(page),
        Event::UserUpdated(me) => of_me(me),
        Event::Relation(relation) => of_relation(relation),
        _ => NAMES,
    }
}

fn content(entry: &Entry) -> usize {
    let extra = entry.extra.as_ref().map_or(0, |extra| extra.weight());
    NAMES + entry.content.get().len() + extra
}

fn presences(page: &Presences) -> usize {
    page.presences.len() * (size_of::<Presence>() + NAMES)
}

fn items(items: &[LogItem]) -> usize {
    let of_item = |item: &LogItem| match item {
        LogItem::Entry(entry) => content(entry),
        LogItem::Void(_) => NAMES,
    };
    size_of_val(items) + items.iter().map(of_item).sum::<usize>()
}

fn of_ack(ack: &Ack) -> usize {
    match ack {
        Ack::Cleared(_)
        | Ack::Done
        | Ack::Written(_)
        | Ack::Channel(_)
        | Ack::Requested(_)
        | Ack::LinkMade(_) => NAMES,
        Ack::Subscribed(subscribed) => 2 * NAMES + of_kept(subscribed.publications.as_ref()),
        Ack::Watching(_) => NAMES,
        Ack::ChannelPresence(page) => page.users.len() * (size_of::<ChannelUser>() + NAMES),
        Ack::ChannelHistory(page) => NAMES + of_kept(Some(&page.publications)),
        Ack::History(page) => {
            size_of_val(&*page.entries) + page.entries.iter().map(content).sum::<usize>()
        }
        Ack::Pull(page) => items(&page.entries),
        Ack::Sync(page) => page
            .conversations
            .iter()
            .map(|one| {
                size_of::<SyncedConversation>() + summary(&one.summary) + items(&one.entries)
            })
            .sum(),
        Ack::Conversations(page) => page
            .conversations
            .iter()
            .map(|one| {
                size_of::<Listed>() + summary(&one.summary) + one.last.as_ref().map_or(0, content)
            })
            .sum(),
        Ack::Pushed(pushed) => pushed.written.len() * (size_of::<PushEntry>() + 2 * NAMES),
        Ack::Presences(page) => presences(page),
        Ack::Members(page) => page.members.len() * (size_of::<Member>() + NAMES),
        Ack::JoinRequests(page) => {
            let of_item = |item: &JoinRequestItem| NAMES + text(item.note.as_deref());
            size_of_val(&*page.requests) + page.requests.iter().map(of_item).sum::<usize>()
        }
        Ack::Links(list) => list.links.len() * (size_of::<LinkItem>() + 2 * NAMES),
        Ack::Receipts(page) => {
            let members = page.members.as_ref().map_or(0, Vec::len);
            NAMES + members * (size_of::<MemberCursors>() + NAMES)
        }
        Ack::Bans(page) => page.bans.len() * (size_of::<BanItem>() + 2 * NAMES),
        Ack::Edits(page) => page.versions.iter().map(|one| NAMES + one.content.get().len()).sum(),
        Ack::Pins(page) => page.pins.iter().map(|pin| NAMES + content(&pin.entry)).sum(),
        Ack::Reactions(page) => page.reactions.len() * (size_of::<Reaction>() + NAMES),
        Ack::Me(me) => of_me(me),
        Ack::Users(page) => page.users.iter().map(of_profile).sum(),
        Ack::Relation(related) => of_relation(&related.relation),
        Ack::Relations(page) => page.relations.iter().map(of_relation).sum(),
        Ack::Devices(list) => list.devices.len() * (size_of::<DeviceItem>() + 3 * NAMES),
    }
}

/// Each of those who share it keeps its part, so that a crowd that comes back together does not
/// weigh more than what it is told.
fn of_kept(list: Option<&KeptList>) -> usize {
    let of_one = |kept: &Kept| NAMES + kept.data.get().len();
    let of_all = |list: &KeptList| size_of_val(&**list) + list.iter().map(of_one).sum::<usize>();
    list.map_or(0, |list| of_all(list) / Arc::strong_count(list))
}

fn summary(summary: &Summary) -> usize {
    let draft = summary.settings.as_ref().and_then(|settings| settings.draft.as_deref());
    NAMES + text(summary.announcement.as_deref()) + text(draft)
}

fn text(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

fn of_profile(profile: &UserProfile) -> usize {
    let texts = [&profile.name, &profile.avatar, &profile.about];
    let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
    let data = profile.data.as_ref().map_or(0, |data| data.get().len());
    size_of::<UserProfile>() + NAMES + texts + data
}

fn of_me(me: &Me) -> usize {
    size_of::<Me>() + of_profile(&me.user) + me.roles.len() * NAMES
}

fn of_relation(relation: &Relation) -> usize {
    size_of::<Relation>() + NAMES + relation.note.as_ref().map_or(0, |note| note.len())
}

fn of_refusal(refusal: &Refusal) -> usize {
    refusal.detail.as_ref().map_or(0, |detail| detail.len())
}

#[cfg(test)]
pub(crate) mod samples {
    use hubbub_proto::command::Kind;
    use hubbub_proto::event::{Delivered, Entry};
    use hubbub_proto::{ClientId, ConversationId, Event, Timestamp, UserId};

    pub(crate) fn entry(content: &str) -> Entry {
        Entry {
            conversation: ConversationId::new("group:g").unwrap(),
            seq: 1,
            message_id: 1,
            from: UserId::new("u").unwrap(),
            kind: Kind::Text,
            content: serde_json::value::to_raw_value(content).unwrap().into(),
            client_id: ClientId::new("c").unwrap(),
            at: Timestamp(1),
            extra: None,
        }
    }

    pub(crate) fn delivered(content: &str) -> Event {
        Event::Entry(Delivered { entry: entry(content), attempt: 1 })
    }
}

#[cfg(test)]
mod tests {
    use hubbub_proto::event::{Epoch, HistoryPage, Position, PullPage};
    use hubbub_proto::{Channel, ConnId, Reason, Timestamp, UserId};

    use super::samples::{delivered, entry};
    use super::*;
    use crate::channels::Standing;
    use crate::subscribing::Asked;

    #[test]
    fn what_many_are_told_counts_once() {
        let conn = ConnId { shard: 0, slot: 0, generation: 0 };
        let kept = |offset| Kept {
            offset,
            from: UserId::new("u").unwrap(),
            timestamp: Timestamp(1),
            data: serde_json::value::to_raw_value(&"x".repeat(1000)).unwrap().into(),
            client_id: None,
        };
        let list: KeptList = (0..100).map(kept).collect();
        let told = |list: &KeptList| Post::Subscribed {
            conn,
            asked: Asked::Client(None),
            channel: Channel::new("a:b").unwrap(),
            outcome: Ok(Box::new(Standing {
                position: Position { offset: 100, epoch: Epoch(1) },
                recovered: Some(true),
                publications: Some(list.clone()),
            })),
        };
        let crowd: Vec<Post> = (0..1000).map(|_| told(&list)).collect();
        let each = crowd[0].weight();
        assert!(each < 2000, "{each}");
        let all: usize = crowd.iter().map(Post::weight).sum();
        assert!((1000 * size_of::<Post>() + 100_000..1_000_000).contains(&all), "{all}");
        drop(crowd);
        let last = told(&list);
        drop(list);
        assert!((100_000..150_000).contains(&last.weight()), "{}", last.weight());
    }

    #[test]
    fn contents_count() {
        let conn = ConnId { shard: 0, slot: 0, generation: 0 };
        let check = |post: Post, content: usize| {
            let weight = post.weight();
            assert!((content..content + 2000).contains(&weight), "{weight} for {content}");
        };
        let reply = |outcome| Post::Reply { conn, id: None, outcome };
        let long = "x".repeat(10_000);
        let entries = vec![entry(&long), entry(&long)];
        let pulled = entries.iter().cloned().map(LogItem::Entry).collect();
        check(reply(Ok(Ack::Done)), 0);
        check(reply(Err(Refusal::with(Reason::NotFound, &*long))), 10_000);
        check(
            reply(Ok(Ack::History(HistoryPage {
                entries,
                from_seq: 1,
                through_seq: 2,
                head_seq: 2,
                floor_seq: 0,
                more: false,
            }))),
            20_000,
        );
        check(reply(Ok(Ack::Pull(PullPage { entries: pulled, head_seq: 2, more: false }))), 20_000);
        check(Post::Push { conn, event: delivered(&long) }, 10_000);
    }
}
