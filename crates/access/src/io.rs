//! What a connection speaks HTTP over: a socket, or TLS over one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hubbub_hub::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::secured::Secured;

/// See the module.
pub(crate) enum Io {
    Plain(TcpStream),
    Secured(Box<Secured>),
}

impl Io {
    /// Makes the socket ready for answers.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(crate) async fn prepare(&self) -> io::Result<()> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Secured(secured) => secured.stream(),
        };
        // It costs only latency where it fails, and the peer may be gone already.
        let _ = stream.set_nodelay(true);
        // The HTTP library takes a refusal for written when the runtime does not know yet that a
        // new socket can be written to.
        stream.writable().await
    }

    /// For the data plane: the socket, nonblocking, and what was read from it and nobody has seen.
    ///
    /// # Errors
    /// When the socket cannot leave the runtime.
    pub(crate) fn into_socket(self) -> io::Result<(Socket, Vec<u8>)> {
        match self {
            Self::Plain(stream) => Ok((stream.into_std()?.into(), Vec::new())),
            Self::Secured(secured) => {
                let (stream, tls, plaintext) = secured.into_parts();
                Ok((Socket::Tls(stream.into_std()?, Box::new(tls)), plaintext))
            }
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secured(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Secured(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Secured(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secured(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secured(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
