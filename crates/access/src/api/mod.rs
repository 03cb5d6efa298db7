//! The HTTP API for back ends.
//!
//! A request is a caller without a connection: its body becomes a command of the protocol, goes the
//! way of every command with a ticket in place of a connection ([`reception`]), and its reply becomes
//! the answer. So every rule holds here as it does there. Who calls is said by a key ([`keys`]) or an
//! administrator's token.
//!
//! - [`table`]: the routes. `call`: a request on its way to a command; `acts`: what is no command.
//! - `document`, `schemas`: the OpenAPI document, from the table.
//!
//! Invariants: nothing of a body is read before key, scope, rate and room were found to be there;
//! each request ends by a deadline and gives everything back; each refusal is a problem document.
//! Bounded: requests at a time, their bytes, and those that wait for a reply. Deliberately absent:
//! sessions, cookies, CORS: browsers have the WebSocket.

mod acts;
mod call;
mod document;
pub mod keys;
mod problem;
pub mod reception;
mod schemas;
pub mod scope;
mod table;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, get};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use hubbub_proto::limits::Limits;
use hubbub_proto::route::Authority;
use hubbub_proto::{
    Channel, Command, ConnId, Effect, Identity, Reason, Refusal, Request as Work, UserId, Who,
};
use tokio::sync::Semaphore;

use self::keys::{ApiKeys, Usage};
use self::problem::Problem;
use self::reception::Reception;
use self::scope::{Scope, Scopes};
use self::table::{Does, ROUTES, Route, Verb};
use crate::accept::count;
use crate::dev::DevSignIn;
use crate::gate::{Client, Gate};
use crate::routes::Clock;
use crate::token::Verifier;

/// Tickets for each request at a time: as many as one that is made of others may need.
pub const TICKETS_PER_REQUEST: usize = 100;

/// What the API needs of the parts behind it.
pub trait Planes: Send + Sync {
    /// Hands a request to the chat services; it comes back where they have no room for it. The reply
    /// goes to the reception.
    ///
    /// # Errors
    /// The request itself.
    fn submit(&self, request: Work) -> Result<(), Box<Work>>;
    /// Hands a live command to the data plane. The reply goes to the reception.
    ///
    /// # Errors
    /// What is refused at once; no reply follows.
    fn call(&self, caller: ConnId, identity: &Identity, command: Command) -> Result<(), Refusal>;
    /// Subscribes a user's connections to a channel, or ends that.
    ///
    /// # Errors
    /// `channel_unknown`.
    fn subscribe(&self, user: &UserId, channel: &Channel, present: bool) -> Result<(), Refusal>;
    /// Whether the device of this token was signed out since it was made.
    fn is_signed_out(&self, identity: &Identity) -> bool;
    /// Something for the data plane that has no reply.
    fn post(&self, effect: Effect);
}

/// The section `[api]`, and what others say of content.
#[derive(Clone, Debug)]
pub struct ApiLimits {
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// Requests at a time.
    pub in_flight_max: usize,
    /// From the headers to the answer.
    pub timeout: Duration,
    /// Requests per second of one key; 0 for any number.
    pub requests_per_second: u32,
    /// What the decoder holds content to.
    pub content: Limits,
}

/// What the API did so far.
#[derive(Debug, Default)]
pub struct ApiStats {
    /// Requests whose address is one of the API's.
    pub api_requests: AtomicU64,
    /// Those that no key or token was good for.
    pub api_strangers: AtomicU64,
    /// Those above [`ApiLimits::requests_per_second`].
    pub api_paced: AtomicU64,
    /// Those above [`ApiLimits::in_flight_max`].
    pub api_crowded: AtomicU64,
    /// Those above [`ApiLimits::body_bytes_max`].
    pub api_too_big: AtomicU64,
    /// Those above [`ApiLimits::timeout`].
    pub api_late: AtomicU64,
}

