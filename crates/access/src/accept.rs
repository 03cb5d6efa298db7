//! The accept loop: who comes in, who is told to come back, and the short way to the data plane.
//!
//! A connection takes a place before anything is read from it and keeps it to its end, also on the
//! data plane. One whose whole handshake is there already is upgraded at once, without a task; the
//! others become one (see [`crate::speaking`]), and there is a limit to those. Invariants: nobody
//! is held without a deadline; a full descriptor table pauses accepting and never spins; whoever is
//! not let in is told when to come back, at less cost than letting them in.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use hubbub_hub::{Opening, Socket as HubSocket};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::admission::Pace;
use crate::gate::Meeting;
use crate::head::{self, Head};
use crate::leaving::Leaving;
use crate::permit::{Permit, Permits};
use crate::rejection::Rejection;
use crate::routes::{Access, Admitted};
use crate::secured::Security;
use crate::speaking::Place;

/// Connections that may wait to be accepted, where the system allows as many.
const BACKLOG: i32 = 16 * 1024;
/// How long accepting pauses when there is no descriptor left.
const PAUSE: Duration = Duration::from_millis(250);
/// Connections accepted before the other tasks of the thread get their turn.
const ACCEPTS_PER_TURN: usize = 32;
/// Connections that are not let in and whose request is waited for, at a time.
const TURNED_AWAY_MAX: usize = 64;
/// How long somebody waits who comes when all places are taken.
pub(crate) const RETURN_WHEN_FULL: Duration = Duration::from_secs(5);
/// Bytes of a request's head, and of everything HTTP buffers for one connection.
pub(crate) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Where upgraded sockets go.
pub trait DataPlane: Send + Sync {
    /// Takes a nonblocking socket and the bytes already read from it.
    fn adopt(&self, socket: HubSocket, already_read: Bytes, opening: Opening);
}

impl DataPlane for hubbub_hub::Hub {
    fn adopt(&self, socket: HubSocket, already_read: Bytes, opening: Opening) {
        Self::adopt(self, socket, already_read, opening);
    }
}

