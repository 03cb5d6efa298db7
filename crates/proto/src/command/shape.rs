//! What the content of each kind has to hold.
//!
//! Invariant: one pass over JSON that is known to be valid, which keeps nothing of it; text that is
//! a plain string costs a look at its first bytes. Fields that are not in the tables pass, and
//! content goes on as it came. A field that is there twice must be right each time, because readers
//! differ in which they take. Deliberately absent: whether a URL leads anywhere, and what
//! `custom:NAME` means.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Kind;
use crate::{Reason, Refusal};

/// Longest URL in content, in bytes.
pub const URL_BYTES_MAX: usize = 2048;

/// What a field has to be.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// A string that says something.
    Words,
    /// Any string.
    Name,
    /// A URL that a client may open without running or unpacking what is in it.
    Url,
    /// A number of bytes, pixels or milliseconds.
    Amount,
    /// Degrees north.
    Latitude,
    /// Degrees east.
    Longitude,
}

impl Form {
    const fn rule(self) -> &'static str {
        match self {
            Self::Words => "a string that is not empty",
            Self::Name => "a string",
            Self::Url => {
                "an http, https or relative URL of at most 2048 bytes, without spaces and control \
                 characters"
            }
            Self::Amount => "a number, 0 or more",
            Self::Latitude => "a number from -90 to 90",
            Self::Longitude => "a number from -180 to 180",
        }
    }

    fn takes_text(self, text: &str) -> bool {
        match self {
            Self::Words => !text.is_empty(),
            Self::Name => true,
            Self::Url => is_url(text),
            Self::Amount | Self::Latitude | Self::Longitude => false,
        }
    }

    fn takes_number(self, number: f64) -> bool {
        match self {
            Self::Words | Self::Name | Self::Url => false,
            Self::Amount => number >= 0.0,
            Self::Latitude => (-90.0..=90.0).contains(&number),
            Self::Longitude => (-180.0..=180.0).contains(&number),
        }
    }
}

/// A field, and whether it must be there.
type Field = (&'static str, Form, bool);

const TEXT: &[Field] = &[("text", Form::Words, true)];
const MEDIA: &[Field] = &[
    ("url", Form::Url, true),
    ("name", Form::Name, false),
    ("size", Form::Amount, false),
    ("width", Form::Amount, false),
    ("height", Form::Amount, false),
    ("duration_ms", Form::Amount, false),
    ("thumbnail", Form::Url, false),
];
const LOCATION: &[Field] = &[
    ("latitude", Form::Latitude, true),
    ("longitude", Form::Longitude, true),
    ("name", Form::Name, false),
];
const CARD: &[Field] = &[("title", Form::Name, true)];

impl Kind {
    /// Checks that content of this kind holds what its readers rely on.
    ///
    /// # Errors
    /// `bad_content`, with the name of the field.
    pub fn check(&self, content: &RawValue) -> Result<(), Refusal> {
        let fields = match self {
            Self::Text => TEXT,
            Self::Image | Self::File | Self::Audio | Self::Video => MEDIA,
            Self::Location => LOCATION,
            Self::Card => CARD,
            _ => return Ok(()),
        };
        let json = content.get();
        if matches!(self, Self::Text) && json.starts_with('"') {
            return match json {
                r#""""# => Err(self.misshapen()),
                _ => Ok(()),
            };
        }
        let mut wrong = None;
        let found = serde_json::Deserializer::from_str(json)
            .deserialize_map(Shape { fields, wrong: &mut wrong });
        match (found, wrong) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(Wrong::Field(name, form))) => {
                Err(bad(format!("`content.{name}` must be {}.", form.rule())))
            }
            (Err(_), Some(Wrong::Missing(name))) => {
                Err(bad(format!("`content.{name}` is missing.")))
            }
            (Err(_), None) => Err(self.misshapen()),
        }
    }

    /// The refusal of content that has no fields at all.
    fn misshapen(&self) -> Refusal {
        match self {
            Self::Text => {
                bad("`content` of kind text must be a string that is not empty, or an object with \
                     such a `text`.")
            }
            kind => bad(format!("`content` of kind {} must be an object.", kind.as_str())),
        }
    }
}

fn bad(detail: impl Into<Box<str>>) -> Refusal {
    Refusal::with(Reason::BadContent, detail)
}

