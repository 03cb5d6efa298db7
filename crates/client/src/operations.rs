//! Commands about messages, groups and people, each as a method.
//!
//! What they do comes back as an entry of the log, like everybody else's. Each is sent once: where
//! the connection is lost before the answer, it is an [`Error::Command`] with the reason
//! `disconnected`, and the caller decides. Deliberately absent: commands that nobody has needed yet;
//! [`Client::request`] sends those.

use serde_json::{Value, json};

use crate::client::{Client, Error, client_id};

/// What comes of a command.
type Outcome = Result<Value, Error>;

impl Client {
    /// Sends a command with a client id of its own.
    async fn write(&self, kind: &str, mut payload: Value) -> Outcome {
        payload["client_id"] = json!(client_id());
        self.request(kind, payload).await
    }

    /// Gives one's own message another content.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn edit(&self, conversation: &str, seq: u64, content: Value) -> Outcome {
        let payload = json!({ "conversation": conversation, "seq": seq, "content": content });
        self.write("edit", payload).await
    }

    /// Takes one's own message back.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn recall(&self, conversation: &str, seq: u64) -> Outcome {
        self.write("recall", json!({ "conversation": conversation, "seq": seq })).await
    }

    /// Deletes a message, for everybody or for oneself alone.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn delete(&self, conversation: &str, seq: u64, for_all: bool) -> Outcome {
        let whom = if for_all { "all" } else { "me" };
        self.write("delete", json!({ "conversation": conversation, "seq": seq, "for": whom })).await
    }

    /// Reacts to a message, or takes that back.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn react(&self, conversation: &str, seq: u64, emoji: &str, active: bool) -> Outcome {
        let payload = json!({
            "conversation": conversation, "seq": seq, "emoji": emoji, "active": active,
        });
        self.write("react", payload).await
    }

    /// Pins a message, or unpins it.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn pin(&self, conversation: &str, seq: u64, active: bool) -> Outcome {
        let payload = json!({ "conversation": conversation, "seq": seq, "active": active });
        self.write("pin", payload).await
    }

    /// Says that everything up to `seq` was read.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn read(&self, conversation: &str, seq: u64) -> Outcome {
        self.request("read", json!({ "conversation": conversation, "seq": seq })).await
    }

    /// The newest messages of a conversation as they are now, oldest first.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn history(&self, conversation: &str, limit: u32) -> Outcome {
        self.request("history", json!({ "conversation": conversation, "limit": limit })).await
    }

    /// What is between this user and another: `request`, `accept`, `reject`, `cancel`, `remove`,
    /// `block` and `unblock` change it.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn friend(&self, what: &str, user: &str) -> Outcome {
        self.request(&format!("friend_{what}"), json!({ "user": user })).await
    }
}
