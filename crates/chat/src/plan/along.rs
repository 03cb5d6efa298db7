//! What may be sent along with a message: an answer, mentions, a forwarded content, an end.

use hubbub_proto::command::{Content, Kind, Role, Send};
use hubbub_proto::event::{Forwarded, Head};
use hubbub_proto::{Reason, Refusal, Timestamp, UserId};

use super::group::distinct;
use crate::model::{Entry, Until};

/// A message that is forwarded, as its forwarder sees it now.
#[derive(Clone, Debug)]
pub struct Source {
    /// The entry as it was written.
    pub entry: Entry,
    /// What it says now.
    pub content: Content,
}

/// What decisions depend on.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// The sender's role in a group; `None` in a direct conversation.
    pub role: Option<Role>,
    /// The message that is answered, where it is one and the sender sees it.
    pub answered: Option<&'a Entry>,
    /// What is forwarded, where the sender sees it.
    pub source: Option<&'a Source>,
    /// When the message is written.
    pub at: Timestamp,
}

/// What the message consists of besides what most have.
#[derive(Clone, Debug)]
pub struct Along {
    /// To be written with it.
    pub head: Head,
    /// In the place of the command's, where something is forwarded.
    pub forwarded: Option<(Kind, Content)>,
}

/// Whether a message has more than content.
#[must_use]
pub fn is_plain(command: &Send) -> bool {
    command.content.is_some()
        && command.reply_to.is_none()
        && command.mentions.is_empty()
        && !command.mention_all
        && command.expires_in_ms.is_none()
        && !command.receipt
}

/// Decides about what comes along with a `send`.
///
/// # Errors
/// `not_found` for an answered or forwarded message that the sender does not see, `removed` for one
/// that was, `not_allowed` where somebody else than an admin mentions all.
pub fn plan(command: &Send, state: &State<'_>) -> Result<Along, Refusal> {
    if command.mention_all && state.role.is_none_or(|role| role < Role::Admin) {
        return Err(Refusal::with(Reason::NotAllowed, "Only admins of a group mention all."));
    }
    if command.reply_to.is_some() {
        readable(state.answered, state.at)?;
    }
    let source = match (&command.forward, state.source) {
        (None, _) => None,
        (Some(_), source) => {
            readable(source.map(|source| &source.entry), state.at)?;
            source
        }
    };
    let origin = source.map(|Source { entry, .. }| {
        let before = entry.head.as_ref().and_then(|head| head.forwarded.clone());
        before.unwrap_or_else(|| Forwarded { from: entry.sender.clone(), at: entry.at })
    });
    // A copy does not outlast what it was made of.
    let own_end = command.expires_in_ms.and_then(|ms| Until::new(Some(state.at.plus_ms(ms))).end());
    let source_end =
        source.and_then(|source| source.entry.head.as_ref().and_then(|head| head.expires_at));
    let mentions: Vec<UserId> = distinct(&command.mentions, None);
    let head = Head {
        about: command.reply_to,
        mentions,
        mention_all: command.mention_all,
        forwarded: origin,
        expires_at: own_end.into_iter().chain(source_end).min(),
        receipt: command.receipt,
    };
    let forwarded = source.map(|source| (source.entry.kind.clone(), source.content.clone()));
    Ok(Along { head, forwarded })
}

fn readable(entry: Option<&Entry>, now: Timestamp) -> Result<(), Refusal> {
    let entry = entry.filter(|entry| entry.kind.is_message() && !entry.is_over(now));
    match entry.ok_or(Reason::NotFound)?.fate.removed {
        Some(_) => Err(Reason::Removed.into()),
        None => Ok(()),
    }
}
