//! The hub's part in it, without sockets: topics, and what is dropped with a `lag`.
//!
//! Invariant, as of the hub: effects happen in the order posted; a connection on several topics of
//! a publication gets it once; a connection that lags gets no entry until it was told. Deliberately
//! absent: the moment between a session's opening and the writer's note of the user, in which the hub
//! already gives it what is pushed to everyone.

use std::sync::Arc;

use hubbub_proto::command::Kind;
use hubbub_proto::event::{Delivered, Entry, Lag, Void};
use hubbub_proto::route::{DeliveryClass, Publication};
use hubbub_proto::{CloseCode, Effect, Event, Identity, Topic, UserId};

use crate::node::{Node, Seat, conn_of, is_durable, link_of};
use crate::report::Broken;
use crate::sabotage::Sabotage;
use crate::schedule::Happening;
use crate::stage::{Stage, trace};

impl Seat {
    fn hears(&self, topic: &Topic) -> bool {
        match topic {
            Topic::User(user) => self.identity.user == *user,
            Topic::Conversation(_) => self.topics.contains(topic),
            Topic::Role(role) => self.identity.holds(role.as_str()),
            Topic::All => true,
        }
    }

    fn subscribe(&mut self, topic: Topic) {
        if !self.topics.contains(&topic) {
            self.topics.push(topic);
        }
    }
}

