//! Links that let one into a group: made, found, ended. They are no entries; entering by one is.

use hubbub_proto::command::{self, GroupLinkCreate, GroupLinkRevoke};
use hubbub_proto::event::LinkMade;
use hubbub_proto::{Ack, Reason};

use super::Found;
use crate::model::Link;
use crate::plan::group;
use crate::ports::Result;
use crate::stop::Outcome;
use crate::writer::transaction::{Caller, Transaction};

impl Transaction<'_> {
    pub(in crate::writer) fn make_link(
        &mut self,
        caller: Caller<'_>,
        command: &GroupLinkCreate,
    ) -> Outcome<Ack> {
        let actor = &caller.identity.user;
        let found = self.find(&command.group, actor)?.ok_or(Reason::NotFound)?;
        let links = self.store.links(found.key)?;
        let links_max = u64::from(self.config.group_links_max);
        let until = group::make(&found.state(self, actor), command, &links, links_max)?;
        let secret = self.names.secret().ok_or(Reason::Internal)?;
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let by = self.caller_key(caller.identity)?;
        let link = Link {
            digest: self.names.digest(&secret),
            by: actor.clone(),
            at: self.now,
            until,
            uses_left: command.uses_max,
        };
        self.writing()?.put_link(found.key, by, &link)?;
        Ok(Ack::LinkMade(LinkMade {
            link: command::Link::new(&secret),
            expires_at: until.end(),
            uses_max: command.uses_max,
        }))
    }

    pub(in crate::writer) fn revoke_link(
        &mut self,
        caller: Caller<'_>,
        command: &GroupLinkRevoke,
    ) -> Outcome<Ack> {
        let actor = &caller.identity.user;
        let found = self.find(&command.group, actor)?.ok_or(Reason::NotFound)?;
        let links = self.store.links(found.key)?;
        let named = command.link.as_str();
        let digest = self.names.digest(named);
        let link = group::revoke(&found.state(self, actor), &links, named, &digest)?;
        self.writing()?.remove_link(found.key, &link.digest)?;
        Ok(Ack::Done)
    }

    /// The link that one who enters has, if there is such a link.
    pub(super) fn link_of(&mut self, found: &Found, link: &command::Link) -> Result<Option<Link>> {
        let digest = self.names.digest(link.as_str());
        let links = self.store.links(found.key)?;
        Ok(links.into_iter().find(|link| link.digest == digest))
    }
}
