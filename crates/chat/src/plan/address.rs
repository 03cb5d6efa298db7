//! Which conversation a user means, and who the other side is.

use hubbub_proto::command::Recipient;
use hubbub_proto::route::Topic;
use hubbub_proto::{ConversationId, ConversationName, Reason, Refusal, SystemName, UserId};
use smallvec::{SmallVec, smallvec};

/// A conversation as one of its possible members names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// Which log.
    pub conversation: ConversationId,
    /// The other side of a direct conversation (the user again for notes to oneself); `None` for a
    /// group and for what is pushed.
    pub peer: Option<UserId>,
}

impl Address {
    /// Reads `to` of a command of `user`.
    ///
    /// # Errors
    /// `not_a_member` for a direct conversation of others, and for what is pushed to others, whether
    /// it exists or not.
    pub fn of(user: &UserId, to: &Recipient) -> Result<Self, Refusal> {
        match to {
            Recipient::User(peer) => Ok(Self {
                conversation: ConversationId::direct(user, peer),
                peer: Some(peer.clone()),
            }),
            Recipient::Conversation(id) => Self::named(user, id),
        }
    }

    /// Reads a conversation id in a command of `user`.
    ///
    /// # Errors
    /// As [`Address::of`].
    pub fn named(user: &UserId, id: &ConversationId) -> Result<Self, Refusal> {
        let peer = match id.name() {
            ConversationName::System(SystemName::User(other)) if other != user.as_str() => {
                return Err(Reason::NotAMember.into());
            }
            ConversationName::Group(_) | ConversationName::System(_) => None,
            ConversationName::Direct(..) => Some(id.peer_of(user).ok_or(Reason::NotAMember)?),
        };
        Ok(Self { conversation: id.clone(), peer })
    }

    /// Refuses to write where only pushes are written.
    ///
    /// # Errors
    /// `not_allowed` for a system conversation.
    pub fn writable(&self) -> Result<(), Refusal> {
        if self.conversation.is_system() {
            let detail = "Nobody writes here; it holds what is pushed.";
            return Err(Refusal::with(Reason::NotAllowed, detail));
        }
        Ok(())
    }

    /// The topics on which everyone in it listens, `user` included.
    #[must_use]
    pub fn topics(&self, user: &UserId) -> SmallVec<[Topic; 2]> {
        match &self.peer {
            None => smallvec![Topic::Conversation(self.conversation.clone())],
            Some(peer) if peer == user => smallvec![Topic::User(user.clone())],
            Some(peer) => smallvec![Topic::User(user.clone()), Topic::User(peer.clone())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_table() {
        let alice = UserId::new("alice").unwrap();
        let check = |to: &str, expect: Result<(&str, Option<&str>), Reason>| {
            let to: Recipient = serde_json::from_str(&format!("{to:?}")).unwrap();
            let address = Address::of(&alice, &to);
            let found = address.as_ref().map_or_else(
                |refusal| Err(refusal.reason),
                |a| Ok((a.conversation.as_str(), a.peer.as_ref().map(UserId::as_str))),
            );
            assert_eq!(found, expect, "{to:?}");
        };
        check("user:bob", Ok(("direct:alice:bob", Some("bob"))));
        check("user:aaron", Ok(("direct:aaron:alice", Some("aaron"))));
        check("user:alice", Ok(("direct:alice:alice", Some("alice"))));
        check("direct:alice:bob", Ok(("direct:alice:bob", Some("bob"))));
        check("direct:bob:carol", Err(Reason::NotAMember));
        check("group:g", Ok(("group:g", None)));
        check("system:all", Ok(("system:all", None)));
        check("system:role:staff", Ok(("system:role:staff", None)));
        check("system:user:alice", Ok(("system:user:alice", None)));
        check("system:user:bob", Err(Reason::NotAMember));
    }

    #[test]
    fn a_note_to_oneself_has_one_topic() {
        let alice = UserId::new("alice").unwrap();
        let topics = |to: &str| {
            Address::named(&alice, &ConversationId::new(to).unwrap()).unwrap().topics(&alice).len()
        };
        assert_eq!(
            (topics("direct:alice:alice"), topics("direct:alice:bob"), topics("group:g")),
            (1, 2, 1)
        );
    }
}
