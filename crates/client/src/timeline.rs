//! The messages of one conversation as they are now, folded out of what a device hears of its log.
//!
//! Invariant: devices of one user that heard the same log from the same place on show the same,
//! whichever way an entry came: pushed as it was written, or fetched after it was taken back. At
//! most [`MESSAGES_MAX`] messages and as many hidden places are kept, the newest. Deliberately
//! absent: what lies before the place from which on the log was heard; `history` shows that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Most messages kept.
pub const MESSAGES_MAX: usize = 1_000;
/// What an update of a message is called, by the beginning of its kind.
const UPDATE: &str = "message_";

/// A message, a group change or a push, as it is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The entry as the wire had it.
    pub entry: Value,
    /// What it says now; nothing where that was removed.
    pub content: Option<Value>,
    /// When it got that content, where that was not at the beginning.
    pub edited_at: Option<u64>,
    /// Why the content is gone: `recalled` or `deleted`.
    pub removed: Option<String>,
    /// Who reacted, by emoji.
    pub reactions: BTreeMap<String, BTreeSet<String>>,
    /// Whether it is pinned.
    pub pinned: bool,
}

/// A conversation's newest messages.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    messages: BTreeMap<u64, Message>,
    /// What this user does not want to see, also where it was not heard of yet.
    hidden: BTreeSet<u64>,
    /// Everything up to here is hidden.
    cleared: u64,
}

impl Message {
    fn new(entry: &Value) -> Self {
        let removed = entry["removed"].as_str().map(str::to_owned);
        let content = removed.is_none().then(|| entry["content"].clone());
        Self { entry: entry.clone(), content, removed, ..Self::default() }
    }

    fn remove(&mut self, why: &str) {
        let mut entry = std::mem::take(&mut self.entry);
        // That there was a message is shown from here on, whenever it was to end.
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("expires_at");
        }
        *self = Self { entry, removed: Some(why.to_owned()), ..Self::default() };
    }

    fn update(&mut self, update: &Value) {
        if self.removed.is_some() {
            return;
        }
        let content = &update["content"];
        let active = content["active"].as_bool() == Some(true);
        match update["kind"].as_str() {
            Some("message_recalled") => self.remove("recalled"),
            Some("message_deleted") => self.remove("deleted"),
            // One whose content was removed is followed by the entry that says so.
            Some("message_edited") if update["removed"].is_null() => {
                self.content = Some(content.clone());
                self.edited_at = update["at"].as_u64();
            }
            Some("message_reaction") => {
                let (Some(emoji), Some(user)) =
                    (content["emoji"].as_str(), update["from"].as_str())
                else {
                    return;
                };
                let users = self.reactions.entry(emoji.to_owned()).or_default();
                if active {
                    users.insert(user.to_owned());
                } else {
                    users.remove(user);
                }
                self.reactions.retain(|_, users| !users.is_empty());
            }
            Some("message_pin") => self.pinned = active,
            _ => {}
        }
    }

    fn is_shown(&self, now: u64) -> bool {
        self.entry["expires_at"].as_u64().is_none_or(|at| now < at)
    }
}

impl Timeline {
    /// Takes the next entry of the log ([`crate::Event::Entry`]).
    pub fn entry(&mut self, entry: &Value) {
        let Some(seq) = entry["seq"].as_u64() else { return };
        if !entry["kind"].as_str().is_some_and(|kind| kind.starts_with(UPDATE)) {
            self.messages.insert(seq, Message::new(entry));
            if self.messages.len() > MESSAGES_MAX {
                self.messages.pop_first();
            }
            return;
        }
        let target = entry["target_seq"].as_u64().unwrap_or_default();
        if let Some(message) = self.messages.get_mut(&target) {
            message.update(entry);
        }
    }

    /// Hides messages from this user ([`crate::Event::Hidden`]), also those that come later.
    pub fn hide(&mut self, seqs: &[u64], through: u64) {
        self.cleared = self.cleared.max(through);
        self.hidden.extend(seqs);
        self.hidden = self.hidden.split_off(&(self.cleared + 1));
        while self.hidden.len() > MESSAGES_MAX {
            self.hidden.pop_first();
        }
    }

    /// Forgets the messages ([`crate::Event::Reset`]).
    pub fn reset(&mut self) {
        self.messages.clear();
    }

