//! What a key of the configuration is: its place, its type, its rule, its words.
//!
//! [`sections!`] makes from one list the typed structs with their defaults and the table that
//! loading, `config default` and `config doc` go by, so that none of them can disagree.

use std::net::SocketAddr;

use hubbub_access::{Endpoint, Networks};
use hubbub_hub::Permit;
use hubbub_proto::Who;
use toml::Value;

/// A section of the file.
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about, as Markdown.
    pub about: &'static str,
    /// Its keys, in the order of the documents.
    pub keys: &'static [Key],
}

/// One key.
pub struct Key {
    /// Its name within the section.
    pub name: &'static str,
    /// What it does, as Markdown.
    pub about: &'static str,
    /// What its value must satisfy besides its type.
    pub rule: Rule,
}

/// What a value must satisfy.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Nothing more than the type says.
    Any,
    /// A number of at least this and at most that.
    Range(i64, i64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words, at least one.
    SomeOf(&'static [&'static str]),
    /// `ADDRESS:PORT`
    Address,
    /// The same, or empty for none.
    NoAddress,
    /// A list of origins as browsers write them.
    Origins,
    /// Not empty.
    Text,
    /// A list of networks.
    Nets,
    /// A list of paths, each with the networks that may ask for it.
    Endpoints,
    /// Who may do something: one or several of `nobody`, `everyone` and `role:NAME`.
    Whose,
    /// Who may do something on channels: as above, or `claim`.
    Permits,
    /// The same, or `token`.
    PermitsToken,
}

/// The largest value of a 32-bit key, and of a 16-bit one.
pub(super) const U32: i64 = u32::MAX as i64;
/// The largest value of a 16-bit key.
pub(super) const U16: i64 = u16::MAX as i64;

impl Rule {
    /// What is wrong with `value`, and what would do.
    ///
    /// # Errors
    /// A sentence without the key's name.
    pub fn check(self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Range(min, _), Value::Integer(n)) if *n < min => {
                Err(format!("{n} is too small; use at least {min}"))
            }
            (Self::Range(_, max), Value::Integer(n)) if *n > max => {
                Err(format!("{n} is too large; use at most {max}"))
            }
            (Self::OneOf(words), Value::String(text)) if !words.contains(&text.as_str()) => {
                Err(format!("\"{text}\" is not known; use {}", listed(words)))
            }
            (Self::SomeOf(words), Value::Array(list)) => {
                if list.is_empty() {
                    return Err(format!("the list is empty; use {}", listed(words)));
                }
                let known = |entry: &&Value| entry.as_str().is_some_and(|e| words.contains(&e));
                match list.iter().find(|entry| !known(entry)) {
                    Some(entry) => Err(format!("{entry} is not known; use {}", listed(words))),
                    None => Ok(()),
                }
            }
            (Self::NoAddress, Value::String(text)) if text.is_empty() => Ok(()),
            (Self::Address | Self::NoAddress, Value::String(text))
                if text.parse::<SocketAddr>().is_err() =>
            {
                Err(format!("\"{text}\" is not ADDRESS:PORT; use for example 127.0.0.1:8080"))
            }
            (Self::Origins, Value::Array(list)) => {
                match list.iter().find(|entry| !entry.as_str().is_some_and(is_origin)) {
                    Some(entry) => Err(format!(
                        "{entry} is not an origin; use for example \"https://chat.example.com\""
                    )),
                    None => Ok(()),
                }
            }
            (Self::Nets, Value::Array(list)) => {
                Networks::parse(list.iter().filter_map(Value::as_str))
                    .map(drop)
                    .map_err(|error| error.to_string())
            }
            (Self::Endpoints, Value::Array(list)) => {
                let is_endpoint = |entry: &&Value| {
                    entry.as_str().is_some_and(|text| text.parse::<Endpoint>().is_ok())
                };
                match list.iter().find(|entry| !is_endpoint(entry)) {
                    Some(entry) => Err(format!(
                        "{entry} is no path with networks; use for example \"/api 10.0.0.0/8 ::1\""
                    )),
                    None => Ok(()),
                }
            }
            (Self::Text, Value::String(text)) if text.trim().is_empty() => {
                Err("it is empty; leave the key out for the default".into())
            }
            (Self::Whose, Value::Array(list)) => {
                Who::compile(list.iter().filter_map(Value::as_str))
                    .map(drop)
                    .map_err(|error| error.to_string())
            }
            (Self::Permits, Value::Array(list))
                if list.iter().any(|word| word.as_str() == Some("token")) =>
            {
                Err("\"token\" is for `subscribe` only".into())
            }
            (Self::Permits | Self::PermitsToken, Value::Array(list)) => {
                Permit::compile(list.iter().filter_map(Value::as_str))
                    .map(drop)
                    .map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }

