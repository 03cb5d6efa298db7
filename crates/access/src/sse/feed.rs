//! What a session's events become on an event stream, and what the stream asks of its session.
//! Without I/O.
//!
//! The stream speaks the native protocol as any client does, one command at a time, so that at most one
//! large answer is on its way: it subscribes to each channel with the place where it stands there, and,
//! where the user's events are wanted, syncs with the commit where it stands. Invariants: of a channel
//! goes out what follows on what went out before, or `not_recovered` lies between; of the user's
//! entries each goes out once, those of a sync in the order of their commits; the `id` of an event
//! says what had gone out with it, and nothing that had not. Absent: confirming deliveries, because
//! nobody knows whether they arrived.

use std::borrow::Cow;
use std::collections::VecDeque;

use hubbub_proto::{ChannelPattern, CloseCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::missed::{Entry, Missed, Page};
use super::position::{self, ChannelAt, Position, UserAt, mark, short};
use super::request::From;
use super::text;

/// The correlation id of every command; there is one at a time.
const ASKED: &str = "a";

/// What the session is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ask {
    Channel(usize),
    Sync,
}

#[derive(Debug)]
struct Subscription {
    channel: ChannelPattern,
    mark: u32,
    at: Option<ChannelAt>,
    /// Where it stood is not known any more; to be told.
    lost: bool,
}

/// What is the user's.
#[derive(Debug)]
struct Own {
    /// Everything up to here went out.
    at: Option<UserAt>,
    lost: bool,
    /// What is gathered while the session is asked what was missed.
    missed: Option<Missed>,
    /// Live entries up to here were in the answer.
    covered: u64,
}

/// Why a stream does not begin, or ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct End {
    /// As the session says it, or the code with which it was closed.
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<u32>,
    /// The same request may succeed later.
    pub(crate) retry: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    subscriptions: Vec<Subscription>,
    own: Option<Own>,
    to_ask: VecDeque<Ask>,
    asked: Option<Ask>,
    has_begun: bool,
    /// Text for the client.
    pub(crate) out: Vec<u8>,
    /// Commands for the session.
    pub(crate) commands: Vec<String>,
    /// Nothing comes any more.
    pub(crate) end: Option<End>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Published<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(default)]
    offset: Option<u64>,
}

#[derive(Deserialize)]
struct Subscribed<'a> {
    /// Absent for a pattern.
    #[serde(default)]
    offset: Option<u64>,
    #[serde(borrow, default)]
    epoch: Option<Cow<'a, str>>,
    #[serde(default)]
    recovered: Option<bool>,
    #[serde(borrow, default)]
    publications: Vec<Kept<'a>>,
}

#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    offset: u64,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(skip_serializing)]
    timestamp: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Publication<'a> {
    channel: &'a str,
    offset: u64,
    from: &'a str,
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Refused {
    code: u16,
    reason: String,
    message: String,
    #[serde(default)]
    retry: bool,
    #[serde(default)]
    retry_after_ms: Option<u32>,
}

impl Feed {
    /// A stream as it is wanted, with its first command.
    pub(crate) fn new(channels: Vec<ChannelPattern>, user: bool, from: From) -> Self {
        let resumes = from != From::Now;
        let (lost, position) = match from {
            From::Now => (false, Position::default()),
            From::Position(position) => (false, position),
            From::Lost => (true, Position::default()),
        };
        let subscriptions: Vec<_> = channels
            .into_iter()
            .map(|channel| {
                let mark = mark(channel.as_str());
                let at = position.channels.get(&mark).copied();
                // What comes by a pattern has no place to go on from.
                let lost = lost || resumes && channel.beginning().is_some();
                Subscription { channel, mark, at, lost }
            })
            .collect();
        let mut feed = Self {
            to_ask: (0..subscriptions.len()).map(Ask::Channel).collect(),
            subscriptions,
            own: user.then_some(Own { at: position.user, lost, missed: None, covered: 0 }),
            asked: None,
            has_begun: false,
            out: Vec::new(),
            commands: Vec::new(),
            end: None,
        };
        feed.catch_up();
        feed.ask();
        feed
    }