/// What the API is made of.
pub struct ApiParts {
    /// The keys.
    pub keys: Arc<ApiKeys>,
    /// Checks administrators' tokens.
    pub verifier: Arc<Verifier>,
    /// Who may ask for what from where: each part of a batch is asked for like a request.
    pub gate: Arc<Gate>,
    /// Whose tokens are an administrator's.
    pub admin: Who,
    /// Signs tokens.
    pub mint: DevSignIn,
    /// The time.
    pub clock: Clock,
    /// Where requests wait.
    pub reception: Arc<Reception>,
    /// What is behind it.
    pub planes: Arc<dyn Planes>,
    /// The section `[api]`.
    pub limits: ApiLimits,
    /// Counted here.
    pub stats: Arc<ApiStats>,
    /// The server's version.
    pub version: &'static str,
}

/// See the module.
pub struct Api {
    parts: ApiParts,
    in_flight: Semaphore,
    router: OnceLock<Router>,
}

/// Who calls.
#[derive(Clone)]
struct Principal {
    scopes: Scopes,
    identity: Arc<Identity>,
    usage: Option<Arc<Usage>>,
}

/// A request that came in another one: who calls is known, and it takes no place of its own.
#[derive(Clone)]
struct Inner {
    principal: Principal,
    /// Where from, as the gate said of the request around it.
    client: Option<Client>,
}

