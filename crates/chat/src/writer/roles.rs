//! `user_roles`: roles that a back end gives a user, besides those that their tokens name.
//!
//! Invariant: what a request may do is decided by what is stored at its place in the order of commits,
//! not by what the data plane knew when it took the request; so a role that was taken away counts no
//! more from that commit on. Written once for each change, never for a connection. Deliberately absent:
//! what the tokens of the user's other connections name, which nobody keeps; a role that is taken away
//! ends the user's place among those for whom it is pushed, and one that a token names too begins anew
//! when that user signs in.

use std::borrow::Cow;
use std::sync::Arc;

use hubbub_proto::command::UserRoles;
use hubbub_proto::{Ack, ConversationId, Effect, Identity, Reason, Refusal};

use super::transaction::Transaction;
use crate::model::UserKey;
use crate::people;
use crate::plan::push::audiences;
use crate::ports::Result;
use crate::stop::Outcome;

impl Transaction<'_> {
    /// The identity with the roles that are stored for its user.
    pub(super) fn standing<'i>(&mut self, identity: &'i Identity) -> Result<Cow<'i, Identity>> {
        let granted = self.granted(identity)?;
        Ok(people::standing(identity, granted))
    }

    fn granted(&mut self, identity: &Identity) -> Result<Arc<[Box<str>]>> {
        match self.cache.key(self.store, &identity.user)? {
            Some(key) => self.cache.roles(self.store, key),
            None => Ok(Arc::default()),
        }
    }

    /// A session was opened, or goes on under a newer token: the data plane learns what its user was
    /// given, where it knows something else.
    pub(super) fn tell_granted(&mut self, identity: &Identity) -> Result<()> {
        let granted = self.granted(identity)?;
        if *granted != *identity.granted() {
            self.effects.push(Effect::Identity { user: identity.user.clone(), roles: granted });
        }
        Ok(())
    }

    /// Replaces what a user was given, for those whom `[admin] who` permits.
    pub(super) fn user_roles(&mut self, actor: &Identity, given: &UserRoles) -> Outcome<Ack> {
        if !self.config.admin.permits(&*self.standing(actor)?) {
            let detail = "No rule allows you to give roles.";
            return Err(Refusal::with(Reason::NotAllowed, detail).into());
        }
        let known = self.cache.key(self.store, &given.user)?;
        let before = match known {
            Some(key) => self.cache.roles(self.store, key)?,
            None => Arc::default(),
        };
        let mut sorted = given.roles.clone();
        sorted.sort_unstable();
        let after: Arc<[Box<str>]> = sorted.into();
        if after == before {
            return Ok(Ack::Done);
        }
        let key = self.user_key(&given.user)?;
        let rev = self.next_rev();
        self.writing()?.put_roles(key, &after, rev)?;
        self.cache.set_roles(key, Arc::clone(&after));
        self.move_audiences(key, &before, &after)?;
        self.effects.push(Effect::Identity { user: given.user.clone(), roles: after });
        Ok(Ack::Done)
    }

    /// The user is from here on in the logs of what is pushed to the new roles, and no more in those of
    /// the roles that are gone.
    fn move_audiences(
        &mut self,
        user: UserKey,
        before: &[Box<str>],
        after: &[Box<str>],
    ) -> Result<()> {
        if !self.config.push.is_used() {
            return Ok(());
        }
        let most = self.config.push_roles_max as usize;
        let logs = |roles: &[Box<str>]| audiences(roles, roles.len());
        let (old, new) = (logs(before), logs(after));
        let held = self.store.audiences_of(user)?;
        let everyone = ConversationId::all();
        let mut count = held.iter().filter(|(_, id)| *id != everyone).count();
        for (key, conversation) in &held {
            if old.contains(conversation) && !new.contains(conversation) {
                self.leave(*key, user, conversation)?;
                count -= 1;
            }
        }
        let entered = |conversation: &&ConversationId| {
            !old.contains(conversation) && !held.iter().any(|(_, id)| id == *conversation)
        };
        for conversation in new.iter().filter(entered) {
            if count >= most {
                break;
            }
            self.enter(conversation, user)?;
            count += 1;
        }
        Ok(())
    }
}
