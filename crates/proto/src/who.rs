//! Who may do something: what a rule of the configuration says, compiled.
//!
//! Invariant: nobody who has not signed in may do anything, and nobody may do what no rule allows.

use std::fmt;

use crate::Identity;

/// A rule.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Who {
    /// Nobody.
    #[default]
    Nobody,
    /// Everyone who has signed in.
    Everyone,
    /// Everyone who has one of these roles, by their token or by a back end.
    Roles(Box<[Box<str>]>),
}

/// Words of a rule that mean nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownWho(Box<str>);

impl fmt::Display for UnknownWho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not known; use \"nobody\", \"everyone\" or \"role:NAME\"", self.0)
    }
}

impl std::error::Error for UnknownWho {}

impl Who {
    /// Compiles a list of `nobody`, `everyone` and `role:NAME`; each one permits more.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn compile<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Self, UnknownWho> {
        let (mut everyone, mut roles) = (false, Vec::new());
        for word in words {
            match (word, word.strip_prefix("role:")) {
                ("nobody", _) => {}
                ("everyone", _) => everyone = true,
                (_, Some(role)) if !role.is_empty() => roles.push(role.into()),
                _ => return Err(UnknownWho(word.into())),
            }
        }
        Ok(match (everyone, roles.is_empty()) {
            (true, _) => Self::Everyone,
            (false, true) => Self::Nobody,
            (false, false) => Self::Roles(roles.into()),
        })
    }

    /// Whether the rule permits this one. What a back end may is said by its key, which was asked
    /// before.
    #[must_use]
    pub fn permits(&self, identity: &Identity) -> bool {
        match self {
            _ if identity.authority.is_of_key() => true,
            Self::Nobody => false,
            Self::Everyone => true,
            Self::Roles(roles) => roles.iter().any(|role| identity.holds(role)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceId, UserId};

    fn with_roles(roles: &[&str]) -> Identity {
        Identity {
            user: UserId::new("alice").unwrap(),
            name: None,
            roles: roles.iter().map(|role| (*role).into()).collect(),
            device: DeviceId::new("d").unwrap(),
            device_named: false,
            expires_at: None,
            issued_at: None,
            rare: None,
            authority: crate::route::Authority::default(),
        }
    }

    #[test]
    fn rules_permit_what_their_words_say() {
        let check = |words: &[&str], roles: &[&str], permitted: bool| {
            let who = Who::compile(words.iter().copied()).unwrap();
            assert_eq!(who.permits(&with_roles(roles)), permitted, "{words:?} for {roles:?}");
        };
        check(&[], &["admin"], false);
        check(&["nobody"], &["admin"], false);
        check(&["everyone"], &[], true);
        check(&["nobody", "everyone"], &[], true);
        check(&["role:admin"], &[], false);
        check(&["role:admin"], &["adm", "role:admin"], false);
        check(&["role:admin"], &["user", "admin"], true);
        check(&["role:admin", "role:staff"], &["staff"], true);
        check(&["nobody", "role:staff"], &["staff"], true);
    }

    #[test]
    fn roles_that_were_given_count_like_those_of_the_token() {
        let mut alice = with_roles(&["user", "staff"]);
        alice.change_rare(|rare| rare.granted = ["staff".into(), "admin".into()].into());
        assert!(Who::compile(["role:admin"]).unwrap().permits(&alice));
        assert!(!Who::compile(["role:other"]).unwrap().permits(&alice));
        assert_eq!(alice.all_roles().join(" "), "user staff admin");
    }

    #[test]
    fn unknown_words_are_refused() {
        for word in ["", "role:", "admin", "Everyone", "roles:admin"] {
            let said = Who::compile(["everyone", word]).unwrap_err().to_string();
            assert!(said.starts_with(&format!("\"{word}\" is not known")), "{said}");
        }
    }
}
