//! What users keep about conversations, in SQLite.

use hubbub_chat::model::{ConversationKey, Rev, Settings, UserKey};
use hubbub_chat::ports::{Result, WriteSettings};
use rusqlite::params;

use super::conversations::{NEVER_A_MEMBER, change};
use super::schema::int;
use super::{Handle, Writing};

const SET: &str = "UPDATE member SET
         pinned = ?3, muted_until = ?4, hidden_at_seq = ?5, marked_unread = ?6, draft = ?7, rev = ?8
     WHERE user = ?1 AND conversation = ?2";

impl WriteSettings for Handle<Writing> {
    fn set_settings(
        &mut self,
        conversation: ConversationKey,
        user: UserKey,
        settings: &Settings,
        rev: Rev,
    ) -> Result<()> {
        self.seat.write(|connection, _| {
            let Settings { pinned, muted, hidden_seq, marked_unread, draft } = settings;
            let row = params![
                user.0,
                conversation.0,
                pinned,
                muted.map(|until| int(until.number())),
                hidden_seq.map(int),
                marked_unread,
                draft,
                int(rev.0)
            ];
            change(connection, SET, row, NEVER_A_MEMBER)
        })
    }
}
