//! What is sent along with a message, as stores keep it beside the content: JSON of what no store
//! has to look for. Deliberately absent: what has a column of its own.

use hubbub_proto::UserId;
use hubbub_proto::event::{Forwarded, Head};
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct StoredHead {
    /// As in [`Head`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// As in [`Head`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mention_all: bool,
    /// As in [`Head`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
}

impl StoredHead {
    /// JSON text; `None` where there is nothing to be kept.
    ///
    /// # Errors
    /// None that is known: all of it is JSON.
    pub fn json(head: &Head) -> Result<Option<String>, serde_json::Error> {
        if head.mentions.is_empty() && !head.mention_all && head.forwarded.is_none() {
            return Ok(None);
        }
        let stored = Self {
            mentions: head.mentions.clone(),
            mention_all: head.mention_all,
            forwarded: head.forwarded.clone(),
        };
        serde_json::to_string(&stored).map(Some)
    }

    /// Reads what [`StoredHead::json`] wrote.
    ///
    /// # Errors
    /// Where it did not.
    pub fn read(json: Option<&str>) -> Result<Self, serde_json::Error> {
        json.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }

    /// Whether a message with this head mentions `user`.
    #[must_use]
    pub fn mentions(&self, user: &UserId) -> bool {
        self.mention_all || self.mentions.contains(user)
    }
}
