//! Who is at the other end, and whether they may come in at all.
//!
//! Behind proxies that are trusted a client's address is what the nearest of them says: in
//! `X-Forwarded-For`, of which only what trusted proxies appended is believed (RFC 7239 §8.1 tells why), or
//! before the first byte (see [`crate::introduction`]). Invariants: what is denied is denied whatever is
//! allowed; an address holds at most its number of connections; lists may be replaced at any time
//! and hold from the next connection or request on. Absent: tokens, origins, rates.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;

use crate::accept::count;
use crate::rejection::Rejection;
use crate::routes::Access;
use crate::speaking::Peer;

/// Hops of `X-Forwarded-For` that are looked at; more than that is no chain of proxies.
const HOPS_MAX: usize = 32;
/// An IPv6 site has a network of this size and may use any address in it (RFC 6177).
const SITE_BITS: u32 = 64;

/// A list of networks, such as `10.0.0.0/8`, `2001:db8::/32` or one address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks(Vec<IpNet>);

/// A text that is no network.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("\"{0}\" is not a network; use for example 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7")]
pub struct NetworkError(String);

impl Networks {
    /// The networks that the texts name.
    ///
    /// # Errors
    /// The first text that names none.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, NetworkError> {
        let one = |text: &str| {
            let network =
                IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
            network.map_err(|_| NetworkError(text.to_owned()))
        };
        texts.into_iter().map(|text| one(text.trim())).collect::<Result<_, _>>().map(Self)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Addresses of the server that only some networks may ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Every path that is this one or lies below it.
    pub path: String,
    /// Who may.
    pub allow: Networks,
}

impl FromStr for Endpoint {
    type Err = NetworkError;

    /// `/PATH NETWORK NETWORK …`
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let mut words = text.split_ascii_whitespace();
        let path = words.next().filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| NetworkError(text.to_owned()))?.trim_end_matches('/');
        let allow = Networks::parse(words)?;
        if allow.0.is_empty() {
            return Err(NetworkError(text.to_owned()));
        }
        Ok(Self { path: path.to_owned(), allow })
    }
}

/// Who may come in, and how.
#[derive(Clone, Debug, Default)]
pub struct GateRules {
    /// Only from here; empty for from anywhere.
    pub allow: Networks,
    /// Never from here.
    pub deny: Networks,
    /// Proxies whose word is taken for whose connection it is.
    pub trusted_proxies: Networks,
    /// Trusted proxies say it before anything else, by the PROXY protocol.
    pub proxy_protocol: bool,
    /// Paths that only some may ask for.
    pub endpoints: Vec<Endpoint>,
    /// Connections of one IPv4 address or one IPv6 site; 0 for any number.
    pub connections_per_address_max: u32,
}

/// What the gate did so far.
#[derive(Debug, Default)]
pub struct GateStats {
    /// Connections and requests from addresses that may not come in.
    pub denied: AtomicU64,
    /// Connections above [`GateRules::connections_per_address_max`].
    pub crowded: AtomicU64,
    /// Connections of a trusted proxy that did not say whose they are.
    pub unintroduced: AtomicU64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Gate {
    rules: RwLock<Arc<GateRules>>,
    visitors: Arc<Visitors>,
    /// Counted here.
    pub stats: GateStats,
}

/// Connections by address, of those that have any.
#[derive(Debug, Default)]
struct Visitors(Mutex<HashMap<IpAddr, u32>>);

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    visitors: Arc<Visitors>,
    address: IpAddr,
}

/// How a connection is met.
#[derive(Debug)]
pub(crate) enum Meeting {
    /// It is what it seems to be.
    Direct(Option<Visit>),
    /// It is a proxy's, and each request says whose.
    Proxied,
    /// It is a proxy's, and says whose before anything else.
    Introduced,
    /// It is not let in, and told why.
    Refused(Rejection),
}

impl Gate {
    /// A gate with these rules.
    #[must_use]
    pub fn new(rules: GateRules) -> Self {
        let gate = Self::default();
        gate.replace(rules);
        gate
    }

