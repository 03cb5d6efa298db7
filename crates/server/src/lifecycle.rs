//! Starting, being ready, and stopping in order (P11).
//!
//! The order of a stop: accepting ends, parsing ends, the writer finishes and posts what waits, the
//! clients are told when to come back, the store is checkpointed. Invariant: it ends by its
//! deadline; a step that takes too long is left behind and the next one begins.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use hubbub_access::{AcceptLimits, Acceptor, ApiKeys, Certificate, Security, bind, operator};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::certificates::{self, Watch};
use crate::config::Config;
use crate::health;
use crate::metrics::summary;
use crate::reread::{self, Load};
use crate::wiring::{Parts, assemble};

/// When the first clients are to come back.
const RETRY_AFTER_MS: u64 = 1_000;
/// How many are to come back in a second: a fraction of what a core opens.
const RETURNS_PER_SECOND: u64 = 4_000;
/// The last of them come back this much later than the first at most.
const RETURN_WITHIN_MS: u64 = 60_000;
/// How often it is written down which keys were used.
const KEY_USES_INTERVAL: Duration = Duration::from_secs(60);

/// What is spoken over TLS, the best first (ALPN).
const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

const DEV_WARNING: &str = "\
************************************************************************
  DEVELOPMENT MODE (--dev): anybody on this machine can sign in under
  any name. Do not put a proxy in front of this server.
************************************************************************";

/// Runs a server until `shutdown` completes, and then stops it in order.
///
/// On SIGHUP `load` is asked again, and what can change while the server runs is as it says then.
///
/// Standard output gets the line `listening on ADDRESS:PORT` once the server can be used, the address
/// of the chat page, and that of the metrics where they have one of their own.
///
/// # Errors
/// When the server cannot start; the text is one line that says what to do.
pub async fn run(
    config: Config,
    load: Load,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be handled")?;
    // Before anything else is touched: it is the likeliest to be wrong.
    let certificate = certificates::load(&config)?.map(Arc::new);
    let interval = Duration::from_millis(config.tls.reload_interval_ms.into());
    let watch = certificate.clone().map(|certificate| Watch::new(certificate, interval));
    let watch = watch.transpose().context("SIGHUP cannot be handled")?;
    let parts = assemble(&config)?;
    // Before anybody can come, so that all that happens is in its lines.
    let interval = Duration::from_millis(config.log.summary_ms.into());
    let summary = (!interval.is_zero()).then(|| summary::run(parts.metrics.clone(), interval));
    let started = start(&config, &parts, certificate.as_deref()).and_then(|started| {
        announce(&config, &started)?;
        Ok(started)
    });
    let Started { acceptor, stop_accepting, .. } = match started {
        Ok(started) => started,
        Err(error) => {
            // The threads are there already; they end as they would at the end.
            stop(parts, Duration::from_secs(1)).await;
            return Err(error);
        }
    };
    let mut upkeep = vec![
        tokio::spawn(health::watch(parts.readiness.clone())),
        tokio::spawn(crate::memory::give_back(
            parts.accept.clone(),
            parts.permits.clone(),
            parts.chat.clone(),
        )),
        tokio::spawn(note_uses(parts.keys.clone())),
        tokio::spawn(reread::run(hangup, load, parts.gate.clone())),
    ];
    upkeep.extend(summary.map(tokio::spawn));
    if let Some(watch) = watch {
        upkeep.push(tokio::spawn(watch.run()));
    }
    shutdown.await;

    tracing::info!("stopping");
    let within = Duration::from_millis(config.server.shutdown_ms.into());
    let deadline = tokio::time::Instant::now() + within;
    parts.stopping.store(true, Ordering::Relaxed);
    stop_accepting.send_replace(true);
    stop(parts, within).await;
    upkeep.iter().for_each(tokio::task::JoinHandle::abort);
    // An answer under way may still be read; a client that does not read it is cut off.
    let _ = tokio::time::timeout_at(deadline, acceptor).await;
    tracing::info!("stopped");
    Ok(())
}

struct Started {
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    acceptor: tokio::task::JoinHandle<()>,
    stop_accepting: watch::Sender<bool>,
}

