//! Who may enter a group, and who may only read in it.

use hubbub_chat::model::{Ban, ConversationKey, JoinRequest, Link, Rev, Until, User, UserKey};
use hubbub_chat::ports::{Groups, Result, WriteGroups, Writer};
use hubbub_proto::{Timestamp, UserId};

use super::Spy;
use crate::sabotage::Sabotage;

impl<T: Groups + ?Sized> Groups for Spy<T> {
    fn ban(&mut self, conversation: ConversationKey, user: UserKey) -> Result<Option<Ban>> {
        if self.is(Sabotage::ForgetBans) {
            return Ok(None);
        }
        self.inner.ban(conversation, user)
    }

    fn bans(
        &mut self,
        conversation: ConversationKey,
        now: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, Ban)>> {
        self.inner.bans(conversation, now, after, limit)
    }

    fn ban_count(&mut self, conversation: ConversationKey, now: Timestamp) -> Result<u64> {
        self.inner.ban_count(conversation, now)
    }

    fn join_request(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
    ) -> Result<Option<JoinRequest>> {
        self.inner.join_request(conversation, user)
    }

    fn join_requests(
        &mut self,
        conversation: ConversationKey,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<(User, JoinRequest)>> {
        self.inner.join_requests(conversation, after, limit)
    }

    fn join_request_count(&mut self, conversation: ConversationKey) -> Result<u64> {
        self.inner.join_request_count(conversation)
    }

    fn own_join_request_count(&mut self, user: UserKey) -> Result<u64> {
        self.inner.own_join_request_count(user)
    }

    fn links(&mut self, conversation: ConversationKey) -> Result<Vec<Link>> {
        self.inner.links(conversation)
    }

    fn managers(&mut self, conversation: ConversationKey, limit: u32) -> Result<Vec<UserId>> {
        self.inner.managers(conversation, limit)
    }
}

impl WriteGroups for Spy<dyn Writer> {
    fn put_ban(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        by: UserKey,
        at: Timestamp,
        until: Until,
    ) -> Result<()> {
        self.inner.put_ban(conversation, user, by, at, until)
    }

    fn remove_ban(&mut self, conversation: ConversationKey, user: UserKey) -> Result<()> {
        self.inner.remove_ban(conversation, user)
    }

    fn put_join_request(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        request: &JoinRequest,
    ) -> Result<()> {
        self.store.journal().note_request(conversation, user);
        self.inner.put_join_request(conversation, user, request)
    }

    fn remove_join_request(&mut self, conversation: ConversationKey, user: UserKey) -> Result<()> {
        self.inner.remove_join_request(conversation, user)
    }

    fn put_link(&mut self, conversation: ConversationKey, by: UserKey, link: &Link) -> Result<()> {
        self.inner.put_link(conversation, by, link)
    }

    fn use_link(&mut self, conversation: ConversationKey, digest: &[u8; 32]) -> Result<()> {
        self.inner.use_link(conversation, digest)
    }

    fn remove_link(&mut self, conversation: ConversationKey, digest: &[u8; 32]) -> Result<()> {
        self.inner.remove_link(conversation, digest)
    }

    fn close_doors(&mut self, conversation: ConversationKey) -> Result<()> {
        self.inner.close_doors(conversation)
    }

    fn silence(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        until: Option<Until>,
        rev: Rev,
    ) -> Result<()> {
        self.inner.silence(conversation, user, until, rev)
    }

    fn silence_all(&mut self, conversation: ConversationKey, until: Option<Until>) -> Result<()> {
        self.inner.silence_all(conversation, until)
    }
}
