//! Who sees that somebody is typing (P8).

use hubbub_proto::route::Topic;
use hubbub_proto::{Reason, Refusal, Timestamp};

use super::address::Address;
use super::{silenced, standing};
use crate::model::{Conversation, Membership};

/// Where the event goes; `None` where nobody is there to see it yet.
///
/// # Errors
/// `not_allowed` where only pushes are written, `not_a_member` for a group in which the user is not, or which is not there.
pub fn plan(
    address: &Address,
    conversation: Option<&Conversation>,
    membership: Option<&Membership>,
    now: Timestamp,
) -> Result<Option<Topic>, Refusal> {
    address.writable()?;
    match (&address.peer, conversation) {
        (Some(_), None) => Ok(None),
        (Some(peer), Some(_)) => Ok(Some(Topic::User(peer.clone()))),
        (None, Some(conversation)) => {
            standing(conversation, membership).ok_or(Reason::NotAMember)?;
            silenced(conversation, membership, now)?;
            Ok(Some(Topic::Conversation(address.conversation.clone())))
        }
        (None, None) => Err(Reason::NotAMember.into()),
    }
}

#[cfg(test)]
mod tests {
    use hubbub_proto::{ConversationId, UserId};

    use super::*;
    use crate::plan::group::tests::{group, member_with};

    #[test]
    fn audiences_table() {
        let alice = UserId::new("alice").unwrap();
        let live = group(3, false);
        let over = group(3, true);
        let open = member_with(None);
        let left = member_with(Some(2));
        let check = |to, conversation, membership, expect: Result<Option<&str>, Reason>| {
            let address = Address::named(&alice, &ConversationId::new(to).unwrap()).unwrap();
            let found =
                plan(&address, conversation, membership, Timestamp(0)).map_err(|r| r.reason);
            let found = found.map(|topic| {
                topic.map(|topic| match topic {
                    Topic::User(user) => user.to_string(),
                    Topic::Conversation(id) => id.to_string(),
                    other => format!("{other:?}"),
                })
            });
            assert_eq!(found, expect.map(|topic| topic.map(str::to_owned)), "{to}");
        };
        check("direct:alice:bob", None, None, Ok(None));
        check("direct:alice:bob", Some(&live), None, Ok(Some("bob")));
        check("group:g", Some(&live), Some(&open), Ok(Some("group:g")));
        check("group:g", Some(&live), Some(&left), Err(Reason::NotAMember));
        check("group:g", Some(&over), Some(&open), Err(Reason::NotAMember));
        check("group:g", None, None, Err(Reason::NotAMember));
        check("system:all", Some(&live), Some(&open), Err(Reason::NotAllowed));
    }
}
