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
use hubbub_access::{AcceptLimits, AcceptStats, Acceptor, Certificate, Security, bind};
use hubbub_chat::{Chat, Health};
use tokio::sync::watch;

use crate::certificates::{self, Watch};
use crate::config::Config;
use crate::wiring::{Parts, assemble};

/// When the first clients are to come back.
const RETRY_AFTER_MS: u64 = 1_000;
/// How many are to come back in a second: a fraction of what a core opens.
const RETURNS_PER_SECOND: u64 = 4_000;
/// The last of them come back this much later than the first at most.
const RETURN_WITHIN_MS: u64 = 60_000;
/// How often the store's health is looked at.
const HEALTH_INTERVAL: Duration = Duration::from_millis(500);

/// What is spoken over TLS, the best first (ALPN).
const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

const DEV_WARNING: &str = "\
************************************************************************
  DEVELOPMENT MODE (--dev): anybody on this machine can sign in under
  any name. Do not put a proxy in front of this server.
************************************************************************";

/// Runs a server until `shutdown` completes, and then stops it in order.
///
/// Standard output gets the line `listening on ADDRESS:PORT` once the server can be used, and the
/// address of the chat page.
///
/// # Errors
/// When the server cannot start; the text is one line that says what to do.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    // Before anything else is touched: it is the likeliest to be wrong.
    let certificate = certificates::load(&config)?.map(Arc::new);
    let interval = Duration::from_millis(config.tls.reload_interval_ms.into());
    let watch = certificate.clone().map(|certificate| Watch::new(certificate, interval));
    let watch = watch.transpose().context("SIGHUP cannot be handled")?;
    let parts = assemble(&config)?;
    let started = start(&config, &parts, certificate.as_deref()).and_then(|started| {
        announce(&config, started.address)?;
        Ok(started)
    });
    let Started { acceptor, stop_accepting, stats, .. } = match started {
        Ok(started) => started,
        Err(error) => {
            // The threads are there already; they end as they would at the end.
            stop(parts, Duration::from_secs(1)).await;
            return Err(error);
        }
    };
    let mut upkeep = vec![
        tokio::spawn(watch_health(parts.chat.clone())),
        tokio::spawn(crate::memory::give_back(stats, parts.permits.clone())),
    ];
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
    acceptor: tokio::task::JoinHandle<()>,
    stop_accepting: watch::Sender<bool>,
    stats: Arc<AcceptStats>,
}

fn start(
    config: &Config,
    parts: &Parts,
    certificate: Option<&Certificate>,
) -> anyhow::Result<Started> {
    let wanted = config.server.address().context("server.bind")?;
    let listener = bind(wanted).map_err(|error| cannot_bind(wanted, &error))?;
    let address = listener.local_addr()?;
    let stats = Arc::<AcceptStats>::default();
    let security = match certificate {
        Some(certificate) => {
            if let Some(warning) = certificates::warning(certificate) {
                tracing::warn!("{warning}");
            }
            let config = certificate.config((&config.tls).into(), PROTOCOLS)?;
            Some(Security { config, stats: Arc::default() })
        }
        None => None,
    };
    let acceptor = Acceptor {
        access: Arc::new(parts.access(config)),
        data_plane: parts.hub.clone(),
        permits: parts.permits.clone(),
        security,
        limits: AcceptLimits {
            opens_per_second_max: config.server.opens_per_second_max,
            handshakes_max: config.server.handshakes_max,
            http2_sockets_max: config.server.http2_sockets_max,
            headers_timeout: Duration::from_millis(config.server.headers_timeout_ms.into()),
        },
        stats: stats.clone(),
    };
    let (stop_accepting, stopped) = watch::channel(false);
    let acceptor = tokio::spawn(acceptor.run(listener, stopped));
    tracing::info!(
        %address,
        version = env!("CARGO_PKG_VERSION"),
        tls = certificate.is_some(),
        data_dir = %config.server.data_dir,
        connections_max = parts.permits.max(),
        "started"
    );
    Ok(Started { address, acceptor, stop_accepting, stats })
}

fn cannot_bind(wanted: SocketAddr, error: &io::Error) -> anyhow::Error {
    let fix = match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or choose another port with --bind",
        io::ErrorKind::PermissionDenied => "choose a port from 1024 up with --bind",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine with --bind",
        _ => "choose another address with --bind",
    };
    anyhow!("cannot listen on {wanted}: {error}; {fix}")
}

/// Says where the server is, to programs that started it and to people.
fn announce(config: &Config, address: SocketAddr) -> anyhow::Result<()> {
    if config.server.dev {
        eprintln!("{DEV_WARNING}");
    }
    let mut page = address;
    if page.ip().is_unspecified() {
        page.set_ip(match page.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if config.tls.certificate_file.is_empty() { "http" } else { "https" };
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {address}\nopen {scheme}://{page}/ to chat")
        .and_then(|()| out.flush())
        .context("standard output cannot be written")
}

/// Logs when the store fails; `/readyz` says it from then on too.
async fn watch_health(chat: Arc<Chat>) {
    let mut ticks = tokio::time::interval(HEALTH_INTERVAL);
    loop {
        ticks.tick().await;
        if let Health::Failed(reason) = chat.health() {
            tracing::error!(%reason, "the store failed: nothing is acknowledged until a restart");
            return;
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
