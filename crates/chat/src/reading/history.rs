//! `history`: a page of what a member may see, in ascending order.

use hubbub_proto::command::{HISTORY_LIMIT_MAX, History};
use hubbub_proto::event::HistoryPage;
use hubbub_proto::{Reason, Refusal};

use super::log::{Budget, Sight};
use super::page::Page;
use super::{Desk, Place};
use crate::model::Conversation;
use crate::ports::{Order, Result as Read};
use crate::stop::Outcome;
use crate::visibility::Visibility;

impl Desk<'_> {
    pub(super) fn history(&mut self, command: &History) -> Outcome<HistoryPage> {
        let range = Wanted::of(command)?;
        let Some(Place { conversation, membership }) = self.place(&command.conversation)? else {
            return Ok(HistoryPage {
                entries: Vec::new(),
                from_seq: 0,
                through_seq: 0,
                head_seq: 0,
                floor_seq: 0,
                more: false,
            });
        };
        let view = Visibility::of(&conversation, &membership);
        let (from, to) = range.clip(view.first(), view.head());
        let budget = Budget {
            entries: command.limit.min(HISTORY_LIMIT_MAX) as usize,
            bytes: self.config.sync_bytes_max as usize,
            first_free: true,
        };
        let sight = self.sight(&conversation, &membership, (view.first(), view.head()))?;
        let page = match range {
            Wanted::Around(seq) => self.around(&conversation, &sight, seq, budget)?,
            _ => {
                let order = range.order();
                let mut page = self.page(&conversation, &sight, (from, to), order, budget)?;
                if order == Order::Descending {
                    page.entries.reverse();
                }
                page
            }
        };
        let Page { entries, from: from_seq, through: through_seq, more } = page;
        let (head_seq, floor_seq) = (view.head(), view.floor_of(&conversation));
        Ok(HistoryPage { entries, from_seq, through_seq, head_seq, floor_seq, more })
    }
}

impl Desk<'_> {
    /// Half of a page up to `seq`, and what there is room for after it.
    fn around(
        &mut self,
        conversation: &Conversation,
        sight: &Sight<'_>,
        seq: u64,
        budget: Budget,
    ) -> Read<Page> {
        let (first, head) = (sight.view.first(), sight.view.head());
        let half = |entries| Budget { entries, bytes: budget.bytes / 2, ..budget };
        let up_to = (first, seq.min(head));
        let before = half(budget.entries.div_ceil(2));
        let mut page = self.page(conversation, sight, up_to, Order::Descending, before)?;
        page.entries.reverse();
        let rest = (up_to.1.saturating_add(1).max(first), head);
        let after = half(budget.entries - page.entries.len());
        let after = self.page(conversation, sight, rest, Order::Ascending, after)?;
        page.entries.extend(after.entries);
        page.through = after.through;
        page.more |= after.more;
        Ok(page)
    }
}

/// Which way a page goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    Newest,
    Before(u64),
    After(u64),
    Around(u64),
}

impl Wanted {
    fn of(command: &History) -> Result<Self, Refusal> {
        if command.limit == 0 {
            return Err(Refusal::with(Reason::BadRange, "`limit` must be at least 1."));
        }
        match (command.before, command.after, command.around) {
            (None, None, None) => Ok(Self::Newest),
            (Some(before), None, None) => Ok(Self::Before(before)),
            (None, Some(after), None) => Ok(Self::After(after)),
            (None, None, Some(around)) => Ok(Self::Around(around)),
            _ => {
                let detail = "Give one of `before`, `after` and `around`.";
                Err(Refusal::with(Reason::BadRange, detail))
            }
        }
    }

    fn clip(self, first: u64, head: u64) -> (u64, u64) {
        match self {
            Self::Newest | Self::Around(_) => (first, head),
            Self::Before(before) => (first, before.saturating_sub(1).min(head)),
            Self::After(after) => (after.saturating_add(1).max(first), head),
        }
    }

    const fn order(self) -> Order {
        match self {
            Self::Newest | Self::Before(_) | Self::Around(_) => Order::Descending,
            Self::After(_) => Order::Ascending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_table() {
        let check = |json: &str, expect: Result<(u64, u64), Reason>| {
            let command = serde_json::from_str(&format!(r#"{{"conversation":"group:g"{json}}}"#));
            let range = Wanted::of(&command.unwrap()).map_err(|refusal| refusal.reason);
            assert_eq!(range.map(|range| range.clip(3, 9)), expect, "{json}");
        };
        check("", Ok((3, 9)));
        check(r#","before":7"#, Ok((3, 6)));
        check(r#","before":99"#, Ok((3, 9)));
        check(r#","before":0"#, Ok((3, 0)));
        check(r#","after":7"#, Ok((8, 9)));
        check(r#","after":0"#, Ok((3, 9)));
        check(r#","after":18446744073709551615"#, Ok((u64::MAX, 9)));
        check(r#","before":7,"after":1"#, Err(Reason::BadRange));
        check(r#","limit":0"#, Err(Reason::BadRange));
    }
}
