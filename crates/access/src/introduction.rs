//! Whose connection it is that a trusted proxy passes on: the PROXY protocol, version 2.
//!
//! The header comes before everything else, TLS included (HAProxy's `proxy-protocol.txt`, 2.2). Invariant:
//! nothing behind it is read. Absent: who is trusted (see [`crate::gate`]), version 1, and what
//! the header may say besides the address.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::v2::{Addresses, Command, Header};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Bytes before the addresses: signature, version, family, and how long the rest is.
const FIXED_BYTES: usize = 16;
/// Bytes of addresses and what else a proxy tells, such as the name of its TLS certificate.
const REST_BYTES_MAX: usize = 2048;

/// Reads the header. `None` where the proxy speaks for itself, as for its health checks.
///
/// # Errors
/// When the connection ends, or what comes is no such header.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; FIXED_BYTES];
    stream.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if !header.starts_with(ppp::v2::PROTOCOL_PREFIX) || rest > REST_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    header.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    let header = Header::try_from(&*header)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if header.command == Command::Local {
        return Ok(None);
    }
    match header.addresses {
        Addresses::IPv4(tcp) => {
            Ok(Some((IpAddr::from(tcp.source_address), tcp.source_port).into()))
        }
        Addresses::IPv6(tcp) => {
            Ok(Some((IpAddr::from(tcp.source_address), tcp.source_port).into()))
        }
        Addresses::Unspecified | Addresses::Unix(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}
