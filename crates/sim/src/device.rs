//! A device: the real client core, and an application that sends, tries again and listens.
//!
//! Invariant: like the client's own task, it hands every frame to the core, polls it, and gives up
//! a connection on which nothing came for a while.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_client::core::Core;
use hubbub_client::{Event, Timeline};
use hubbub_proto::{DeviceId, Identity, UserId};
use serde_json::{Value, json};

use crate::journal::{Journal, PUSHER, PUSHER_ROLE};
use crate::link::Frame;
use crate::report::Broken;
use crate::rng::Rng;
use crate::sabotage::Sabotage;
use crate::schedule::Happening;
use crate::stage::{Stage, trace};

/// Shortest and longest time between two looks at the clock.
const POLL_MS: (u64, u64) = (120, 2_000);
/// How often the application tries a request again.
const TRIES_MAX: u32 = 12;

/// A request of the application, under way or done.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
    ticket: Option<u64>,
    tries: u32,
    pub(crate) outcome: Option<Result<Value, Value>>,
}

pub(crate) struct Device {
    pub(crate) index: usize,
    pub(crate) user: UserId,
    pub(crate) id: DeviceId,
    /// Whether the node is told its name.
    pub(crate) named: bool,
    /// Its user has no other.
    pub(crate) alone: bool,
    pub(crate) core: Core,
    /// How often it has lost its memory.
    pub(crate) life: u64,
    pub(crate) link: Option<usize>,
    /// It does not connect before then.
    pub(crate) away_until_ms: u64,
    pub(crate) attempts: Vec<Attempt>,
    /// What it shows.
    pub(crate) timelines: BTreeMap<String, Timeline>,
    failures: u32,
    heard_ms: u64,
    poll_ms: u64,
    polling: bool,
    sabotage: Option<Sabotage>,
    /// Client ids that were sent, for the sabotage that renames retries.
    tried: BTreeSet<String>,
    /// Entries swallowed, for the sabotage that confirms what it did not handle.
    swallowed: Vec<String>,
}

impl Device {
    pub(crate) fn new(
        index: usize,
        user: UserId,
        id: DeviceId,
        named: bool,
        sabotage: Option<Sabotage>,
    ) -> Self {
        Self {
            index,
            user,
            id,
            named,
            alone: false,
            core: Core::new(),
            life: 0,
            link: None,
            away_until_ms: 0,
            attempts: Vec::new(),
            timelines: BTreeMap::new(),
            failures: 0,
            heard_ms: 0,
            poll_ms: POLL_MS.0,
            polling: false,
            sabotage,
            tried: BTreeSet::new(),
            swallowed: Vec::new(),
        }
    }

    /// Who its token says it is; tokens end sooner or later, or never.
    pub(crate) fn identity(&self, now_ms: u64, rng: &mut Rng) -> Identity {
        let mut roles: Vec<Box<str>> = Vec::new();
        if self.user.as_str() == PUSHER {
            roles.push(PUSHER_ROLE.into());
        }
        // Roles come and go, but not among tokens that are in use at the same time: those hear of what
        // is pushed as each of them says.
        if if self.alone { rng.chance(500) } else { self.user.as_str() != "bob" } {
            roles.push("red".into());
        }
        let lasts_ms = [20_000, 120_000, 3_600_000][rng.index(3)];
        Identity {
            user: self.user.clone(),
            name: rng.chance(300).then(|| format!("The {}", self.user).into()),
            roles: roles.into(),
            device: self.id.clone(),
            device_named: self.named,
            expires_at: rng.chance(300).then(|| hubbub_proto::Timestamp(now_ms + lasts_ms)),
            issued_at: None,
            rare: None,
            authority: hubbub_proto::route::Authority::default(),
        }
    }

    /// The connection was opened on this link.
    pub(crate) fn dialed(&mut self, stage: &mut Stage, link: usize) {
        self.link = Some(link);
        self.heard_ms = stage.now_ms();
        self.wake(stage);
    }

    /// Gives the connection up, and comes back later.
    pub(crate) fn hang_up(&mut self, stage: &mut Stage) {
        if let Some(link) = self.link {
            stage.up(link, Frame::End(0));
            stage.links[link].down.forget();
            self.lost(stage);
        }
    }

