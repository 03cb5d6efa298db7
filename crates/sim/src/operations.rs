//! What users do to messages that stand in a log.

use hubbub_client::Message;
use serde_json::{Value, json};

use crate::stage::trace;
use crate::world::World;

/// What they react with.
const EMOJIS: [&str; 3] = ["+1", "heart", "\u{1f980}"];

impl World {
    /// Somebody changes, takes back, or reacts to something that they see, or would like to.
    pub(crate) fn operate(&mut self, device: usize) {
        let own = self.stage.rng.chance(500);
        let Some((conversation, seq)) = self.any_message(device, own) else { return };
        let place = json!({ "conversation": conversation, "seq": seq });
        let (kind, more) = match self.stage.rng.below(16) {
            0..3 => ("edit", json!({ "content": format!("edited {}", self.unique()) })),
            3 => ("recall", json!({})),
            4 => ("delete", json!({ "for": "all" })),
            5 | 6 => ("delete", json!({})),
            7 if self.stage.rng.chance(200) => return self.clear(device, &conversation, seq),
            7 | 8 => ("pin", json!({ "active": self.stage.rng.chance(700) })),
            _ => {
                let emoji = EMOJIS[self.stage.rng.index(EMOJIS.len())];
                ("react", json!({ "emoji": emoji, "active": self.stage.rng.chance(700) }))
            }
        };
        let mut payload = self.named(place);
        if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
            payload.extend(more);
        }
        trace!(self.stage, "device {device} asks for {kind} {payload}");
        self.devices[device].ask(kind, payload);
    }

    /// A user wants to see nothing any more of what a device has, up to here.
    fn clear(&mut self, device: usize, conversation: &str, seq: u64) {
        let has = self.devices[device].cursors().get(conversation).copied().unwrap_or(0);
        let payload = json!({ "conversation": conversation, "seq": seq.min(has) });
        trace!(self.stage, "device {device} clears {payload}");
        self.devices[device].ask("clear", payload);
    }

    /// A message that a device shows, one of its user's where there is one and `own`; now and then
    /// any place at all.
    pub(crate) fn any_message(&mut self, device: usize, own: bool) -> Option<(String, u64)> {
        if self.stage.rng.chance(100) {
            let conversation = self.any_conversation(device)?;
            return Some((conversation, self.stage.rng.between(0, 20)));
        }
        let now = self.stage.schedule.now().0;
        let shown = &self.devices[device];
        let user = shown.user.as_str();
        let theirs = |message: &Message| message.entry["from"].as_str() == Some(user);
        let (mut messages, mut others) = (Vec::new(), Vec::new());
        for (conversation, timeline) in &shown.timelines {
            for (seq, message) in timeline.shown(now) {
                let place = (conversation, seq);
                if theirs(message) == own { messages.push(place) } else { others.push(place) }
            }
        }
        let found = if messages.is_empty() { others } else { messages };
        self.stage.rng.pick(&found).map(|(conversation, seq)| ((*conversation).clone(), *seq))
    }
}