impl Api {
    /// An API over these parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Arc<Self> {
        let in_flight = Semaphore::new(parts.limits.in_flight_max);
        Arc::new(Self { parts, in_flight, router: OnceLock::new() })
    }

    /// The routes, each at its whole path.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        // Made once: a copy costs a count.
        self.router.get_or_init(|| self.make_router()).clone()
    }

    fn make_router(self: &Arc<Self>) -> Router {
        let mut router = Router::new();
        for path in table::paths() {
            let at_path = || ROUTES.iter().filter(|route| route.path == path);
            let allow = allow(at_path().map(|route| route.verb));
            let refuse = move || std::future::ready(Problem::method(allow.clone()));
            let methods = at_path().fold(MethodRouter::new(), |methods, route| {
                let api = Arc::downgrade(self);
                let serve = async move |request: Request| match api.upgrade() {
                    Some(api) => api.serve(route, request).await,
                    None => Problem::from(Reason::ShuttingDown).into_response(),
                };
                methods.on(filter(route.verb), serve)
            });
            router = router.route(path, methods.fallback(refuse));
        }
        let document = bytes::Bytes::from(document::openapi(self.parts.version));
        let serve = move || std::future::ready(call::json(document.clone()));
        let refuse = async || Problem::method(HeaderValue::from_static("GET, HEAD"));
        router
            .route(table::DOCUMENT, get(serve).fallback(refuse))
            .fallback(async || Problem::not_found())
    }

    async fn serve(self: Arc<Self>, route: &'static Route, request: Request) -> Response {
        count(&self.parts.stats.api_requests);
        let (parts, body) = request.into_parts();
        self.answer(route, parts, body).await.unwrap_or_else(Problem::into_response)
    }

    async fn answer(
        self: &Arc<Self>,
        route: &'static Route,
        mut parts: Parts,
        body: axum::body::Body,
    ) -> Result<Response, Problem> {
        let inner = parts.extensions.remove::<Inner>();
        let is_inner = inner.is_some();
        let principal = match inner {
            Some(Inner { principal, client }) => {
                self.may_be_part(route, client, parts.uri.path())?;
                principal
            }
            None => self
                .identify(&parts.headers)
                .inspect_err(|_| count(&self.parts.stats.api_strangers))?,
        };
        if let Some(scope) = route.scope {
            principal.needs(scope)?;
        }
        self.pace(&principal)?;
        let _place = if is_inner {
            None
        } else {
            let place = self.in_flight.try_acquire();
            Some(place.map_err(|_| {
                count(&self.parts.stats.api_crowded);
                Problem::busy("As many requests are under way as the server takes; try again.")
            })?)
        };
        let path = RawPathParams::from_request_parts(&mut parts, &()).await;
        let path =
            path.map_err(|_| Problem::bad_field("The address is not percent-encoded UTF-8."))?;
        let carried_out = self.carry_out(route, principal, &parts, &path, body);
        match tokio::time::timeout(self.parts.limits.timeout, carried_out).await {
            Ok(answer) => answer,
            Err(_) => {
                count(&self.parts.stats.api_late);
                Err(Problem::busy(if route.once {
                    "There was no answer in time, and it may still be carried out; repeat it under \
                     the same Idempotency-Key."
                } else {
                    "There was no answer in time, and it may still be carried out."
                }))
            }
        }
    }

    /// Whether a request may come in another one, from this client.
    fn may_be_part(
        &self,
        route: &Route,
        client: Option<Client>,
        path: &str,
    ) -> Result<(), Problem> {
        // Each of these takes many of the tickets that one request may have.
        if matches!(route.does, Does::Batch | Does::Broadcast) {
            return Err(Problem::bad_field("This request cannot be a part of a batch."));
        }
        let Some(Client(client)) = client else { return Ok(()) };
        self.parts.gate.client(client, &HeaderMap::new(), path).map(drop).map_err(|_| {
            let said = "This address may not be asked for from where the request came.";
            Refusal::with(Reason::NotAllowed, said).into()
        })
    }

    /// Whether this is a key with this scope.
    pub(crate) fn may(&self, key: &str, scope: Scope) -> bool {
        let key = self.parts.keys.check(key, (self.parts.clock)());
        key.is_ok_and(|key| key.record.scopes.contains(scope))
    }

    /// Who calls, by the `Authorization` header.
    fn identify(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            let said = "Bring a key: `Authorization: Bearer hbk_…`.";
            return Err(Refusal::with(Reason::Unauthorized, said).into());
        };
        let bearer = line.to_str().ok().and_then(crate::credentials::bearer).ok_or_else(|| {
            Refusal::with(Reason::BadToken, "The Authorization header is not `Bearer KEY`.")
        })?;
        let now = (self.parts.clock)();
        if ApiKeys::is_key(bearer) {
            let key = self.parts.keys.check(bearer, now)?;
            return Ok(Principal {
                scopes: key.record.scopes,
                identity: key.identity.clone(),
                usage: Some(key.usage.clone()),
            });
        }
        let identity = self.parts.verifier.verify(bearer, None, now)?;
        if !self.parts.admin.permits(&identity) {
            let said = "The token is not an administrator's; see [admin] who, or bring a key.";
            return Err(Refusal::with(Reason::NotAllowed, said).into());
        }
        if self.parts.planes.is_signed_out(&identity) {
            return Err(Reason::SignedOut.into());
        }
        let authority = Authority::Behalf;
        let identity = Arc::new(Identity { authority, ..identity });
        Ok(Principal { scopes: Scopes::EVERYTHING, identity, usage: None })
    }

    fn pace(&self, principal: &Principal) -> Result<(), Problem> {
        let Some(usage) = &principal.usage else { return Ok(()) };
        let rate = self.parts.limits.requests_per_second;
        usage.admit(rate, (self.parts.clock)()).map_err(|wait_ms| {
            count(&self.parts.stats.api_paced);
            Refusal::later(Reason::RateLimited, wait_ms).into()
        })
    }
}

impl Principal {
    fn needs(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(scope) {
            return Ok(());
        }
        let said = format!("The key does not have the scope `{}`.", scope.word());
        Err(Refusal::with(Reason::NotAllowed, said).into())
    }
}

const fn filter(verb: Verb) -> MethodFilter {
    match verb {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Put => MethodFilter::PUT,
        Verb::Patch => MethodFilter::PATCH,
        Verb::Delete => MethodFilter::DELETE,
    }
}

/// What `Allow` says at an address.
fn allow(verbs: impl Iterator<Item = Verb>) -> HeaderValue {
    let names: Vec<&str> = verbs
        .flat_map(|verb| match verb {
            Verb::Get => vec!["GET", "HEAD"],
            verb => vec![verb.name()],
        })
        .collect();
    HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}
