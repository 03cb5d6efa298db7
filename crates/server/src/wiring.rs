//! Which part gets which: the store under the chat services, those behind the hub, both behind the
//! accept loop.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use hubbub_access::api::TICKETS_PER_REQUEST;
use hubbub_access::descriptors::{connections_max, raise_limit};
use hubbub_access::secret::SecretError;
use hubbub_access::{
    AcceptStats, Access, Api, ApiKeys, ApiLimits, ApiParts, ApiStats, DevSignIn, EchoLimits, Gate,
    HandshakePolicy, KeyFile, Operators, Permits, Planes, Reception, Scope, Secret, Signer,
    TlsStats, TokenPolicy, Verifier,
};
use hubbub_chat::Chat;
use hubbub_chat::ports::{Router, Store as _, StoreError};
use hubbub_hub::{Announce, Answer, Hub, HubConfig, Upstream};
use hubbub_proto::{
    Channel, ChannelPattern, Command, ConnId, DeviceId, Effect, Identity, Refusal, Request, UserId,
    Who,
};
use hubbub_store::SqliteStore;

use crate::clock::{self, SystemClock};
use crate::config::Config;
use crate::health::Readiness;
use crate::metrics::{Metrics, Sources};
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
    pub(crate) readiness: Readiness,
    pub(crate) accept: Arc<AcceptStats>,
    pub(crate) tls: Arc<TlsStats>,
    pub(crate) metrics: Arc<Metrics>,
    operators: Operators,
    /// Who may come in; replaced when the configuration is read again.
    pub(crate) gate: Arc<Gate>,
    pub(crate) keys: Arc<ApiKeys>,
    pub(crate) api_stats: Arc<ApiStats>,
    reception: Arc<Reception>,
    secret: Secret,
    verifier: Arc<Verifier>,
}

/// Opens the store and starts the threads.
pub(crate) fn assemble(config: &Config) -> anyhow::Result<Parts> {
    let started = Instant::now();
    let operators = operators(config)?;
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
    let chat_config = config.chat()?;
    let (by_key, enabled) = (chat_config.push.by_key.clone(), config.api.enabled);
    let file = KeyFile::in_dir(config.server.data_dir());
    let keys = ApiKeys::open(file, move |all| by_key.set(enabled && all.contains(Scope::Push)))?;
    let places = config.api.in_flight_max as usize * TICKETS_PER_REQUEST;
    let reception = Arc::new(Reception::new(places));

    let hub = Arc::new(Hub::new(HubConfig {
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
    })?);
    let chat = Arc::new(Chat::start(
        store.clone(),
        Arc::new(Downstream { router: hub.router(), reception: reception.clone() }),
        Arc::new(SystemClock),
        Box::new(UuidNames::new()),
        chat_config,
        crate::memory::collect,
    )?);
    hub.run(Arc::new(Services {
        chat: chat.clone(),
        verifier: verifier.clone(),
        reception: reception.clone(),
    }))?;

    let configured = usize::try_from(config.server.connections_max).unwrap_or(usize::MAX);
    let permits = Permits::new(connections_max(configured, descriptors));
    let (accept, tls) = (Arc::<AcceptStats>::default(), Arc::<TlsStats>::default());
    let gate = Arc::new(Gate::new(config.edge.rules()?));
    let stopping = Arc::<AtomicBool>::default();
    let api_stats = Arc::<ApiStats>::default();
    let metrics = Metrics::new(Sources {
        hub: hub.clone(),
        chat: chat.clone(),
        accept: accept.clone(),
        tls: tls.clone(),
        gate: gate.clone(),
        api: api_stats.clone(),
        permits: permits.clone(),
        data_dir: config.server.data_dir().into(),
        started,
    });
    Ok(Parts {
        readiness: Readiness {
            chat: chat.clone(),
            stopping: stopping.clone(),
            data_dir: config.server.data_dir().into(),
            disk_free_min_bytes: config.store.disk_free_min_bytes,
        },
        store,
        chat,
        hub,
        permits,
        stopping,
        accept,
        tls,
        metrics: Arc::new(metrics),
        operators,
        gate,
        keys: Arc::new(keys),
        api_stats,
        reception,
        secret,
        verifier,
    })
}

/// Who may see what only operators see.
fn operators(config: &Config) -> anyhow::Result<Operators> {
    let who = Who::compile(config.admin.who.iter().map(String::as_str))?;
    let file = config.metrics.token_file.as_str();
    let token = (!file.is_empty()).then(|| operators_token(Path::new(file))).transpose()?;
    Ok(Operators { who, token })
}

