//! The run: what is due happens, and in the end everything must be at rest and right.

use hubbub_proto::{ConversationId, DeviceId, UserId};
use serde_json::{Value, json};

use crate::config::{Config, Variant};
use crate::device::Device;
use crate::link::Link;
use crate::log::Log;
use crate::node::Node;
use crate::oracle::Oracle;
use crate::report::{Broken, Promise, Report, Violation};
use crate::rng::Rng;
use crate::schedule::{Happening, Schedule};
use crate::spy::SpyStore;
use crate::stage::{Stage, trace};
use crate::trace::Trace;

/// How often it is looked whether everything is at rest.
const LOOK_MS: u64 = 500;
/// After everything is at rest, what is flushed late (soft cursors, receipts) has this long.
const CALM_MS: u64 = 5_000;

/// Entries that are counted for the report.
const KINDS_COUNTED: [&str; 12] = [
    "group_updated",
    "member_banned",
    "member_joined",
    "member_kicked",
    "member_left",
    "member_muted",
    "member_unbanned",
    "message_deleted",
    "message_edited",
    "message_pin",
    "message_reaction",
    "message_recalled",
];

pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) node: Node,
    pub(crate) devices: Vec<Device>,
    pub(crate) users: Vec<UserId>,
    pub(crate) actions_left: u64,
    pub(crate) healed: bool,
    /// Messages and commands made so far; their names.
    pub(crate) made: u64,
    settle_ms: u64,
}

/// Runs one seed. The same seed and configuration give the same run on every machine.
///
/// # Errors
/// The first promise that was broken.
pub fn run(seed: u64, config: &Config) -> Result<Report, Violation> {
    let mut world = World::new(seed, config);
    let outcome = world.play();
    let (conflicts, duplicates) = world.stage.oracle.repetitions();
    world.stage.counts.extend([
        ("conflicts", conflicts),
        ("duplicates", duplicates),
        ("resets", world.stage.oracle.resets()),
        ("commands acked", world.stage.oracle.acked_count()),
        ("store troubles", world.node.store.trouble.met()),
        ("entries", world.node.store.journal().logs.values().map(Log::head).sum()),
    ]);
    let expired = world.node.store.journal().ended_by(world.stage.schedule.now());
    world.stage.counts.insert("expired", expired);
    world.stage.counts.extend(world.node.store.journal().heads());
    for kind in KINDS_COUNTED {
        let journal = world.node.store.journal();
        let all = journal.logs.values().flat_map(|log| &log.entries);
        let count = all.filter(|entry| entry.kind.as_str() == kind).count() as u64;
        world.stage.counts.insert(kind, count);
    }
    world.stage.counts.extend(world.stage.oracle.refusals());
    let trace_hash = world.stage.trace.hash();
    let trace = world.stage.trace.into_lines();
    match outcome {
        Ok(()) => Ok(Report { trace_hash, counts: world.stage.counts, trace }),
        Err(Broken { promise, what }) => Err(Violation { seed, promise, what, trace }),
    }
}

impl World {
    fn new(seed: u64, config: &Config) -> Self {
        let mut rng = Rng::new(seed);
        let variant = Variant::draw(config, &mut rng);
        let mut users = Vec::new();
        let mut devices = Vec::new();
        for name in ["ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal"] {
            if users.len() as u64 == variant.users {
                break;
            }
            let user = UserId::new(name).expect("a valid name");
            for n in 0..rng.between(1, config.devices_max.max(1)) {
                let id = DeviceId::new(&format!("{name}-{n}")).expect("a valid name");
                let named = rng.chance(500);
                devices.push(Device::new(devices.len(), user.clone(), id, named, config.sabotage));
            }
            if let Some(only) =
                devices.last_mut().filter(|device: &&mut Device| device.id.as_str().ends_with("-0"))
            {
                only.alone = true;
            }
            users.push(user);
        }
        let stage = Stage {
            schedule: Schedule::new(),
            rng,
            trace: Trace::new(config.trace_lines),
            links: Vec::new(),
            oracle: Oracle::default(),
            counts: std::collections::BTreeMap::new(),
            variant,
        };
        let store = SpyStore::new(config.sabotage, seed, stage.variant.trouble_per_mille);
        Self {
            actions_left: stage.variant.actions,
            stage,
            node: Node::new(store, config.sabotage),
            devices,
            users,
            healed: false,
            made: 0,
            settle_ms: config.settle_ms,
        }
    }