/// Whether this is an http or https URL, or relative to one (RFC 3986 §4.2). Browsers drop spaces
/// and control characters before they look for a scheme, so none may be there to hide one.
fn is_url(text: &str) -> bool {
    let visible = |byte: u8| byte > b' ' && byte != 0x7f;
    if text.is_empty() || text.len() > URL_BYTES_MAX || !text.bytes().all(visible) {
        return false;
    }
    match text.split_once([':', '/', '?', '#', '\\']) {
        Some((scheme, rest)) if text.as_bytes().get(scheme.len()) == Some(&b':') => {
            let host = rest.strip_prefix("//").unwrap_or_default();
            (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
                && !host.is_empty()
                && !host.starts_with(['/', '?', '#', '\\'])
        }
        _ => true,
    }
}

/// What keeps an object from being content of its kind.
enum Wrong {
    Field(&'static str, Form),
    Missing(&'static str),
}

/// Reads an object with these fields; at an error, `wrong` says which was at fault.
struct Shape<'a> {
    fields: &'static [Field],
    wrong: &'a mut Option<Wrong>,
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0_u32;
        while let Some(known) = map.next_key_seed(Known(self.fields))? {
            let Some((at, (name, form, required))) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            seen |= 1 << at;
            // Until it is read, this is the one that any error is about.
            *self.wrong = Some(Wrong::Field(name, form));
            map.next_value_seed(Value { form, required })?;
            *self.wrong = None;
        }
        for (at, (name, _, required)) in self.fields.iter().enumerate() {
            if *required && seen & (1 << at) == 0 {
                *self.wrong = Some(Wrong::Missing(name));
                return Err(A::Error::missing_field(name));
            }
        }
        Ok(())
    }
}

/// Finds the name of a field in the table.
struct Known(&'static [Field]);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = Option<(usize, Field)>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Known {
    type Value = Option<(usize, Field)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let at = self.0.iter().position(|(name, ..)| *name == key);
        Ok(at.and_then(|at| self.0.get(at).map(|field| (at, *field))))
    }
}

/// Reads the value of a field; `null` stands for one that need not be there.
struct Value {
    form: Form,
    required: bool,
}

