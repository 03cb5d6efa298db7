//! A writer at work: counts revs and makes what most cases begin with.

use std::sync::Arc;

use hubbub_chat::model::{ConversationKey, Counting, NewEntry, Profile, Rev, UserKey};
use hubbub_chat::ports::{Appended, Result, Store, Writer};
use hubbub_proto::command::{Content, Kind, Role};
use hubbub_proto::event::{ConversationKind, Head};
use hubbub_proto::{ClientId, ConversationId, Timestamp, UserId};
use serde_json::value::RawValue;

pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(super) struct Desk {
    pub(super) writer: Box<dyn Writer>,
    rev: u64,
}

impl Desk {
    /// Takes the writer and begins a transaction.
    pub(super) fn begin(store: &dyn Store) -> Self {
        let mut writer = store.writer().unwrap();
        let rev = writer.committed_rev().unwrap().0;
        writer.begin().unwrap();
        Self { writer, rev }
    }

    /// The next rev.
    pub(super) fn next(&mut self) -> Rev {
        self.rev += 1;
        Rev(self.rev)
    }

    /// Commits, and begins the next transaction.
    pub(super) fn commit(&mut self) {
        self.writer.commit(Rev(self.rev)).unwrap();
        self.writer.begin().unwrap();
    }

    pub(super) fn user(&mut self, id: &str) -> UserKey {
        self.writer.put_user(&user_id(id), None, NOW).unwrap().key
    }

    pub(super) fn group(&mut self, id: &str) -> ConversationKey {
        let profile = Profile { name: Some(id.into()), ..Profile::default() };
        let id = conversation_id(&format!("group:{id}"));
        self.writer.create_conversation(&id, ConversationKind::Group, &profile, NOW).unwrap().key
    }

    /// Opens a stay with a rev of its own.
    pub(super) fn join(&mut self, conversation: ConversationKey, user: UserKey, seq: u64) -> Rev {
        let rev = self.next();
        self.writer.open_stay(conversation, user, Role::Member, seq, rev).unwrap();
        rev
    }

    /// Closes a stay with a rev of its own.
    pub(super) fn leave(&mut self, conversation: ConversationKey, user: UserKey, seq: u64) -> Rev {
        let rev = self.next();
        self.writer.close_stay(conversation, user, seq, rev).unwrap();
        rev
    }

    /// Appends an entry and moves the head; the seq is `draft`'s.
    pub(super) fn say(&mut self, draft: &Draft) -> Rev {
        assert_eq!(self.append(draft).unwrap(), Appended::New);
        let rev = Rev(self.rev);
        self.writer.set_head(draft.conversation, draft.seq, rev).unwrap();
        rev
    }

    /// How much is unread for one whom nobody mentions and who hid nothing.
    pub(super) fn unread(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        from: u64,
        to: u64,
    ) -> u32 {
        let id = user_id("unmentioned");
        let reader = Counting { user, id: &id, now: NOW, hidden: &[] };
        self.writer.unread(conversation, reader, from, to).unwrap().count
    }

    /// Appends an entry with a rev of its own.
    pub(super) fn append(&mut self, draft: &Draft) -> Result<Appended> {
        let rev = self.next();
        self.append_at(draft, rev)
    }

    pub(super) fn append_at(&mut self, draft: &Draft, rev: Rev) -> Result<Appended> {
        self.writer.append(&NewEntry {
            rev,
            conversation: draft.conversation,
            seq: draft.seq,
            sender: draft.sender,
            client_id: &draft.client_id,
            at: draft.at,
            kind: &draft.kind,
            content: &draft.content,
            head: draft.head.as_ref(),
            digest: draft.digest,
        })
    }
}

/// An entry to be written.
pub(super) struct Draft {
    pub(super) conversation: ConversationKey,
    pub(super) seq: u64,
    pub(super) sender: UserKey,
    pub(super) client_id: ClientId,
    pub(super) at: Timestamp,
    pub(super) kind: Kind,
    pub(super) content: Content,
    pub(super) head: Option<Head>,
    pub(super) digest: u64,
}

/// A text whose client id is unique to conversation and seq, written `seq` ms after [`NOW`].
pub(super) fn draft(conversation: ConversationKey, seq: u64, sender: UserKey) -> Draft {
    Draft {
        conversation,
        seq,
        sender,
        client_id: client_id(&format!("c{}-{seq}", conversation.0)),
        at: NOW.plus_ms(seq),
        kind: Kind::Text,
        content: content(&format!("\"{seq}\"")),
        head: None,
        digest: seq,
    }
}

pub(super) fn user_id(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub(super) fn conversation_id(id: &str) -> ConversationId {
    ConversationId::new(id).unwrap()
}

pub(super) fn client_id(id: &str) -> ClientId {
    ClientId::new(id).unwrap()
}

pub(super) fn content(json: &str) -> Content {
    Arc::from(RawValue::from_string(json.to_owned()).unwrap())
}
