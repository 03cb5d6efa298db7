//! TLS over a socket, as long as HTTP is spoken over it.
//!
//! The handshake, and then a stream of bytes; at the hand-over, the socket and the keys leave
//! together with what was decrypted already. Invariants: what is read is decrypted in a buffer of
//! the thread, so that a connection keeps only what was not taken yet; a write takes at most one
//! record beyond what the socket takes. Deliberately absent: deadlines, which are the accept
//! loop's.

use std::cell::RefCell;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use hubbub_hub::tls::{KEPT_MAX, Tls, TlsError};
use rustls::{AlertDescription, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of one read.
const READ_BYTES: usize = 8 * 1024;

/// What somebody gets who speaks HTTP where TLS is expected.
const PLAINTEXT_ANSWER: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\
     Content-Type: application/json\r\n\r\n\
     {\"code\":400,\"reason\":\"tls_expected\",\"message\":\"This port speaks TLS: https.\"}";

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; KEPT_MAX + READ_BYTES]);
}

/// What became of TLS handshakes.
#[derive(Debug, Default)]
pub struct TlsStats {
    /// Handshakes that were completed.
    pub handshakes: AtomicU64,
    /// Among them, those that took up an older session.
    pub resumed: AtomicU64,
    /// Clients that spoke HTTP without TLS.
    pub plaintext: AtomicU64,
    /// Clients that spoke something else, or TLS with faults.
    pub garbage: AtomicU64,
    /// Clients with no version or algorithm in common with the server.
    pub incompatible: AtomicU64,
    /// Clients that gave up with an alert, such as those that do not trust the certificate.
    pub rejected: AtomicU64,
    /// Clients that went away in the middle.
    pub abandoned: AtomicU64,
    /// Handshakes that were not done in time.
    pub timed_out: AtomicU64,
    /// Handshakes that failed on the server's side.
    pub failed: AtomicU64,
}

impl TlsStats {
    fn count(&self, failure: Failure) {
        let counter = match failure {
            Failure::Plaintext => &self.plaintext,
            Failure::Garbage => &self.garbage,
            Failure::Incompatible => &self.incompatible,
            Failure::Rejected => &self.rejected,
            Failure::Abandoned => &self.abandoned,
            Failure::TimedOut => &self.timed_out,
            Failure::Ours => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why there was no handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    Plaintext,
    Garbage,
    Incompatible,
    Rejected,
    Abandoned,
    TimedOut,
    Ours,
}

impl From<&TlsError> for Failure {
    fn from(error: &TlsError) -> Self {
        use rustls::Error as E;
        match error {
            TlsError::Protocol(E::PeerIncompatible(_) | E::NoApplicationProtocol) => {
                Self::Incompatible
            }
            TlsError::Protocol(E::AlertReceived(AlertDescription::ProtocolVersion)) => {
                Self::Incompatible
            }
            TlsError::Protocol(E::AlertReceived(_)) => Self::Rejected,
            TlsError::Protocol(
                E::General(_) | E::FailedToGetRandomBytes | E::FailedToGetCurrentTime,
            )
            | TlsError::KeysUsedUp
            | TlsError::NoKeys => Self::Ours,
            TlsError::Protocol(_) | TlsError::TooLong => Self::Garbage,
        }
    }
}

/// How handshakes are made.
pub struct Security {
    /// Certificate, versions, protocols; see [`crate::Certificate::config`].
    pub config: Arc<ServerConfig>,
    /// Counted here.
    pub stats: Arc<TlsStats>,
}

impl Security {
    /// Shakes hands; `deadline` bounds it. Where it fails, the socket comes back: the peer was told
    /// why, as far as its socket took that at once.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        deadline: tokio::time::Instant,
    ) -> Result<Secured, TcpStream> {
        let tls = match Tls::new(self.config.clone()) {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "TLS cannot be set up");
                self.stats.count(Failure::Ours);
                return Err(stream);
            }
        };
        let mut secured = Secured { stream, tls, plaintext: Vec::new(), taken: 0 };
        let outcome = tokio::time::timeout_at(deadline, secured.shake_hands()).await;
        match outcome.unwrap_or(Err(Failure::TimedOut)) {
            Ok(()) => {
                self.stats.handshakes.fetch_add(1, Ordering::Relaxed);
                let resumed = u64::from(secured.tls.is_resumed());
                self.stats.resumed.fetch_add(resumed, Ordering::Relaxed);
                Ok(secured)
            }
            Err(failure) => {
                self.stats.count(failure);
                Err(secured.stream)
            }
        }
    }
}

