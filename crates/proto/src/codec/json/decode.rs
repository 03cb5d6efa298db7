//! The fast pass: a well-formed command in the usual order of fields.

use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::{Incoming, Malformed};
use super::explain::explain;
use crate::limits::Limits;
use crate::{Command, CommandId, Reason, Refusal};

/// Reads one message; see [`crate::codec::Codec::decode`].
pub(in super::super) fn decode(
    message: &[u8],
    limits: &Limits,
) -> Result<Incoming, Box<Malformed>> {
    if message.len() > limits.message_bytes_max as usize {
        return Err(Box::new(Malformed { id: None, refusal: Reason::TooBig.into() }));
    }
    let Ok(text) = std::str::from_utf8(message) else {
        let refusal = Refusal::with(Reason::BadJson, "The message is not UTF-8.");
        return Err(Box::new(Malformed { id: None, refusal }));
    };
    let incoming = match fast(text) {
        Ok(incoming) => incoming,
        Err(_) => explain(text)?,
    };
    match check(&incoming.command, limits) {
        Ok(()) => Ok(incoming),
        Err(refusal) => Err(Box::new(Malformed { id: incoming.id, refusal })),
    }
}

fn fast(text: &str) -> Result<Incoming, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let incoming = deserializer.deserialize_map(Message)?;
    deserializer.end()?;
    Ok(incoming)
}

/// What holds for a command beyond the types of its fields.
fn check(command: &Command, limits: &Limits) -> Result<(), Refusal> {
    match command {
        Command::Send(send) => {
            send.check()?;
            let Some(content) = &send.content else { return Ok(()) };
            passed_on("content", content.get(), limits)?;
            send.kind.check(content)
        }
        Command::Edit(edit) => passed_on("content", edit.content.get(), limits),
        Command::Publish(publish) => passed_on("data", publish.data.get(), limits),
        Command::Signal(signal) => passed_on("data", signal.data.get(), limits),
        Command::Push(push) if push.expires_in_ms == Some(0) => {
            Err(Refusal::with(Reason::BadField, "`expires_in_ms` must be at least 1."))
        }
        Command::Push(push) => passed_on("data", push.data.get(), limits),
        Command::History(history) if history.directions() > 1 => {
            Err(Refusal::with(Reason::BadField, "Give one of `before`, `after` and `around`."))
        }
        Command::ChannelHistory(page) if page.after.is_some() && page.before.is_some() => {
            Err(Refusal::with(Reason::BadField, "Give one of `before` and `after`."))
        }
        Command::GroupInvite(invite) if invite.members.is_empty() => {
            Err(Refusal::with(Reason::BadField, "`members` must name at least one user."))
        }
        Command::DeviceSignOut(out) if out.device.is_some() == out.others => {
            Err(Refusal::with(Reason::BadField, "Give either `device` or `others`."))
        }
        Command::ProfileUpdate(update) => match update.data.as_ref().and_then(Option::as_ref) {
            Some(data) => passed_on("data", data.get(), limits),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// What holds for JSON that is passed on as it came.
fn passed_on(field: &str, json: &str, limits: &Limits) -> Result<(), Refusal> {
    if is_deeper(json, limits.content_depth_max) {
        let most = limits.content_depth_max;
        let detail = format!("`{field}` must not be nested deeper than {most} levels.");
        return Err(Refusal::with(Reason::TooDeep, detail));
    }
    if !is_portable(json) {
        let detail =
            format!("`{field}` must not hold half of a surrogate pair or a number out of range.");
        return Err(Refusal::with(Reason::BadField, detail));
    }
    Ok(())
}

/// Whether valid JSON nests arrays and objects more than `most` deep.
fn is_deeper(json: &str, most: u32) -> bool {
    let bytes = json.as_bytes();
    // A scalar nests nothing, and most content is a string.
    if !matches!(bytes.first(), Some(b'{' | b'[')) {
        return false;
    }
    let (mut depth, mut in_string, mut at) = (0_u32, false, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    false
}

/// Whether every receiver can read valid JSON: its grammar allows half of a surrogate pair and
/// numbers of any size (RFC 8259 §8.2, §6), at which many parsers give up the whole message.
fn is_portable(json: &str) -> bool {
    let plain_string = json.starts_with('"') && memchr::memchr(b'\\', json.as_bytes()).is_none();
    plain_string || serde_json::from_str::<Portable>(json).is_ok()
}

/// Reads everything and keeps nothing.
struct Portable;

impl<'de> Deserialize<'de> for Portable {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Portable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// The envelope with `type` before `payload`; anything else is an error here and left to
/// [`explain`].
struct Message;

impl<'de> Visitor<'de> for Message {
    type Value = Incoming;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Incoming, A::Error> {
        let mut name: Option<&str> = None;
        let mut id: Option<CommandId> = None;
        let mut command: Option<Command> = None;
        while let Some(key) = map.next_key::<&str>()? {
            match (key, name) {
                ("type", None) => name = Some(map.next_value()?),
                ("id", _) if id.is_none() => id = map.next_value()?,
                ("payload", Some(name)) if command.is_none() => {
                    command = Some(map.next_value_seed(Payload(name))?);
                }
                ("type" | "id" | "payload", _) => return Err(A::Error::custom("unusual order")),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let command = command.ok_or_else(|| A::Error::missing_field("payload"))?;
        Ok(Incoming { id, command })
    }
}

/// The payload of a command of this type.
struct Payload<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Payload<'_> {
    type Value = Command;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Command, D::Error> {
        // A map and nothing else: a derived struct would take an array as well.
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Payload<'_> {
    type Value = Command;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Command, A::Error> {
        Command::read(self.0, map)
    }
}

#[cfg(test)]
mod tests {
    use super::{is_deeper, is_portable};

    #[test]
    fn what_some_parsers_refuse_is_not_portable() {
        for good in
            ["\"a\"", r#""\ud83d\ude00""#, "1e300", "-1", "null", "[1,{\"a\":true}]", r#""\u0000""#]
        {
            assert!(is_portable(good), "{good}");
        }
        for bad in [r#""\ud800""#, r#"{"a":["\udc00"]}"#, r#"{"\ud800":1}"#, "1e400", "[-1e999]"] {
            assert!(!is_portable(bad), "{bad}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        #[track_caller]
        fn check(json: &str, depth: u32) {
            assert!(!is_deeper(json, depth), "{json} is at most {depth} deep");
            if depth > 0 {
                assert!(is_deeper(json, depth - 1), "{json} is {depth} deep");
            }
        }
        check("1", 0);
        check(r#""[[[""#, 0);
        check("[]", 1);
        check("{}", 1);
        check("[[],[],[[]]]", 3);
        check(r#"{"a":{"b":[1]}}"#, 3);
        check(r#"["[[[[", "\"[[", "\\", []]"#, 2);
        check(r#"[{"[[\\\"{{":"]"}]"#, 2);
        check(&format!("{}{}", "[".repeat(1000), "]".repeat(1000)), 1000);
    }
}
