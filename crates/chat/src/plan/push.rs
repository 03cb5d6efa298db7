//! Who may push what where, and whose logs and connections it reaches.

use hubbub_proto::command::{Audience, Push};
use hubbub_proto::route::Topic;
use hubbub_proto::{ConversationId, Identity, Reason, Refusal, RoleName, Timestamp, UserId, Who};

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Each once, in an order that does not depend on that of the command.
    pub targets: Vec<Target>,
    /// Until when it means anything.
    pub expires_at: Option<Timestamp>,
}

/// One audience: one entry where the push is kept, one event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// Everyone.
    All,
    /// Everyone with a role.
    Role(RoleName),
    /// One user.
    User(UserId),
}

impl Target {
    /// The log that keeps it.
    #[must_use]
    pub fn conversation(&self) -> ConversationId {
        match self {
            Self::All => ConversationId::all(),
            Self::Role(role) => ConversationId::role(role),
            Self::User(user) => ConversationId::user(user),
        }
    }

    /// Whose connections get it.
    #[must_use]
    pub fn topic(&self) -> Topic {
        match self {
            Self::All => Topic::All,
            Self::Role(role) => Topic::Role(role.clone()),
            Self::User(user) => Topic::User(user.clone()),
        }
    }

    /// As it stands in `to`.
    #[must_use]
    pub fn address(&self) -> Box<str> {
        match self {
            Self::All => "all".into(),
            Self::Role(role) => format!("role:{role}").into(),
            Self::User(user) => format!("user:{user}").into(),
        }
    }
}

/// Whom a command names, each once, in an order of its own.
#[must_use]
pub fn targets(to: &Audience) -> Vec<Target> {
    match to {
        Audience::All => vec![Target::All],
        Audience::Role(role) => vec![Target::Role(role.clone())],
        Audience::Users(users) => {
            let mut users: Vec<&UserId> = users.iter().collect();
            users.sort_unstable();
            users.dedup();
            users.into_iter().map(|user| Target::User(user.clone())).collect()
        }
    }
}

/// Decides about a `push` of `actor`, which need not be a connection's.
///
/// # Errors
/// `not_allowed` where the rule does not permit it.
pub fn plan(rule: &Who, actor: &Identity, command: &Push, now: Timestamp) -> Result<Plan, Refusal> {
    if !rule.permits(actor) {
        return Err(Refusal::with(Reason::NotAllowed, "No rule allows you to push."));
    }
    Ok(Plan {
        targets: targets(&command.to),
        expires_at: command.expires_in_ms.map(|ms| now.plus_ms(ms)),
    })
}

/// The system conversations in which a user with these roles belongs, besides that of their own;
/// at most `roles_max` of roles. What cannot be a name of a conversation has none.
#[must_use]
pub fn audiences(roles: &[Box<str>], roles_max: usize) -> Vec<ConversationId> {
    let mut names: Vec<RoleName> =
        roles.iter().filter_map(|role| RoleName::new(role).ok()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(roles_max);
    std::iter::once(ConversationId::all()).chain(names.iter().map(ConversationId::role)).collect()
}

#[cfg(test)]
mod tests;
