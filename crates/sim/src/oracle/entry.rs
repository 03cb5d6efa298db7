//! One entry as it is shown to a user, or not.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_client::Message;
use hubbub_proto::event::{Entry, Void};
use hubbub_proto::{ConversationId, Timestamp, UserId};
use serde_json::Value;

use super::glass::known;
use crate::journal::Journal;
use crate::log::{Committed, Log};
use crate::report::{Broken, Promise};
use crate::state::State;

/// Of what moment it is what somebody gets to see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moment {
    /// Of this one: a reader's snapshot.
    Read(Timestamp),
    /// Of the commit, whatever came after.
    Live,
    /// Of some moment between the commit and now.
    Late,
}

/// P1, P7: an entry is shown as it was committed, and only to whom it is for; and what was taken
/// away is not shown any more.
pub(super) fn shown(
    journal: &Journal,
    user: &UserId,
    entry: &Entry,
    moment: Moment,
) -> Result<(), Broken> {
    let (id, seq) = (&entry.conversation, entry.seq);
    let (log, committed) = identified(journal, user, entry)?;
    if let Moment::Read(now) = moment
        && log.is_gone(user, seq, now)
    {
        return Err(Promise::P7.broken(format!("{user} is shown {id}/{seq}, which is gone")));
    }
    let wire = serde_json::to_value(entry).unwrap_or_default();
    let said = wire["removed"].as_str();
    let removal = log.removal(seq).and_then(Committed::removes);
    let whole = said.is_none() && committed.content.get() == entry.content.get();
    let withheld = said == removal && removal.is_some() && entry.content.get() == "null";
    let right = match moment {
        Moment::Read(_) if removal.is_some() => withheld,
        Moment::Read(_) | Moment::Live => whole,
        Moment::Late => whole || withheld,
    };
    if !right {
        let promise = if removal.is_some() { Promise::P7 } else { Promise::P1 };
        return Err(promise.broken(format!(
            "{user} is shown {id}/{seq} ({removal:?}), which says {}, as {wire}",
            committed.content
        )));
    }
    let about = if committed.is_update() { &wire["target_seq"] } else { &wire["reply_to"] };
    let head = entry.extra.as_ref().map(|extra| extra.head.clone()).unwrap_or_default();
    let altered = head != committed.head || about.as_u64() != committed.head.about;
    if said.is_none() && altered {
        return Err(Promise::P1.broken(format!("{user} is shown {id}/{seq} altered: {wire}")));
    }
    Ok(())
}