impl Node {
    pub(crate) fn route(&mut self, stage: &mut Stage, effects: Vec<Effect>) -> Result<(), Broken> {
        for effect in effects {
            match effect {
                Effect::Reply { conn, id, outcome, .. } => {
                    self.on_reply(stage, link_of(conn), id.as_ref(), &outcome)?;
                }
                Effect::Publish(publication) => self.publish(stage, &publication, &[])?,
                Effect::Veil { publication, .. } if self.is(Sabotage::IgnoreVeils) => {
                    self.publish(stage, &publication, &[])?;
                }
                Effect::Veil { publication, unseen } => {
                    self.publish(stage, &publication, &unseen)?;
                }
                Effect::Push { conn, event } => self.push(stage, link_of(conn), &event, None)?,
                Effect::Attach { conn, topics } => {
                    if let Some(seat) = self.seats.get_mut(&link_of(conn)) {
                        seat.synced = true;
                        topics.into_iter().for_each(|topic| seat.subscribe(topic));
                    }
                }
                Effect::Close { conn, code } => self.close(stage, link_of(conn), code),
                Effect::SignOut { user, device, others } => {
                    let is_out = |identity: &Identity| {
                        identity.user == user && (identity.device == device) != others
                    };
                    let mut out: Vec<_> = self
                        .seats
                        .iter()
                        .filter(|(_, seat)| is_out(&seat.identity))
                        .map(|(link, _)| *link)
                        .collect();
                    out.sort_unstable();
                    for link in out {
                        self.close(stage, link, CloseCode::Disconnected);
                    }
                }
                Effect::Identity { user, roles } => {
                    for seat in self.seats.values_mut() {
                        if seat.identity.user == user {
                            Arc::make_mut(&mut seat.identity)
                                .change_rare(|rare| rare.granted = Arc::clone(&roles));
                            seat.session.set_granted(&roles);
                        }
                    }
                }
                Effect::Join { user, topic } => {
                    trace!(stage, "{user} joins {topic:?}");
                    if self.is(Sabotage::IgnoreJoin) {
                        continue;
                    }
                    for seat in self.seats.values_mut() {
                        if seat.identity.user == user && seat.synced {
                            seat.subscribe(topic.clone());
                        }
                    }
                }
                Effect::End { topic } => {
                    trace!(stage, "{topic:?} ends");
                    for seat in self.seats.values_mut() {
                        seat.topics.retain(|held| *held != topic);
                    }
                }
                Effect::Leave { user, topic } => {
                    trace!(stage, "{user} leaves {topic:?}");
                    if self.is(Sabotage::IgnoreLeave) {
                        continue;
                    }
                    for seat in self.seats.values_mut() {
                        if seat.identity.user == user {
                            seat.topics.retain(|held| *held != topic);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Those who are `unseen` get a void in the place of the entry.
    fn publish(
        &mut self,
        stage: &mut Stage,
        publication: &Publication,
        unseen: &[UserId],
    ) -> Result<(), Broken> {
        let durable = publication.class == DeliveryClass::Durable;
        if durable && self.is(Sabotage::LosePublications) && stage.rng.chance(100) {
            return Ok(());
        }
        let listening: Vec<usize> = self
            .seats
            .iter()
            .filter(|(_, seat)| publication.topics.iter().any(|topic| seat.hears(topic)))
            .filter(|(_, seat)| self.belongs(&seat.identity.user, publication))
            .map(|(link, _)| *link)
            .collect();
        for link in listening {
            let echo = self.is(Sabotage::EchoToSender);
            if publication.except == Some(conn_of(link)) && !echo {
                continue;
            }
            // The hub drops what is volatile when the socket is full.
            if !durable && stage.rng.chance(50) {
                continue;
            }
            let hidden =
                self.seats.get(&link).is_some_and(|seat| unseen.contains(&seat.identity.user));
            match &publication.event {
                Event::Entry(Delivered { entry, .. }) if hidden => {
                    let Entry { conversation, seq, .. } = entry;
                    let (conversation, seq) = (conversation.clone(), *seq);
                    let void = Event::Void(Void { conversation, seq, through: seq });
                    self.push(stage, link, &void, Some(publication.class))?;
                }
                event => self.push(stage, link, event, Some(publication.class))?,
            }
        }
        Ok(())
    }

    /// Whether what is kept of a push to everyone or to a role is for this user. The hub asks the
    /// session alone, which may have it a moment before, or after, the writer has noted the user.
    fn belongs(&self, user: &UserId, publication: &Publication) -> bool {
        let of_many = |topic: &Topic| matches!(topic, Topic::All | Topic::Role(_));
        match &publication.event {
            Event::Entry(Delivered { entry, .. }) if publication.topics.iter().any(of_many) => {
                let journal = self.store.journal();
                journal.log(&entry.conversation).is_some_and(|log| log.sees(user, entry.seq))
            }
            _ => true,
        }
    }

    /// Gives an event to one connection; published ones have a class.
    fn push(
        &mut self,
        stage: &mut Stage,
        link: usize,
        event: &Event,
        class: Option<DeliveryClass>,
    ) -> Result<(), Broken> {
        let (now, limits) = (stage.schedule.now(), stage.variant.limits);
        let (live, hides) = (class.is_some(), matches!(event, Event::MessageHidden(_)));
        if hides && self.is(Sabotage::LoseHidden) {
            return Ok(());
        }
        let Some(seat) = self.seats.get_mut(&link) else { return Ok(()) };
        if is_durable(event) || class == Some(DeliveryClass::Durable) {
            let user = seat.identity.user.clone();
            stage.oracle.pushed(&self.store.journal(), conn_of(link), &user, event, live, now)?;
            if !seat.lagging && stage.rng.chance(stage.variant.lag_per_mille) {
                seat.lagging = true;
                let longest_ms = [2, 100, 3_000][stage.rng.index(3)];
                let delay_ms = stage.rng.between(0, longest_ms);
                stage.schedule.after(delay_ms, Happening::Lag { link });
            }
            if seat.lagging {
                stage.count("dropped with a lag");
                trace!(stage, "#{link} lags, drops {event:?}");
                return Ok(());
            }
            if let Event::Entry(delivered) = event {
                let entry = &delivered.entry;
                seat.session.delivered(&entry.conversation, entry.seq, now, &limits);
            }
        }
        if let Event::Entry(Delivered { entry, .. }) = event
            && matches!(entry.kind, Kind::Push(_))
        {
            stage.count("pushes");
        }
        if let Event::Receipt(receipt) = event {
            stage.count("receipts");
            let user = &seat.identity.user;
            stage.oracle.told(&self.store.journal(), conn_of(link), user, receipt)?;
        }
        self.send(stage, link, event);
        self.arm(stage, link);
        Ok(())
    }

    /// The outbox has drained: the connection is told that it lagged.
    pub(crate) fn tell_lag(&mut self, stage: &mut Stage, link: usize) {
        if let Some(seat) = self.seats.get_mut(&link)
            && seat.lagging
        {
            seat.lagging = false;
            self.send(stage, link, &Event::Lag(Lag { conversation: None, head: None }));
        }
    }
}
