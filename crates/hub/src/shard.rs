//! A shard: one thread, one epoll instance, and the connections it owns to their end.
//!
//! Invariants: every event and every post finds its connection by place and generation; a
//! connection is written to at most once per tick, unless its outbox fills up in between; no task,
//! channel or timer belongs to a connection. A panic in the handling of one connection closes that
//! connection; one in the loop itself aborts the process, because nobody could say what state the
//! shard is in, and nothing acknowledged can be lost by it.

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use hubbub_proto::event::Bye;
use hubbub_proto::route::Work;
use hubbub_proto::session::Session;
use hubbub_proto::{Channel, CloseCode, ConnId, DeviceId, Event, Reason, Topic, UserId};
use hubbub_websocket::{Decoder, Limits as FrameLimits, Role};
use mio::{Events, Poll, Token};

use crate::calm::Calm;
use crate::channels::Standing;
use crate::chatter::Chatter;
use crate::connection::{Connection, Echo, Kind, Parked, Phase, Rare};
use crate::desk::{Desk, Settings};
use crate::frame::Broadcast;
use crate::inbox::Post;
use crate::live::Parcel;
use crate::opening::{Adoption, OpeningKind};
use crate::slab::{At, Slab};
use crate::stats::{Carrier, ShardStats};
use crate::subscribing::Asked;
use crate::transport::{Socket, Transport};
use crate::upstream::Upstream;

/// The token of the inbox; no connection can have it.
pub(crate) const WAKER: Token = Token(usize::MAX);
/// Events taken from epoll at once.
const EVENTS_MAX: usize = 1024;
/// Sockets adopted in one tick: what is there already is served in between, however many come.
const ADOPTIONS_PER_TICK: usize = 32;
/// Requests that wait for the upstream while it is full before no more sockets are adopted, in a
/// shard with fewer sessions.
const UNTOLD_MAX: usize = 4096;
/// While draining, the time between two steps.
const DRAIN_STEP: Duration = Duration::from_millis(10);
/// In how many steps all connections are told to go.
const DRAIN_STEPS: usize = 50;

/// The parts of a shard that are made before its thread starts.
pub(crate) struct Seed {
    pub(crate) shard: u16,
    pub(crate) poll: Poll,
    pub(crate) stats: Arc<ShardStats>,
    /// Connections here or on their way here.
    pub(crate) load: Arc<AtomicUsize>,
}

pub(crate) struct Shard {
    poll: Poll,
    pub(crate) slab: Slab,
    pub(crate) desk: Desk,
    load: Arc<AtomicUsize>,
    pub(crate) posts: Vec<Post>,
    /// Sockets that wait for their turn, first come first; bounded by the number of connections.
    pub(crate) adopting: VecDeque<Box<Adoption>>,
    pub(crate) targets: Vec<u32>,
    calm: Calm,
    drain: Option<Drain>,
}

/// The end of a shard.
struct Drain {
    retry_after_ms: RangeInclusive<u64>,
    deadline: Instant,
    /// Places before this one were told.
    told: u32,
    per_step: usize,
    next_step: Instant,
}

impl Shard {
    pub(crate) fn new(seed: Seed, settings: Arc<Settings>, upstream: Arc<dyn Upstream>) -> Self {
        Self {
            poll: seed.poll,
            slab: Slab::default(),
            desk: Desk::new(seed.shard, settings, upstream, seed.stats),
            load: seed.load,
            posts: Vec::new(),
            adopting: VecDeque::new(),
            targets: Vec::new(),
            calm: Calm::default(),
            drain: None,
        }
    }

    /// Runs until drained. Aborts the process on a panic or when epoll fails.
    pub(crate) fn run(mut self) {
        match catch_unwind(AssertUnwindSafe(|| self.serve())) {
            Ok(Ok(())) => {
                self.desk.inbox().close();
                self.adopting.into_iter().for_each(|adoption| adoption.turn_away());
            }
            Ok(Err(error)) => {
                tracing::error!(shard = self.desk.shard, %error, "epoll failed");
                std::process::abort();
            }
            Err(_) => {
                tracing::error!(shard = self.desk.shard, "a shard panicked");
                std::process::abort();
            }
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.desk.turns.begin(Instant::now());
            self.desk.now = self.desk.now.max((self.desk.settings.clock)());
            self.calm.note(events.iter().count());
            for event in &events {
                if event.token() != WAKER {
                    self.on_event(event);
                }
            }
            self.handle_posts();
            self.handle_adoptions();
            self.handle_ready();
            self.handle_deadlines();
            self.desk.submit();
            self.fan_out();
            self.send_mail();
            self.flush_dirty();
            self.remove_gone();
            self.desk.packer.count(&self.desk.stats);
            self.desk.turns.end(Instant::now(), &self.desk.stats);
            if self.drain_step() {
                return Ok(());
            }
        }
    }

