//! What a key may be used for.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! scopes {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal;)*) => {
        /// One thing that a key may be used for.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Scope {
            $($(#[doc = $doc])* $name,)*
        }

        impl Scope {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is written.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it permits, for the reference.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*),)* }
            }
        }
    };
}

scopes! {
    /// To send messages.
    Messages = "messages";
    /// To publish on channels, to read their history and presence, and to put users on them.
    Channels = "channels";
    /// To push to users, roles and everyone.
    Push = "push";
    /// To read what users keep, to change it, and to act on their behalf.
    Users = "users";
    /// To make, change and end groups.
    Groups = "groups";
    /// To see who is there.
    Presence = "presence";
    /// To end connections.
    Connections = "connections";
    /// To make tokens with which users sign in.
    Tokens = "tokens";
    /// To list keys, and to make, rotate and revoke those with no other scopes than one's own.
    Keys = "keys";
    /// To read `/metrics`, and to begin their summary anew.
    Metrics = "metrics";
}

/// What stands for all scopes, also those of later versions.
const EVERYTHING: &str = "*";

/// Scopes of a key.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Scopes(u32);

impl Scopes {
    /// Everything.
    pub const EVERYTHING: Self = Self(u32::MAX);

    /// Whether this one is among them.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u32) != 0
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub const fn covers(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Reads words.
    ///
    /// # Errors
    /// The first word that is no scope, and where there is none.
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, UnknownScope> {
        let mut all = Self::default();
        for word in words {
            match Scope::ALL.iter().find(|scope| scope.word() == word) {
                Some(scope) => all.0 |= 1 << *scope as u32,
                None if word == EVERYTHING => all = Self::EVERYTHING,
                None => return Err(UnknownScope(Some(word.into()))),
            }
        }
        if all == Self::default() { Err(UnknownScope(None)) } else { Ok(all) }
    }

    /// As they are written.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        if self == Self::EVERYTHING {
            return vec![EVERYTHING];
        }
        Scope::ALL.iter().filter(|scope| self.contains(**scope)).map(|scope| scope.word()).collect()
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.words()).finish()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.words())
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(d)?;
        Self::parse(words.iter().map(String::as_str)).map_err(D::Error::custom)
    }
}

/// A word that is no scope, or none at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownScope(Option<Box<str>>);

impl fmt::Display for UnknownScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(word) => write!(f, "`{word}` is no scope; there are *")?,
            None => write!(f, "a key needs a scope; there are *")?,
        }
        Scope::ALL.iter().try_for_each(|scope| write!(f, ", {}", scope.word()))
    }
}

impl std::error::Error for UnknownScope {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_back() {
        for (words, known) in [
            (&["messages"][..], true),
            (&["keys", "messages", "keys"], true),
            (&["*"], true),
            (&["messages", "*"], true),
            (&[], false),
            (&["message"], false),
            (&["messages", "root"], false),
            (&[""], false),
        ] {
            let parsed = Scopes::parse(words.iter().copied());
            assert_eq!(parsed.is_ok(), known, "{words:?}");
            if let Ok(scopes) = parsed {
                assert_eq!(Scopes::parse(scopes.words()), Ok(scopes));
            }
        }
        let some = Scopes::parse(["messages", "push"]).unwrap();
        assert!(some.contains(Scope::Push) && !some.contains(Scope::Keys));
        assert!(Scopes::EVERYTHING.covers(some) && !some.covers(Scopes::EVERYTHING));
        assert!(Scope::ALL.iter().all(|scope| Scopes::EVERYTHING.contains(*scope)));
    }
}
