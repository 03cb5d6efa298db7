//! What the node shows to a user: pushes, pages, summaries.

use hubbub_chat::model::Unread;
use hubbub_proto::event::{Entry, Listed, LogItem, Receipt, Summary, SyncedConversation};
use hubbub_proto::route::Work;
use hubbub_proto::{
    Ack, Command, ConnId, ConversationId, Effect, Event, Request, Timestamp, UserId,
};

use super::entry::{Moment, as_it_is, hidden, shown};
use super::{Oracle, key};
use crate::config::Variant;
use crate::journal::Journal;
use crate::log::Log;
use crate::report::{Broken, Promise};

/// A device that names its cursor may be so far behind without being reset.
const BEHIND_MAX: u64 = 1_000;
/// A device that knows nothing of a conversation gets at least so many of its newest entries.
const RECENT: u64 = 50;

impl Oracle {
    /// An entry or a hole is pushed to a connection; `live` where it is published.
    pub(crate) fn pushed(
        &mut self,
        journal: &Journal,
        conn: ConnId,
        user: &UserId,
        event: &Event,
        live: bool,
        now: Timestamp,
    ) -> Result<(), Broken> {
        match event {
            Event::Entry(delivered) => {
                let entry = &delivered.entry;
                shown(journal, user, entry, if live { Moment::Live } else { Moment::Late })?;
                if live {
                    self.pushed_live(conn, &entry.conversation, entry.seq)?;
                }
                Ok(())
            }
            Event::Void(void) => hidden(journal, user, void, if live { None } else { Some(now) }),
            _ => Ok(()),
        }
    }

    /// A receipt goes to a connection of `to`.
    pub(crate) fn told(
        &mut self,
        journal: &Journal,
        conn: ConnId,
        to: &UserId,
        receipt: &Receipt,
    ) -> Result<(), Broken> {
        let Receipt { conversation: id, user, received_seq, read_seq } = receipt;
        let log = known(journal, id)?;
        if !log.stays.contains_key(to) {
            return Err(Promise::P7.broken(format!("{to} is told of {user} in {id}")));
        }
        let head = log.visible_head(user).unwrap_or(0);
        let place = (key(conn), id.clone(), user.clone());
        let (received, read) = self.receipts.entry(place).or_default();
        if received_seq < received || read_seq < read || *received_seq > head || *read_seq > head {
            return Err(Promise::P5.broken(format!(
                "{id}: {receipt:?} after {received} and {read}, the head is {head}"
            )));
        }
        (*received, *read) = (*received_seq, *read_seq);
        Ok(())
    }