    /// How long to wait for something to happen.
    fn timeout(&mut self) -> Option<Duration> {
        let adopts = !self.adopting.is_empty() && self.has_room();
        let work_waits = !self.desk.ready.is_empty() || adopts;
        if work_waits || !self.desk.inbox().sleep() {
            return Some(Duration::ZERO);
        }
        if self.drain.is_some() {
            return Some(DRAIN_STEP);
        }
        // Deadlines are looked at once a second.
        let into_second = self.desk.now.0 % 1000;
        let waits = self.slab.len() > 0 || self.desk.channels.homes() > 0 || self.calm.is_owed();
        waits.then(|| Duration::from_millis(1000 - into_second))
    }

    /// Does something to one connection, if it is still there, and confines a panic to it.
    fn with(&mut self, at: At, work: impl FnOnce(&mut Desk, At, &mut Connection)) {
        let Some(connection) = self.slab.get(at) else { return };
        guard(&mut self.desk, at, connection, work);
    }

    fn on_event(&mut self, event: &mio::event::Event) {
        let at = At::from_token(event.token().0);
        self.with(at, |desk, at, connection| {
            if event.is_error() {
                return desk.lose(at, connection);
            }
            connection.peer_done |= event.is_read_closed();
            if event.is_writable() {
                desk.flush(at, connection);
            }
            if event.is_readable() || event.is_read_closed() {
                desk.push_ready(at, connection);
            }
        });
    }

    fn handle_posts(&mut self) {
        let mut posts = std::mem::take(&mut self.posts);
        let losses = self.desk.inbox().take(&mut posts);
        self.calm.note(posts.len());
        self.desk.stats.dropped_inbox.add(losses.volatile);
        self.desk.stats.dropped_inbox_durable.add(losses.durable + losses.redelivered);
        for post in posts.drain(..) {
            self.on_post(post);
        }
        self.desk.turns.settle(Instant::now, &self.desk.stats);
        self.posts = posts;
        self.desk.stats.dropped_inbox_channels.add(losses.parcels);
        self.desk.stats.refused_inbox.add(losses.drafts);
        self.desk.stats.refused_recoveries.add(losses.recoveries);
        if losses.parcels > 0 {
            self.mark_subscribers_lagging();
        }
        if losses.durable > 0 {
            self.mark_lagging();
        }
    }

    /// Entries were dropped before they got here, and nobody knows whose: all sessions have to
    /// pull. Called behind the posts that were taken, since those came before what was dropped;
    /// what is published later can be taken only after this tick's flush.
    fn mark_lagging(&mut self) {
        tracing::warn!(shard = self.desk.shard, "a shard is behind: its sessions have to pull");
        for slot in 0..self.slab.places() {
            let Some((at, connection)) = self.slab.tenant(slot) else { continue };
            self.desk.lag(at, connection);
        }
    }

    /// The same for parcels: those who are subscribed to channels are told.
    fn mark_subscribers_lagging(&mut self) {
        tracing::warn!(shard = self.desk.shard, "a shard is behind: it lost publications");
        for slot in 0..self.slab.places() {
            if self.desk.topics.channels(slot) > 0
                && let Some((at, connection)) = self.slab.tenant(slot)
            {
                self.desk.lag(at, connection);
            }
        }
    }

    /// Hands over what is for other shards.
    fn send_mail(&mut self) {
        for (posts, inbox) in self.desk.outgoing.iter_mut().zip(&*self.desk.settings.inboxes) {
            if !posts.is_empty() {
                inbox.post_all(std::mem::take(posts));
            }
        }
        self.desk.send_answers();
    }

    fn on_parcel(&mut self, parcel: Parcel) {
        let Some(row) = self.desk.on_parcel(parcel) else { return };
        for slot in self.desk.topics.subscribers(row).to_vec() {
            if let Some((at, connection)) = self.slab.tenant(slot) {
                self.desk.lag(at, connection);
            }
        }
    }