/// See the module.
pub(crate) struct Secured {
    stream: TcpStream,
    tls: Tls,
    /// What was decrypted and not taken yet.
    plaintext: Vec<u8>,
    /// Bytes of it that were taken.
    taken: usize,
}

/// The socket, as far as it takes something at once.
struct AtOnce<'s>(&'s TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a read that does not wait brought.
enum Fed {
    Some,
    End,
    /// Somebody who does not know of TLS.
    Plaintext,
}

impl Secured {
    /// The socket below.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The socket, its keys, and what was decrypted and not read.
    pub(crate) fn into_parts(self) -> (TcpStream, Tls, Vec<u8>) {
        let mut plaintext = self.plaintext;
        plaintext.drain(..self.taken);
        (self.stream, self.tls, plaintext)
    }

    async fn shake_hands(&mut self) -> Result<(), Failure> {
        while self.tls.is_handshaking() {
            if self.stream.readable().await.is_err() {
                return Err(Failure::Abandoned);
            }
            match self.feed() {
                Ok(Fed::Some) => {}
                Ok(Fed::End) => return Err(Failure::Abandoned),
                Ok(Fed::Plaintext) => {
                    let _ = self.stream.try_write(PLAINTEXT_ANSWER.as_bytes());
                    return Err(Failure::Plaintext);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // The alert, as far as it goes.
                    let _ = self.tls.write_pending(&mut AtOnce(&self.stream));
                    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<TlsError>());
                    return Err(cause.map_or(Failure::Abandoned, Failure::from));
                }
            }
            let written = std::future::poll_fn(|context| self.poll_pending(context)).await;
            written.map_err(|_| Failure::Abandoned)?;
        }
        Ok(())
    }

    /// Reads and decrypts what is there.
    fn feed(&mut self) -> io::Result<Fed> {
        BUFFER.with_borrow_mut(|buffer| {
            let kept = self.tls.kept();
            let read = self.stream.try_read(&mut buffer[kept..kept + READ_BYTES])?;
            if read == 0 {
                return Ok(Fed::End);
            }
            // A method of HTTP begins with a capital letter, a record never does.
            if self.tls.is_handshaking() && kept == 0 && buffer[0].is_ascii_uppercase() {
                return Ok(Fed::Plaintext);
            }
            self.tls.receive(&mut buffer[..kept + read], &mut self.plaintext)?;
            Ok(Fed::Some)
        })
    }

    /// Writes what is pending.
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.tls.write_pending(&mut AtOnce(&self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(context))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let waiting = &this.plaintext[this.taken..];
            if !waiting.is_empty() {
                let len = waiting.len().min(buffer.remaining());
                buffer.put_slice(&waiting[..len]);
                this.taken += len;
                if this.taken == this.plaintext.len() {
                    this.plaintext = Vec::new();
                    this.taken = 0;
                }
                return Poll::Ready(Ok(()));
            }
            if this.tls.peer_closed() {
                return Poll::Ready(Ok(()));
            }
            ready!(this.stream.poll_read_ready(context))?;
            match this.feed() {
                Ok(Fed::Some) => {
                    // What TLS itself answers cannot wait for a write of ours, which may never come.
                    let said = this.tls.write_pending(&mut AtOnce(&this.stream));
                    if let Err(error) = said
                        && error.kind() != io::ErrorKind::WouldBlock
                    {
                        return Poll::Ready(Err(error));
                    }
                }
                Ok(Fed::End | Fed::Plaintext) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    let _ = this.tls.write_pending(&mut AtOnce(&this.stream));
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_pending(context))?;
        let taken = this.tls.encrypt(slices)?;
        match this.tls.write_pending(&mut AtOnce(&this.stream)) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_pending(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // After a fault there is nobody to say it to.
        let _ = this.tls.close();
        ready!(this.poll_pending(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