    /// The rule in a few words, for the documents.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Any => "any".into(),
            Self::Range(min, U16 | U32 | i64::MAX) => format!("at least {min}"),
            Self::Range(min, max) => format!("{min} to {max}"),
            Self::OneOf(words) => listed(words),
            Self::SomeOf(words) => format!("some of {}", listed(words)),
            Self::Address => "`ADDRESS:PORT`".into(),
            Self::NoAddress => "`ADDRESS:PORT` or empty".into(),
            Self::Origins => "origins".into(),
            Self::Nets => "networks".into(),
            Self::Endpoints => "paths with networks".into(),
            Self::Text => "not empty".into(),
            Self::Whose => "`nobody`, `everyone`, `role:NAME`, or a list of these".into(),
            Self::Permits => {
                "`nobody`, `everyone`, `role:NAME`, `claim`, or a list of these".into()
            }
            Self::PermitsToken => {
                "`nobody`, `everyone`, `role:NAME`, `claim`, `token`, or a list of these".into()
            }
        }
    }
}

fn listed(words: &[&str]) -> String {
    match words {
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
        [] => String::new(),
    }
}

/// `scheme://host[:port]` without a path, `null`, or `*`.
fn is_origin(text: &str) -> bool {
    matches!(text, "*" | "null")
        || text.split_once("://").is_some_and(|(scheme, authority)| {
            scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                && !scheme.is_empty()
                && !authority.is_empty()
                && !authority.contains(['/', '?', '#', '@', ' ', '*'])
        })
}

macro_rules! sections {
    (
        families {
            $(#[doc = $family_about:literal])*
            $family:ident: $Family:ident {
                $($(#[doc = $family_doc:literal])* $family_key:ident: $family_type:ty = $family_default:expr, $family_rule:expr;)*
            }
        }
    $(
        $(#[doc = $about:literal])*
        $section:ident: $Struct:ident {
            $($(#[doc = $doc:literal])* $key:ident: $type:ty = $default:expr, $rule:expr;)*
        }
    )*) => {
        $(
            $(#[doc = $about])*
            #[derive(Clone, Debug, serde::Deserialize, PartialEq, serde::Serialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $Struct { $($(#[doc = $doc])* pub $key: $type,)* }

            impl Default for $Struct {
                fn default() -> Self {
                    Self { $($key: $default,)* }
                }
            }
        )*

        $(#[doc = $family_about])*
        #[derive(Clone, Debug, serde::Deserialize, PartialEq, serde::Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $Family { $($(#[doc = $family_doc])* pub $family_key: $family_type,)* }

        impl Default for $Family {
            fn default() -> Self {
                Self { $($family_key: $family_default,)* }
            }
        }

        /// Everything that can be configured.
        #[derive(Clone, Debug, Default, serde::Deserialize, PartialEq, serde::Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $($(#[doc = $about])* pub $section: $Struct,)*
            $(#[doc = $family_about])*
            pub $family: std::collections::BTreeMap<String, $Family>,
        }

        /// The sections of which there may be any number, each with a name.
        pub static FAMILY: $crate::config::table::Section = $crate::config::table::Section {
            name: stringify!($family),
            about: concat!($($family_about, "\n"),*),
            keys: &[$(
                $crate::config::table::Key {
                    name: stringify!($family_key),
                    about: concat!($($family_doc, "\n"),*),
                    rule: $family_rule,
                },
            )*],
        };

        /// The table of all keys.
        pub static SECTIONS: &[$crate::config::table::Section] = &[$(
            $crate::config::table::Section {
                name: stringify!($section),
                about: concat!($($about, "\n"),*),
                keys: &[$(
                    $crate::config::table::Key {
                        name: stringify!($key),
                        about: concat!($($doc, "\n"),*),
                        rule: $rule,
                    },
                )*],
            },
        )*];
    };
}

/// Copies the fields of a section into the type that another crate owns.
macro_rules! mirrors {
    ($Section:ty => $Target:ty, with what other sections say, { $($key:ident),* $(,)? }) => {
        impl From<&$Section> for $Target {
            fn from(section: &$Section) -> Self {
                Self { $($key: section.$key,)* ..Self::default() }
            }
        }
    };
    ($Section:ty => $Target:ty { $($key:ident),* $(,)? }) => {
        impl From<&$Section> for $Target {
            fn from(section: &$Section) -> Self {
                Self { $($key: section.$key,)* }
            }
        }
    };
}

pub(super) use {mirrors, sections};