    /// Whether everything asked at the beginning was answered.
    pub(crate) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// The stream is open, though not everything was answered.
    pub(crate) const fn begin(&mut self) {
        self.has_begun = true;
    }

    /// A message of the session.
    pub(crate) fn on_text(&mut self, text: &str) {
        if self.end.is_some() {
            return;
        }
        // The session writes what can be read; anything else would be a fault of this server.
        let Ok(Envelope { kind, id, payload }) = serde_json::from_str(text) else {
            return self.fail("the session said something that cannot be read");
        };
        let payload = payload.map_or("{}", RawValue::get);
        match &*kind {
            "ack" if id.as_deref() == Some(ASKED) => self.on_ack(payload),
            "error" if id.as_deref() == Some(ASKED) => self.on_error(payload),
            // A subscription that the token names and nobody asked for here. An event stream has its own
            // meaning of `error`.
            "error" => self.say_refused(payload),
            "ping" => {
                self.commands.push(r#"{"type":"pong"}"#.to_owned());
                self.out.extend_from_slice(b":\n\n");
            }
            "ack" | "connected" | "pong" => {}
            "publication" => self.on_publication(text, payload),
            "lag" => {
                self.pass(&kind, text);
                self.on_lag(payload);
            }
            "bye" => {
                if let Ok(Some(ms)) = retry_after_ms(payload) {
                    text::retry(&mut self.out, ms);
                }
                self.pass(&kind, text);
            }
            "token_expiring" | "subscribed" | "unsubscribed" => self.pass(&kind, text),
            kind if kind.starts_with("channel_") => self.pass(kind, text),
            kind => self.on_own(kind, text, payload),
        }
    }

    /// The session was closed.
    pub(crate) fn on_close(&mut self, code: Option<u16>, said: &str) {
        let code = code.unwrap_or_else(|| CloseCode::Internal.code());
        self.finish(End {
            code,
            reason: "closed".to_owned(),
            message: said.to_owned(),
            retry_after_ms: None,
            retry: !STOP.iter().any(|stop| stop.code() == code),
        });
    }

    fn fail(&mut self, message: &'static str) {
        tracing::error!(message, "an event stream ends");
        self.on_close(None, CloseCode::Internal.reason());
    }

    fn finish(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        if self.has_begun {
            let End { code, reason, message, retry_after_ms, retry } = &end;
            if let Some(ms) = retry_after_ms {
                text::retry(&mut self.out, *ms);
            }
            let payload = json!({
                "code": code, "reason": reason, "message": message, "reconnect": retry,
            });
            self.say(!retry, "closed", &envelope("closed", None, &payload.to_string()));
        }
        self.end = Some(end);
    }

    /// Asks the next question, one at a time.
    fn ask(&mut self) {
        if self.asked.is_some() {
            return;
        }
        self.asked = self.to_ask.pop_front();
        let (kind, payload) = match self.asked {
            None => return self.begin(),
            Some(Ask::Channel(nth)) => {
                let Subscription { channel, at, .. } = &self.subscriptions[nth];
                let mut payload = json!({ "channel": channel.as_str() });
                if let Some(ChannelAt { epoch, offset }) = at {
                    payload["recover"] =
                        json!({ "offset": offset, "epoch": format!("{epoch:08x}") });
                }
                ("subscribe", payload)
            }
            Some(Ask::Sync) => {
                let missed = self.own.as_ref().and_then(|own| own.missed.as_ref());
                ("sync", missed.map_or_else(|| json!({}), Missed::question))
            }
        };
        let command = json!({ "type": kind, "id": ASKED, "payload": payload });
        self.commands.push(command.to_string());
    }

    /// Has something asked once more, also where it is being asked.
    fn ask_again(&mut self, ask: Ask) {
        if !self.to_ask.contains(&ask) {
            self.to_ask.push_back(ask);
        }
        self.ask();
    }

    fn on_ack(&mut self, payload: &str) {
        match self.asked.take() {
            Some(Ask::Channel(nth)) => self.on_subscribed(nth, payload),
            Some(Ask::Sync) => self.on_synced(payload),
            None => {}
        }
        self.ask();
    }

    fn on_error(&mut self, payload: &str) {
        let Ok(refused) = serde_json::from_str(payload) else {
            return self.fail("the session refused something and did not say why");
        };
        let Refused { code, reason, mut message, retry, retry_after_ms } = refused;
        if let Some(Ask::Channel(nth)) = self.asked {
            message = format!("{}: {message}", self.subscriptions[nth].channel);
        }
        self.finish(End { code, reason, message, retry_after_ms, retry });
    }

    fn on_subscribed(&mut self, nth: usize, payload: &str) {
        let Ok(ack) = serde_json::from_str::<Subscribed<'_>>(payload) else {
            return self.fail("the answer to a subscription cannot be read");
        };
        let place = ack.offset.zip(ack.epoch.as_deref().and_then(short));
        let subscription = &mut self.subscriptions[nth];
        let name = subscription.channel.to_string();
        let is_lost = std::mem::take(&mut subscription.lost) || ack.recovered == Some(false);
        if is_lost {
            subscription.at = None;
        }
        let had = subscription.at.map_or(0, |at| at.offset);
        let mut stands = json!({ "channel": name });
        if let Some((offset, epoch)) = place {
            stands["offset"] = offset.into();
            stands["epoch"] = format!("{epoch:08x}").into();
        }
        if is_lost {
            self.say_own("not_recovered", &stands);
        } else if let Some(recovered) = ack.recovered {
            stands["recovered"] = recovered.into();
        }
        let Some((stood, epoch)) = place else { return self.say_own("subscribed", &stands) };
        for kept in ack.publications.iter().filter(|kept| kept.offset > had) {
            let Kept { offset, from, timestamp, data } = kept;
            let publication = Publication { channel: &name, offset: *offset, from, data };
            let payload = serde_json::to_string(&publication).unwrap_or_default();
            self.subscriptions[nth].at = Some(ChannelAt { epoch, offset: *offset });
            let event = envelope("publication", Some(*timestamp), &payload);
            self.say(false, "publication", &event);
        }
        // What went out while it was asked may be further on than the answer.
        let offset = stood.max(had);
        self.subscriptions[nth].at = Some(ChannelAt { epoch, offset });
        self.say_own("subscribed", &stands);
    }