    /// Has other rules hold from now on. Connections that are there stay.
    pub fn replace(&self, rules: GateRules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    fn rules(&self) -> Arc<GateRules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to do with a connection of `peer`, before anything is read from it.
    pub(crate) fn meet(&self, peer: IpAddr) -> Meeting {
        let (rules, peer) = (self.rules(), peer.to_canonical());
        if rules.trusted_proxies.contains(peer) {
            return if rules.proxy_protocol { Meeting::Introduced } else { Meeting::Proxied };
        }
        match self.visit(&rules, peer) {
            Ok(visit) => Meeting::Direct(visit),
            Err(rejection) => Meeting::Refused(rejection),
        }
    }

    /// Lets in the client whose connection a trusted proxy said it is.
    ///
    /// # Errors
    /// Where it may not come in.
    pub(crate) fn introduce(&self, client: IpAddr) -> Result<Option<Visit>, Rejection> {
        self.visit(&self.rules(), client.to_canonical())
    }

    fn visit(&self, rules: &GateRules, client: IpAddr) -> Result<Option<Visit>, Rejection> {
        if !rules.admit(client) {
            count(&self.stats.denied);
            return Err(Rejection::address());
        }
        let max = rules.connections_per_address_max;
        if max == 0 {
            return Ok(None);
        }
        self.visitors.enter(site(client), max).map(Some).ok_or_else(|| {
            count(&self.stats.crowded);
            Rejection::address_full()
        })
    }

    /// Whose request it is that `peer` brings, and whether they may ask for `path`.
    ///
    /// # Errors
    /// Where they may not.
    pub(crate) fn client(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<SocketAddr, Rejection> {
        let rules = self.rules();
        let client = rules
            .client(peer, headers)
            .filter(|client| rules.admit(client.ip()) && rules.admit_to(client.ip(), path));
        client.ok_or_else(|| {
            count(&self.stats.denied);
            Rejection::address()
        })
    }

    /// The connection that a request through a proxy is about to become.
    ///
    /// # Errors
    /// Where the client has too many; `None` where it was counted when it came.
    pub(crate) fn upgrade(
        &self,
        peer: SocketAddr,
        client: SocketAddr,
    ) -> Result<Option<Visit>, Rejection> {
        if canonical(peer) == client { Ok(None) } else { self.introduce(client.ip()) }
    }
}

impl GateRules {
    fn admit(&self, client: IpAddr) -> bool {
        let allowed = self.allow.0.is_empty() || self.allow.contains(client);
        allowed && !self.deny.contains(client)
    }

    fn admit_to(&self, client: IpAddr, path: &str) -> bool {
        let path = plain(path);
        let below = |endpoint: &Endpoint| {
            path.strip_prefix(&*endpoint.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.endpoints
            .iter()
            .filter(|endpoint| below(endpoint))
            .all(|endpoint| endpoint.allow.contains(client))
    }

    /// The nearest address that no trusted proxy vouches for by its own; `None` where a trusted proxy
    /// says something that is no address, which could be anybody's.
    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<SocketAddr> {
        let peer = canonical(peer);
        if self.proxy_protocol || !self.trusted_proxies.contains(peer.ip()) {
            return Some(peer);
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        // Bytes, because what a client wrote into the same line may be no text.
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = peer;
        for hop in hops.take(HOPS_MAX) {
            let address = hop_address(hop)?;
            client = SocketAddr::new(address, 0);
            if !self.trusted_proxies.contains(address) {
                break;
            }
        }
        Some(client)
    }
}

/// The same address, an IPv4 one as such.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The path as the routes may understand it: decoded, and no empty segment in it.
fn plain(path: &str) -> Cow<'_, str> {
    if !path.contains('%') && !path.contains("//") {
        return path.into();
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut plain = String::with_capacity(decoded.len());
    for segment in decoded.split('/').filter(|segment| !segment.is_empty()) {
        plain.push('/');
        plain.push_str(segment);
    }
    plain.into()
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of a hop; some proxies add a port.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().ok().or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// What counts as one address.
fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let kept = u128::MAX << (u128::BITS - SITE_BITS);
            Ipv6Addr::from_bits(address.to_bits() & kept).into()
        }
    }
}

impl Visitors {
    fn enter(self: &Arc<Self>, address: IpAddr, max: u32) -> Option<Visit> {
        let mut visitors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = visitors.entry(address).or_insert(0);
        if *connections >= max {
            return None;
        }
        *connections += 1;
        Some(Visit { visitors: self.clone(), address })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut visitors = self.visitors.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = visitors.get_mut(&self.address) {
            *connections -= 1;
            if *connections == 0 {
                visitors.remove(&self.address);
                let spare = visitors.capacity() / 4;
                if visitors.len() < spare {
                    visitors.shrink_to(spare);
                }
            }
        }
    }
}

/// Whose request it is; an extension of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) SocketAddr);

/// Refuses requests of those who may not make them, and says of the others whose they are.
pub(crate) async fn guard(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(&Peer(peer)) = request.extensions().get() {
        match access.gate.client(peer, request.headers(), request.uri().path()) {
            Ok(client) => request.extensions_mut().insert(Client(client)),
            Err(rejection) => return rejection.into_response(),
        };
    }
    next.run(request).await
}

/// How many connections of one address there are at the moment, for tests.
#[cfg(test)]
impl Gate {
    fn visits(&self, address: &str) -> u32 {
        let address = site(address.parse().unwrap());
        self.visitors.0.lock().unwrap().get(&address).copied().unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
