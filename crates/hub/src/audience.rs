//! Audiences of which the shard keeps no list: everyone, and everyone with a role.
//!
//! What goes to them is rare and goes to many, so a look at every session costs less than a list
//! that each connection would have to stand in.

use hubbub_proto::Topic;

use crate::shard::Shard;

impl Shard {
    /// Adds the sessions that `topics` name by role or not at all to `targets`, each once.
    pub(crate) fn add_audiences(&mut self, topics: &[Topic], targets: &mut Vec<u32>) {
        let is_audience = |topic: &&Topic| matches!(topic, Topic::Role(_) | Topic::All);
        let audiences: Vec<&Topic> = topics.iter().filter(is_audience).collect();
        if audiences.is_empty() {
            return;
        }
        for slot in 0..self.slab.places() {
            let Some((_, connection)) = self.slab.tenant(slot) else { continue };
            let Some(session) = connection.session().filter(|session| session.is_open()) else {
                continue;
            };
            let Some(identity) = session.identity() else { continue };
            let hears = |topic: &&Topic| match topic {
                Topic::All => true,
                Topic::Role(role) => identity.holds(role.as_str()),
                Topic::User(_) | Topic::Conversation(_) => false,
            };
            if audiences.iter().any(hears) {
                targets.push(slot);
            }
        }
        if topics.len() > 1 {
            targets.sort_unstable();
            targets.dedup();
        }
    }
}