fn operators_token(file: &Path) -> anyhow::Result<Secret> {
    let shown = file.display();
    Secret::load(file).map_err(|error| {
        let said = match error {
            SecretError::Missing(_) => {
                format!(
                    "there is no {shown}: `(umask 077; openssl rand -hex 32 > {shown})` makes one"
                )
            }
            SecretError::Exposed(_, mode) => {
                format!("{shown} can be read by others (mode {mode:04o}): `chmod 600 {shown}`")
            }
            SecretError::Short(_) => format!("the token in {shown} has fewer than 32 characters"),
            SecretError::Long(_) => {
                format!("{shown} is larger than 64 KiB: this is the wrong file")
            }
            SecretError::Io(_, error) => format!("{shown}: {error}"),
        };
        anyhow!("metrics.token_file: {said}")
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
    ///
    /// # Errors
    /// A rule of the configuration that says something unknown; none in one that was loaded.
    pub(crate) fn access(&self, config: &Config) -> anyhow::Result<Access> {
        let (readiness, chat) = (self.readiness.clone(), self.chat.clone());
        Ok(Access {
            verifier: self.verifier.clone(),
            clock: Arc::new(clock::now),
            policy: HandshakePolicy {
                allowed_origins: config.server.allowed_origins.clone(),
                cookie: config.auth.cookie.clone(),
                compression: self.hub.compression(),
            },
            stream_channels_max: config.sse.channels_max.into(),
            echo: config.echo.enabled.then_some(EchoLimits {
                message_bytes_max: config.echo.message_bytes_max as usize,
                fragments_max: config.echo.fragments_max,
            }),
            gate: self.gate.clone(),
            api: config.api.enabled.then(|| self.api(config)).transpose()?,
            dev: config.server.dev.then(|| self.mint(config)),
            asset: crate::assets::asset,
            is_signed_out: Box::new(move |identity| chat.is_signed_out(identity)),
            ready: Box::new(move || readiness.check()),
            version: env!("CARGO_PKG_VERSION"),
            operators: self.operators.clone(),
            metrics: Some(self.metrics.clone()),
        })
    }

    fn api(&self, config: &Config) -> anyhow::Result<Arc<Api>> {
        Ok(Api::new(ApiParts {
            keys: self.keys.clone(),
            verifier: self.verifier.clone(),
            gate: self.gate.clone(),
            admin: Who::compile(config.admin.who.iter().map(String::as_str))?,
            mint: self.mint(config),
            clock: Arc::new(clock::now),
            reception: self.reception.clone(),
            planes: Arc::new(BothPlanes {
                chat: self.chat.clone(),
                hub: self.hub.clone(),
                router: self.hub.router(),
            }),
            limits: ApiLimits {
                body_bytes_max: config.api.body_bytes_max as usize,
                in_flight_max: config.api.in_flight_max as usize,
                timeout: Duration::from_millis(config.api.timeout_ms.into()),
                requests_per_second: config.api.requests_per_second,
                content: (&config.limits).into(),
            },
            stats: self.api_stats.clone(),
            version: env!("CARGO_PKG_VERSION"),
        }))
    }

    fn mint(&self, config: &Config) -> DevSignIn {
        DevSignIn {
            signer: Signer::new(&self.secret),
            algorithm: config.auth.algorithms.first().cloned().unwrap_or_default(),
            issuer: config.auth.issuer(),
            audience: config.auth.audience(),
        }
    }
}

/// What the API sees behind it.
struct BothPlanes {
    chat: Arc<Chat>,
    hub: Arc<Hub>,
    router: hubbub_hub::Router,
}

impl Planes for BothPlanes {
    fn submit(&self, request: Request) -> Result<(), Box<Request>> {
        let mut batch = VecDeque::from([request]);
        self.chat.submit(&mut batch);
        batch.pop_front().map_or(Ok(()), |back| Err(Box::new(back)))
    }

    fn call(&self, caller: ConnId, identity: &Identity, command: Command) -> Result<(), Refusal> {
        self.hub.call(caller, identity, command)
    }

    fn subscribe(&self, user: &UserId, channel: &Channel, present: bool) -> Result<(), Refusal> {
        match present {
            true => self.hub.subscribe_user(user, channel),
            false => self.hub.unsubscribe_user(user, channel),
        }
    }

    fn is_signed_out(&self, identity: &Identity) -> bool {
        self.chat.is_signed_out(identity)
    }

    fn post(&self, effect: Effect) {
        self.router.post(vec![effect]);
    }
}

/// What the hub sees above it.
struct Services {
    chat: Arc<Chat>,
    verifier: Arc<Verifier>,
    reception: Arc<Reception>,
}

impl Upstream for Services {
    fn submit(&self, batch: &mut VecDeque<Request>) {
        self.chat.submit(batch);
    }

    fn authenticate(&self, token: &str, device: Option<&DeviceId>) -> Result<Identity, Refusal> {
        self.verifier.verify(token, device, clock::now())
    }

    fn answered(&self, answers: Vec<Answer>) {
        self.reception.answer(answers.into_iter().map(|answer| (answer.caller, answer.outcome)));
    }

    fn channel_pass(&self, token: &str) -> Result<(UserId, ChannelPattern), Refusal> {
        self.verifier.verify_channel(token, clock::now())
    }
}

/// What the chat services see below them: replies to callers without a connection go to the
/// reception, everything else to the hub.
struct Downstream {
    router: hubbub_hub::Router,
    reception: Arc<Reception>,
}

impl Router for Downstream {
    fn post(&self, mut effects: Vec<Effect>) {
        let for_callers = |effect: &mut Effect| matches!(effect, Effect::Reply { conn, .. } if conn.is_reception());
        let replies: Vec<Effect> = effects.extract_if(.., for_callers).collect();
        if !effects.is_empty() {
            self.router.post(effects);
        }
        if !replies.is_empty() {
            self.reception.answer(replies.into_iter().filter_map(|reply| match reply {
                Effect::Reply { conn, outcome, .. } => Some((conn, outcome)),
                _ => None,
            }));
        }
    }

    fn resume(&self) {
        self.router.resume();
        self.reception.resume();
    }
}