    fn lost(&mut self, stage: &mut Stage) {
        self.link = None;
        self.core.disconnected();
        self.failures += 1;
        let longest_ms = 1_000 << self.failures.min(4);
        let pause_ms = stage.rng.below(longest_ms);
        let at_ms = (stage.now_ms() + pause_ms).max(self.away_until_ms);
        stage.schedule.at(at_ms, Happening::Dial { device: self.index });
    }

    pub(crate) fn on_frame(
        &mut self,
        stage: &mut Stage,
        journal: &Journal,
        link: usize,
        frame: Frame,
    ) -> Result<(), Broken> {
        if self.link != Some(link) {
            return Ok(());
        }
        self.heard_ms = stage.now_ms();
        match frame {
            Frame::End(code) => {
                trace!(stage, "device {}: #{link} ended with {code}", self.index);
                self.lost(stage);
            }
            Frame::Text(text) => {
                if self.swallows(stage, &text) {
                    return Ok(());
                }
                if text.starts_with(r#"{"type":"connected""#) {
                    self.failures = 0;
                }
                self.core.message(&text, stage.now_ms());
            }
        }
        self.flush(stage, journal)?;
        self.wake(stage);
        Ok(())
    }

    /// Looks at the clock.
    pub(crate) fn poll(&mut self, stage: &mut Stage, journal: &Journal) -> Result<(), Broken> {
        self.polling = false;
        if let Some(link) = self.link
            && stage.now_ms() - self.heard_ms > self.core.silence_max_ms()
        {
            trace!(stage, "device {}: nothing came on #{link}", self.index);
            stage.count("idle connections given up");
            self.hang_up(stage);
        }
        self.flush(stage, journal)?;
        self.poll_ms = (self.poll_ms * 2).min(POLL_MS.1);
        if self.link.is_some() {
            self.polling = true;
            stage.schedule.after(self.poll_ms, Happening::Poll { device: self.index });
        }
        Ok(())
    }

    /// Something happened: look at the clock soon.
    pub(crate) fn wake(&mut self, stage: &mut Stage) {
        self.poll_ms = POLL_MS.0;
        if !self.polling && self.link.is_some() {
            self.polling = true;
            stage.schedule.after(self.poll_ms, Happening::Poll { device: self.index });
        }
    }

    /// Sends what the core wants sent, and tells the application what it is to hear.
    pub(crate) fn flush(&mut self, stage: &mut Stage, journal: &Journal) -> Result<(), Broken> {
        self.core.poll(stage.now_ms());
        for frame in self.core.take_frames() {
            let frame = self.twist(frame);
            if let Some(link) = self.link {
                trace!(stage, "#{link} -> {frame}");
                stage.up(link, Frame::Text(frame));
            }
        }
        for event in self.core.take_events() {
            let now = stage.schedule.now();
            stage.oracle.heard(journal, self.index, &self.user, &event, now)?;
            self.show(stage, &event);
            if let Event::Reply { ticket, outcome } = event {
                self.settle(stage, ticket, outcome);
            }
        }
        Ok(())
    }

    /// The application shows what it hears.
    fn show(&mut self, stage: &mut Stage, event: &Event) {
        match event {
            Event::Entry(entry)
                if self.sabotage == Some(Sabotage::IgnoreUpdates)
                    && !entry["target_seq"].is_null() => {}
            Event::Entry(entry) => {
                let id = entry["conversation"].as_str().unwrap_or_default();
                self.timelines.entry(id.to_owned()).or_default().entry(entry);
            }
            Event::Reset { conversation, .. } => {
                self.timelines.entry(conversation.clone()).or_default().reset();
            }
            Event::Hidden { conversation, seqs, through } => {
                stage.count(if *through > 0 { "cleared" } else { "hidden for one" });
                self.timelines.entry(conversation.clone()).or_default().hide(seqs, *through);
            }
            _ => {}
        }
    }