    fn on_publication(&mut self, event: &str, payload: &str) {
        let Ok(Published { channel, offset }) = serde_json::from_str(payload) else {
            return self.fail("a publication cannot be read");
        };
        let found = self.subscriptions.iter().position(|one| one.channel.as_str() == channel);
        let (Some(nth), Some(offset)) = (found, offset) else {
            // What else the user is subscribed to has no place in the position.
            return self.pass("publication", event);
        };
        // Without a place, the answer that names it is still to come.
        let Some(at) = &mut self.subscriptions[nth].at else { return };
        if offset == at.offset + 1 {
            at.offset = offset;
            self.say(false, "publication", event);
        } else if offset > at.offset {
            // Something was dropped before it; the answer to a later question has this one too.
            self.ask_again(Ask::Channel(nth));
        }
    }

    fn on_lag(&mut self, payload: &str) {
        #[derive(Deserialize)]
        struct Lag {
            #[serde(default)]
            conversation: Option<serde::de::IgnoredAny>,
        }
        if serde_json::from_str(payload).is_ok_and(|lag: Lag| lag.conversation.is_none()) {
            (0..self.subscriptions.len()).for_each(|nth| self.ask_again(Ask::Channel(nth)));
        }
        self.catch_up();
        self.ask();
    }

    /// Has the session asked what the user missed.
    fn catch_up(&mut self) {
        let Some(own) = &mut self.own else { return };
        own.missed.get_or_insert_with(|| Missed::since(own.at));
        if !self.to_ask.contains(&Ask::Sync) {
            self.to_ask.push_back(Ask::Sync);
        }
    }

