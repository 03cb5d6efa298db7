//! Whatever is done to them, both stores answer alike.

use std::fmt::Debug;
use std::sync::Arc;

use hubbub_chat::model::{
    ConversationKey, Counting, JoinRequest, NewEntry, Profile, Rev, Until, UserKey,
};
use hubbub_chat::ports::{
    Conversations, Groups, Messages, Order, Range, Reader, Result, Store, StoreError, Users, Writer,
};
use hubbub_proto::command::{JoinPolicy, Kind, Role};
use hubbub_proto::event::ConversationKind;
use hubbub_proto::{ClientId, ConversationId, Timestamp, UserId};
use hubbub_store::{MemoryStore, SqliteOptions, SqliteStore};
use proptest::prelude::*;
use serde_json::value::RawValue;

const USERS: [&str; 3] = ["alice", "bob", "Carol"];
const CONVERSATIONS: [&str; 3] = ["group:one", "group:two", "direct:alice:bob"];
const CLIENT_IDS: [&str; 5] = [
    "a",
    "b",
    "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
    "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c",
    "0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B",
];
const KINDS: [&str; 4] = ["text", "custom:x", "member_joined", "image"];

/// A step; numbers name users, conversations and so on by their place in the lists above.
#[derive(Clone, Debug)]
enum Step {
    Commit,
    Rollback,
    DropWriter,
    BeginRead,
    EndRead,
    PutUser(usize, Option<String>),
    Create(usize),
    SetHead(usize, u64),
    SetProfile(usize, Option<String>, bool),
    Dissolve(usize),
    OpenStay(usize, usize, u8, u64),
    CloseStay(usize, usize, u64),
    SetRole(usize, usize, u8),
    Advance(usize, usize, u64, u64),
    Ban(usize, usize, u64),
    Unban(usize, usize),
    Ask(usize, usize, Option<String>),
    Answer(usize, usize),
    CloseDoors(usize),
    Silence(usize, Option<usize>, Option<u64>),
    Append { conversation: usize, sender: usize, client_id: usize, kind: usize, seq_step: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let name = || proptest::option::of("[a-c]{0,2}");
    let (c, u) = (0..CONVERSATIONS.len(), 0..USERS.len());
    prop_oneof![
        4 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::DropWriter),
        1 => Just(Step::BeginRead),
        1 => Just(Step::EndRead),
        1 => (u.clone(), name()).prop_map(|(u, name)| Step::PutUser(u, name)),
        1 => c.clone().prop_map(Step::Create),
        2 => (c.clone(), 0..9u64).prop_map(|(c, head)| Step::SetHead(c, head)),
        1 => (c.clone(), name(), any::<bool>())
            .prop_map(|(c, name, open)| Step::SetProfile(c, name, open)),
        1 => c.clone().prop_map(Step::Dissolve),
        6 => (c.clone(), u.clone(), 0..3u8, 1..9u64)
            .prop_map(|(c, u, role, seq)| Step::OpenStay(c, u, role, seq)),
        4 => (c.clone(), u.clone(), 1..9u64).prop_map(|(c, u, seq)| Step::CloseStay(c, u, seq)),
        2 => (c.clone(), u.clone(), 0..3u8).prop_map(|(c, u, role)| Step::SetRole(c, u, role)),
        4 => (c.clone(), u.clone(), 0..9u64, 0..9u64)
            .prop_map(|(c, u, received, read)| Step::Advance(c, u, received, read)),
        2 => (c.clone(), u.clone(), 0..99u64).prop_map(|(c, u, ms)| Step::Ban(c, u, ms)),
        1 => (c.clone(), u.clone()).prop_map(|(c, u)| Step::Unban(c, u)),
        2 => (c.clone(), u.clone(), name()).prop_map(|(c, u, note)| Step::Ask(c, u, note)),
        1 => (c.clone(), u.clone()).prop_map(|(c, u)| Step::Answer(c, u)),
        1 => c.clone().prop_map(Step::CloseDoors),
        2 => (c.clone(), proptest::option::of(u.clone()), proptest::option::of(0..99u64))
            .prop_map(|(c, u, until)| Step::Silence(c, u, until)),
        9 => (c, u, 0..CLIENT_IDS.len(), 0..KINDS.len(), 0..3u64).prop_map(
            |(conversation, sender, client_id, kind, seq_step)| Step::Append {
                conversation,
                sender,
                client_id,
                kind,
                seq_step,
            }
        ),
    ]
}

fn user_id(index: usize) -> UserId {
    UserId::new(USERS[index]).unwrap()
}

fn conversation_id(index: usize) -> ConversationId {
    ConversationId::new(CONVERSATIONS[index]).unwrap()
}