    fn on_subscribed(
        &mut self,
        conn: ConnId,
        asked: &Asked,
        channel: &Channel,
        outcome: Result<Box<Standing>, Reason>,
    ) {
        let at = at(conn);
        let who = self.slab.get(at).map(|connection| (at, connection));
        self.desk.on_subscribed(who, asked, channel, outcome);
    }

    fn on_post(&mut self, post: Post) {
        match post {
            Post::Adopt(adoption) => self.adopting.push_back(adoption),
            Post::Answer { conn, id, read_at, outcome } => {
                self.desk.turns.replied(read_at);
                self.with(at(conn), |desk, at, connection| {
                    desk.on_reply(at, connection, id.as_ref(), &outcome);
                });
            }
            Post::Reply { conn, id, outcome } => {
                self.with(at(conn), |desk, at, connection| {
                    desk.on_reply(at, connection, id.as_ref(), &outcome);
                });
            }
            Post::Publish(broadcast) => self.publish(&broadcast),
            Post::Push { conn, event } => {
                self.with(at(conn), |desk, at, connection| desk.push(at, connection, &event));
            }
            Post::Lag { conn } => self.with(at(conn), Desk::lag),
            Post::Attach { conn, topics } => self.attach(at(conn), &topics),
            Post::Join { user, topic } => self.join(&user, &topic),
            Post::Leave { user, topic } => self.part(&user, &topic),
            Post::End { topic } => self.end(&topic),
            Post::Close { conn, code } => {
                self.with(at(conn), |desk, at, connection| desk.close(at, connection, code));
            }
            Post::Identity { user, roles } => self.set_granted(&user, &roles),
            Post::SignOut { user, device, others } => self.sign_out(&user, &device, others),
            Post::Replace { user, device, opened } => self.replace(&user, &device, opened),
            Post::Subscribe { conn, asked, channel, recover } => {
                self.desk.on_subscribe(conn, asked, channel, recover);
            }
            Post::Watch { shard, pattern, present } => {
                self.desk.on_watch(shard, &pattern, present);
            }
            Post::SubscribeUser { user, channel, present } => {
                self.on_subscribe_user(&user, &channel, present);
            }
            Post::Member { channel, user, joined } => {
                self.desk.on_member(&channel, &user, joined);
            }
            Post::ChannelPresence { conn, id, wanted } => {
                self.desk.on_channel_presence(conn, id, &wanted);
            }
            Post::ChannelHistory { conn, id, wanted } => {
                self.desk.on_channel_history(conn, id, &wanted);
            }
            Post::Subscribed { conn, asked, channel, outcome } => {
                self.on_subscribed(conn, &asked, &channel, outcome);
            }
            Post::Unsubscribe { shard, channel } => self.desk.on_unsubscribe(shard, &channel),
            Post::Draft(draft) => self.desk.on_draft(*draft),
            Post::RefuseDraft { conn, id } => {
                let outcome = Err(Reason::Overloaded.into());
                self.desk.mail(conn.shard, Post::Reply { conn, id, outcome });
            }
            Post::Parcel(parcel) => self.on_parcel(*parcel),
            Post::Signal { to, event } => self.desk.signals.push((to, Event::Signal(event))),
            Post::Resume => self.resume(),
            Post::StopParsing(done) => {
                self.stop();
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
            Post::Drain { retry_after_ms, deadline } => {
                self.desk.stopped = true;
                self.drain = Some(Drain {
                    retry_after_ms,
                    deadline,
                    told: 0,
                    per_step: (self.slab.len() / DRAIN_STEPS).max(64),
                    next_step: Instant::now(),
                });
            }
        }
    }

    /// Whether sockets may come in. Sessions come and go while the upstream takes nothing, and it
    /// has to be told of each: what waits for it stays in proportion to the sessions that are here.
    fn has_room(&self) -> bool {
        let told_max = UNTOLD_MAX.max(2 * self.slab.len());
        !self.desk.upstream_full || self.desk.batch.len() < told_max
    }

    fn handle_adoptions(&mut self) {
        for _ in 0..ADOPTIONS_PER_TICK {
            if !self.has_room() {
                return;
            }
            let Some(adoption) = self.adopting.pop_front() else { return };
            self.adopt(*adoption);
        }
    }

    fn adopt(&mut self, adoption: Adoption) {
        let Adoption { socket, already_read, opening } = adoption;
        let at = self.slab.next();
        let transport = match self.register(socket, at) {
            Ok(transport) => transport,
            Err(error) => {
                tracing::debug!(%error, remote = %opening.remote, "a socket could not be adopted");
                self.load.fetch_sub(1, Relaxed);
                return;
            }
        };
        // What is in a TCP socket already brings an event of its own once it is registered.
        let is_announced = matches!(transport, Transport::Tcp(_)) && already_read.is_empty();
        let desk = &self.desk;
        let mut rare = (!already_read.is_empty())
            .then(|| Box::new(Rare { stash: already_read.to_vec(), ..Rare::default() }));
        let (kind, compressed, refused) = match opening.kind {
            OpeningKind::Session { codec, identity, device, compressed } => {
                let session = match identity {
                    Some(identity) => {
                        Session::open(identity, desk.ping_phase(), desk.now, &desk.limits)
                    }
                    None => Session::awaiting_auth(desk.now, &desk.limits),
                };
                if session.identity().is_none() && device.is_some() {
                    rare.get_or_insert_default().device = device;
                }
                (Kind::Session { session, codec }, compressed, None)
            }
            OpeningKind::Stream { identity } => {
                let phase = desk.ping_phase();
                let session = Session::open_unconfirmed(identity, phase, desk.now, &desk.limits);
                (Kind::Session { session, codec: hubbub_proto::codec::Codec::Json }, None, None)
            }
            OpeningKind::Echo { message_bytes_max, fragments_max, compressed } => {
                let limits = FrameLimits { message_bytes_max, fragments_max };
                let heard_by = desk.now.plus_ms(desk.silence_ms());
                (Kind::Echo(Echo { limits, heard_by }), compressed, None)
            }
            OpeningKind::Refused(code) => (Kind::Refused, None, Some(code)),
        };
        let carrier = Carrier::of(&transport, &kind);
        let refused = if desk.stopped { Some(CloseCode::GoingAway) } else { refused };
        let at = self.slab.insert(Connection {
            transport,
            decoder: Decoder::new(Role::Server),
            kind,
            compressed,
            outbox: None,
            rare,
            opened: 0,
            wheel_second: 0,
            chatter: Chatter::default(),
            phase: Phase::Open,
            parked: None,
            synced: false,
            lagging: false,
            ready: false,
            dirty: false,
            peer_done: false,
            _permit: opening.permit,
        });
        self.desk.stats.adopted.add(1);
        self.desk.stats.came(carrier);
        self.desk.stats.connections.set(self.slab.len() as u64);
        let answer = opening.answer;
        self.with(at, |desk, at, connection| {
            if !answer.is_empty() {
                desk.outbox(at, &mut connection.outbox, &mut connection.dirty).push_shared(answer);
            }
            if let Some(code) = refused {
                return desk.close(at, connection, code);
            }
            desk.open_session(at, connection);
            desk.schedule(at, connection);
            if !is_announced {
                desk.push_ready(at, connection);
            }
        });
        self.replace_older();
    }

    fn register(&self, socket: Socket, at: At) -> io::Result<Transport> {
        let mut transport = Transport::new(socket)?;
        transport.register(self.poll.registry(), Token(at.token()))?;
        Ok(transport)
    }

    /// Sessions that were opened just now end older ones of the same device in this shard.
    fn replace_older(&mut self) {
        while let Some(at) = self.desk.opened.pop() {
            let Some(connection) = self.slab.get(at) else { continue };
            let opened = connection.opened;
            let identity = connection.session().and_then(|session| session.identity().cloned());
            if let Some(identity) = identity {
                self.replace(&identity.user, &identity.device, opened);
            }
        }
    }

    fn replace(&mut self, user: &UserId, device: &DeviceId, opened: u64) {
        for slot in self.desk.topics.connections(user).to_vec() {
            let Some((at, connection)) = self.slab.tenant(slot) else { continue };
            let is_older = connection.opened < opened;
            let is_same = connection
                .session()
                .and_then(|session| session.identity())
                .is_some_and(|identity| identity.device_named && identity.device == *device);
            if is_older && is_same {
                guard(&mut self.desk, at, connection, |desk, at, connection| {
                    desk.close(at, connection, CloseCode::Replaced);
                });
            }
        }
    }

    fn sign_out(&mut self, user: &UserId, device: &DeviceId, others: bool) {
        for slot in self.desk.topics.connections(user).to_vec() {
            let Some((at, connection)) = self.slab.tenant(slot) else { continue };
            let identity = connection.session().and_then(|session| session.identity());
            if identity.is_some_and(|identity| (identity.device == *device) != others) {
                guard(&mut self.desk, at, connection, |desk, at, connection| {
                    desk.close(at, connection, CloseCode::Disconnected);
                });
            }
        }
    }

    fn set_granted(&mut self, user: &UserId, roles: &Arc<[Box<str>]>) {
        for slot in self.desk.topics.connections(user).to_vec() {
            if let Some((_, connection)) = self.slab.tenant(slot)
                && let Some(session) = connection.session()
            {
                session.set_granted(roles);
            }
        }
    }

    fn publish(&mut self, broadcast: &Broadcast) {
        let publication = broadcast.publication();
        self.desk.stats.publications.add(1);
        let deliveries = self.desk.stats.deliveries.get();
        let mut targets = std::mem::take(&mut self.targets);
        self.desk.topics.targets(&publication.topics, &mut targets);
        self.add_audiences(&publication.topics, &mut targets);
        let veil = broadcast.veil();
        let mut unseen: Vec<u32> = Vec::new();
        for user in veil.iter().flat_map(|veil| veil.unseen.iter()) {
            unseen.extend_from_slice(self.desk.topics.connections(user));
        }
        unseen.sort_unstable();
        for slot in &targets {
            let Some((at, connection)) = self.slab.tenant(*slot) else { continue };
            if publication.except == Some(self.desk.conn_id(at)) {
                continue;
            }
            let broadcast = match veil {
                Some(veil) if unseen.binary_search(slot).is_ok() => &veil.void,
                _ => broadcast,
            };
            guard(&mut self.desk, at, connection, |desk, at, connection| {
                desk.deliver(at, connection, broadcast);
            });
        }
        self.targets = targets;
        let deliveries = self.desk.stats.deliveries.get() - deliveries;
        self.desk.turns.delivered(broadcast.posted(), deliveries);
    }

    /// The connection has synced: it is subscribed to these topics and to no others.
    fn attach(&mut self, at: At, topics: &[Topic]) {
        self.with(at, |desk, at, connection| {
            if connection.phase != Phase::Open {
                return;
            }
            connection.synced = true;
            let conversations = topics.iter().filter_map(|topic| match topic {
                Topic::Conversation(conversation) => Some(conversation),
                Topic::User(_) | Topic::Role(_) | Topic::All => None,
            });
            desk.topics.subscribe_exactly(conversations, at.slot);
        });
    }

    fn join(&mut self, user: &UserId, topic: &Topic) {
        let Topic::Conversation(conversation) = topic else { return };
        for slot in self.desk.topics.connections(user).to_vec() {
            if let Some((_, connection)) = self.slab.tenant(slot)
                && connection.synced
            {
                let row = self.desk.topics.row(conversation);
                self.desk.topics.subscribe(row, slot);
            }
        }
    }

    fn part(&mut self, user: &UserId, topic: &Topic) {
        let Topic::Conversation(conversation) = topic else { return };
        for slot in self.desk.topics.connections(user).to_vec() {
            let Some(row) = self.desk.topics.find(conversation) else { return };
            self.desk.topics.unsubscribe(row, slot);
        }
    }

    fn end(&mut self, topic: &Topic) {
        let Topic::Conversation(conversation) = topic else { return };
        self.desk.topics.end(conversation);
    }

    /// The upstream has room again.
    fn resume(&mut self) {
        self.desk.submit();
        if self.desk.upstream_full {
            return;
        }
        for at in std::mem::take(&mut self.desk.waiting) {
            self.with(at, |desk, at, connection| desk.unpark(at, connection, Parked::Upstream));
        }
    }

    fn stop(&mut self) {
        for request in self.desk.stop() {
            if let Work::Command { id, .. } = request.work {
                let outcome = Err(Reason::ShuttingDown.into());
                self.with(at(request.conn), |desk, at, connection| {
                    desk.on_reply(at, connection, id.as_ref(), &outcome);
                });
            }
        }
    }

    /// One turn for each connection that was ready when this began.
    fn handle_ready(&mut self) {
        for _ in 0..self.desk.ready.len() {
            let Some(at) = self.desk.ready.pop_front() else { break };
            self.with(at, Desk::turn);
        }
        self.replace_older();
    }

    fn handle_deadlines(&mut self) {
        let mut second_is_over = false;
        while let Some((second, mut list)) = self.desk.wheel.next_due(self.desk.now) {
            second_is_over = true;
            for at in list.drain(..) {
                self.with(at, |desk, at, connection| desk.on_deadline(at, connection, second));
            }
            self.desk.wheel.recycle(second, list);
        }
        let expired = self.desk.channels.expire(self.desk.now);
        self.desk.stats.channels_expired.add(expired);
        if second_is_over {
            self.desk.tell_members();
        }
        self.desk.stats.channel_members.set(self.desk.channels.members() as u64);
        self.desk.stats.patterns.set(self.desk.channels.watches.own() as u64);
        self.desk.stats.channels.set(self.desk.channels.homes() as u64);
        self.desk.stats.history_bytes.set(self.desk.channels.history_bytes() as u64);
        if second_is_over && self.calm.second() {
            self.tidy();
        }
    }

    fn flush_dirty(&mut self) {
        // Flushing may add a `lag` and so make a connection dirty again.
        while !self.desk.dirty.is_empty() {
            let mut dirty = std::mem::take(&mut self.desk.dirty);
            for at in dirty.drain(..) {
                self.with(at, |desk, at, connection| {
                    connection.dirty = false;
                    desk.flush(at, connection);
                });
            }
            if self.desk.dirty.is_empty() {
                self.desk.dirty = dirty;
            }
        }
    }

    fn remove_gone(&mut self) {
        while let Some(at) = self.desk.gone.pop() {
            if let Some(mut connection) = self.slab.remove(at) {
                self.load.fetch_sub(1, Relaxed);
                let stats = &self.desk.stats;
                stats.went(Carrier::of(&connection.transport, &connection.kind));
                let waited = connection.outbox.as_ref().map_or(0, |outbox| outbox.counted());
                stats.outbox_bytes.sub(waited as u64);
                self.desk.set_parked(&mut connection, None);
            }
            self.desk.stats.connections.set(self.slab.len() as u64);
        }
        // Connections that went away while they waited must not pile up.
        if self.desk.waiting.len() > 2 * self.slab.len() + 64 {
            self.desk.waiting.retain(|at| self.slab.get(*at).is_some());
        }
    }

    /// Tells some more connections to go; true when the shard is done.
    fn drain_step(&mut self) -> bool {
        let Some(drain) = &mut self.drain else { return false };
        let now = Instant::now();
        let over = now >= drain.deadline;
        if now >= drain.next_step && drain.told < self.slab.places() {
            drain.next_step = now + DRAIN_STEP;
            let mut told = 0;
            while drain.told < self.slab.places() && told < drain.per_step {
                if let Some((at, connection)) = self.slab.tenant(drain.told) {
                    told += 1;
                    let retry_after_ms = spread(&drain.retry_after_ms, at, self.desk.shard);
                    let bye = Event::Bye(Bye { reconnect: true, retry_after_ms });
                    guard(&mut self.desk, at, connection, |desk, at, connection| {
                        if connection.session().is_some_and(|session| session.is_open()) {
                            desk.send_event(at, connection, &bye);
                        }
                        desk.close(at, connection, CloseCode::GoingAway);
                    });
                }
                drain.told += 1;
            }
        }
        self.flush_dirty();
        self.remove_gone();
        (self.slab.len() == 0 && self.adopting.is_empty()) || over
    }
}

/// A moment of the range for this connection: those of a shard lie evenly in it.
fn spread(range: &RangeInclusive<u64>, at: At, shard: u16) -> u64 {
    // Multiples of the golden ratio fill an interval evenly, however many there are.
    let place = at.slot.wrapping_add(u32::from(shard) << 24).wrapping_mul(0x9e37_79b9);
    let width = range.end().saturating_sub(*range.start()).saturating_add(1);
    range.start().saturating_add(((u128::from(place) * u128::from(width)) >> 32) as u64)
}

/// See [`Shard::with`].
pub(crate) fn guard(
    desk: &mut Desk,
    at: At,
    connection: &mut Connection,
    work: impl FnOnce(&mut Desk, At, &mut Connection),
) {
    let outcome = catch_unwind(AssertUnwindSafe(|| work(desk, at, connection)));
    if outcome.is_err() {
        desk.on_panic(at, connection);
    }
}

impl Desk {
    /// The handling of this connection panicked: it ends, and nothing else does.
    pub(crate) fn on_panic(&mut self, at: At, connection: &mut Connection) {
        self.stats.panics.add(1);
        if connection.phase == Phase::Open {
            self.close(at, connection, CloseCode::Internal);
        } else {
            self.drop_connection(at, connection);
        }
    }
}

fn at(conn: ConnId) -> At {
    At { slot: conn.slot, generation: conn.generation }
}