/// What the accept loop did so far.
#[derive(Debug, Default)]
pub struct AcceptStats {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections handed to the data plane.
    pub adopted: AtomicU64,
    /// Connections above [`Acceptor::permits`], told to come back.
    pub turned_away: AtomicU64,
    /// Connections above [`AcceptLimits::opens_per_second_max`], told to come back.
    pub paced: AtomicU64,
    /// Connections above [`AcceptLimits::handshakes_max`], told to come back.
    pub crowded: AtomicU64,
    /// Connections that were closed because no request came in time.
    pub late: AtomicU64,
    /// Connections that spoke HTTP/2.
    pub http2: AtomicU64,
    /// WebSockets over HTTP/2; they are among those handed over.
    pub http2_sockets: AtomicU64,
    /// WebSockets above [`AcceptLimits::http2_sockets_max`], at a time or per second.
    pub http2_refused: AtomicU64,
    /// Event streams, which are among those handed over.
    pub streams: AtomicU64,
    /// Event streams that are open.
    pub streams_open: AtomicU64,
    /// How often accepting paused because there was no descriptor left.
    pub pauses: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// How many connections come in.
#[derive(Clone, Copy, Debug)]
pub struct AcceptLimits {
    /// Connections let in per second, and at once; 0 for any number.
    pub opens_per_second_max: u32,
    /// Connections that speak HTTP, or have said nothing yet, at a time.
    pub handshakes_max: u32,
    /// WebSockets on one HTTP/2 connection; it may open four times as many per second.
    pub http2_sockets_max: u32,
    /// From accept to the end of the headers, TLS included, and from one request to the next.
    pub headers_timeout: Duration,
}

/// How connections are accepted.
pub struct Acceptor {
    /// What is behind the addresses.
    pub access: Arc<Access>,
    /// Where upgraded sockets go.
    pub data_plane: Arc<dyn DataPlane>,
    /// Places for connections.
    pub permits: Permits,
    /// TLS, for every connection; `None` for none.
    pub security: Option<Security>,
    /// How many come in.
    pub limits: AcceptLimits,
    /// Counted here.
    pub stats: Arc<AcceptStats>,
}

/// Binds `address`; a server that was just stopped does not keep it.
///
/// # Errors
/// As the system says; `AddrInUse` where somebody listens there.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What the first bytes of a connection come to.
pub(crate) enum First {
    /// More has to come.
    Waits,
    /// A handshake that succeeds, and the length of its head.
    Upgrade(Box<Admitted>, usize),
    /// For the HTTP library.
    Http,
    /// For the library too, version 2.
    Http2,
}

impl Acceptor {
    /// Accepts until `stop` says so, and returns when the listener is closed and every connection
    /// that still spoke HTTP has ended; that takes at most the time of an answer and a few seconds.
    pub async fn run(self, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let (alive, mut all_ended) = mpsc::channel::<()>(1);
        let mut door = Door::new(self, stop.clone(), alive);
        let mut last_warning: Option<Instant> = None;
        loop {
            let leave = door.leaving.next_end().map(tokio::time::Instant::from_std);
            let first = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                first = listener.accept() => first,
                () = sleep_until(leave), if leave.is_some() => {
                    door.leaving.end(Instant::now());
                    continue;
                }
            };
            match door.accept(first, &listener) {
                Ok(()) => {}
                Err(error) => {
                    count(&door.acceptor.stats.pauses);
                    if last_warning.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
                        tracing::warn!(%error, "accepting paused: lower server.connections_max or raise the descriptor limit");
                        last_warning = Some(Instant::now());
                    }
                    tokio::select! {
                        _ = stop.wait_for(|stop| *stop) => break,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        drop(listener);
        drop(door);
        all_ended.recv().await;
    }

    /// What the bytes come to; `seen` of them came to nothing before.
    pub(crate) fn first(&self, bytes: &[u8], seen: usize, peer: SocketAddr) -> First {
        match head::look(bytes, seen) {
            Head::Partial if bytes.len() < HEAD_BYTES_MAX => First::Waits,
            Head::Upgrade(parts, len) => match self.upgrade(&parts, peer) {
                Some(admitted) => First::Upgrade(Box::new(admitted), len),
                None => First::Http,
            },
            Head::Http2 => First::Http2,
            Head::Partial | Head::Other => First::Http,
        }
    }

    /// A handshake that succeeds; what is refused is refused by the routes.
    fn upgrade(&self, parts: &Parts, peer: SocketAddr) -> Option<Admitted> {
        self.access.upgrade(parts, peer)?.ok()
    }

    /// Hands a socket over whose handshake has not been answered yet.
    pub(crate) fn hand_over(
        &self,
        socket: HubSocket,
        rest: &[u8],
        admitted: Admitted,
        mut permit: Permit,
    ) {
        count(&self.stats.adopted);
        let Admitted { upgrade, client, visit } = admitted;
        permit.keep(visit);
        let (answer, permit) = (upgrade.answer(), Box::new(permit));
        let opening = Opening { kind: upgrade.kind, answer, remote: client, permit };
        self.data_plane.adopt(socket, Bytes::copy_from_slice(rest), opening);
    }
}

async fn sleep_until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn accept_one(listener: &TcpListener) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let (socket, peer) = SockRef::from(listener).accept()?;
    let stream = std::net::TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok((stream, peer.as_socket().ok_or(io::ErrorKind::Unsupported)?))
}

/// What the loop keeps between two connections.
struct Door {
    acceptor: Arc<Acceptor>,
    pace: Pace,
    opened_at: Instant,
    handshakes: Permits,
    turned_away: Permits,
    leaving: Leaving,
    /// Read into by connections that leave nothing in it.
    buffer: Vec<u8>,
    stop: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
}

impl Door {
    fn new(acceptor: Acceptor, stop: watch::Receiver<bool>, alive: mpsc::Sender<()>) -> Self {
        let limits = acceptor.limits;
        Self {
            acceptor: Arc::new(acceptor),
            pace: Pace::new(limits.opens_per_second_max),
            opened_at: Instant::now(),
            handshakes: Permits::new(limits.handshakes_max as usize),
            turned_away: Permits::new(TURNED_AWAY_MAX),
            leaving: Leaving::default(),
            buffer: vec![0; HEAD_BYTES_MAX],
            stop,
            alive,
        }
    }

