//! Carries out what was planned for a group: the entry, and what it changes.

use hubbub_proto::event::JoinRequestState;
use hubbub_proto::route::Topic;
use hubbub_proto::{Ack, ConversationId, Effect, Reason, Refusal};
use smallvec::smallvec;

use super::{Call, group_of};
use crate::model::Rev;
use crate::plan::group::{Change, Plan};
use crate::ports::{Result, StoreError};
use crate::stop::Outcome;
use crate::writer::transaction::{Draft, Transaction, written};

impl Transaction<'_> {
    /// Writes the entry and its changes. Who enters gets the topic before the entry goes out, who
    /// exits loses it after, so that both see the entry and nothing else that is not theirs.
    pub(super) fn carry_out(
        &mut self,
        call: &Call<'_>,
        conversation: &ConversationId,
        plan: &Plan,
    ) -> Outcome<Ack> {
        let sender = self.caller_key(call.caller.identity)?;
        let Some(slot) = self.cache.slot(self.store, conversation)? else {
            return Err(Reason::NotFound.into());
        };
        let (key, seq, at) = (slot.row.key, slot.row.head_seq + 1, self.now.max(slot.last_at));
        let rev = self.next_rev();
        let draft = Draft {
            conversation,
            sender,
            client_id: call.client_id,
            seq,
            at,
            kind: &plan.kind,
            content: &plan.content,
            head: None,
            digest: call.digest,
        };
        if let Err(recorded) = self.append(key, rev, &draft)? {
            // Looked for above, in this very transaction.
            return Err(StoreError::Row(format!(
                "client id {} appeared at {}",
                draft.client_id, recorded.rev.0
            ))
            .into());
        }
        let topic = || Topic::Conversation(conversation.clone());
        let mut exits = Vec::new();
        for change in &plan.changes {
            self.apply(call, conversation, change, (seq, rev))?;
            match change {
                Change::Enter(user, _) => {
                    self.effects.push(Effect::Join { user: user.clone(), topic: topic() });
                }
                Change::Exit(user) => {
                    exits.push(Effect::Leave { user: user.clone(), topic: topic() });
                }
                _ => {}
            }
        }
        self.publish(call.caller, smallvec![topic()], rev, &draft);
        self.effects.append(&mut exits);
        if plan.changes.contains(&Change::Dissolve) {
            self.effects.push(Effect::End { topic: topic() });
        }
        Ok(written(group_of(conversation), rev, &draft))
    }

    /// Nobody enters more groups than their connections may have subscriptions for, nor one group
    /// more often than a membership has stays (P9).
    pub(super) fn check_room(
        &mut self,
        conversation: Option<&ConversationId>,
        plan: &Plan,
    ) -> Outcome<()> {
        let groups_max = u64::from(self.config.groups_per_user_max);
        let stays_max = self.config.stays_max as usize;
        for change in &plan.changes {
            let Change::Enter(user, _) = change else { continue };
            let Some(key) = self.cache.key(self.store, user)? else { continue };
            if self.store.open_group_count(key)? >= groups_max {
                return Err(Reason::TooManyGroups.into());
            }
            let Some(conversation) = conversation else { continue };
            let place = self.cache.place(self.store, conversation, Some(key))?;
            let stays = place.and_then(|(_, membership)| membership).map_or(0, |m| m.stays.len());
            if stays >= stays_max {
                let detail = "A user has come and gone too often.";
                return Err(Refusal::with(Reason::NotAllowed, detail).into());
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        call: &Call<'_>,
        conversation: &ConversationId,
        change: &Change,
        (seq, rev): (u64, Rev),
    ) -> Result<()> {
        let Some(slot) = self.cache.slot(self.store, conversation)? else { return Ok(()) };
        let (key, kept_ms) = (slot.row.key, slot.row.profile.retention_ms);
        self.writing()?;
        match change {
            Change::Enter(user, role) => {
                let entered = self.user_key(user)?;
                self.store.open_stay(key, entered, *role, seq, rev)?;
                self.cache.forget((key, entered));
                self.answer_request(call.caller, conversation, user, JoinRequestState::Approved)?;
            }
            Change::Exit(user) => {
                let gone = self.user_key(user)?;
                self.store.close_stay(key, gone, seq, rev)?;
                self.cache.forget((key, gone));
            }
            Change::Role(user, role) => {
                let raised = self.user_key(user)?;
                self.store.set_role(key, raised, *role, rev)?;
                self.cache.forget((key, raised));
            }
            Change::Silence(user, until) => {
                let silent = self.user_key(user)?;
                self.store.silence(key, silent, *until, rev)?;
                self.cache.forget((key, silent));
            }
            Change::Ban(user, until) => {
                let (banned, by) = (self.user_key(user)?, self.caller_key(call.caller.identity)?);
                self.store.put_ban(key, banned, by, self.now, *until)?;
                self.answer_request(call.caller, conversation, user, JoinRequestState::Rejected)?;
            }
            Change::UseLink(digest) => self.store.use_link(key, digest)?,
            Change::Unban(user) => {
                let free = self.user_key(user)?;
                self.store.remove_ban(key, free)?;
            }
            Change::Profile(profile) => {
                self.store.set_profile(key, profile)?;
                if profile.retention_ms != kept_ms {
                    // Looked at once, which finds out when the next time is.
                    self.store.set_overdue(key, profile.retention_ms.map(|_| self.now))?;
                    self.sweep.wake(self.now);
                }
            }
            Change::SilenceAll(until) => self.store.silence_all(key, *until)?,
            Change::Dissolve => {
                self.store.dissolve(key)?;
                self.store.close_doors(key)?;
            }
        }
        let Some(slot) = self.cache.slot(self.store, conversation)? else { return Ok(()) };
        match change {
            Change::Profile(profile) => slot.row.profile = profile.clone(),
            Change::SilenceAll(until) => slot.row.silenced = *until,
            Change::Dissolve => slot.row.dissolved = true,
            Change::Enter(..) | Change::Exit(_) | Change::Role(..) => {
                self.cache.recount(conversation);
            }
            Change::Silence(..) | Change::Ban(..) | Change::Unban(_) | Change::UseLink(_) => {}
        }
        Ok(())
    }
}