impl Value {
    fn verdict<E: Error>(good: bool) -> Result<(), E> {
        if good { Ok(()) } else { Err(E::custom("not of its form")) }
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl Visitor<'_> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form.rule())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Self::verdict(!self.required)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        Self::verdict(self.form.takes_text(text))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        #[expect(clippy::cast_precision_loss, reason = "the bounds are small whole numbers")]
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        #[expect(clippy::cast_precision_loss, reason = "the bounds are small whole numbers")]
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        Self::verdict(self.form.takes_number(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentence of the refusal; empty where the content is good.
    fn verdict(kind: &str, content: &str) -> String {
        let content: &RawValue = serde_json::from_str(content).unwrap();
        match Kind::parse(kind).unwrap().check(content) {
            Ok(()) => String::new(),
            Err(refusal) => {
                assert_eq!(refusal.reason, Reason::BadContent);
                refusal.message().to_owned()
            }
        }
    }

    const GOOD: &[(&str, &[&str])] = &[
        (
            "text",
            &[
                r#""hi""#,
                r#"" ""#,
                r#""\n""#,
                r#""\u0000""#,
                r#"{"text":"hi"}"#,
                r#"{"mood":[1,{"a":null}],"text":"hi","text":"again"}"#,
                r#"{"t\u0065xt":"\u4f60"}"#,
            ],
        ),
        (
            "image",
            &[
                r#"{"url":"https://cdn.example/a.png"}"#,
                r#"{"url":"HTTP:\/\/cdn.example:8080/a?b#c:d"}"#,
                r#"{"url":"/files/1","name":"","size":0,"width":1e3,"height":0.5,"duration_ms":18446744073709551615,"thumbnail":"t.png","blurhash":"L6","more":{"url":7}}"#,
                r#"{"url":"a/b:c","name":null,"size":null,"thumbnail":null}"#,
                r#"{"url":"//cdn.example/a"}"#,
                r#"{"url":"?data:1"}"#,
                r#"{"url":"文件.png"}"#,
            ],
        ),
        (
            "location",
            &[
                r#"{"latitude":90,"longitude":-180}"#,
                r#"{"latitude":-90.0,"longitude":180,"name":"the pole"}"#,
                r#"{"latitude":-0.0,"longitude":0,"zoom":"far"}"#,
            ],
        ),
        ("card", &[r#"{"title":"Order 7"}"#, r#"{"title":"","url":"data:,x","buttons":[]}"#]),
        ("custom:poll", &["null", "7", r#""""#, "[]", "{}", "false"]),
    ];

    #[test]
    fn what_is_of_its_kind_passes() {
        for (kind, contents) in GOOD {
            for content in *contents {
                assert_eq!(verdict(kind, content), "", "{kind} {content}");
            }
        }
        for kind in ["file", "audio", "video"] {
            assert_eq!(verdict(kind, r#"{"url":"a"}"#), "");
        }
    }

    #[test]
    fn what_has_no_fields_is_told_what_it_should_be() {
        let text = "`content` of kind text must be a string that is not empty, or an object with \
                    such a `text`.";
        for content in [r#""""#, "7", "null", "true", r#"["hi"]"#, "1e3"] {
            assert_eq!(verdict("text", content), text, "{content}");
        }
        for kind in ["image", "file", "audio", "video", "location", "card"] {
            let sentence = format!("`content` of kind {kind} must be an object.");
            for content in [r#""https://a""#, "7", "null", "false", "[]", r#"[["url","a"]]"#] {
                assert_eq!(verdict(kind, content), sentence, "{content}");
            }
        }
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        for (kind, content, field) in [
            ("text", "{}", "text"),
            ("text", r#"{"Text":"hi"}"#, "text"),
            ("image", "{}", "url"),
            ("file", r#"{"name":"a","more":{"url":"a"}}"#, "url"),
            ("location", r#"{"latitude":1}"#, "longitude"),
            ("location", r#"{"longitude":1}"#, "latitude"),
            ("card", r#"{"text":"x"}"#, "title"),
        ] {
            let sentence = format!("`content.{field}` is missing.");
            assert_eq!(verdict(kind, content), sentence, "{kind} {content}");
        }
    }

    #[test]
    fn a_field_of_another_form_is_named() {
        let table: [(&str, &str, Form, &[&str]); 12] = [
            ("text", "text", Form::Words, &[r#""""#, "7", "null", "[]", r#"{"a":1}"#]),
            ("image", "name", Form::Name, &["7", "[]", "{}", "true"]),
            ("file", "size", Form::Amount, &["-1", "-0.5", r#""7""#, "[7]", "{}", "false"]),
            ("image", "width", Form::Amount, &["-1", r#""7""#]),
            ("video", "height", Form::Amount, &["-1", r#""7""#]),
            ("audio", "duration_ms", Form::Amount, &["-1", r#""7""#]),
            ("video", "thumbnail", Form::Url, &["7", r#""""#, r#""data:,x""#]),
            ("location", "latitude", Form::Latitude, &["90.1", "-91", r#""1""#, "null"]),
            ("location", "longitude", Form::Longitude, &["180.1", "-181", r#""1""#, "null"]),
            ("location", "name", Form::Name, &["7"]),
            ("card", "title", Form::Name, &["7", "null", "{}", "[]"]),
            ("image", "url", Form::Url, &["7", "null", "[]", r#"{"a":"https://a"}"#]),
        ];
        for (kind, field, form, values) in table {
            let rest = match kind {
                "image" | "file" | "audio" | "video" => r#""url":"a""#,
                "location" => r#""latitude":1,"longitude":1"#,
                _ => r#""x":1"#,
            };
            let sentence = format!("`content.{field}` must be {}.", form.rule());
            for value in values {
                // A field that is right at first or at last is wrong all the same.
                for content in [
                    format!(r#"{{{rest},"{field}":{value}}}"#),
                    format!(r#"{{"{field}":{value},{rest}}}"#),
                ] {
                    assert_eq!(verdict(kind, &content), sentence, "{kind} {content}");
                }
            }
        }
    }

    #[test]
    fn urls_are_of_the_web() {
        let longest = format!("https://a/{}", "x".repeat(URL_BYTES_MAX - 10));
        for good in ["a", "/", "#", "../a", "https://a", "hTTps://[::1]/", "1/a:b", &longest] {
            assert!(is_url(good), "{good}");
        }
        let longer = format!("{longest}x");
        for bad in [
            "",
            " ",
            "data:image/png;base64,AA",
            "DATA:,x",
            "javascript:alert(1)",
            "JavaScript://a/%0aalert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "\tjavascript:alert(1)",
            "vbscript:x",
            "blob:https://a/b",
            "file:///etc/passwd",
            "ftp://a",
            "a b.png",
            "a\u{7f}",
            "a:b",
            ":",
            "http:",
            "https:a",
            "https:/a",
            "https://",
            "https:///a",
            "https://?a",
            &longer,
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }
}
