//! What only an operator sees: the metrics, on the main address and on a listener of their own.
//!
//! Invariants: whoever is asked for here shows a credential in the `Authorization` header, which no
//! page of another origin can have a browser send; where nobody is permitted, there is nothing at
//! the address. The listener of its own, where it stands on a loopback address and asks for no
//! token, shows them to whoever is on this machine and calls it by its name, and changes nothing
//! for them. Deliberately absent: what is shown, which whoever counts writes down.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use hubbub_proto::{Reason, Who};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::api::scope::Scope;
use crate::credentials::bearer_of;
use crate::origin::is_loopback_host;
use crate::permit::Permits;
use crate::rejection::Rejection;
use crate::routes::{Access, livez, readyz, secure, version};
use crate::secret::Secret;

/// Connections to the listener of its own at a time; one more is closed.
const CONNECTIONS_MAX: usize = 32;
/// How long each of them may take in all.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(250);
/// How Prometheus' text is called.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics, in the forms in which they are shown.
pub trait Metrics: Send + Sync {
    /// In the text format of Prometheus.
    fn prometheus(&self) -> String;
    /// In short, as JSON, since the last reset.
    fn summary(&self) -> serde_json::Value;
    /// Begins the summary anew. The others go on.
    fn reset(&self);
}

/// Who may see what only operators see.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    /// Users, by their tokens.
    pub who: Who,
    /// Whoever brings this, such as a program that collects metrics.
    pub token: Option<Secret>,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Door {
    /// With everybody else.
    Main,
    /// On the listener of its own, where a token is asked for.
    Guarded,
    /// On the listener of its own, where none is.
    Local,
}

#[derive(Clone)]
struct Desk {
    access: Arc<Access>,
    door: Door,
}

impl Access {
    /// The one place that decides whether a request may do what only operators may.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        if let (Some(api), Some(shown)) = (&self.api, bearer_of(headers))
            && api.may(shown, Scope::Metrics)
        {
            return Ok(());
        }
        let Operators { who, token } = &self.operators;
        if *who == Who::Nobody && token.is_none() {
            return Err(Rejection::not_found());
        }
        let Some(shown) = bearer_of(headers) else {
            return Err(Rejection::unauthorized(&Reason::Unauthorized.into()));
        };
        let is_token =
            |token: &Secret| verify_slices_are_equal(token.as_bytes(), shown.as_bytes()).is_ok();
        if token.as_ref().is_some_and(is_token) {
            return Ok(());
        }
        let identity =
            self.verify(shown, None).map_err(|refusal| Rejection::unauthorized(&refusal))?;
        if !who.permits(&identity) {
            return Err(Rejection::not_allowed());
        }
        if (self.is_signed_out)(&identity) {
            return Err(Rejection::unauthorized(&Reason::SignedOut.into()));
        }
        Ok(())
    }

    /// The addresses for operators, as part of the main routes.
    pub(crate) fn operator_routes(self: &Arc<Self>) -> Router {
        routes(Desk { access: self.clone(), door: Door::Main })
    }
}

fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/metrics", get(prometheus))
        .route("/metrics/websocket", get(summary))
        .route("/metrics/websocket/reset", post(reset))
        .method_not_allowed_fallback(async || Rejection::method("GET, HEAD, POST"))
        .with_state(desk)
}

impl Desk {
    fn may_see(&self, headers: &HeaderMap) -> Result<&dyn Metrics, Rejection> {
        match self.door {
            // A page whose name was made to resolve to this machine has another name there.
            Door::Local if is_loopback_host(headers) => {}
            Door::Local => return Err(Rejection::not_found()),
            Door::Main | Door::Guarded => self.access.admit(headers)?,
        }
        self.metrics()
    }

    fn metrics(&self) -> Result<&dyn Metrics, Rejection> {
        self.access.metrics.as_deref().ok_or_else(Rejection::not_found)
    }
}

async fn prometheus(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    match desk.may_see(&headers) {
        Ok(metrics) => {
            let fields = [(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")];
            (fields, metrics.prometheus()).into_response()
        }
        Err(rejection) => rejection.into_response(),
    }
}

async fn summary(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    match desk.may_see(&headers) {
        Ok(metrics) => {
            ([(CACHE_CONTROL, "no-store")], axum::Json(metrics.summary())).into_response()
        }
        Err(rejection) => rejection.into_response(),
    }
}

async fn reset(State(desk): State<Desk>, request: Request) -> Response {
    let permitted = desk.access.admit(request.headers()).and_then(|()| desk.metrics());
    match permitted {
        Ok(metrics) => {
            metrics.reset();
            StatusCode::NO_CONTENT.into_response()
        }
        Err(rejection) => rejection.into_response(),
    }
}

/// Serves metrics and health on a listener of their own until `stop` says so. Without a token it must
/// stand on a loopback address.
pub async fn serve(listener: TcpListener, access: Arc<Access>, mut stop: watch::Receiver<bool>) {
    let door = if access.operators.token.is_some() { Door::Guarded } else { Door::Local };
    let health = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/version", get(version))
        .with_state(access.clone());
    let router = routes(Desk { access, door })
        .merge(health)
        .fallback(async || Rejection::not_found())
        .layer(middleware::from_fn(secure));
    let places = Permits::new(CONNECTIONS_MAX);
    loop {
        let accepted: io::Result<(TcpStream, _)> = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Some(place) = places.take() else { continue };
        let service = TowerToHyperService::new(router.clone());
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(LIFETIME)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = serving => {}
                () = tokio::time::sleep(LIFETIME) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            drop(place);
        });
    }
}
