//! `friends`: relations in the order in which they changed.
//!
//! Invariant: whoever asks on from the `rev` of the page before, from the first page on, ends up with
//! what holds. A device that was away for longer than ended relations are remembered is told to
//! begin anew, because it may hold some that it would never hear of.

use hubbub_proto::command::Friends;
use hubbub_proto::event::RelationPage;

use super::Desk;
use super::members::page_size;
use crate::model::Rev;
use crate::stop::Outcome;
use crate::writer::listed;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 200;

impl Desk<'_> {
    pub(super) fn friends(&mut self, command: &Friends) -> Outcome<RelationPage> {
        let limit = page_size(command.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
        let newest = self.reader.rev()?;
        let Some(key) = self.key else {
            let reset = command.since.is_some_and(|since| since > 0);
            return Ok(RelationPage { relations: Vec::new(), rev: 0, more: false, reset });
        };
        let (changed, forgotten) = self.reader.relations_rev(key)?;
        let since = command.since.map(Rev);
        // A rev that was never given out is of another history; one from before the newest that was
        // forgotten may miss that, unless the list is being read from its beginning.
        let reset =
            since.is_some_and(|since| since > newest || (since < forgotten && !command.full));
        let since = since.filter(|_| !reset);
        // From the beginning there is nothing to be taken back.
        let tombstones = since.is_some();
        let since = since.unwrap_or_default();
        let mut found = self.reader.relations(key, since, tombstones, limit + 1)?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let last = found.last().map_or(since, |(_, relation)| relation.rev);
        let rev = if more { last } else { last.max(changed) };
        Ok(RelationPage {
            relations: found.into_iter().map(listed).collect(),
            rev: rev.0,
            more,
            reset,
        })
    }
}
