//! The heartbeats of 100,000 connections in simulated time: the wheel and the sessions, without
//! sockets. What is counted is how often a connection is touched, which is what costs.

use std::sync::Arc;

use hubbub_proto::limits::Limits;
use hubbub_proto::session::{Due, Session};
use hubbub_proto::{DeviceId, Event, Identity, Timestamp, UserId};

use crate::signing_in::phase_of;
use crate::slab::At;
use crate::wheel::Wheel;

const CONNECTIONS: u32 = 100_000;
const SECONDS: u64 = 300;
/// For each beat: the ping, and the moment at which its answer must have come.
const TOUCHES: u64 = 2;
const START: Timestamp = Timestamp(1_000_000_500);

struct Simulation {
    limits: Limits,
    wheel: Wheel,
    sessions: Vec<Session>,
    filed: Vec<u32>,
    due: Vec<Due>,
    pings: Vec<u64>,
}

impl Simulation {
    fn new() -> Self {
        Self {
            limits: Limits::default(),
            wheel: Wheel::new(START),
            sessions: Vec::new(),
            filed: Vec::new(),
            due: Vec::new(),
            pings: Vec::new(),
        }
    }

    fn open(&mut self, identity: &Arc<Identity>, now: Timestamp) {
        let slot = self.sessions.len() as u32;
        let phase = phase_of(slot.into());
        self.sessions.push(Session::open(identity.clone(), phase, now, &self.limits));
        self.filed.push(0);
        self.pings.push(0);
        self.file(slot);
    }

    /// As a shard does: an earlier entry stays, and counts.
    fn file(&mut self, slot: u32) {
        let next = self.sessions[slot as usize].next_deadline(&self.limits).unwrap();
        let second = self.wheel.second_for(next);
        let filed = &mut self.filed[slot as usize];
        if *filed == 0 || second < *filed {
            *filed = second;
            self.wheel.insert(second, At { slot, generation: 0 });
        }
    }

    /// Handles what is due; every ping is answered before the next tick. Answers how many entries
    /// were touched.
    fn tick(&mut self, now: Timestamp) -> u64 {
        let mut touched = 0;
        while let Some((second, mut list)) = self.wheel.next_due(now) {
            for at in list.drain(..) {
                touched += 1;
                let slot = at.slot as usize;
                if self.filed[slot] == 0 || self.filed[slot] > second {
                    continue;
                }
                self.filed[slot] = 0;
                self.sessions[slot].on_deadline(now, &self.limits, false, &mut self.due);
                self.file(at.slot);
                for due in self.due.drain(..) {
                    assert!(matches!(due, Due::Send(Event::Ping(_))), "{due:?}");
                    self.pings[slot] += 1;
                    self.sessions[slot].heard();
                }
            }
            self.wheel.recycle(second, list);
        }
        touched
    }
}

fn somebody() -> Arc<Identity> {
    Arc::new(Identity {
        user: UserId::new("u").unwrap(),
        name: None,
        roles: Box::default(),
        device: DeviceId::new("d").unwrap(),
        device_named: false,
        expires_at: None,
        issued_at: None,
        rare: None,
        authority: hubbub_proto::route::Authority::default(),
    })
}

#[test]
fn a_hundred_thousand_that_came_at_once_are_touched_evenly_and_seldom() {
    let mut simulation = Simulation::new();
    let identity = somebody();
    for _ in 0..CONNECTIONS {
        simulation.open(&identity, START);
    }
    let mut work = Vec::new();
    for second in 1..=SECONDS {
        work.push(simulation.tick(START.plus_ms(second * 1000)));
        assert_eq!(simulation.tick(START.plus_ms(second * 1000 + 400)), 0, "nothing in between");
    }
    let interval_s = u64::from(simulation.limits.ping_interval_ms / 1000);
    let beats = u64::from(CONNECTIONS) * SECONDS / interval_s;
    let all: u64 = work.iter().sum();
    assert!(all <= TOUCHES * beats, "{all} touches for {beats} beats");
    for (slot, pings) in simulation.pings.iter().enumerate() {
        let expected = SECONDS / interval_s - 1..=SECONDS / interval_s;
        assert!(expected.contains(pings), "{pings} pings of {slot}");
    }
    // First pings come within half to one interval, so half of the seconds share the beats.
    let mean = TOUCHES * beats / SECONDS;
    let most = work.iter().max().unwrap();
    assert!(*most <= mean * 2 + mean / 4, "{most} in one second, {mean} on average");
}

#[test]
fn those_that_come_one_after_the_other_fill_every_second() {
    let mut simulation = Simulation::new();
    let identity = somebody();
    let mut work = Vec::new();
    for second in 1..=SECONDS {
        let now = START.plus_ms(second * 1000);
        if second <= 60 {
            for _ in 0..CONNECTIONS / 60 {
                simulation.open(&identity, now);
            }
        }
        work.push(simulation.tick(now));
    }
    let steady = &work[120..];
    let mean = steady.iter().sum::<u64>() / steady.len() as u64;
    let (least, most) = (steady.iter().min().unwrap(), steady.iter().max().unwrap());
    assert!(*most <= mean * 3 / 2 && *least >= mean / 2, "{least} to {most}, {mean} on average");
}

#[test]
fn one_connection_is_touched_twice_a_beat() {
    let mut simulation = Simulation::new();
    simulation.open(&somebody(), START);
    let touched: u64 =
        (1..=SECONDS).map(|second| simulation.tick(START.plus_ms(second * 1000))).sum();
    let pings = simulation.pings[0];
    assert!((9..=10).contains(&pings), "{pings}");
    assert!((TOUCHES * pings - 1..=TOUCHES * pings).contains(&touched), "{touched}");
}
