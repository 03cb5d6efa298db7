//! What a user missed between two streams, out of the answers to `sync`.
//!
//! A position is a commit, and message ids are commits too, so what has a larger id went out on no
//! earlier stream. Invariants: entries come out in the order of their ids, each once, also those that
//! came live while the session was asked; where an answer may lack some of a conversation, that is
//! said; at most [`ENTRIES_MAX`] and [`BYTES_MAX`] are gathered, beyond which nothing is recovered.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::feed::envelope;
use super::position::{UserAt, short};

/// Entries that are gathered.
const ENTRIES_MAX: usize = 1_000;
/// Bytes of them.
const BYTES_MAX: usize = 1 << 20;
/// Answers that are asked for.
const ROUNDS_MAX: u32 = 16;

/// An entry on its way.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) kind: String,
    pub(crate) event: String,
}

impl Entry {
    /// The id of the entry that is the payload of a live event; `None` where it is none.
    pub(crate) fn id_of(payload: &str) -> Option<u64> {
        #[derive(Deserialize)]
        struct Live<'a> {
            #[serde(borrow)]
            message_id: Cow<'a, str>,
            #[serde(rename = "seq")]
            _seq: u64,
            #[serde(rename = "attempt")]
            _attempt: u32,
        }
        serde_json::from_str(payload).ok().and_then(|live: Live<'_>| live.message_id.parse().ok())
    }
}

/// An answer to `sync`.
#[derive(Deserialize)]
pub(crate) struct Page<'a> {
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    rev: u64,
    more: bool,
    #[serde(borrow)]
    conversations: Vec<Synced<'a>>,
}

#[derive(Deserialize)]
struct Synced<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    floor_seq: u64,
    first_seq: u64,
    from_seq: u64,
    more: bool,
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    message_id: Option<Cow<'a, str>>,
    #[serde(default)]
    at: Option<u64>,
}

/// A push as `sync` shows it, and as it goes out.
#[derive(Deserialize, Serialize)]
struct Push<'a> {
    #[serde(borrow)]
    conversation: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(borrow, skip_serializing)]
    kind: Cow<'a, str>,
    at: u64,
    #[serde(borrow, rename(serialize = "data"))]
    content: &'a RawValue,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Missed {
    /// Where the last stream ended; `None` where there was none.
    since: Option<UserAt>,
    /// What the answers so far cover.
    at: Option<UserAt>,
    rounds: u32,
    entries: Vec<Entry>,
    bytes: usize,
    incomplete: Vec<String>,
    is_lost: bool,
}

/// What it comes to.
#[derive(Debug)]
pub(crate) struct CaughtUp {
    pub(crate) at: UserAt,
    pub(crate) entries: Vec<Entry>,
    /// Conversations of which some may be missing.
    pub(crate) incomplete: Vec<String>,
    /// Some may be missing of any.
    pub(crate) is_lost: bool,
    /// Live entries up to here were among these.
    pub(crate) covers: u64,
}

impl Missed {
    pub(crate) const fn since(since: Option<UserAt>) -> Self {
        Self {
            since,
            at: None,
            rounds: 0,
            entries: Vec::new(),
            bytes: 0,
            incomplete: Vec::new(),
            is_lost: false,
        }
    }

    /// The payload of the next `sync`.
    pub(crate) fn question(&self) -> serde_json::Value {
        match self.at.or(self.since) {
            Some(UserAt { epoch, rev }) => {
                serde_json::json!({ "epoch": format!("{epoch:08x}"), "rev": rev })
            }
            None => serde_json::json!({}),
        }
    }

    /// Takes an answer; true where another has to be asked for.
    pub(crate) fn add(&mut self, page: &Page<'_>) -> bool {
        let epoch = short(&page.epoch).unwrap_or_default();
        let rev = page.rev;
        self.rounds += 1;
        if let Some(since) = self.since {
            let is_behind = since.epoch != epoch || rev < since.rev;
            if is_behind || page.more && self.rounds >= ROUNDS_MAX {
                self.lose();
            }
            for conversation in &page.conversations {
                self.gather(conversation, since.rev);
            }
        }
        self.at = Some(UserAt { epoch, rev });
        page.more && self.rounds < ROUNDS_MAX && !self.is_lost
    }

    fn gather(&mut self, conversation: &Synced<'_>, since: u64) {
        let mut reaches_back =
            conversation.from_seq <= conversation.first_seq.max(conversation.floor_seq + 1);
        let mut is_first = true;
        for text in &conversation.entries {
            let Ok(item) = serde_json::from_str::<Item<'_>>(text.get()) else { continue };
            let Some(id) = item.message_id.as_deref().and_then(|id| id.parse::<u64>().ok()) else {
                continue;
            };
            if std::mem::take(&mut is_first) && id <= since {
                reaches_back = true;
            }
            if id <= since {
                continue;
            }
            // What is lost is not sent in pieces.
            if self.is_lost {
                return;
            }
            let (kind, payload) = match serde_json::from_str::<Push<'_>>(text.get()) {
                Ok(push) if item.kind == "push" => {
                    let kind = push.kind.strip_prefix("push:").unwrap_or(&push.kind).to_owned();
                    (kind, Cow::Owned(serde_json::to_string(&push).unwrap_or_default()))
                }
                _ => (item.kind.into_owned(), Cow::Borrowed(text.get())),
            };
            let event = envelope(&kind, item.at, &payload);
            self.hold(Entry { id, kind, event });
        }
        if (!reaches_back || conversation.more)
            && !self.is_lost
            && !self.incomplete.iter().any(|name| *name == conversation.id)
        {
            self.incomplete.push(conversation.id.clone().into_owned());
        }
    }

    /// Keeps an entry until it is its turn.
    pub(crate) fn hold(&mut self, entry: Entry) {
        self.bytes += entry.event.len();
        self.entries.push(entry);
        if self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.is_lost = true;
        self.entries.clear();
        self.bytes = 0;
        self.incomplete.clear();
    }

    pub(crate) fn finish(mut self) -> CaughtUp {
        self.entries.sort_by_key(|entry| entry.id);
        self.entries.dedup_by_key(|entry| entry.id);
        let mut at = self.at.unwrap_or(UserAt { epoch: 0, rev: 0 });
        // A live entry that was committed behind the snapshot went out too.
        at.rev = at.rev.max(self.entries.last().map_or(0, |entry| entry.id));
        let covers =
            if self.since.is_some() && !self.is_lost { self.at.map_or(0, |at| at.rev) } else { 0 };
        let Self { entries, incomplete, is_lost, .. } = self;
        CaughtUp { at, entries, incomplete, is_lost, covers }
    }
}
