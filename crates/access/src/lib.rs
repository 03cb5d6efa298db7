//! The control plane's face: sockets are accepted, spoken to in HTTP, authenticated, upgraded, and
//! handed to the data plane.
//!
//! - [`accept`]: the accept loop, who is let in, the hand-over; `speaking`: connections that take
//!   longer, or want something else than a WebSocket.
//! - `http2`, `bridge`: HTTP/2, and WebSockets over it.
//! - `sse`: event streams, each a session behind a pair of sockets.
//! - [`certificate`], [`secured`]: TLS, until the hand-over; `io`: with it or without.
//! - [`routes`]: what is served at which address; [`dev`]: signing in for development;
//!   [`operator`]: what only operators see.
//! - [`gate`]: who may come in from where, and behind which proxies; `introduction`: the PROXY protocol.
//! - [`api`]: what back ends ask for over HTTP.
//! - [`handshake`]: what a WebSocket handshake gets, and the five ways to bring a token.
//! - [`secret`], [`token`]: who may sign in.
//!
//! Invariant: nothing that came from the network is believed before it was checked here. Absent:
//! WebSocket frames, and what a session may do.

pub mod accept;
mod admission;
pub mod api;
mod bridge;
pub mod certificate;
mod credentials;
pub mod descriptors;
pub mod dev;
#[doc(hidden)]
pub mod fuzz;
pub mod gate;
pub mod handshake;
mod head;
mod http2;
mod introduction;
mod io;
mod leaving;
pub mod operator;
mod origin;
mod outstay;
pub mod permit;
mod rejection;
mod rewind;
pub mod routes;
pub mod secret;
pub mod secured;
mod speaking;
mod sse;
pub mod token;

pub use accept::{AcceptLimits, AcceptStats, Acceptor, DataPlane, bind};
pub use api::keys::{ApiKeys, KeyFile};
pub use api::reception::Reception;
pub use api::scope::{Scope, Scopes};
pub use api::{Api, ApiLimits, ApiParts, ApiStats, Planes};
pub use certificate::{Certificate, CertificateError, MinVersion};
pub use dev::DevSignIn;
pub use gate::{Endpoint, Gate, GateRules, GateStats, NetworkError, Networks};
pub use handshake::HandshakePolicy;
pub use operator::{Metrics, Operators};
pub use permit::Permits;
pub use routes::{Access, Asset, EchoLimits};
pub use secret::Secret;
pub use secured::{Security, TlsStats};
pub use token::{Grant, GrantOfChannels, Signer, TokenPolicy, Verifier};
