//! Whether somebody lets the caller near, asked at the place in the order of commits where it counts.

use hubbub_proto::event::Privacy;
use hubbub_proto::route::Authority;
use hubbub_proto::{Identity, Reason, Refusal, UserId};

use super::transaction::Transaction;
use crate::model::{Pair, PrivacyChoice, UserKey};
use crate::plan::consent::{Act, Consent, consent};
use crate::ports::Result;
use crate::stop::Outcome;

impl Transaction<'_> {
    /// What `user` has chosen; for one not known yet what the configuration says.
    pub(super) fn privacy_of(&mut self, user: &UserId) -> Result<Privacy> {
        let known = self.cache.user(self.store, user)?;
        let choice = known.map_or(PrivacyChoice::default(), |user| user.privacy);
        Ok(choice.effective(self.config))
    }

    /// Whether `owner` lets `actor` do it.
    pub(super) fn consent(&mut self, actor: &UserId, owner: &UserId, act: Act) -> Result<Consent> {
        self.decide(actor, owner, act).map(|(consent, _)| consent)
    }

    /// Why `owner` does not let `actor` do it.
    pub(super) fn refusal(
        &mut self,
        actor: &UserId,
        owner: &UserId,
        act: Act,
    ) -> Result<Option<Refusal>> {
        let (consent, pair) = self.decide(actor, owner, act)?;
        if consent == Consent::Withheld && pair.theirs.blocked && self.config.reveal_blocks {
            return Ok(Some(Refusal::with(Reason::Refused, "This user has blocked you.")));
        }
        Ok(consent.refusal())
    }

    /// Everybody whom `actor` brings into a group must let them.
    pub(super) fn ask_invitees<'u>(
        &mut self,
        actor: &Identity,
        users: impl Iterator<Item = &'u UserId>,
    ) -> Outcome<()> {
        if actor.authority == Authority::Backend {
            return Ok(());
        }
        for user in users {
            if let Some(refusal) = self.refusal(&actor.user, user, Act::Invite)? {
                let detail = format!("{} ({user})", refusal.message());
                return Err(Refusal::with(refusal.reason, detail).into());
            }
        }
        Ok(())
    }

    fn decide(&mut self, actor: &UserId, owner: &UserId, act: Act) -> Result<(Consent, Pair)> {
        if actor == owner {
            return Ok((Consent::Given, Pair::default()));
        }
        let known = self.cache.user(self.store, owner)?.map(|user| (user.key, user.privacy));
        let (owner, choice): (Option<UserKey>, _) = known.unzip();
        let pair = match (self.cache.key(self.store, actor)?, owner) {
            (Some(actor), Some(owner)) => self.cache.pair(self.store, actor, owner)?,
            _ => Pair::default(),
        };
        let privacy = choice.unwrap_or_default().effective(self.config);
        Ok((consent(act, pair, &privacy), pair))
    }
}
