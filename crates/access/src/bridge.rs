//! Between a stream of an HTTP/2 connection and one end of a pair of sockets.
//!
//! Invariants: each direction has at most one read's bytes in hand and reads on when they were
//! taken, so that a slow side stops the other one through the windows; while nothing is under way
//! there is no buffer. An end of input becomes one, and whatever else ends one side ends the other:
//! a reset stream is a lost connection to the shard, and a closed socket resets the stream.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::UnixStream;

/// Bytes that wait in the pair in one direction, as far as the system heeds it.
const PAIR_BYTES: usize = 32 * 1024;
/// Bytes taken at once.
const READ_BYTES: usize = 16 * 1024;
/// How long one direction may go on when the other has ended.
const LINGER: Duration = Duration::from_secs(10);

/// A pair: the bridge's end, and the shard's.
///
/// # Errors
/// When the system has no descriptors left.
pub(crate) fn pair() -> io::Result<(UnixStream, StdUnixStream)> {
    let (near, far) = StdUnixStream::pair()?;
    for end in [&near, &far] {
        end.set_nonblocking(true)?;
        SockRef::from(end).set_send_buffer_size(PAIR_BYTES)?;
    }
    Ok((UnixStream::from_std(near)?, far))
}

/// Carries bytes both ways until both directions have ended or one has failed.
pub(crate) async fn run(stream: impl AsyncRead + AsyncWrite, socket: UnixStream) {
    let (mut from_peer, mut to_peer) = tokio::io::split(stream);
    let (mut from_shard, mut to_shard) = tokio::io::split(socket);
    let mut down = pin!(carry(&mut from_shard, &mut to_peer));
    let mut up = pin!(carry(&mut from_peer, &mut to_shard));
    // The other direction has something left to do only after an orderly end.
    tokio::select! {
        ended = &mut down => if ended.is_ok() {
            let _ = tokio::time::timeout(LINGER, up).await;
        },
        ended = &mut up => if ended.is_ok() {
            let _ = tokio::time::timeout(LINGER, down).await;
        },
    }
}

/// One direction, to the end of its input.
async fn carry<R: AsyncRead, W: AsyncWrite>(
    from: &mut ReadHalf<R>,
    to: &mut WriteHalf<W>,
) -> io::Result<()> {
    loop {
        let bytes = std::future::poll_fn(|context| poll_read_some(from, context)).await?;
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&bytes).await?;
        to.flush().await?;
    }
}

/// What can be read, and nothing at the end.
fn poll_read_some(
    from: &mut (impl AsyncRead + Unpin),
    context: &mut Context<'_>,
) -> Poll<io::Result<Vec<u8>>> {
    let mut buffer = [0; READ_BYTES];
    let mut buffer = ReadBuf::new(&mut buffer);
    ready!(Pin::new(from).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().to_vec()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// A peer, and a shard's end that blocks.
    fn bridged() -> (tokio::io::DuplexStream, StdUnixStream, tokio::task::JoinHandle<()>) {
        let (peer, stream) = tokio::io::duplex(1000);
        let (near, far) = pair().unwrap();
        far.set_nonblocking(false).unwrap();
        (peer, far, tokio::spawn(run(stream, near)))
    }

    #[tokio::test]
    async fn both_ways_to_both_ends() {
        let (mut peer, mut shard, bridge) = bridged();
        peer.write_all(b"up").await.unwrap();
        let shard = tokio::task::spawn_blocking(move || {
            let mut two = [0; 2];
            shard.read_exact(&mut two).unwrap();
            assert_eq!(&two, b"up");
            shard.write_all(&[7; 100_000]).unwrap();
            shard.shutdown(std::net::Shutdown::Write).unwrap();
            shard.read_to_end(&mut Vec::new()).unwrap();
        });
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, vec![7; 100_000]);
        peer.shutdown().await.unwrap();
        shard.await.unwrap();
        bridge.await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_stops_the_shard() {
        let (peer, shard, _bridge) = bridged();
        shard.set_nonblocking(true).unwrap();
        let shard = UnixStream::from_std(shard).unwrap();
        let mut taken = 0;
        // It is full when nothing is taken for a while.
        while tokio::time::timeout(Duration::from_millis(200), shard.writable()).await.is_ok() {
            taken += shard.try_write(&[0; 4096]).unwrap_or(0);
        }
        assert!(taken < 4 * PAIR_BYTES, "{taken}");
        drop(peer);
    }

    #[tokio::test]
    async fn a_shard_that_is_gone_ends_the_bridge() {
        let (mut peer, shard, bridge) = bridged();
        drop(shard);
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        drop(peer);
        bridge.await.unwrap();
    }
}
