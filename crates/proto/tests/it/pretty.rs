//! JSON laid out for reading: the fields in their order, what is short on one line.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

const LINE_CHARS_MAX: usize = 96;

/// Lays out one JSON text.
pub(crate) fn pretty(json: &str) -> String {
    let node = Node::read(json);
    let mut out = String::new();
    node.write(0, 0, &mut out);
    out
}

enum Node {
    Scalar(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Node {
    fn read(json: &str) -> Self {
        match json.trim_start().as_bytes()[0] {
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(json).unwrap();
                Self::Array(items.into_iter().map(|item| Self::read(item.get())).collect())
            }
            b'{' => {
                let Fields(fields) = serde_json::from_str(json).unwrap();
                let read = |(key, value): (String, &RawValue)| (key, Self::read(value.get()));
                Self::Object(fields.into_iter().map(read).collect())
            }
            _ => Self::Scalar(json.to_owned()),
        }
    }

    fn on_one_line(&self) -> String {
        match self {
            Self::Scalar(text) => text.clone(),
            Self::Array(items) => {
                let items: Vec<_> = items.iter().map(Self::on_one_line).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Object(fields) => {
                let field =
                    |(key, value): &(String, Self)| format!("\"{key}\": {}", value.on_one_line());
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn write(&self, indent: usize, used: usize, out: &mut String) {
        let line = self.on_one_line();
        if indent + used + line.chars().count() <= LINE_CHARS_MAX {
            out.push_str(&line);
            return;
        }
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(items) => {
                out.push('[');
                fill(items.iter().map(|item| (String::new(), item)), indent + 2, out);
                out.push_str(&format!("\n{}]", " ".repeat(indent)));
            }
            Self::Object(fields) => {
                out.push('{');
                let fields = fields.iter().map(|(key, value)| (format!("\"{key}\": "), value));
                fill(fields, indent + 2, out);
                out.push_str(&format!("\n{}}}", " ".repeat(indent)));
            }
        }
    }
}

/// Puts as many members on a line as fit; what fits on no line gets lines of its own.
fn fill<'a>(members: impl Iterator<Item = (String, &'a Node)>, indent: usize, out: &mut String) {
    let break_line = format!("\n{}", " ".repeat(indent));
    let mut used = usize::MAX / 2;
    for (nth, (key, node)) in members.enumerate() {
        let length = key.chars().count() + node.on_one_line().chars().count() + 1;
        if nth > 0 {
            out.push(',');
        }
        if used + 1 + length <= LINE_CHARS_MAX {
            out.push(' ');
            used += 1 + length;
        } else {
            out.push_str(&break_line);
            used = indent + length;
        }
        out.push_str(&key);
        node.write(indent, key.chars().count() + 1, out);
    }
}

/// An object's fields in order.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        d.deserialize_map(Object)
    }
}