fn client_id(index: usize) -> ClientId {
    ClientId::new(CLIENT_IDS[index]).unwrap()
}

fn role(code: u8) -> Role {
    [Role::Member, Role::Admin, Role::Owner][usize::from(code)]
}

/// A result as text: what is in it, or the name of the error.
fn told<T: Debug>(result: Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::Row(_)) => "refused".to_owned(),
        Err(error) => format!("failed: {error}"),
    }
}

/// One store with its handles.
struct Subject {
    store: Box<dyn Store>,
    writer: Option<Box<dyn Writer>>,
    reader: Box<dyn Reader>,
    rev: u64,
    seqs: [u64; CONVERSATIONS.len()],
}

impl Subject {
    fn new(store: Box<dyn Store>) -> Self {
        let reader = store.reader().unwrap();
        let mut subject =
            Self { store, writer: None, reader, rev: 0, seqs: [0; CONVERSATIONS.len()] };
        subject.take_writer();
        for index in 0..USERS.len() {
            subject.take(&Step::PutUser(index, None));
        }
        for index in 0..CONVERSATIONS.len() {
            subject.take(&Step::Create(index));
        }
        subject.take(&Step::Commit);
        subject
    }

    fn take_writer(&mut self) {
        self.writer = None;
        let mut writer = self.store.writer().unwrap();
        writer.begin().unwrap();
        self.writer = Some(writer);
    }

    /// Does it, and says what came of it.
    fn take(&mut self, step: &Step) -> String {
        self.rev += 1;
        let rev = Rev(self.rev);
        let now = Timestamp(1_000 + self.rev);
        if matches!(step, Step::DropWriter) {
            self.take_writer();
            return String::new();
        }
        let writer = self.writer.as_mut().unwrap();
        let conversation = |index: &usize| ConversationKey(*index as i64 + 1);
        let user = |index: &usize| UserKey(*index as i64 + 1);
        match step {
            Step::DropWriter => String::new(),
            Step::Commit => {
                let done = told(writer.commit(rev));
                writer.begin().unwrap();
                done
            }
            Step::Rollback => {
                let done = told(writer.rollback());
                writer.begin().unwrap();
                done
            }
            Step::BeginRead => told(self.reader.begin_read()),
            Step::EndRead => told(self.reader.end_read()),
            Step::PutUser(u, name) => told(writer.put_user(&user_id(*u), name.as_deref(), now)),
            Step::Create(c) => {
                let id = conversation_id(*c);
                let kind = if id.as_str().starts_with("group") {
                    ConversationKind::Group
                } else {
                    ConversationKind::Direct
                };
                told(writer.create_conversation(&id, kind, &Profile::default(), now))
            }
            Step::SetHead(c, head) => told(writer.set_head(conversation(c), *head, rev)),
            Step::SetProfile(c, name, open) => {
                let join = if *open { JoinPolicy::Open } else { JoinPolicy::Invite };
                let announcement = name.clone().filter(|_| *open).map(Into::into);
                let name = name.as_deref().map(Into::into);
                told(writer.set_profile(
                    conversation(c),
                    &Profile { name, join, announcement, retention_ms: open.then_some(7) },
                ))
            }
            Step::Dissolve(c) => told(writer.dissolve(conversation(c))),
            Step::OpenStay(c, u, code, seq) => {
                told(writer.open_stay(conversation(c), user(u), role(*code), *seq, rev))
            }
            Step::CloseStay(c, u, seq) => {
                told(writer.close_stay(conversation(c), user(u), *seq, rev))
            }
            Step::SetRole(c, u, code) => {
                told(writer.set_role(conversation(c), user(u), role(*code), rev))
            }
            Step::Advance(c, u, received, read) => {
                told(writer.advance_cursors(conversation(c), user(u), *received, *read, rev))
            }
            Step::Ban(c, u, ms) => {
                let until = Until::new(Some(now.plus_ms(*ms)));
                told(writer.put_ban(conversation(c), user(u), user(&0), now, until))
            }
            Step::Unban(c, u) => told(writer.remove_ban(conversation(c), user(u))),
            Step::Ask(c, u, note) => {
                let request = JoinRequest { note: note.as_deref().map(Into::into), at: now };
                told(writer.put_join_request(conversation(c), user(u), &request))
            }
            Step::Answer(c, u) => told(writer.remove_join_request(conversation(c), user(u))),
            Step::CloseDoors(c) => told(writer.close_doors(conversation(c))),
            Step::Silence(c, u, until) => {
                let until = until.map(|until| Until::new(Some(Timestamp(until))));
                match u {
                    Some(u) => told(writer.silence(conversation(c), user(u), until, rev)),
                    None => told(writer.silence_all(conversation(c), until)),
                }
            }
            Step::Append { conversation: c, sender, client_id: id, kind, seq_step } => {
                // A step of 0 repeats a seq, one of 2 leaves a hole.
                self.seqs[*c] = (self.seqs[*c] + seq_step).max(1);
                told(writer.append(&NewEntry {
                    rev,
                    conversation: conversation(c),
                    seq: self.seqs[*c],
                    sender: user(sender),
                    client_id: &client_id(*id),
                    at: now,
                    kind: &Kind::parse(KINDS[*kind]).unwrap(),
                    content: &Arc::from(RawValue::from_string(format!("[{seq_step}]")).unwrap()),
                    head: None,
                    digest: u64::MAX - self.rev,
                }))
            }
        }
    }

