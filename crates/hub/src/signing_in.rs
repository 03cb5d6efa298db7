//! A session gets its identity: it is announced to the client and to the upstream, entered into the
//! tables, and takes the place of an older connection of the same device.

use std::sync::atomic::Ordering;

use hubbub_proto::Event;
use hubbub_proto::command::HISTORY_LIMIT_MAX;
use hubbub_proto::event::{AnnouncedLimits, Connected};
use hubbub_proto::route::Work;

use crate::connection::{Connection, Kind};
use crate::desk::Desk;
use crate::inbox::Post;
use crate::slab::At;

impl Desk {
    /// The session has an identity now: announce it and put it into the tables.
    pub(crate) fn open_session(&mut self, at: At, connection: &mut Connection) {
        let Kind::Session { session, .. } = &connection.kind else { return };
        let Some(identity) = session.identity().cloned() else { return };
        connection.opened = self.settings.opened.fetch_add(1, Ordering::Relaxed) + 1;
        self.topics.sign_in(&identity.user, at.slot);
        tracing::debug!(
            connection = %self.conn_id(at),
            user = %identity.user,
            device = %identity.device,
            "a session was opened"
        );
        self.stats.sessions.add(1);
        let limits = &self.limits;
        let connected = Event::Connected(Box::new(Connected {
            client_id: self.ids.next(),
            user: identity.user.clone(),
            name: identity.name.clone(),
            device: identity.device.clone(),
            epoch: self.settings.announce.epoch.clone(),
            heartbeat_ms: limits.ping_interval_ms.into(),
            limits: AnnouncedLimits {
                commands_in_flight: limits.commands_in_flight_max.into(),
                commands_per_second: limits.commands_per_second,
                message_bytes: limits.message_bytes_max,
                content_depth: limits.content_depth_max,
                dedupe_window_ms: self.settings.announce.dedupe_window_ms,
                history_entries: HISTORY_LIMIT_MAX,
            },
            server: self.settings.announce.server,
            expires_at: identity.expires_at,
        }));
        self.send_event(at, connection, &connected);
        self.hand_up(at, identity.clone(), Work::Opened);
        if identity.device_named {
            self.opened.push(at);
            for (shard, inbox) in self.settings.inboxes.iter().enumerate() {
                if shard != usize::from(self.shard) {
                    inbox.post(Post::Replace {
                        user: identity.user.clone(),
                        device: identity.device.clone(),
                        opened: connection.opened,
                    });
                }
            }
        }
        self.subscribe_by_token(at, connection, &identity);
        self.schedule(at, connection);
    }

    /// A number that spreads the pings of sessions opened in a row over the interval.
    pub(crate) fn ping_phase(&self) -> u32 {
        phase_of(self.settings.opened.load(Ordering::Relaxed))
    }
}

/// Multiples of the golden ratio lie evenly, however many there are.
pub(crate) fn phase_of(opened: u64) -> u32 {
    (opened.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}