/// P5, P7: a message as it is now, as far as the user may know.
pub(super) fn as_it_is(
    journal: &Journal,
    user: &UserId,
    entry: &Entry,
    now: Timestamp,
) -> Result<(), Broken> {
    let (id, seq) = (&entry.conversation, entry.seq);
    let (log, _) = identified(journal, user, entry)?;
    if log.is_gone(user, seq, now) {
        return Err(Promise::P7.broken(format!("{user} is shown {id}/{seq}, which is gone")));
    }
    let Some(expect) = log.current(user, seq) else {
        return Err(Promise::P5.broken(format!("{user} is shown {id}/{seq}, no message")));
    };
    let wire = serde_json::to_value(entry).unwrap_or_default();
    if expect.removed.is_some() && !wire["content"].is_null() {
        return Err(Promise::P7.broken(format!("{user} is shown {id}/{seq}, removed: {wire}")));
    }
    let same = (expect.content.as_ref().unwrap_or(&Value::Null), &expect.removed, expect.edited_at)
        == (&wire["content"], &text(&wire["removed"]), wire["edited_at"].as_u64())
        && expect.pinned == (wire["pinned"] == Value::Bool(true))
        && reacted(&expect.reactions, user, &wire["reactions"]);
    if !same {
        let what = format!("{user} is shown {id}/{seq} as {wire}, it is {expect:?}");
        return Err(Promise::P5.broken(what));
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn reacted(expect: &BTreeMap<String, BTreeSet<String>>, user: &UserId, said: &Value) -> bool {
    const USERS_SHOWN: usize = 5;
    let said = said.as_array().map_or(&[][..], Vec::as_slice);
    said.len() == expect.len()
        && said.iter().all(|reaction| {
            let emoji = reaction["emoji"].as_str().unwrap_or_default();
            let Some(users) = expect.get(emoji) else { return false };
            let named: Vec<&str> = reaction["users"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            reaction["count"].as_u64() == Some(users.len() as u64)
                && reaction["mine"] == Value::Bool(users.contains(user.as_str()))
                && named.len() == users.len().min(USERS_SHOWN)
                && named.iter().all(|user| users.contains(*user))
        })
}

/// P1, P7: the entry is one that was committed, and is for this user.
fn identified<'a>(
    journal: &'a Journal,
    user: &UserId,
    entry: &Entry,
) -> Result<(&'a Log, &'a Committed), Broken> {
    let (id, seq) = (&entry.conversation, entry.seq);
    let log = known(journal, id)?;
    let Some(committed) = log.entry(seq) else {
        return Err(Promise::P1.broken(format!("{user} is shown {id}/{seq}, not committed")));
    };
    let same = committed.kind == entry.kind
        && committed.sender == entry.from
        && committed.client_id == entry.client_id
        && committed.message_id == entry.message_id
        && committed.at == entry.at;
    if !same {
        return Err(Promise::P1.broken(format!("{user} is shown {id}/{seq} altered: {entry:?}")));
    }
    if !log.sees(user, seq) {
        return Err(Promise::P7.broken(format!("{user} is shown {id}/{seq}, outside their stays")));
    }
    Ok((log, committed))
}

/// P4: what is said to be nothing is nothing to this user: it never was for them, or it is gone by
/// `now`.
pub(super) fn hidden(
    journal: &Journal,
    user: &UserId,
    void: &Void,
    now: Option<Timestamp>,
) -> Result<(), Broken> {
    let id = &void.conversation;
    let log = known(journal, id)?;
    if void.through < void.seq || void.through > log.head() {
        return Err(Promise::P3.broken(format!("a void of {id} is of nothing: {void:?}")));
    }
    let theirs =
        |seq: &u64| log.sees(user, *seq) && !now.is_some_and(|now| log.is_gone(user, *seq, now));
    match (void.seq..=void.through).find(theirs) {
        Some(seq) => {
            Err(Promise::P4.broken(format!("{user} may see {id}/{seq}, which is void for them")))
        }
        None => Ok(()),
    }
}

/// P5, P7: what a device shows of a conversation is what its log says, from the place on from which
/// it heard it.
pub(super) fn displayed<'a>(
    journal: &Journal,
    user: &UserId,
    id: &ConversationId,
    from: u64,
    shown: impl Iterator<Item = (u64, &'a Message)>,
    now: Timestamp,
) -> Result<(), Broken> {
    let log = known(journal, id)?;
    let mut shown = shown.peekable();
    for seq in from..=log.head() {
        let expect = log.heard(user, seq).filter(|_| !log.is_gone(user, seq, now));
        let message = shown.next_if(|(at, _)| *at == seq).map(|(_, message)| message);
        let said = message.map(|message| State {
            content: message.content.clone(),
            edited_at: message.edited_at,
            removed: message.removed.clone(),
            reactions: message.reactions.clone(),
            pinned: message.pinned,
        });
        // Whoever fetched it after it was removed knows that, even from beyond their stay.
        let removed = log.removal(seq).and_then(Committed::removes);
        let late = expect.is_some()
            && removed.is_some()
            && said.as_ref().is_some_and(|said| said.removed.as_deref() == removed);
        // Whoever left before that, and has it, knows only when it was to end.
        let ended = said.is_none()
            && log.ends_by_itself(seq, now)
            && expect.as_ref().is_some_and(|expect| expect.removed.is_none());
        if said == expect || late || ended {
            continue;
        }
        let promise = if expect.is_none() { Promise::P7 } else { Promise::P5 };
        return Err(promise.broken(format!("{user} sees {id}/{seq} as {said:?}, not {expect:?}")));
    }
    match shown.next() {
        Some((seq, _)) => {
            Err(Promise::P7.broken(format!("{user} sees {id}/{seq}, which they should not")))
        }
        None => Ok(()),
    }
}