    /// Everything that can be asked, through both handles.
    fn survey(&mut self) -> Vec<String> {
        let writer = self.writer.as_mut().unwrap();
        let mut answers = vec![told(writer.committed_rev()), told(self.reader.rev())];
        survey(writer.as_mut(), self.rev, &mut answers);
        survey(self.reader.as_mut(), self.rev, &mut answers);
        answers
    }
}

fn survey<H>(handle: &mut H, rev: u64, answers: &mut Vec<String>)
where
    H: Users + Conversations + Messages + Groups + ?Sized,
{
    let middle = Rev(rev / 2);
    for (index, conversation) in
        (0..CONVERSATIONS.len()).map(|i| (i, ConversationKey(i as i64 + 1)))
    {
        answers.push(told(handle.conversation(&conversation_id(index))));
        answers.push(told(handle.members(conversation, None, 2)));
        answers.push(told(handle.members(conversation, Some(&user_id(0)), 9)));
        answers.push(told(handle.member_count(conversation)));
        answers.push(told(handle.owner_count(conversation)));
        answers.push(told(handle.managers(conversation, 2)));
        for now in [0, 1_000 + rev / 2, 1_000 + rev].map(Timestamp) {
            answers.push(told(handle.ban_count(conversation, now)));
            answers.push(told(handle.bans(conversation, now, None, 2)));
        }
        answers.push(told(handle.bans(conversation, Timestamp(0), Some(&user_id(0)), 9)));
        answers.push(told(handle.join_request_count(conversation)));
        answers.push(told(handle.join_requests(conversation, None, 2)));
        answers.push(told(handle.join_requests(conversation, Some(&user_id(0)), 9)));
        for order in [Order::Ascending, Order::Descending] {
            for (limit, bytes) in [(100, usize::MAX), (3, usize::MAX), (100, 6)] {
                let range = Range { from: 2, to: 9, order, limit, bytes };
                answers.push(told(handle.entries(conversation, range)));
            }
        }
        for at in [0, 1_000 + rev / 3, 1_000 + rev / 2, 1_000 + rev] {
            answers.push(told(handle.first_seq_at(conversation, Timestamp(at))));
        }
        for user in (0..USERS.len()).map(|i| UserKey(i as i64 + 1)) {
            answers.push(told(handle.membership(conversation, user)));
            answers.push(told(handle.ban(conversation, user)));
            answers.push(told(handle.join_request(conversation, user)));
            let id = UserId::new("alice").unwrap();
            let reader = Counting { user, id: &id, now: Timestamp(0), hidden: &[3] };
            answers.push(told(handle.unread(conversation, reader, 2, 7)));
        }
    }
    for (index, user) in (0..USERS.len()).map(|i| (i, UserKey(i as i64 + 1))) {
        answers.push(told(handle.user(&user_id(index))));
        answers.push(told(handle.open_groups(user)));
        answers.push(told(handle.own_join_request_count(user)));
        answers.push(told(handle.changed(user, Rev(0), 2)));
        answers.push(told(handle.changed(user, middle, 9)));
        answers.push(told(handle.recent(user, None, 9)));
        answers.push(told(handle.recent(user, Some(middle), 1)));
        for id in 0..CLIENT_IDS.len() {
            answers.push(told(handle.recorded(user, &client_id(id))));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_stores_answer_alike(steps in proptest::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(dir.path(), SqliteOptions::default()).unwrap();
        let mut sqlite = Subject::new(Box::new(sqlite));
        let mut memory = Subject::new(Box::new(MemoryStore::new()));
        for step in &steps {
            prop_assert_eq!(sqlite.take(step), memory.take(step), "{:?}", step);
            prop_assert_eq!(sqlite.survey(), memory.survey(), "after {:?}", step);
        }
    }
}
