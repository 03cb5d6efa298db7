//! The socket of a connection, whatever kind it is.
//!
//! Invariant: a connection's bytes go in and out here and nowhere else, so that what is between it
//! and its socket is known to one file. All sockets are nonblocking. What TLS could not hand to the
//! socket counts as [`Transport::pending`] and is written before anything else; a writer that has
//! nothing more must `flush` until that succeeds. An enum and no trait object: the kinds are few,
//! and an idle connection keeps nothing but the descriptor and, with TLS, its keys.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as StdUnixStream;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::tls::{KEPT_MAX, Tls};

/// Bytes of one read.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// A socket that is handed to the hub.
#[derive(Debug)]
pub enum Socket {
    /// A client's connection.
    Tcp(std::net::TcpStream),
    /// One end of a pair, whose other end somebody bridges to a client.
    Unix(StdUnixStream),
    /// A client's connection, whose TLS handshake is done.
    Tls(std::net::TcpStream, Box<Tls>),
}

impl From<std::net::TcpStream> for Socket {
    fn from(stream: std::net::TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<StdUnixStream> for Socket {
    fn from(stream: StdUnixStream) -> Self {
        Self::Unix(stream)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(TcpStream, Box<Tls>),
}

/// What all connections of a thread read into.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    raw: Vec<u8>,
    plaintext: Vec<u8>,
}

/// What a read brought.
#[derive(Debug)]
pub(crate) enum Received<'b> {
    Bytes {
        /// For the connection; with TLS, there may be none.
        bytes: &'b mut [u8],
        /// How many bytes left the socket.
        read: usize,
        /// The socket may have more: no event will tell.
        more: bool,
    },
    /// The peer sends nothing more.
    End {
        /// It did not say so, as TLS demands.
        truncated: bool,
    },
}

impl Transport {
    /// Makes the socket ready for an event loop; no event comes before [`Self::register`].
    ///
    /// # Errors
    /// When the socket cannot be set up; the peer may be gone.
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(stream) => tcp(stream).map(Self::Tcp),
            Socket::Unix(stream) => {
                stream.set_nonblocking(true)?;
                Ok(Self::Unix(UnixStream::from_std(stream)))
            }
            Socket::Tls(stream, tls) => Ok(Self::Tls(tcp(stream)?, tls)),
        }
    }

    /// Has events reported under `token`.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(stream) | Self::Tls(stream, _) => registry.register(stream, token, interest),
            Self::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    /// Reads once.
    ///
    /// # Errors
    /// Those of the socket; `InvalidData` for what is not TLS, after an attempt to say so.
    pub(crate) fn receive<'b>(&mut self, buffers: &'b mut Buffers) -> io::Result<Received<'b>> {
        let Buffers { raw, plaintext } = buffers;
        let kept = self.kept();
        if raw.len() < kept + READ_BYTES {
            // The first turn, the one after a panic took the buffer away, or the first of TLS.
            raw.resize(if kept == 0 { READ_BYTES } else { KEPT_MAX + READ_BYTES }, 0);
        }
        let room = &mut raw[kept..kept + READ_BYTES];
        let read = match self {
            Self::Tcp(stream) => stream.read(room)?,
            Self::Unix(stream) => stream.read(room)?,
            Self::Tls(_, tls) if tls.peer_closed() => {
                return Ok(Received::End { truncated: false });
            }
            Self::Tls(stream, _) => stream.read(room)?,
        };
        if read == 0 {
            return Ok(Received::End { truncated: matches!(self, Self::Tls(..)) });
        }
        let more = read == READ_BYTES;
        let Self::Tls(stream, tls) = self else {
            return Ok(Received::Bytes { bytes: &mut raw[..read], read, more });
        };
        plaintext.clear();
        if let Err(error) = tls.receive(&mut raw[..kept + read], plaintext) {
            // The connection is lost, whether or not the peer hears why.
            let _ = tls.write_pending(stream);
            return Err(error.into());
        }
        // What comes in one read with the end is handled first; the next read tells the end.
        let more = more || tls.peer_closed();
        Ok(Received::Bytes { bytes: plaintext, read, more })
    }

    fn kept(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Unix(_) => 0,
            Self::Tls(_, tls) => tls.kept(),
        }
    }

    /// Bytes that were taken by a write and not by the socket.
    pub(crate) fn pending(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Unix(_) => 0,
            Self::Tls(_, tls) => tls.pending(),
        }
    }

    /// Ends our direction; the peer's goes on.
    ///
    /// # Errors
    /// Those of the socket: after `WouldBlock`, to be tried again when it takes more.
    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream, tls) => {
                tls.close()?;
                tls.write_pending(stream)?;
                stream.shutdown(Shutdown::Write)
            }
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream, tls) => encrypt(stream, tls, &[IoSlice::new(bytes)]),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
            Self::Tls(stream, tls) => encrypt(stream, tls, slices),
        }
    }

    /// Fails with `WouldBlock` while something is pending.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Tls(stream, tls) => tls.write_pending(stream),
        }
    }
}

fn tcp(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(TcpStream::from_std(stream))
}

/// Encrypts one record and writes what the socket takes of it; the rest is pending, so that never
/// more than one record waits that cannot be taken back.
fn encrypt(stream: &mut TcpStream, tls: &mut Tls, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    tls.write_pending(stream)?;
    let taken = tls.encrypt(slices)?;
    match tls.write_pending(stream) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(taken),
    }
}