    fn play(&mut self) -> Result<(), Broken> {
        trace!(self.stage, "{:?}", self.stage.variant);
        self.node.start(&mut self.stage);
        for device in 0..self.devices.len() {
            let delay_ms = self.stage.rng.between(0, 3_000);
            self.stage.schedule.after(delay_ms, Happening::Dial { device });
        }
        self.stage.schedule.after(100, Happening::Act);
        self.stage.schedule.after(100, Happening::Break);
        while self.actions_left > 0 {
            self.pass(LOOK_MS)?;
        }
        let rest_ms = self.stage.rng.between(0, 5_000);
        self.pass(rest_ms)?;
        self.heal();
        self.come_to_rest()?;
        self.pass(CALM_MS)?;
        self.come_to_rest()?;
        self.compare()
    }

    /// Lets so much time pass.
    fn pass(&mut self, ms: u64) -> Result<(), Broken> {
        let until_ms = self.stage.now_ms() + ms;
        while let Some(happening) = self.stage.schedule.next(until_ms) {
            self.happen(happening)?;
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        let Self { stage, node, devices, healed, .. } = self;
        match happening {
            Happening::Dial { device } => {
                let at_ms = devices[device].away_until_ms;
                if devices[device].link.is_some() {
                } else if at_ms > stage.now_ms() {
                    stage.schedule.at(at_ms, happening);
                } else {
                    let link = stage.links.len();
                    stage.links.push(Link::new(device));
                    devices[device].dialed(stage, link);
                    let delay_ms = stage.rng.between(0, stage.variant.delay_ms);
                    stage.schedule.after(delay_ms, Happening::Open { link });
                }
            }
            Happening::Open { link } => {
                let device = &devices[stage.links[link].device];
                let identity = device.identity(stage.schedule.now_ms(), &mut stage.rng);
                trace!(stage, "#{link} opens for device {} of {}", device.index, device.user);
                node.open(stage, link, identity);
            }
            Happening::Up { link } => {
                if let Some(frame) = stage.links[link].up.pop(stage.schedule.now_ms()) {
                    node.on_frame(stage, link, frame);
                }
            }
            Happening::Down { link } => {
                if let Some(frame) = stage.links[link].down.pop(stage.schedule.now_ms()) {
                    let device = &mut devices[stage.links[link].device];
                    device.on_frame(stage, &node.store.journal(), link, frame)?;
                }
            }
            Happening::Poll { device } => {
                devices[device].poll(stage, &node.store.journal())?;
            }
            Happening::Retry { device, attempt } => {
                devices[device].retry(stage, &node.store.journal(), attempt)?;
            }
            Happening::Execute { life } if life == node.life => node.execute(stage)?,
            Happening::Post { life } if life == node.life && node.doomed && !*healed => {
                let down_ms = stage.rng.between(0, 4_000);
                stage.schedule.after(down_ms, Happening::Restart);
                node.crash(stage)?;
            }
            Happening::Post { life } if life == node.life => node.post(stage)?,
            Happening::Read { life } if life == node.life => node.answer(stage)?,
            Happening::Answer { life, answer } if life == node.life => {
                node.post_answer(stage, answer)?;
            }
            Happening::Tick { life } if life == node.life => node.tick(stage)?,
            Happening::Execute { .. }
            | Happening::Post { .. }
            | Happening::Read { .. }
            | Happening::Answer { .. }
            | Happening::Tick { .. } => {}
            Happening::Deadline { link } => node.on_deadline(stage, link),
            Happening::Lag { link } => node.tell_lag(stage, link),
            Happening::Restart => node.start(stage),
            Happening::Act => self.act()?,
            Happening::Break => self.break_something()?,
        }
        Ok(())
    }

    /// P4: once nothing breaks any more, everything is delivered in bounded time.
    fn come_to_rest(&mut self) -> Result<(), Broken> {
        let until_ms = self.stage.now_ms() + self.settle_ms;
        loop {
            let Some(restless) = self.restless() else { return Ok(()) };
            if self.stage.now_ms() >= until_ms {
                return Err(Promise::P4.broken(format!("not at rest: {restless}")));
            }
            self.pass(LOOK_MS)?;
        }
    }

    fn restless(&self) -> Option<String> {
        let journal = self.node.store.journal();
        for device in &self.devices {
            if let Some(restless) = device.restless() {
                return Some(restless);
            }
            let link = device.link.unwrap_or_default();
            if let Some(unanswered) = self.stage.oracle.awaits_reply(link) {
                return Some(unanswered);
            }
            let cursors = device.cursors();
            let oracle = &self.stage.oracle;
            if let Some(missing) = oracle.missing(&journal, device.index, &device.user, &cursors) {
                return Some(missing);
            }
        }
        // A command on a connection that its device has given up long ago still counts.
        let under_way = self.stage.links.iter().any(|link| !link.up.is_empty());
        (under_way || !self.node.is_idle()).then(|| "commands are under way".to_owned())
    }

    /// P1, P2 in the store; P5, P6: every device of a user shows the same.
    fn compare(&mut self) -> Result<(), Broken> {
        let mut reader = self.node.store.reader().expect("a store in memory answers");
        let now = self.stage.schedule.now();
        self.stage.oracle.check_store(&self.node.store.journal(), &mut *reader, now)?;
        self.compare_lists()?;
        // Whoever has just been answered is no device on a dead connection, which would not know
        // what another one has hidden.
        let now = self.stage.schedule.now();
        for Device { index, user, timelines, .. } in &self.devices {
            let journal = self.node.store.journal();
            self.stage.oracle.looked_at(&journal, *index, user, timelines, now)?;
        }
        Ok(())
    }

    fn compare_lists(&mut self) -> Result<(), Broken> {
        // A connection that turns out to be dead in between brings late cursors, so that two lists
        // are of different moments; the next ones are not.
        let mut differs = self.lists_differ()?;
        for _ in 0..2 {
            if differs.is_none() {
                break;
            }
            self.pass(CALM_MS)?;
            self.come_to_rest()?;
            differs = self.lists_differ()?;
        }
        differs.map_or(Ok(()), Err)
    }

    /// Asks every device's list of conversations, and finds two of a user that differ.
    fn lists_differ(&mut self) -> Result<Option<Broken>, Broken> {
        let mut lists: Vec<Vec<Value>> = vec![Vec::new(); self.devices.len()];
        let mut next: Vec<Option<Value>> = vec![Some(Value::Null); self.devices.len()];
        while next.iter().any(Option::is_some) {
            self.list_page(&mut lists, &mut next)?;
        }
        for (device, list) in self.devices.iter().zip(&lists) {
            self.check_list(&device.user, list)?;
            let mut others = self.devices.iter().zip(&lists);
            if let Some((other, differs)) =
                others.find(|(other, shown)| other.user == device.user && *shown != list)
            {
                let (a, b, user) = (other.index, device.index, &device.user);
                return Ok(Some(Promise::P5.broken(format!(
                    "{user} sees {differs:?} on device {a} and {list:?} on device {b}"
                ))));
            }
        }
        Ok(None)
    }

    /// The next page of every device's list of conversations.
    fn list_page(
        &mut self,
        lists: &mut [Vec<Value>],
        next: &mut [Option<Value>],
    ) -> Result<(), Broken> {
        let mut asked = Vec::new();
        for (device, next) in self.devices.iter_mut().zip(next.iter()) {
            let Some(before_rev) = next else {
                asked.push(None);
                continue;
            };
            let payload = json!({ "limit": 200, "before_rev": before_rev });
            asked.push(Some(device.ask("conversations", payload)));
            device.flush(&mut self.stage, &self.node.store.journal())?;
            device.wake(&mut self.stage);
        }
        self.come_to_rest()?;
        for (at, asked) in asked.into_iter().enumerate() {
            let Some(asked) = asked else { continue };
            let outcome = self.devices[at].attempts.get(asked).and_then(|a| a.outcome.clone());
            let Some(Ok(mut page)) = outcome else {
                return Err(Promise::P5.broken(format!("no list of conversations: {outcome:?}")));
            };
            next[at] = page.get("next").cloned();
            for mut listed in
                page["conversations"].as_array_mut().into_iter().flat_map(std::mem::take)
            {
                // A display name changes with a device's next token; that is no state of P5.
                listed["peer"] = Value::Null;
                lists[at].push(listed);
            }
        }
        Ok(())
    }

    /// Every conversation of a user is in their list.
    fn check_list(&self, user: &UserId, list: &[Value]) -> Result<(), Broken> {
        let listed: Vec<&str> = list.iter().filter_map(|listed| listed["id"].as_str()).collect();
        let journal = self.node.store.journal();
        // A log of pushes is in the list from the first one on.
        let in_list = |id: &ConversationId, log: &Log| {
            !id.as_str().starts_with("system:") || (1..=log.head()).any(|seq| log.sees(user, seq))
        };
        let mut theirs = journal
            .logs
            .iter()
            .filter(|(id, log)| log.stays.contains_key(user) && in_list(id, log));
        match theirs.find(|(id, _)| !listed.contains(&id.as_str())) {
            Some((id, _)) => Err(Promise::P5.broken(format!("{user} is not shown {id}"))),
            None => Ok(()),
        }
    }
}
