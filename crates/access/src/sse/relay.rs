//! Between a session's end of a pair of sockets and the body of an HTTP answer.
//!
//! Invariants: nothing is read from the session before the client took what was read before, so that
//! a slow client slows its own session and nothing else; dropping the relay ends the session. At most
//! one read's bytes, what is incomplete of a message, and what they come to are in hand.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hubbub_proto::CloseCode;
use hubbub_websocket::frame::write_frame;
use hubbub_websocket::{Decoder, Event, Limits, OpCode, Role};
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::UnixStream;

use super::feed::{End, Feed};

/// Bytes taken from the session at once.
const READ_BYTES: usize = 16 * 1024;
/// The session is this server's own and holds itself to what its outbox may have.
const LIMITS: Limits = Limits { message_bytes_max: 64 << 20, fragments_max: 1024 };
/// Text that waits until the answer begins.
const BEGINNING_BYTES_MAX: usize = 64 * 1024;
/// Masks hide what one says from those between; here is nobody (RFC 6455 §10.3).
const MASK: Option<[u8; 4]> = Some([0; 4]);

/// See the module. `K` is kept as long as the stream.
pub(crate) struct Relay<K> {
    session: UnixStream,
    decoder: Decoder,
    feed: Feed,
    /// Frames for the session.
    unsent: Vec<u8>,
    is_over: bool,
    _kept: K,
}

impl<K: Unpin> Relay<K> {
    pub(crate) fn new(session: UnixStream, feed: Feed, kept: K) -> Self {
        let decoder = Decoder::new(Role::Client);
        Self { session, decoder, feed, unsent: Vec::new(), is_over: false, _kept: kept }
    }

    /// Completes when the answer may begin: the session agreed to everything, or has said so much
    /// that the client should have it.
    ///
    /// # Errors
    /// What the session did not agree to.
    pub(crate) async fn begin(&mut self) -> Result<(), End> {
        loop {
            if let Some(end) = &self.feed.end {
                return Err(end.clone());
            }
            if self.feed.has_begun() || self.feed.out.len() > BEGINNING_BYTES_MAX {
                self.feed.begin();
                return Ok(());
            }
            if self.is_over
                || std::future::poll_fn(|context| self.poll_turn(context)).await.is_err()
            {
                self.feed.on_close(None, CloseCode::Internal.reason());
            }
        }
    }

    /// Says what is to be said to the session, and takes what it says.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send(context)?;
        let mut buffer = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.session).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            self.feed.on_close(None, "");
            self.is_over = true;
        } else {
            self.take(buffer.filled_mut());
            self.send(context)?;
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, mut bytes: &mut [u8]) {
        loop {
            let Ok(step) = self.decoder.next(bytes, &LIMITS) else {
                return self.feed.on_close(None, "");
            };
            let consumed = step.consumed;
            match step.event {
                None => return,
                Some(Event::Text(text)) => self.feed.on_text(text),
                Some(Event::Ping(payload)) => {
                    write_frame(&mut self.unsent, true, OpCode::Pong, MASK, payload);
                }
                Some(Event::Close { code, reason }) => self.feed.on_close(code, reason),
                Some(Event::Binary(_) | Event::Pong(_)) => {}
            }
            bytes = &mut bytes[consumed..];
        }
    }

    /// Writes as much as the session takes; the rest waits for the next turn.
    fn send(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        for command in self.feed.commands.drain(..) {
            write_frame(&mut self.unsent, true, OpCode::Text, MASK, command.as_bytes());
        }
        while !self.unsent.is_empty() {
            match Pin::new(&mut self.session).poll_write(context, &self.unsent) {
                Poll::Ready(Ok(sent)) => _ = self.unsent.drain(..sent),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }
}

impl<K: Unpin> Body for Relay<K> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if !self.feed.out.is_empty() {
                let text = std::mem::take(&mut self.feed.out);
                return Poll::Ready(Some(Ok(Frame::data(text.into()))));
            }
            if self.is_over || self.feed.end.is_some() {
                return Poll::Ready(None);
            }
            if ready!(self.poll_turn(context)).is_err() {
                self.feed.on_close(None, "");
                self.is_over = true;
            }
        }
    }
}

impl<K> Drop for Relay<K> {
    fn drop(&mut self) {
        // Nothing waits for it: a session that does not get it sees the end of its socket.
        let code = CloseCode::Normal.code().to_be_bytes();
        let mut frame = std::mem::take(&mut self.unsent);
        write_frame(&mut frame, true, OpCode::Close, MASK, &code);
        let _ = self.session.try_write(&frame);
    }
}