    /// Accepts one turn's connections, of which the first was accepted; the runtime never hears of
    /// the others. An error is one of exhaustion.
    fn accept(
        &mut self,
        first: io::Result<(TcpStream, SocketAddr)>,
        listener: &TcpListener,
    ) -> io::Result<()> {
        let first = first.and_then(|(stream, peer)| Ok((stream.into_std()?, peer)));
        let others = (1..ACCEPTS_PER_TURN).map(|_| accept_one(listener));
        for next in std::iter::once(first).chain(others) {
            match next {
                Ok((stream, peer)) => self.meet(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_exhaustion(&error) => return Err(error),
                // The peer gave up before it was accepted.
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn meet(&mut self, mut stream: std::net::TcpStream, peer: SocketAddr) {
        count(&self.acceptor.stats.accepted);
        let meeting = self.acceptor.access.gate.meet(peer.ip());
        if let Meeting::Refused(rejection) = meeting {
            return self.send_off(stream, &rejection);
        }
        let introduced = matches!(meeting, Meeting::Introduced);
        let mut permit = match self.admit() {
            Ok(permit) => permit,
            // Nothing can be read before the proxy's word.
            Err(_) if introduced => return,
            Err(rejection) => return self.refuse(stream, peer, rejection),
        };
        if let Meeting::Direct(visit) = meeting {
            permit.keep(visit);
        }
        if introduced {
            return self.begin(stream, peer, permit, Vec::new(), true);
        }
        let Some(len) = self.read(&mut stream) else { return };
        let bytes = &self.buffer[..len];
        match self.acceptor.first(bytes, 0, peer) {
            First::Upgrade(admitted, head) => {
                self.acceptor.hand_over(stream.into(), &bytes[head..], *admitted, permit);
            }
            First::Waits | First::Http | First::Http2 => {
                let read = bytes.to_vec();
                self.begin(stream, peer, permit, read, false);
            }
        }
    }

    /// Has a task go on with a connection, where there may be one more.
    fn begin(
        &mut self,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        permit: Permit,
        read: Vec<u8>,
        introduced: bool,
    ) {
        if let Some(handshake) = self.handshakes.take() {
            return self.spawn(stream, peer, Place::Within { permit, handshake, introduced }, read);
        }
        drop(permit);
        count(&self.acceptor.stats.crowded);
        let wait = self.pace.put_off(self.opened_at.elapsed());
        self.send_off(stream, &Rejection::crowded(wait));
    }

    /// Reads what has come already; `None` when the peer is gone. With TLS that waits until it can
    /// be decrypted.
    fn read(&mut self, stream: &mut std::net::TcpStream) -> Option<usize> {
        if self.acceptor.security.is_some() {
            return Some(0);
        }
        match stream.read(&mut self.buffer) {
            Ok(0) => None,
            Ok(len) => Some(len),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }

    /// Tells somebody to come back; one who could not read it is closed.
    fn send_off(&mut self, stream: std::net::TcpStream, rejection: &Rejection) {
        if self.acceptor.security.is_none() {
            self.leaving.send_off(stream, rejection);
        }
    }

    fn admit(&mut self) -> Result<Permit, Rejection> {
        let Some(permit) = self.acceptor.permits.take() else {
            count(&self.acceptor.stats.turned_away);
            return Err(Rejection::full(RETURN_WHEN_FULL));
        };
        match self.pace.admit(self.opened_at.elapsed()) {
            Ok(()) => Ok(permit),
            Err(wait) => {
                count(&self.acceptor.stats.paced);
                Err(Rejection::crowded(wait))
            }
        }
    }

    /// Tells somebody to come back; probes of the server's health are served all the same.
    fn refuse(&mut self, mut stream: std::net::TcpStream, peer: SocketAddr, rejection: Rejection) {
        let Some(len) = self.read(&mut stream) else { return };
        let bytes = &self.buffer[..len];
        let may_be_a_probe = bytes.is_empty()
            || bytes.starts_with(b"GET /livez")
            || bytes.starts_with(b"GET /readyz");
        match self.turned_away.take().filter(|_| may_be_a_probe) {
            Some(permit) => {
                let read = bytes.to_vec();
                let place = Place::Above { rejection, permit };
                self.spawn(stream, peer, place, read);
            }
            None => self.send_off(stream, &rejection),
        }
    }

    fn spawn(&self, stream: std::net::TcpStream, peer: SocketAddr, place: Place, read: Vec<u8>) {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let connection =
            self.acceptor.clone().connection(stream, peer, place, read, self.stop.clone());
        let alive = self.alive.clone();
        tokio::spawn(async move {
            connection.await;
            drop(alive);
        });
    }
}

/// Whether the process, or the machine, has no descriptor or no memory for one more connection.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
