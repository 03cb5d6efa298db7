//! Which part gets which: the store under the chat services, those behind the hub, both behind the
//! accept loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use anyhow::{Context as _, anyhow};
use hubbub_access::descriptors::{connections_max, raise_limit};
use hubbub_access::{
    Access, DevSignIn, EchoLimits, HandshakePolicy, Permits, Secret, Signer, TokenPolicy, Verifier,
};
use hubbub_chat::ports::{Router, Store as _, StoreError};
use hubbub_chat::{Chat, Health};
use hubbub_hub::{Announce, Hub, HubConfig, Upstream};
use hubbub_proto::{DeviceId, Effect, Identity, Refusal, Request};
use hubbub_store::SqliteStore;

use crate::clock::{self, SystemClock};
use crate::config::Config;
use crate::names::UuidNames;

/// What `connected` says about the server.
const SERVER: &str = concat!("hubbub/", env!("CARGO_PKG_VERSION"));

/// The running parts.
pub(crate) struct Parts {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) chat: Arc<Chat>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) permits: Permits,
    /// Set when the shutdown begins, so that nobody is sent here any more.
    pub(crate) stopping: Arc<AtomicBool>,
    secret: Secret,
    verifier: Arc<Verifier>,
}

/// Opens the store and starts the threads.
pub(crate) fn assemble(config: &Config) -> anyhow::Result<Parts> {
    let descriptors = raise_limit().context("the limit of descriptors cannot be read")?;
    let store = open_store(config)?;
    // After the store: its lock keeps two servers from making a secret each.
    let secret = Secret::load_or_create(&config.secret_file())?;
    let policy = TokenPolicy {
        algorithms: config.auth.algorithms.clone(),
        issuer: config.auth.issuer(),
        audience: config.auth.audience(),
        leeway_s: config.auth.leeway_s.into(),
    };
    let verifier = Arc::new(Verifier::new(&secret, policy).context("auth.algorithms")?);

    let hub = Hub::new(HubConfig {
        shards: match config.server.shards {
            0 => {
                available_parallelism().map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(256))
            }
            shards => shards,
        },
        limits: (&config.limits).into(),
        inbox_bytes_max: config.server.inbox_bytes_max as usize,
        clock: Arc::new(clock::now),
        announce: Announce {
            epoch: store.epoch().into(),
            server: SERVER,
            dedupe_window_ms: config.chat.dedupe_window_ms,
        },
        live: config.live()?,
        compression: (&config.compression).into(),
        on_calm: crate::memory::collect,
    })?;
    let chat = Arc::new(Chat::start(
        store.clone(),
        Arc::new(Downstream(hub.router())),
        Arc::new(SystemClock),
        Box::new(UuidNames::new()),
        config.chat()?,
    )?);
    hub.run(Arc::new(Services { chat: chat.clone(), verifier: verifier.clone() }))?;

    let configured = usize::try_from(config.server.connections_max).unwrap_or(usize::MAX);
    Ok(Parts {
        store,
        chat,
        hub: Arc::new(hub),
        permits: Permits::new(connections_max(configured, descriptors)),
        stopping: Arc::default(),
        secret,
        verifier,
    })
}

pub(crate) fn open_store(config: &Config) -> anyhow::Result<Arc<SqliteStore>> {
    let dir = config.server.data_dir();
    let error = match SqliteStore::open(dir, (&config.store).into()) {
        Ok(store) => return Ok(Arc::new(store)),
        Err(error) => error,
    };
    let fix = match error {
        StoreError::InUse(_) => "stop it, or choose another --data-dir",
        StoreError::ReadOnly(_) => "make it writable for this user, or choose another --data-dir",
        StoreError::Full => "make room, then start again",
        StoreError::NewerSchema { .. } => "run the newer version, or choose another --data-dir",
        StoreError::Corrupt(_) => "restore a backup; nothing was changed",
        StoreError::Row(_) | StoreError::Io(_) => "check the directory and the disk",
    };
    Err(anyhow!("data directory {}: {error}; {fix}", dir.display()))
}

impl Parts {
    /// What the routes need to know.
    pub(crate) fn access(&self, config: &Config) -> Access {
        let (chat, stopping) = (self.chat.clone(), self.stopping.clone());
        Access {
            verifier: self.verifier.clone(),
            clock: Arc::new(clock::now),
            policy: HandshakePolicy {
                allowed_origins: config.server.allowed_origins.clone(),
                cookie: config.auth.cookie.clone(),
                compression: self.hub.compression(),
            },
            echo: config.echo.enabled.then_some(EchoLimits {
                message_bytes_max: config.echo.message_bytes_max as usize,
                fragments_max: config.echo.fragments_max,
            }),
            dev: config.server.dev.then(|| DevSignIn {
                signer: Signer::new(&self.secret),
                algorithm: config.auth.algorithms.first().cloned().unwrap_or_default(),
                issuer: config.auth.issuer(),
                audience: config.auth.audience(),
            }),
            asset: crate::assets::asset,
            ready: Box::new(move || match chat.health() {
                _ if stopping.load(Ordering::Relaxed) => Err("the server is stopping".into()),
                Health::Ok => Ok(()),
                Health::Failed(reason) => Err(reason.into()),
            }),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// What the hub sees above it.
struct Services {
    chat: Arc<Chat>,
    verifier: Arc<Verifier>,
}

impl Upstream for Services {
    fn submit(&self, batch: &mut VecDeque<Request>) {
        self.chat.submit(batch);
    }

    fn authenticate(&self, token: &str, device: Option<&DeviceId>) -> Result<Identity, Refusal> {
        self.verifier.verify(token, device, clock::now())
    }
}

/// What the chat services see below them.
struct Downstream(hubbub_hub::Router);

impl Router for Downstream {
    fn post(&self, effects: Vec<Effect>) {
        self.0.post(effects);
    }

    fn resume(&self) {
        self.0.resume();
    }
}