    /// A reader answers; the journal is as of its snapshot.
    pub(crate) fn answered(
        &self,
        journal: &Journal,
        request: &Request,
        effects: &[Effect],
        variant: &Variant,
        now: Timestamp,
    ) -> Result<(), Broken> {
        let user = &request.identity.user;
        for effect in effects {
            match (effect, &request.work) {
                (Effect::Reply { outcome: Ok(ack), .. }, Work::Command { command, .. }) => {
                    self.read(journal, user, command, ack, variant, now)?;
                }
                (Effect::Push { event: Event::Entry(delivered), .. }, _) => {
                    shown(journal, user, &delivered.entry, Moment::Read(now))?;
                }
                (Effect::Push { event: Event::Void(void), .. }, _) => {
                    hidden(journal, user, void, Some(now))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read(
        &self,
        journal: &Journal,
        user: &UserId,
        command: &Command,
        ack: &Ack,
        variant: &Variant,
        now: Timestamp,
    ) -> Result<(), Broken> {
        match (ack, command) {
            (Ack::History(page), Command::History(asked)) => {
                let id = &asked.conversation;
                let wrong = page.entries.iter().find(|entry| entry.conversation != *id);
                if let Some(Entry { conversation, seq, .. }) = wrong {
                    let what = format!("history of {id}: {conversation}/{seq}");
                    return Err(Promise::P7.broken(what));
                }
                stretch(journal, user, id, &page.entries, now)
            }
            (Ack::Pull(page), Command::Pull(pull)) => {
                let id = &pull.conversation;
                let log = known(journal, id)?;
                let end = covered(journal, user, id, pull.from, &page.entries, now)?;
                let wanted = pull.to.min(log.visible_head(user).unwrap_or(0));
                if end < wanted && !page.more {
                    let what = format!("pull of {id} ends at {end} before {wanted}");
                    return Err(Promise::P4.broken(what));
                }
                Ok(())
            }
            (Ack::Sync(page), Command::Sync(sync)) => {
                for synced in &page.conversations {
                    let id = &synced.summary.id;
                    self.summary(journal, user, &synced.summary, now)?;
                    let cursor = sync.cursors.iter().find(|cursor| cursor.conversation == *id);
                    let cursor = cursor.map(|cursor| cursor.seq);
                    caught_up(journal, user, cursor, synced, variant, now)?;
                }
                Ok(())
            }
            (Ack::Conversations(page), _) => {
                for listed in &page.conversations {
                    self.summary(journal, user, &listed.summary, now)?;
                    newest(journal, user, listed, now)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// P5, P6: the summary of a conversation, as of the journal.
    fn summary(
        &self,
        journal: &Journal,
        user: &UserId,
        summary: &Summary,
        now: Timestamp,
    ) -> Result<(), Broken> {
        let id = &summary.id;
        let log = known(journal, id)?;
        let Some(head) = log.visible_head(user) else {
            return Err(Promise::P7.broken(format!("{user} is shown {id}, never a member")));
        };
        let (first, shown) = (log.first_seq(user), summary.head_seq);
        let wrong = match shown {
            _ if Some(summary.first_seq) != first => Some(Promise::P7),
            _ if shown > log.head() => Some(Promise::P3),
            _ if shown > head => Some(Promise::P7),
            _ if shown < head => Some(Promise::P4),
            _ => None,
        };
        if let Some(promise) = wrong {
            let from = summary.first_seq;
            return Err(promise.broken(format!(
                "{user} is shown {id} from {from} to {shown}, not from {first:?} to {head}"
            )));
        }
        if summary.member != log.is_member(user) {
            return Err(Promise::P7.broken(format!("{id}: member {} of {user}", summary.member)));
        }
        let committed = journal.cursors.get(&(id.clone(), user.clone())).copied();
        let committed = committed.unwrap_or_default();
        let must = self.must_have_read(id, user).max(committed.read);
        if summary.read_seq < must || summary.received_seq < committed.received {
            return Err(Promise::P5.broken(format!(
                "{id}: {user} has read {} of {must}, received {} of {}",
                summary.read_seq, summary.received_seq, committed.received
            )));
        }
        // A stay in an audience of pushes begins with the cursors in front of it, and is no more where
        // it ends before anything came.
        let furthest = if id.as_str().starts_with("system:") { log.head() } else { head };
        if summary.read_seq > furthest || summary.received_seq > furthest {
            return Err(Promise::P5.broken(format!("{id}: a cursor of {user} is beyond {head}")));
        }
        let unread = log.unread(user, summary.read_seq, now);
        let (count, mentions, mention_seq) =
            (summary.unread, summary.mentions, summary.mention_seq);
        let told = Unread { count, mentions, mention_seq };
        if told != unread {
            return Err(Promise::P6.broken(format!(
                "{id}: {user} has {unread:?} beyond {}, is told {told:?}",
                summary.read_seq
            )));
        }
        Ok(())
    }
}

pub(super) fn known<'a>(journal: &'a Journal, id: &ConversationId) -> Result<&'a Log, Broken> {
    journal.log(id).ok_or_else(|| Promise::P1.broken(format!("{id} was never committed")))
}

/// P4, P5: a page of history shows all there is in its stretch, as it is now.
fn stretch(
    journal: &Journal,
    user: &UserId,
    id: &ConversationId,
    entries: &[Entry],
    now: Timestamp,
) -> Result<(), Broken> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
    let log = known(journal, id)?;
    let mut shown = entries.iter().peekable();
    for seq in first.seq..=last.seq {
        if let Some(entry) = shown.next_if(|entry| entry.seq == seq) {
            as_it_is(journal, user, entry, now)?;
        } else if log.heard(user, seq).is_some() && !log.is_gone(user, seq, now) {
            return Err(Promise::P4.broken(format!("history hides {id}/{seq} from {user}")));
        }
    }
    match shown.next() {
        Some(entry) => {
            Err(Promise::P3.broken(format!("history of {id}: {} is out of order", entry.seq)))
        }
        None => Ok(()),
    }
}

/// The list of conversations shows the newest message of each as it is now.
fn newest(journal: &Journal, user: &UserId, listed: &Listed, now: Timestamp) -> Result<(), Broken> {
    let id = &listed.summary.id;
    let log = known(journal, id)?;
    let shown = |seq: &u64| log.heard(user, *seq).is_some() && !log.is_gone(user, *seq, now);
    let newest = (1..=log.head()).rev().find(shown);
    if newest != listed.last.as_ref().map(|entry| entry.seq) {
        let said = listed.last.as_ref().map(|entry| entry.seq);
        return Err(Promise::P5.broken(format!("{id}: {newest:?} is the newest, not {said:?}")));
    }
    listed.last.as_ref().map_or(Ok(()), |entry| as_it_is(journal, user, entry, now))
}

/// P3: items are dense from `from` on. Answers the last seq they cover.
fn covered(
    journal: &Journal,
    user: &UserId,
    id: &ConversationId,
    from: u64,
    items: &[LogItem],
    now: Timestamp,
) -> Result<u64, Broken> {
    let mut next = from;
    for item in items {
        let (conversation, seq, through) = match item {
            LogItem::Entry(entry) => {
                shown(journal, user, entry, Moment::Read(now))?;
                (&entry.conversation, entry.seq, entry.seq)
            }
            LogItem::Void(void) => {
                hidden(journal, user, void, Some(now))?;
                (&void.conversation, void.seq, void.through)
            }
        };
        if seq != next || conversation != id {
            return Err(
                Promise::P3.broken(format!("{id}: {conversation}/{seq} where {next} was to come"))
            );
        }
        next = through + 1;
    }
    Ok(next - 1)
}

/// P4: a sync answer brings everything beyond the cursor, or has a reason for a reset.
fn caught_up(
    journal: &Journal,
    user: &UserId,
    cursor: Option<u64>,
    synced: &SyncedConversation,
    variant: &Variant,
    now: Timestamp,
) -> Result<(), Broken> {
    let id = &synced.summary.id;
    let log = known(journal, id)?;
    let (from, head) = (synced.from_seq, log.visible_head(user).unwrap_or(0));
    let end = covered(journal, user, id, from, &synced.entries, now)?;
    if end < head && !synced.more {
        return Err(Promise::P4.broken(format!("sync of {id} ends at {end} before {head}")));
    }
    if cursor == Some(from - 1) && !synced.reset {
        return Ok(());
    }
    if cursor.is_some() && !synced.reset {
        return Err(Promise::P4
            .broken(format!("sync of {id} from {cursor:?} goes on at {from} without a reset")));
    }
    let begin = cursor.map_or_else(|| log.first_seq(user).unwrap_or(1), |cursor| cursor + 1);
    let window = variant.chat.offline_window_ms;
    let beyond = begin > head + 1;
    let behind_max = if cursor.is_some() { BEHIND_MAX } else { RECENT };
    let too_many = head + 1 > begin + behind_max;
    let too_old = log.entry(begin).is_some_and(|oldest| now.since(oldest.at) >= window);
    let skips = (begin..from).any(|seq| log.sees(user, seq));
    if (synced.reset || skips) && !(beyond || too_many || too_old) {
        return Err(Promise::P4.broken(format!(
            "sync of {id} from {begin} of {head} resets to {from} without a reason"
        )));
    }
    Ok(())
}
