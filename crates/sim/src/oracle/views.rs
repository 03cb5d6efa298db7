//! What the applications on the devices have heard.

use std::collections::BTreeMap;

use hubbub_client::{Event, Timeline};
use hubbub_proto::event::Void;
use hubbub_proto::{ClientId, ConversationId, Timestamp, UserId};
use serde_json::Value;

use super::Oracle;
use super::entry::{displayed, hidden};
use crate::journal::Journal;
use crate::log::Committed;
use crate::report::{Broken, Promise};

/// What comes next, for each device and conversation.
#[derive(Debug, Default)]
pub(super) struct Views {
    next: BTreeMap<(usize, ConversationId), u64>,
    /// Where what each device has of a conversation begins, if not at its beginning.
    from: BTreeMap<(usize, ConversationId), u64>,
    pub(super) resets: u64,
}

impl Oracle {
    /// The application on a device is told something.
    pub(crate) fn heard(
        &mut self,
        journal: &Journal,
        device: usize,
        user: &UserId,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), Broken> {
        match event {
            Event::Entry(entry) => {
                let id = conversation(entry["conversation"].as_str())?;
                let seq = entry["seq"].as_u64().unwrap_or_default();
                self.views.expect(device, &id, seq, seq)?;
                same(journal, user, &id, seq, entry)
            }
            Event::Void { conversation: id, seq, through } => {
                let id = conversation(Some(id))?;
                self.views.expect(device, &id, *seq, *through)?;
                let void = Void { conversation: id, seq: *seq, through: *through };
                hidden(journal, user, &void, Some(now))
            }
            Event::Reset { conversation: id, from_seq } => {
                self.views.resets += 1;
                let place = (device, conversation(Some(id))?);
                self.views.next.insert(place.clone(), *from_seq);
                self.views.from.insert(place, *from_seq);
                Ok(())
            }
            Event::Sent { client_id, conversation: id, seq } => {
                let place = (conversation(Some(id))?, *seq);
                let client_id = ClientId::new(client_id).ok();
                let recorded = client_id.and_then(|client_id| journal.recorded(user, &client_id));
                let told = format!("{user} was told of {place:?}, recorded: {recorded:?}");
                match recorded {
                    None => return Err(Promise::P1.broken(told)),
                    Some(recorded) if *recorded != place => return Err(Promise::P2.broken(told)),
                    Some(_) => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The application starts anew and knows nothing.
    pub(crate) fn forgets(&mut self, device: usize) {
        self.views.next.retain(|(other, _), _| *other != device);
        self.views.from.retain(|(other, _), _| *other != device);
    }

    /// P5, P7: what a device shows is what the logs say.
    pub(crate) fn looked_at(
        &self,
        journal: &Journal,
        device: usize,
        user: &UserId,
        timelines: &BTreeMap<String, Timeline>,
        now: Timestamp,
    ) -> Result<(), Broken> {
        for id in journal.logs.keys() {
            let from = self.views.from.get(&(device, id.clone())).copied().unwrap_or(1);
            let shown = timelines.get(id.as_str()).into_iter().flat_map(|shown| shown.shown(now.0));
            displayed(journal, user, id, from, shown, now).map_err(|broken| broken.on(device))?;
        }
        Ok(())
    }

    /// What a device has not heard and should have; `None` where it has heard everything.
    pub(crate) fn missing(
        &self,
        journal: &Journal,
        device: usize,
        user: &UserId,
        cursors: &BTreeMap<String, u64>,
    ) -> Option<String> {
        journal.logs.iter().find_map(|(id, log)| {
            let first = log.first_seq(user)?;
            let head = log.visible_head(user).filter(|head| *head >= first)?;
            let next = self.views.next.get(&(device, id.clone())).copied().unwrap_or(1);
            let cursor = cursors.get(id.as_str()).copied().unwrap_or(0);
            (next != head + 1 || cursor != head).then(|| {
                format!(
                    "device {device} of {user} has {id} up to {cursor}, was told of {next} \
                         next, the head is {head}"
                )
            })
        })
    }

    /// How often an application was told to forget.
    pub(crate) const fn resets(&self) -> u64 {
        self.views.resets
    }
}

impl Views {
    /// P3, P4: dense, in order, once.
    fn expect(
        &mut self,
        device: usize,
        id: &ConversationId,
        seq: u64,
        through: u64,
    ) -> Result<(), Broken> {
        let next = self.next.entry((device, id.clone())).or_insert(1);
        if seq != *next || through < seq {
            return Err(Promise::P3.broken(format!(
                "device {device} is told of {id}/{seq} through {through}, {next} was to come"
            )));
        }
        *next = through + 1;
        Ok(())
    }
}

fn conversation(id: Option<&str>) -> Result<ConversationId, Broken> {
    id.and_then(|id| ConversationId::new(id).ok())
        .ok_or_else(|| Promise::P4.broken(format!("an event of no conversation: {id:?}")))
}

/// What reached the application is what was committed.
fn same(
    journal: &Journal,
    user: &UserId,
    id: &ConversationId,
    seq: u64,
    entry: &Value,
) -> Result<(), Broken> {
    let Some(log) = journal.log(id) else {
        return Err(Promise::P1.broken(format!("{id} was never committed")));
    };
    let Some(committed) = log.entry(seq) else {
        return Err(Promise::P1.broken(format!("{user} hears {id}/{seq}, not committed")));
    };
    let removal = log.removal(seq).and_then(Committed::removes);
    let withheld = removal.is_some() && entry["removed"].as_str() == removal;
    let content = if withheld { Value::Null } else { committed.value() };
    let same = entry["content"] == content
        && (withheld || entry["removed"].is_null())
        && entry["from"].as_str() == Some(committed.sender.as_str())
        && entry["kind"].as_str() == Some(committed.kind.as_str())
        // A live push does not say it.
        && entry["client_id"].as_str().is_none_or(|said| said == committed.client_id.as_str());
    if !same {
        return Err(Promise::P4.broken(format!("{user} hears {id}/{seq} altered: {entry}")));
    }
    if !log.sees(user, seq) {
        return Err(Promise::P7.broken(format!("{user} hears {id}/{seq}, outside their stays")));
    }
    Ok(())
}