    /// What is to be seen at this moment (milliseconds since 1970), in the order of the log.
    pub fn shown(&self, now: u64) -> impl Iterator<Item = (u64, &Message)> {
        let visible = move |seq: &u64, message: &Message| {
            *seq > self.cleared && !self.hidden.contains(seq) && message.is_shown(now)
        };
        self.messages
            .iter()
            .filter(move |(seq, message)| visible(seq, message))
            .map(|(seq, message)| (*seq, message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn update(seq: u64, target: u64, kind: &str, content: &Value) -> Value {
        json!({
            "seq": seq, "target_seq": target, "kind": kind, "content": content,
            "from": "b", "at": 100 + seq,
        })
    }

    fn message(seq: u64) -> Value {
        json!({ "seq": seq, "kind": "text", "content": format!("m{seq}"), "from": "a" })
    }

    fn timeline(entries: &[Value]) -> Timeline {
        let mut timeline = Timeline::default();
        entries.iter().for_each(|entry| timeline.entry(entry));
        timeline
    }

    /// Each message as one line.
    fn lines(timeline: &Timeline, now: u64) -> Vec<String> {
        let line = |(seq, message): (u64, &Message)| {
            let Message { content, edited_at, removed, reactions, pinned, .. } = message;
            let mut line = format!("{seq} {}", content.clone().unwrap_or_default());
            line.extend(edited_at.iter().map(|at| format!(" edited {at}")));
            line.extend(removed.iter().map(|why| format!(" {why}")));
            line.extend(reactions.iter().map(|(emoji, users)| format!(" {emoji}{users:?}")));
            line + if *pinned { " pinned" } else { "" }
        };
        timeline.shown(now).map(line).collect()
    }

    #[test]
    fn updates_table() {
        let check = |updates: &[(&str, Value)], expect: &str| {
            let mut timeline = timeline(&[message(1)]);
            for (n, (kind, content)) in (2..).zip(updates) {
                timeline.entry(&update(n, 1, kind, content));
            }
            assert_eq!(lines(&timeline, 0), [expect], "{updates:?}");
        };
        let edited = || ("message_edited", json!("new"));
        let recalled = || ("message_recalled", Value::Null);
        let react = |active| ("message_reaction", json!({ "emoji": "+", "active": active }));
        let pin = |active| ("message_pin", json!({ "active": active }));
        check(&[], r#"1 "m1""#);
        check(&[edited()], r#"1 "new" edited 102"#);
        check(&[edited(), ("message_edited", json!("newer"))], r#"1 "newer" edited 103"#);
        check(&[react(true)], r#"1 "m1" +{"b"}"#);
        check(&[react(true), react(true), react(false)], r#"1 "m1""#);
        check(&[pin(true)], r#"1 "m1" pinned"#);
        check(&[pin(true), pin(false)], r#"1 "m1""#);
        check(&[react(true), pin(true), edited(), recalled()], "1 null recalled");
        check(&[recalled(), edited(), react(true)], "1 null recalled");
        check(&[("message_deleted", Value::Null)], "1 null deleted");
        check(&[("message_turned_blue", json!(1))], r#"1 "m1""#);
    }

    #[test]
    fn what_was_fetched_after_its_removal_shows_the_same() {
        let live = [
            message(1),
            update(2, 1, "message_edited", &json!("new")),
            update(3, 1, "message_recalled", &Value::Null),
        ];
        let mut late = live.clone();
        for entry in &mut late[..2] {
            entry["content"] = Value::Null;
            entry["removed"] = json!("recalled");
        }
        let without_entries = |timeline: &Timeline| {
            timeline.shown(0).map(|(seq, m)| (seq, m.removed.clone())).collect::<Vec<_>>()
        };
        let expect = [(1, Some("recalled".to_owned()))];
        assert_eq!(without_entries(&timeline(&live)), expect);
        assert_eq!(without_entries(&timeline(&late)), expect);
    }

    #[test]
    fn an_update_of_what_was_not_heard_is_nothing() {
        let timeline = timeline(&[update(7, 3, "message_edited", &json!("new")), message(8)]);
        assert_eq!(lines(&timeline, 0), [r#"8 "m8""#]);
    }

    #[test]
    fn hidden_and_expired_messages_are_not_shown() {
        let mut passing = message(3);
        passing["expires_at"] = json!(50);
        let mut timeline = timeline(&[message(1), message(2), passing, message(4)]);
        timeline.hide(&[2, 5], 0);
        timeline.entry(&message(5));
        assert_eq!(lines(&timeline, 49), [r#"1 "m1""#, r#"3 "m3""#, r#"4 "m4""#]);
        assert_eq!(lines(&timeline, 50), [r#"1 "m1""#, r#"4 "m4""#]);
        timeline.hide(&[], 3);
        assert_eq!(lines(&timeline, 50), [r#"4 "m4""#]);
        let mut recalled = message(6);
        recalled["expires_at"] = json!(50);
        timeline.entry(&recalled);
        timeline.entry(&update(7, 6, "message_recalled", &Value::Null));
        let expect = [r#"4 "m4""#, "6 null recalled"];
        assert_eq!(lines(&timeline, 50), expect, "as for a device that comes later");
        timeline.reset();
        timeline.entry(&message(2));
        timeline.entry(&message(5));
        assert_eq!(lines(&timeline, 50), [] as [&str; 0]);
    }

    #[test]
    fn is_bounded() {
        let mut timeline = Timeline::default();
        for seq in 1..=MESSAGES_MAX as u64 + 5 {
            timeline.entry(&message(seq));
            timeline.hide(&[seq + 5_000], 0);
        }
        assert_eq!(timeline.messages.len(), MESSAGES_MAX);
        assert_eq!(timeline.hidden.len(), MESSAGES_MAX);
        assert_eq!(timeline.shown(0).next().map(|(seq, _)| seq), Some(6));
    }
}
