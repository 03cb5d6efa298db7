//! Who got and read what, and whose senders ask to be told, in SQLite.

use hubbub_chat::model::{ConversationKey, Rev, UserKey};
use hubbub_chat::ports::{Reached, Receipts, Result, Wanted, WriteReceipts};
use rusqlite::params;

use super::conversations::{change, collect, count};
use super::errors::failed;
use super::messages::client_id;
use super::schema::{int, number};
use super::{Handle, Seat, Writing, users};

const WANTED: &str = "SELECT e.seq, u.id, e.client_id
     FROM entry e INDEXED BY wanted_receipt CROSS JOIN user u ON u.key = e.sender
     WHERE e.conversation = ?1 AND e.receipt = 1 AND e.seq BETWEEN ?2 AND ?3
     ORDER BY e.seq DESC LIMIT ?4";
const NEWEST: &str = "SELECT coalesce(max(seq), 0) FROM entry INDEXED BY wanted_receipt
     WHERE conversation = ?1 AND receipt = 1";
const REACHED: &str = "SELECT u.key, u.id, u.name, u.privacy, m.received_seq, m.read_seq
     FROM stay s CROSS JOIN member m ON m.user = s.user AND m.conversation = s.conversation
     CROSS JOIN user u ON u.key = s.user
     WHERE s.conversation = ?1 AND s.left_seq IS NULL AND s.join_seq <= ?2 AND s.user <> ?3";

/// What `plans` looks at.
#[cfg(test)]
pub(super) const QUERIES: &[(&str, &str)] =
    &[("WANTED", WANTED), ("NEWEST", NEWEST), ("REACHED", REACHED)];

impl<S: Seat> Receipts for Handle<S> {
    fn receipts_wanted(
        &mut self,
        conversation: ConversationKey,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<Wanted>> {
        let range = params![conversation.0, int(from), int(to), limit];
        collect(self.seat.connection(), WANTED, range, |row| {
            Ok(Wanted {
                seq: number(row, 0)?,
                sender: users::user_id(row, 1)?,
                client_id: client_id(row, 2)?,
            })
        })
    }

    fn newest_receipt_wanted(&mut self, conversation: ConversationKey) -> Result<u64> {
        count(self.seat.connection(), NEWEST, [conversation.0])
    }

    fn reached(
        &mut self,
        conversation: ConversationKey,
        seq: u64,
        except: UserKey,
        visit: &mut dyn FnMut(Reached),
    ) -> Result<()> {
        let mut statement = self.seat.connection().prepare_cached(REACHED).map_err(failed)?;
        let mut rows = statement.query([conversation.0, int(seq), except.0]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let reached = || -> rusqlite::Result<Reached> {
                Ok(Reached {
                    user: users::user(row, 0)?,
                    received_seq: number(row, 4)?,
                    read_seq: number(row, 5)?,
                })
            };
            visit(reached().map_err(failed)?);
        }
        Ok(())
    }
}

impl WriteReceipts for Handle<Writing> {
    fn want_receipt(&mut self, conversation: ConversationKey, seq: u64, rev: Rev) -> Result<()> {
        self.seat.write(|connection, _| {
            let sql =
                "UPDATE entry SET receipt = 1 WHERE rev = ?1 AND conversation = ?2 AND seq = ?3";
            let row = [int(rev.0), conversation.0, int(seq)];
            change(connection, sql, row, "there is no such entry")
        })
    }
}