fn start(
    config: &Config,
    parts: &Parts,
    certificate: Option<&Certificate>,
) -> anyhow::Result<Started> {
    let wanted = config.server.address().context("server.bind")?;
    let listener = bind(wanted).map_err(|error| cannot_bind(wanted, &error, "--bind"))?;
    let address = listener.local_addr()?;
    let security = match certificate {
        Some(certificate) => {
            if let Some(warning) = certificates::warning(certificate) {
                tracing::warn!("{warning}");
            }
            let config = certificate.config((&config.tls).into(), PROTOCOLS)?;
            Some(Security { config, stats: parts.tls.clone() })
        }
        None => None,
    };
    let metrics = config
        .metrics
        .address()
        .map(|wanted| bind(wanted).map_err(|error| cannot_bind(wanted, &error, "metrics.bind")));
    let metrics = metrics.transpose()?;
    let access = Arc::new(parts.access(config)?);
    let acceptor = Acceptor {
        access: access.clone(),
        data_plane: parts.hub.clone(),
        permits: parts.permits.clone(),
        security,
        limits: AcceptLimits {
            opens_per_second_max: config.server.opens_per_second_max,
            handshakes_max: config.server.handshakes_max,
            http2_sockets_max: config.server.http2_sockets_max,
            headers_timeout: Duration::from_millis(config.server.headers_timeout_ms.into()),
        },
        stats: parts.accept.clone(),
    };
    let (stop_accepting, stopped) = watch::channel(false);
    let metrics_address = metrics.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = metrics {
        tokio::spawn(operator::serve(listener, access, stopped.clone()));
    }
    let acceptor = tokio::spawn(acceptor.run(listener, stopped));
    tracing::info!(
        %address,
        version = env!("CARGO_PKG_VERSION"),
        tls = certificate.is_some(),
        data_dir = %config.server.data_dir,
        connections_max = parts.permits.max(),
        "started"
    );
    Ok(Started { address, metrics: metrics_address, acceptor, stop_accepting })
}

fn cannot_bind(wanted: SocketAddr, error: &io::Error, with: &str) -> anyhow::Error {
    let fix = match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
        io::ErrorKind::PermissionDenied => "choose a port from 1024 up",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        _ => "choose another address",
    };
    anyhow!("cannot listen on {wanted}: {error}; {fix} with {with}")
}

/// Says where the server is, to programs that started it and to people.
fn announce(config: &Config, started: &Started) -> anyhow::Result<()> {
    if config.server.dev {
        eprintln!("{DEV_WARNING}");
    }
    let Started { address, metrics, .. } = started;
    let mut page = *address;
    if page.ip().is_unspecified() {
        page.set_ip(match page.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if config.tls.certificate_file.is_empty() { "http" } else { "https" };
    let mut out = io::stdout().lock();
    let metrics = metrics.map(|address| format!("metrics on {address}\n")).unwrap_or_default();
    write!(out, "listening on {address}\nopen {scheme}://{page}/ to chat\n{metrics}")
        .and_then(|()| out.flush())
        .context("standard output cannot be written")
}

/// Writes down now and then which keys were used.
async fn note_uses(keys: Arc<ApiKeys>) {
    let mut ticks = tokio::time::interval(KEY_USES_INTERVAL);
    loop {
        ticks.tick().await;
        let keys = keys.clone();
        let noted = tokio::task::spawn_blocking(move || keys.note_uses()).await;
        if let Ok(Err(error)) = noted {
            tracing::warn!(%error, "when keys were used is not written down");
        }
    }
}

/// When so many clients are to come back, so that the next process gets them one after the other.
fn retry_after_ms(connections: u64) -> RangeInclusive<u64> {
    let within_ms = connections.saturating_mul(1000) / RETURNS_PER_SECOND;
    RETRY_AFTER_MS..=RETRY_AFTER_MS + within_ms.clamp(500, RETURN_WITHIN_MS)
}

/// Everything after the end of accepting. What is handed over meanwhile is told to come back.
async fn stop(parts: Parts, within: Duration) {
    let began = Instant::now();
    let steps = tokio::task::spawn_blocking(move || {
        parts.hub.stop_parsing();
        if !parts.chat.drain(began + within / 2) {
            tracing::warn!(
                "the writer did not finish in time; what it had not acknowledged is cut"
            );
        }
        parts.hub.drain(retry_after_ms(parts.hub.stats().connections), began + within * 9 / 10);
        if let Err(error) = parts.store.checkpoint() {
            tracing::warn!(%error, "the store was not checkpointed; the next start does it");
        }
    });
    if tokio::time::timeout(within, steps).await.is_err() {
        tracing::warn!("the shutdown took too long; what is left is cut off");
    }
}
