//! Memberships in the logs of what is pushed, in memory.

use hubbub_chat::model::{ConversationKey, Rev, UserKey};
use hubbub_chat::ports::{AudienceWriter, Audiences, Result};
use hubbub_proto::command::Role;
use hubbub_proto::{ConversationId, ConversationName, SystemName};

use super::conversations::{open_stay, place, places};
use super::{Handle, Seat, Writing, refused};

impl<S: Seat> Audiences for Handle<S> {
    fn audiences_of(&mut self, user: UserKey) -> Result<Vec<(ConversationKey, ConversationId)>> {
        let state = self.seat.state();
        let of_many = |id: &ConversationId| {
            matches!(id.name(), ConversationName::System(SystemName::All | SystemName::Role(_)))
        };
        Ok(places(&state, user)
            .filter(|(log, membership)| membership.is_open() && of_many(&log.row.id))
            .map(|(log, _)| (log.row.key, log.row.id.clone()))
            .collect())
    }
}

impl AudienceWriter for Handle<Writing> {
    fn enter_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        head_seq: u64,
        stays_max: u32,
        rev: Rev,
    ) -> Result<()> {
        let state = self.seat.working()?;
        if let Ok(place) = place(state, conversation, user)
            && let Some(stay) = place.stays.last_mut()
            && stay.left_seq == Some(head_seq)
        {
            stay.left_seq = None;
            place.rev = rev;
            return Ok(());
        }
        open_stay(state, conversation, user, Role::Member, head_seq + 1, rev)?;
        let place = place(state, conversation, user)?;
        let surplus = place.stays.len().saturating_sub(stays_max.max(1) as usize);
        place.stays.drain(..surplus);
        Ok(())
    }

    fn leave_audience(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        head_seq: u64,
        rev: Rev,
    ) -> Result<()> {
        let place = place(self.seat.working()?, conversation, user)?;
        match place.stays.last_mut().filter(|stay| stay.left_seq.is_none()) {
            None => return refused("the user has no open stay"),
            Some(stay) if stay.join_seq > head_seq => {
                place.stays.pop();
            }
            Some(stay) => stay.left_seq = Some(head_seq),
        }
        place.rev = rev;
        Ok(())
    }
}
