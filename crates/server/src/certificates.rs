//! The certificate's files: read at the start, and again when they change or SIGHUP comes.
//!
//! Invariant: what cannot be used is said and changes nothing; the server goes on with the
//! certificate that it has.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hubbub_access::{Certificate, CertificateError, MinVersion};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, Tls};

/// Reads the files that the configuration names, if it names any.
///
/// # Errors
/// [`CertificateError`], with the file and the fix in its text.
pub(crate) fn load(config: &Config) -> Result<Option<Certificate>, CertificateError> {
    let Tls { certificate_file, key_file, .. } = &config.tls;
    if certificate_file.is_empty() {
        return Ok(None);
    }
    Certificate::load(Path::new(certificate_file), Path::new(key_file)).map(Some)
}

/// What is wrong with a key's file that can be used all the same.
pub(crate) fn warning(certificate: &Certificate) -> Option<String> {
    let mode = certificate.exposed()?;
    let [_, key] = certificate.files();
    let key = key.display();
    Some(format!("the private key {key} can be used by others (mode {mode:04o}): chmod 600 {key}"))
}

impl From<&Tls> for MinVersion {
    fn from(tls: &Tls) -> Self {
        if tls.min_version == "1.3" { Self::Tls13 } else { Self::Tls12 }
    }
}

/// A file as it was seen: a change of its content changes one of these.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamps(certificate: &Certificate) -> [Stamp; 2] {
    certificate.files().map(|file| {
        let seen = fs::metadata(file).ok()?;
        Some((seen.ino(), seen.len(), seen.mtime(), seen.mtime_nsec()))
    })
}

/// Reads the files again for as long as it is polled.
pub(crate) struct Watch {
    certificate: Arc<Certificate>,
    interval: Duration,
    hangup: Signal,
    /// What the files were when they were read last.
    read: [Stamp; 2],
}

impl Watch {
    /// From its return on, SIGHUP does not end the process any more.
    ///
    /// # Errors
    /// When the signal's handler cannot be installed.
    pub(crate) fn new(certificate: Arc<Certificate>, interval: Duration) -> std::io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        let read = stamps(&certificate);
        Ok(Self { certificate, interval, hangup, read })
    }

    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.interval);
        let mut before = self.read;
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                _ = self.hangup.recv() => true,
            };
            let now = stamps(&self.certificate);
            // Two files are not replaced at once: they are read when they have stood still.
            if asked || (now != self.read && now == before) {
                self.read = now;
                self.reload().await;
            }
            before = now;
        }
    }

    async fn reload(&self) {
        let certificate = self.certificate.clone();
        let outcome =
            tokio::task::spawn_blocking(move || (certificate.reload(), warning(&certificate)));
        match outcome.await {
            Ok((Ok(is_new), warning)) => {
                tracing::info!(is_new, "the certificate was read again");
                if let Some(warning) = warning {
                    tracing::warn!("{warning}");
                }
            }
            Ok((Err(error), _)) => {
                tracing::error!(%error, "the certificate was not read again: the old one stays in use");
            }
            Err(error) => tracing::error!(%error, "the certificate could not be read again"),
        }
    }
}
