//! The slow pass: takes what the fast one does not, or says what is wrong and in which field.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Error;
use serde_json::value::RawValue;

use super::super::{Incoming, Malformed};
use crate::{Command, CommandId, Reason, Refusal};

/// Longest part of an unknown type that the refusal repeats, in characters.
const TYPE_CHARS_MAX: usize = 64;
/// Longest sentence of a refusal, in characters.
const DETAIL_CHARS_MAX: usize = 240;

/// Reads a message field by field.
pub(super) fn explain(text: &str) -> Result<Incoming, Box<Malformed>> {
    let mut envelope = Envelope::default();
    let parsed = read_envelope(text, &mut envelope);
    let (id, id_refusal) = match envelope.id.map(read_id) {
        None => (None, None),
        Some(Ok(id)) => (id, None),
        Some(Err(refusal)) => (None, Some(refusal)),
    };
    let outcome = match parsed {
        Err(error) => Err(not_json(&error)),
        Ok(()) => match id_refusal {
            Some(refusal) => Err(refusal),
            None => read_command(&envelope),
        },
    };
    match outcome {
        Ok(command) => Ok(Incoming { id, command }),
        Err(refusal) => Err(Box::new(Malformed { id, refusal })),
    }
}

/// The envelope's fields as they stand in the message; of a repeated one the last.
#[derive(Default)]
struct Envelope<'a> {
    name: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

/// Fills `envelope`; on an error it holds what came before the mistake.
fn read_envelope<'a>(text: &'a str, envelope: &mut Envelope<'a>) -> Result<(), Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Fields(envelope))?;
    deserializer.end()
}

struct Fields<'e, 'a>(&'e mut Envelope<'a>);

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "type" => self.0.name = Some(map.next_value()?),
                "id" => self.0.id = Some(map.next_value()?),
                "payload" => self.0.payload = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// An object's key, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

fn not_json(error: &Error) -> Refusal {
    if error.is_data() {
        return Refusal::with(Reason::BadJson, "The message must be one JSON object.");
    }
    Refusal::with(Reason::BadJson, format!("The message is not valid JSON: {error}."))
}

fn read_id(raw: &RawValue) -> Result<Option<CommandId>, Refusal> {
    serde_json::from_str(raw.get()).map_err(|_| {
        Refusal::with(
            Reason::BadField,
            "`id` must be a string of 1 to 64 printable ASCII characters without spaces.",
        )
    })
}

fn read_command(envelope: &Envelope<'_>) -> Result<Command, Refusal> {
    let bad = |detail: &str| Refusal::with(Reason::BadField, detail);
    let name = envelope.name.ok_or_else(|| bad("`type` is missing."))?;
    let Key(name) =
        serde_json::from_str(name.get()).map_err(|_| bad("`type` must be a string."))?;
    if !Command::TYPES.contains(&&*name) {
        let detail = format!("There is no command of type `{}`.", printable(&name));
        return Err(Refusal::with(Reason::UnknownType, detail));
    }
    let payload = envelope.payload.map_or("{}", RawValue::get);
    let payload = if payload == "null" { "{}" } else { payload };
    let fields: RawFields<'_> =
        serde_json::from_str(payload).map_err(|_| bad("`payload` must be an object."))?;
    let mut at = None;
    Command::read(&name, Tracked { fields: fields.0.into_iter(), value: None, at: &mut at })
        .map_err(|error| Refusal::with(Reason::BadField, sentence(at.as_deref(), &error)))
}

/// The start of `name` with everything but printable ASCII replaced.
fn printable(name: &str) -> String {
    let shown = name.chars().take(TYPE_CHARS_MAX);
    shown.map(|c| if c.is_ascii_graphic() && c != '`' { c } else { '?' }).collect()
}

/// Says in one sentence what is wrong with the field `at`, without repeating its value.
fn sentence(at: Option<&str>, error: &Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").map_or(&*text, |end| &text[..end]);
    let sentence = if let Some(field) = text.strip_prefix("missing field ") {
        format!("{field} is missing.")
    } else if let Some(field) = text.strip_prefix("duplicate field ") {
        format!("{field} is there twice.")
    } else {
        let field = at.unwrap_or("payload");
        match text.rfind(", expected ") {
            Some(start) => {
                let expected = match &text[start + ", expected ".len()..] {
                    "u64" => "a whole number, 0 or more",
                    "u32" => "a whole number from 0 to 4294967295",
                    "struct Device" => "an object",
                    "a boolean" => "true or false",
                    other => other,
                };
                format!("`{field}` must be {expected}.")
            }
            None => format!("`{field}`: {text}."),
        }
    };
    sentence.chars().take(DETAIL_CHARS_MAX).collect()
}

/// A payload's fields in order.
struct RawFields<'a>(Vec<(Key<'a>, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawFields<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = RawFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(RawFields(fields))
            }
        }
        d.deserialize_map(Object)
    }
}

/// Hands out the fields one by one and remembers at which one it stands.
struct Tracked<'a, 't> {
    fields: std::vec::IntoIter<(Key<'a>, &'a RawValue)>,
    value: Option<&'a RawValue>,
    at: &'t mut Option<Cow<'a, str>>,
}

impl<'de> MapAccess<'de> for Tracked<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((Key(key), value)) = self.fields.next() else {
            *self.at = None;
            return Ok(None);
        };
        self.value = Some(value);
        let key = self.at.insert(key);
        seed.deserialize(serde::de::value::StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let raw = self.value.take().ok_or_else(|| Error::custom("a value without its key"))?;
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let value = seed.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}