    fn on_synced(&mut self, payload: &str) {
        let Some(own) = &mut self.own else { return };
        let Some(missed) = &mut own.missed else { return };
        let Ok(page) = serde_json::from_str::<Page<'_>>(payload) else {
            return self.fail("the answer to a sync cannot be read");
        };
        // With another lag meanwhile this answer has a part of what was missed.
        let again = self.to_ask.contains(&Ask::Sync);
        if missed.add(&page) && !again {
            self.to_ask.push_back(Ask::Sync);
        }
        if self.to_ask.contains(&Ask::Sync) {
            return;
        }
        let Some(missed) = own.missed.take() else { return };
        let caught_up = missed.finish();
        own.covered = caught_up.covers;
        if std::mem::take(&mut own.lost) || caught_up.is_lost {
            own.at = None;
            self.say_own("not_recovered", &json!({ "user": true }));
        }
        for conversation in caught_up.incomplete {
            self.say_own("not_recovered", &json!({ "conversation": conversation }));
        }
        for Entry { id, kind, event } in caught_up.entries {
            self.advance(id);
            self.say(false, &kind, &event);
        }
        if let Some(own) = &mut self.own {
            own.at = Some(caught_up.at);
        }
        self.say_own("synced", &json!({}));
    }

    /// Something that is the user's and not a channel's.
    fn on_own(&mut self, kind: &str, event: &str, payload: &str) {
        let Some(own) = &mut self.own else { return };
        let Some(id) = Entry::id_of(payload) else {
            // A void shows nothing; what else is no entry has no place.
            if kind != "void" {
                self.pass(kind, event);
            }
            return;
        };
        if let Some(missed) = &mut own.missed {
            missed.hold(Entry { id, kind: kind.to_owned(), event: event.to_owned() });
        } else if id > own.covered {
            self.advance(id);
            self.say(false, kind, event);
        }
    }

    fn advance(&mut self, id: u64) {
        if let Some(Own { at: Some(at), .. }) = &mut self.own {
            at.rev = at.rev.max(id);
        }
    }

    /// Something that was refused and was not asked for.
    fn say_refused(&mut self, payload: &str) {
        text::event(&mut self.out, "refused", None, &envelope("refused", None, payload));
    }

    /// An event of the stream itself.
    fn say_own(&mut self, kind: &str, payload: &serde_json::Value) {
        self.say(false, kind, &envelope(kind, None, &payload.to_string()));
    }

    /// An event that says where the stream stands with it, and whether it is over for good.
    fn say(&mut self, is_over: bool, kind: &str, event: &str) {
        let mut id = String::new();
        let user = self.own.as_ref().and_then(|own| own.at);
        let channels = self.subscriptions.iter().filter_map(|one| Some((one.mark, one.at?)));
        position::write(&mut id, is_over, user, channels);
        text::event(&mut self.out, kind, Some(&id), event);
    }

    /// An event that has no place.
    fn pass(&mut self, kind: &str, event: &str) {
        text::event(&mut self.out, kind, None, event);
    }
}

/// Who is closed with one of these is not to come back with the same request.
const STOP: [CloseCode; 4] =
    [CloseCode::Policy, CloseCode::Disconnected, CloseCode::Replaced, CloseCode::Unauthorized];

fn retry_after_ms(payload: &str) -> serde_json::Result<Option<u32>> {
    #[derive(Deserialize)]
    struct Bye {
        #[serde(default)]
        retry_after_ms: Option<u32>,
    }
    serde_json::from_str(payload).map(|bye: Bye| bye.retry_after_ms)
}

/// An event as the session would write it.
pub(super) fn envelope(kind: &str, timestamp: Option<u64>, payload: &str) -> String {
    match timestamp {
        Some(at) => format!(r#"{{"type":"{kind}","timestamp":{at},"payload":{payload}}}"#),
        None => format!(r#"{{"type":"{kind}","payload":{payload}}}"#),
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
