//! The one table of refusals: slug, code, and whether trying again can help.

use serde::{Serialize, Serializer};

use crate::Timestamp;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $slug:literal, $retry:literal, $message:literal;)*) => {
        /// Why a command was refused. `code` follows HTTP's meaning; the slug is stable.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason {
            $(#[doc = $message] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the table in `docs/protocol.md`.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The status, with HTTP's meaning (RFC 9110 §15).
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The stable name on the wire.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// Whether the same command may succeed later.
            #[must_use]
            pub const fn retry(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }

            /// A sentence for people, used where a refusal has none of its own.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

reasons! {
    BadJson = 400, "bad_json", false, "The message is not a JSON object of the expected form.";
    UnknownType = 400, "unknown_type", false, "There is no command of this type.";
    BadField = 400, "bad_field", false, "A field is missing or has the wrong type or value.";
    TooDeep = 400, "too_deep", false, "The content is nested too deeply.";
    Unauthorized = 401, "unauthorized", false, "Authenticate first.";
    BadToken = 401, "bad_token", false, "The token is not valid.";
    SignedOut = 401, "signed_out", false, "This device was signed out; a new token is needed.";
    TokenExpired = 401, "token_expired", false, "The token has expired.";
    OtherUser = 403, "other_user", false, "The token names another user.";
    NotAMember = 403, "not_a_member", false, "You are not a member of this conversation.";
    NotAllowed = 403, "not_allowed", false, "Your role does not allow this.";
    Banned = 403, "banned", false, "This user is banned from the group.";
    Muted = 403, "muted", false, "You may not write here at the moment.";
    LinkInvalid = 403, "link_invalid", false, "The link is not valid, or not any more.";
    Refused = 403, "refused", false, "The recipient does not accept this from you.";
    NotFound = 404, "not_found", false, "There is no such thing, or you may not see it.";
    ChannelUnknown = 404, "channel_unknown", false, "There is no such namespace of channels.";
    Conflict = 409, "conflict", false, "This client id was used for another command.";
    OutOfOrder = 409, "out_of_order", true, "The command named in `after` is not committed yet.";
    AlreadyMember = 409, "already_member", false, "This user is a member already.";
    LastOwner = 409, "last_owner", false, "The last owner hands over or dissolves the group first.";
    TooLate = 409, "too_late", false, "The time for this has passed.";
    Removed = 409, "removed", false, "The message was taken back or deleted.";
    Blocked = 409, "blocked", false, "You have blocked this user.";
    TooBig = 413, "too_big", false, "The message or its content is over the limit.";
    BadContent = 422, "bad_content", false, "The content is not what its kind asks for.";
    BadRange = 422, "bad_range", false, "The range is empty or outside the conversation.";
    TooManyGroups = 422, "too_many_groups", false, "A user would be in too many groups.";
    TooManyJoinRequests = 422, "too_many_join_requests", false, "Too many requests to join are waiting.";
    TooManyBans = 422, "too_many_bans", false, "Too many users are banned from the group.";
    TooManyLinks = 422, "too_many_links", false, "The group has too many links.";
    GroupFull = 422, "group_full", false, "The group has reached its size limit.";
    TooManyEdits = 422, "too_many_edits", false, "The message was edited too often.";
    TooManyPins = 422, "too_many_pins", false, "The conversation has too many pinned messages.";
    TooManyHidden = 422, "too_many_hidden", false, "Too many messages of this conversation are hidden one by one.";
    TooManyReactions = 422, "too_many_reactions", false, "The message has too many different reactions.";
    TooManyFriends = 422, "too_many_friends", false, "One of you would have too many friends.";
    TooManyRequests = 422, "too_many_requests", false, "Too many friend requests wait for an answer.";
    TooManyDevices = 422, "too_many_devices", false, "Too many devices are signed out already.";
    TooManyBlocks = 422, "too_many_blocks", false, "You would block too many users.";
    TooManySubscriptions = 422, "too_many_subscriptions", false, "The connection is subscribed to too many channels.";
    RateLimited = 429, "rate_limited", true, "Too many commands; slow down.";
    Internal = 500, "internal", true, "The server failed at this command.";
    Overloaded = 503, "overloaded", true, "The server is busy; try again.";
    TooManyChannels = 503, "too_many_channels", true, "The server keeps too many channels already.";
    StoreFailed = 503, "store_failed", true, "The store cannot write at the moment.";
    ShuttingDown = 503, "shutting_down", true, "The server is shutting down.";
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.slug())
    }
}

/// A refusal as the client sees it. The text never holds internals of the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Which row of the table.
    pub reason: Reason,
    /// A sentence that names what is wrong; `None` for the reason's own.
    pub detail: Option<Box<str>>,
    /// When trying again makes sense, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// When what keeps the user out ends by itself.
    pub until: Option<Timestamp>,
}

impl Refusal {
    /// A refusal that says what is wrong in particular, such as which field.
    #[must_use]
    pub fn with(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self { reason, detail: Some(detail.into()), retry_after_ms: None, until: None }
    }

    /// A refusal to be tried again after `ms` milliseconds.
    #[must_use]
    pub const fn later(reason: Reason, ms: u64) -> Self {
        Self { reason, detail: None, retry_after_ms: Some(ms), until: None }
    }

    /// A refusal that holds until then, or as long as nobody changes it.
    #[must_use]
    pub const fn until(reason: Reason, until: Option<Timestamp>) -> Self {
        Self { reason, detail: None, retry_after_ms: None, until }
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        self.detail.as_deref().unwrap_or_else(|| self.reason.message())
    }
}

/// The payload of `error`.
impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Failure<'a> {
            code: u16,
            reason: Reason,
            message: &'a str,
            retry: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_ms: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            until: Option<Timestamp>,
        }
        let failure = Failure {
            code: self.reason.code(),
            reason: self.reason,
            message: self.message(),
            retry: self.reason.retry(),
            retry_after_ms: self.retry_after_ms,
            until: self.until,
        };
        failure.serialize(s)
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, detail: None, retry_after_ms: None, until: None }
    }
}
