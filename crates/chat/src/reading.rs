//! Answers that only read, each out of one snapshot of the store.
//!
//! Invariant: nobody learns of a conversation in which they never were, not even that it exists;
//! every answer is bounded in entries and bytes. The snapshot is newer than the commit of whatever
//! the connection wrote before, because the writer hands reads on after it.

mod conversations;
mod doors;
mod friends;
mod history;
mod log;
mod members;
mod operations;
mod page;
mod people;
mod pull;
mod receipts;
mod redeliver;
mod sync;
pub mod window;

use hubbub_proto::event::{ConversationKind, PublicUser};
use hubbub_proto::route::Work;
use hubbub_proto::{
    Ack, Command, ConversationId, Effect, Identity, Reason, Refusal, Request, Timestamp, UserId,
};

use self::log::Sight;
use crate::ChatConfig;
use crate::model::{Conversation, Membership, UserKey};
use crate::plan::address::Address;
use crate::ports::{Reader, Result};
use crate::stop::{Outcome, Stop};
use crate::visibility::Visibility;

/// When a read that the store failed makes sense again, in milliseconds.
const STORE_RETRY_MS: u64 = 1_000;

/// What an answer is made from.
struct Desk<'a> {
    reader: &'a mut dyn Reader,
    config: &'a ChatConfig,
    epoch: &'a str,
    now: Timestamp,
    user: &'a UserId,
    /// What the token says.
    identity: &'a Identity,
    /// The user as the store knows them; `None` for one who never wrote, synced or was written to.
    key: Option<UserKey>,
}

/// A conversation in which the user is or was.
struct Place {
    conversation: Conversation,
    membership: Membership,
}

impl Place {
    /// Whether nothing was ever pushed that the user may see: then they need not hear of it.
    fn shows_nothing(&self) -> bool {
        // What they cleared away was there all the same, and their other devices are to hear of it.
        let view = Visibility::new(&self.membership.stays, self.conversation.head_seq, 0);
        self.conversation.kind == ConversationKind::System && view.head() < view.first()
    }
}

/// Answers one request that [`crate::Scribe::execute`] handed on.
///
/// `epoch` is the store's. The effects are the reply, or what is pushed again; a store that fails
/// becomes a `store_failed`.
pub fn answer(
    reader: &mut dyn Reader,
    config: &ChatConfig,
    epoch: &str,
    request: &Request,
    now: Timestamp,
) -> Vec<Effect> {
    let outcome = in_snapshot(reader, |reader| {
        let user = &request.identity.user;
        let key = reader.user(user)?.map(|user| user.key);
        let identity = &*request.identity;
        let mut desk = Desk { reader, config, epoch, now, user, identity, key };
        match &request.work {
            Work::Command { command, .. } => desk.command(command).map(Answer::Ack),
            Work::Redeliver { conversation, after, attempt } => {
                desk.redeliver(request.conn, conversation, *after, *attempt).map(Answer::Effects)
            }
            Work::Opened | Work::Renewed | Work::Closed => Ok(Answer::Effects(Vec::new())),
        }
    });
    let refusal = match outcome {
        Ok(Answer::Ack(ack)) => return reply(request, Ok(ack)),
        Ok(Answer::Effects(effects)) => return effects,
        Err(Stop::Refused(refusal)) => refusal,
        Err(Stop::Store(error)) => {
            tracing::error!(%error, "a read failed");
            Refusal::later(Reason::StoreFailed, STORE_RETRY_MS)
        }
    };
    reply(request, Err(refusal))
}

enum Answer {
    Ack(Ack),
    Effects(Vec<Effect>),
}

/// The reply to a command; nothing for what is no command.
pub(crate) fn reply(request: &Request, outcome: std::result::Result<Ack, Refusal>) -> Vec<Effect> {
    match &request.work {
        Work::Command { id, .. } => {
            vec![Effect::Reply {
                conn: request.conn,
                id: id.clone(),
                read_at: request.read_at,
                outcome,
            }]
        }
        Work::Redeliver { .. } | Work::Opened | Work::Renewed | Work::Closed => Vec::new(),
    }
}

fn in_snapshot<T>(
    reader: &mut dyn Reader,
    run: impl FnOnce(&mut dyn Reader) -> Outcome<T>,
) -> Outcome<T> {
    reader.begin_read()?;
    let outcome = run(reader);
    reader.end_read()?;
    outcome
}

impl Desk<'_> {
    fn command(&mut self, command: &Command) -> Outcome<Ack> {
        match command {
            Command::History(history) => self.history(history).map(Ack::History),
            Command::Pull(pull) => self.pull(pull).map(Ack::Pull),
            Command::Sync(sync) => self.sync(sync).map(Ack::Sync),
            Command::Conversations(list) => self.conversations(list).map(Ack::Conversations),
            Command::GroupMembers(page) => self.members(page).map(Ack::Members),
            Command::GroupRequests(page) => self.join_requests(page).map(Ack::JoinRequests),
            Command::GroupBans(page) => self.bans(page).map(Ack::Bans),
            Command::GroupLinks(list) => self.links(list).map(Ack::Links),
            Command::Receipts(receipts) => self.receipts(receipts).map(Ack::Receipts),
            Command::Edits(of) => self.edits(of).map(Ack::Edits),
            Command::Reactions(page) => self.reactions(page).map(Ack::Reactions),
            Command::Me => Ok(Ack::Me(Box::new(self.me()?))),
            Command::Users(list) => Ok(Ack::Users(self.users(list)?)),
            Command::Devices => Ok(Ack::Devices(self.devices()?)),
            Command::Friends(list) => self.friends(list).map(Ack::Relations),
            Command::Pins(of) => self.pins(of).map(Ack::Pins),
            _ => Err(Reason::UnknownType.into()),
        }
    }

    /// The user's place in a conversation; `None` for a direct conversation with them that nobody
    /// has begun.
    fn place(&mut self, id: &ConversationId) -> Outcome<Option<Place>> {
        let address = Address::named(self.user, id)?;
        match self.find(id)? {
            Some(place) => Ok(Some(place)),
            None if address.peer.is_some() => Ok(None),
            None => Err(Reason::NotAMember.into()),
        }
    }

    fn find(&mut self, id: &ConversationId) -> Result<Option<Place>> {
        let Some(key) = self.key else { return Ok(None) };
        let Some(conversation) = self.reader.conversation(id)? else { return Ok(None) };
        let membership = self.reader.membership(conversation.key, key)?;
        Ok(membership.map(|membership| Place { conversation, membership }))
    }

    /// What a member sees of a range.
    fn sight<'v>(
        &mut self,
        conversation: &Conversation,
        membership: &'v Membership,
        range: (u64, u64),
    ) -> Result<Sight<'v>> {
        // What is done to an entry may stand far behind it.
        let range = (1, range.1);
        let most = self.config.hidden_max;
        let hidden = match self.key {
            Some(key) => self.reader.hidden(conversation.key, key, range, most)?,
            None => Vec::new(),
        };
        let view = Visibility::of(conversation, membership);
        Ok(Sight { view, hidden, now: self.now })
    }

    fn public(&mut self, id: &UserId) -> Result<PublicUser> {
        let name = self.reader.user(id)?.and_then(|user| user.name);
        Ok(PublicUser { id: id.clone(), name })
    }
}
