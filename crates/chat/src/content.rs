//! The JSON of the entries that the server itself writes.

use std::sync::Arc;

use hubbub_proto::command::{Content, Emoji, JoinPolicy, Role};
use hubbub_proto::{Timestamp, UserId};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Contents of the server's kinds; each variant is the content of the kind of the same name.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum GroupContent<'a> {
    Created {
        name: &'a str,
        join: JoinPolicy,
        members: &'a [UserId],
    },
    Updated {
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        join: Option<JoinPolicy>,
        #[serde(skip_serializing_if = "Option::is_none")]
        announcement: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retention_ms: Option<u64>,
    },
    AllMuted {
        muted: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    Joined {
        user: &'a UserId,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a UserId>,
    },
    Linked {
        user: &'a UserId,
        by: &'a UserId,
        link: &'a str,
    },
    Invited {
        users: &'a [UserId],
        by: &'a UserId,
    },
    Left {
        user: &'a UserId,
    },
    Kicked {
        user: &'a UserId,
        by: &'a UserId,
    },
    Role {
        user: &'a UserId,
        role: Role,
    },
    Banned {
        user: &'a UserId,
        by: &'a UserId,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    Unbanned {
        user: &'a UserId,
        by: &'a UserId,
    },
    Muted {
        user: &'a UserId,
        by: &'a UserId,
        muted: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    Dissolved {},
}

impl GroupContent<'_> {
    /// As it stands in the entry.
    pub(crate) fn json(&self) -> Content {
        to_raw_value(self).map_or_else(|_| null(), Arc::from)
    }
}

/// Contents of entries about messages.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum OperationContent<'a> {
    Reaction { emoji: &'a Emoji, active: bool },
    Pin { active: bool },
}

impl OperationContent<'_> {
    /// As it stands in the entry.
    pub(crate) fn json(&self) -> Content {
        to_raw_value(self).map_or_else(|_| null(), Arc::from)
    }
}

/// The content of what has none.
#[must_use]
pub fn null() -> Content {
    Arc::from(RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_as_documented() {
        let user = &UserId::new("bob").unwrap();
        let by = &UserId::new("alice").unwrap();
        let users = &[by.clone(), user.clone()];
        let check = |content: GroupContent<'_>, expect| assert_eq!(content.json().get(), expect);
        check(
            GroupContent::Created { name: "g", join: JoinPolicy::Open, members: users },
            r#"{"name":"g","join":"open","members":["alice","bob"]}"#,
        );
        check(
            GroupContent::Updated {
                name: Some("n"),
                join: None,
                announcement: None,
                retention_ms: None,
            },
            r#"{"name":"n"}"#,
        );
        check(
            GroupContent::Updated {
                name: None,
                join: None,
                announcement: Some(""),
                retention_ms: Some(0),
            },
            r#"{"announcement":"","retention_ms":0}"#,
        );
        check(
            GroupContent::AllMuted { muted: true, until: Some(Timestamp(5)) },
            r#"{"muted":true,"until":5}"#,
        );
        check(GroupContent::Banned { user, by, until: None }, r#"{"user":"bob","by":"alice"}"#);
        check(
            GroupContent::Muted { user, by, muted: false, until: None },
            r#"{"user":"bob","by":"alice","muted":false}"#,
        );
        check(GroupContent::Joined { user, by: None }, r#"{"user":"bob"}"#);
        check(GroupContent::Joined { user, by: Some(by) }, r#"{"user":"bob","by":"alice"}"#);
        check(GroupContent::Invited { users, by }, r#"{"users":["alice","bob"],"by":"alice"}"#);
        check(GroupContent::Left { user }, r#"{"user":"bob"}"#);
        check(GroupContent::Kicked { user, by }, r#"{"user":"bob","by":"alice"}"#);
        check(GroupContent::Role { user, role: Role::Admin }, r#"{"user":"bob","role":"admin"}"#);
        check(GroupContent::Dissolved {}, "{}");
    }
}