    /// The application asks for something, and asks again until it knows.
    pub(crate) fn ask(&mut self, kind: &'static str, payload: Value) -> usize {
        let ticket = Some(self.core.request(kind, payload.clone()));
        self.attempts.push(Attempt { kind, payload, ticket, tries: 1, outcome: None });
        self.attempts.len() - 1
    }

    fn settle(&mut self, stage: &mut Stage, ticket: u64, outcome: Result<Value, Value>) {
        let found = self.attempts.iter().position(|attempt| attempt.ticket == Some(ticket));
        let Some(attempt) = found else { return };
        let asked = &mut self.attempts[attempt];
        asked.ticket = None;
        let again = matches!(&outcome, Err(error) if error["retry"] == json!(true));
        // What has no client id could happen twice; nobody tries that again.
        let safe = asked.payload.get("client_id").is_some()
            || !(asked.kind.starts_with("group_") || matches!(asked.kind, "send" | "push"))
            || asked.kind == "group_members";
        if again && safe && asked.tries < TRIES_MAX {
            let device = self.index;
            let delay_ms = stage.rng.between(10, 2_000);
            stage.schedule.after(delay_ms, Happening::Retry { device, attempt });
        } else {
            stage.count(if outcome.is_ok() { "requests acked" } else { "requests refused" });
            asked.outcome = Some(outcome);
        }
    }

    pub(crate) fn retry(
        &mut self,
        stage: &mut Stage,
        journal: &Journal,
        attempt: usize,
    ) -> Result<(), Broken> {
        if let Some(asked) = self.attempts.get_mut(attempt)
            && asked.ticket.is_none()
            && asked.outcome.is_none()
        {
            asked.tries += 1;
            asked.ticket = Some(self.core.request(asked.kind, asked.payload.clone()));
            stage.count("requests tried again");
            self.flush(stage, journal)?;
            self.wake(stage);
        }
        Ok(())
    }

    /// The application is started anew and remembers nothing.
    pub(crate) fn forget(&mut self, stage: &mut Stage) {
        trace!(stage, "device {} forgets everything", self.index);
        stage.count("devices started anew");
        self.hang_up(stage);
        self.core = Core::new();
        self.life += 1;
        self.attempts.clear();
        self.timelines.clear();
        stage.oracle.forgets(self.index);
    }

    pub(crate) fn cursors(&self) -> BTreeMap<String, u64> {
        self.core.cursors().map(|(id, seq)| (id.to_owned(), seq)).collect()
    }

    /// Why it is not at rest.
    pub(crate) fn restless(&self) -> Option<String> {
        let index = self.index;
        let busy = self.attempts.iter().find(|attempt| attempt.outcome.is_none());
        if self.link.is_none() || !self.core.is_synced() {
            Some(format!("device {index} is not synced"))
        } else if self.core.unacked() > 0 {
            Some(format!("device {index} has {} messages not acked", self.core.unacked()))
        } else {
            busy.map(|attempt| format!("device {index} waits for the reply to {}", attempt.kind))
        }
    }

    fn twist(&mut self, frame: String) -> String {
        if self.sabotage != Some(Sabotage::RenameRetries) {
            return frame;
        }
        let mut value: Value = serde_json::from_str(&frame).unwrap_or_default();
        if value["type"] != "send" {
            return frame;
        }
        let name = value["payload"]["client_id"].as_str().unwrap_or_default().to_owned();
        if self.tried.insert(name.clone()) {
            return frame;
        }
        value["payload"]["client_id"] = json!(format!("{name}-{}", self.tried.len()));
        value.to_string()
    }

    fn swallows(&mut self, stage: &mut Stage, text: &str) -> bool {
        if self.sabotage != Some(Sabotage::ConfirmUnseen)
            || !text.starts_with(r#"{"type":"message""#)
        {
            return false;
        }
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let seen = value["payload"]["message_id"].to_string();
        if !self.swallowed.contains(&seen) && !stage.rng.chance(150) {
            return false;
        }
        self.swallowed.push(seen);
        let payload = json!({
            "conversation": value["payload"]["conversation"], "seq": value["payload"]["seq"],
        });
        let frame = json!({ "type": "received", "payload": payload }).to_string();
        if let Some(link) = self.link {
            stage.up(link, Frame::Text(frame));
        }
        true
    }
}
