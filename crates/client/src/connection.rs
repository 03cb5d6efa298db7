//! One WebSocket connection over TCP: text messages in and out.

use std::io;
use std::net::SocketAddr;

use hubbub_websocket::deflate::negotiate::Offer;
use hubbub_websocket::deflate::{
    Agreement, Deflater, History, Inflate, Inflater, Level, RSV_COMPRESSED,
};
use hubbub_websocket::frame::{write_frame, write_frame_rsv};
use hubbub_websocket::{Decoder, Event, Limits, OpCode, Role, close, handshake};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Error;

/// The largest message taken from a server, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
const LIMITS: Limits = Limits { message_bytes_max: MESSAGE_BYTES_MAX, fragments_max: 65_536 };
/// The longest answer to the upgrade request, in bytes.
const RESPONSE_BYTES_MAX: usize = 16 * 1024;
/// The shortest message that is compressed, in bytes.
const COMPRESSED_BYTES_MIN: usize = 200;

/// Where a server is: the parts of `ws://HOST:PORT/PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    /// Host and port, as the `Host` header has them.
    pub authority: String,
    /// The request target, from the slash on.
    pub path: String,
}

impl Url {
    /// Reads `ws://HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// [`Error::Url`] for anything else, `wss://` included.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let rest = url.strip_prefix("ws://").ok_or_else(|| Error::Url(url.to_owned()))?;
        let (authority, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, "/ws"),
        };
        if authority.is_empty() || authority.contains(char::is_whitespace) {
            return Err(Error::Url(url.to_owned()));
        }
        Ok(Self { authority: authority.to_owned(), path: path.to_owned() })
    }

    fn address(&self) -> String {
        let has_port =
            self.authority.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
        if has_port { self.authority.clone() } else { format!("{}:80", self.authority) }
    }
}

/// What came from the server.
#[derive(Debug)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A ping, to be answered with [`Connection::pong`].
    Ping(Vec<u8>),
    /// The end, with the close code where there was one.
    Closed(Option<u16>),
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    /// What was agreed on compression, if anything was.
    compression: Option<Compression>,
    read: Vec<u8>,
    /// Bytes of `read` that are decoded.
    at: usize,
}

/// permessage-deflate on one connection.
#[derive(Debug)]
struct Compression {
    agreement: Agreement,
    inflater: Inflater,
    deflater: Deflater,
    ours: Option<History>,
    theirs: Option<History>,
}

impl Compression {
    fn new(agreement: Agreement) -> Self {
        let ours = agreement.client_window.filter(|_| agreement.client_context);
        Self {
            agreement,
            inflater: Inflater::new(),
            deflater: Deflater::new(Level::default()),
            ours: ours.map(History::new),
            theirs: agreement.server_context.then(|| History::new(agreement.server_window)),
        }
    }

    /// The compressed form of the next message, where it is worth it.
    fn compress(&mut self, message: &[u8]) -> Option<&[u8]> {
        let window = self.agreement.client_window?;
        if message.len() < COMPRESSED_BYTES_MIN {
            return None;
        }
        match &mut self.ours {
            Some(history) => self.deflater.compress_next(message, history),
            None => self.deflater.compress(message, window),
        }
    }
}

impl Connection {
    /// Connects, and upgrades with `token` in the `Authorization` header.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Refused`] with the HTTP status.
    pub async fn open(url: &Url, token: &str) -> Result<Self, Error> {
        Self::open_offering(url, token, None).await
    }

    /// As [`open`](Self::open), and offers permessage-deflate, which the server may decline.
    ///
    /// # Errors
    /// Also [`Error::Protocol`] where the server answers what was not offered.
    pub async fn open_offering(
        url: &Url,
        token: &str,
        offer: Option<Offer>,
    ) -> Result<Self, Error> {
        let mut stream = TcpStream::connect(url.address()).await?;
        stream.set_nodelay(true)?;
        let mut nonce = [0; 16];
        random(&mut nonce)?;
        let key = handshake::key_from_nonce(nonce);
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Protocol: hubbub.v1.json\r\nAuthorization: Bearer {token}\r\n{}\r\n",
            url.path,
            url.authority,
            offer.as_ref().map_or_else(String::new, |offer| {
                format!("Sec-WebSocket-Extensions: {}\r\n", offer.header())
            }),
        );
        stream.write_all(request.as_bytes()).await?;
        let mut read = Vec::with_capacity(1024);
        let end = loop {
            if let Some(end) = find(&read, b"\r\n\r\n") {
                break end + 4;
            }
            if read.len() > RESPONSE_BYTES_MAX {
                return Err(Error::Refused { status: 0, body: "an endless response".into() });
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let expected = handshake::accept_key(&key).unwrap_or_default();
        if status != 101 || !head.contains(&expected) {
            let body = String::from_utf8_lossy(&read[end..]).chars().take(300).collect();
            return Err(Error::Refused { status, body });
        }
        let answers = head.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-extensions").then_some(value)
        });
        let agreement = match offer {
            Some(offer) => {
                offer.check(answers).map_err(|error| Error::Protocol(error.to_string()))?
            }
            None => None,
        };
        let compression = agreement.map(Compression::new);
        read.drain(..end);
        Ok(Self { stream, decoder: Decoder::new(Role::Client), compression, read, at: 0 })
    }

    /// The address of this end.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The next message that has arrived completely, without waiting.
    fn buffered(&mut self) -> Result<Option<Incoming>, Error> {
        while self.has_buffered() {
            let buffer = &mut self.read[self.at..];
            let step = match &mut self.compression {
                None => self.decoder.next(buffer, &LIMITS),
                Some(Compression { inflater, theirs, .. }) => {
                    let inflate = Inflate { inflater, history: theirs.as_mut() };
                    self.decoder.next_inflating(buffer, &LIMITS, inflate)
                }
            };
            let step = step.map_err(|e| Error::Protocol(e.to_string()))?;
            let at_end = step.event.is_none();
            let found = step.event.and_then(|event| match event {
                Event::Text(text) => Some(Incoming::Text(text.to_owned())),
                Event::Binary(_) | Event::Pong(_) => None,
                Event::Ping(payload) => Some(Incoming::Ping(payload.to_vec())),
                Event::Close { code, .. } => Some(Incoming::Closed(code)),
            });
            self.at += step.consumed;
            if self.at == self.read.len() {
                self.read.clear();
                self.at = 0;
            }
            if at_end || found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Waits for the next message. Cancelling loses nothing: this only reads, and what was read
    /// stays here; pings are the caller's to answer.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Protocol`].
    pub async fn next(&mut self) -> Result<Incoming, Error> {
        loop {
            if let Some(incoming) = self.buffered()? {
                return Ok(incoming);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(Incoming::Closed(None));
            }
        }
    }

    /// Whether [`next`](Self::next) may have something without waiting for the network.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.at < self.read.len()
    }

    /// Answers a ping (RFC 6455 §5.5.3). Not to be cancelled: half a frame would be sent.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        let mut frame = Vec::new();
        let mut mask = [0; 4];
        random(&mut mask)?;
        write_frame(&mut frame, true, OpCode::Pong, Some(mask), payload);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Sends text messages in one write. Not to be cancelled: half a frame would be sent.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn send(&mut self, messages: &[String]) -> Result<(), Error> {
        let mut frames = Vec::new();
        for message in messages {
            let mut mask = [0; 4];
            random(&mut mask)?;
            let message = message.as_bytes();
            let compression = self.compression.as_mut();
            match compression.and_then(|compression| compression.compress(message)) {
                Some(shorter) => {
                    let rsv = RSV_COMPRESSED;
                    write_frame_rsv(&mut frames, true, rsv, OpCode::Text, Some(mask), shorter);
                }
                None => write_frame(&mut frames, true, OpCode::Text, Some(mask), message),
            }
        }
        Ok(self.stream.write_all(&frames).await?)
    }

    /// Says goodbye and waits for the server to do the same.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn close(mut self) -> Result<(), Error> {
        let mut mask = [0; 4];
        random(&mut mask)?;
        let mut frame = Vec::new();
        close::write(&mut frame, Some(1000), "", Some(mask));
        self.stream.write_all(&frame).await?;
        while !matches!(self.next().await, Ok(Incoming::Closed(_)) | Err(_)) {}
        Ok(())
    }
}

fn random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|e| Error::Io(io::Error::other(e)))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection past its handshake, and the server's end of it.
    async fn pair() -> (Connection, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let decoder = Decoder::new(Role::Client);
        (Connection { stream, decoder, compression: None, read: Vec::new(), at: 0 }, server)
    }

    fn frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        write_frame(&mut frame, true, opcode, None, payload);
        frame
    }

    #[tokio::test]
    async fn waiting_writes_nothing_and_the_caller_answers_pings() {
        let (mut connection, mut server) = pair().await;
        let mut bytes = frame(OpCode::Ping, b"are you there");
        bytes.extend(frame(OpCode::Pong, b"unasked"));
        bytes.extend(frame(OpCode::Text, b"{}"));
        server.write_all(&bytes).await.unwrap();
        let Incoming::Ping(payload) = connection.next().await.unwrap() else { panic!("no ping") };
        assert_eq!(payload, b"are you there");
        let Incoming::Text(text) = connection.next().await.unwrap() else { panic!("no text") };
        assert_eq!(text, "{}");

        connection.pong(&payload).await.unwrap();
        drop(connection);
        let mut sent = Vec::new();
        server.read_to_end(&mut sent).await.unwrap();
        let mut decoder = Decoder::new(Role::Server);
        let step = decoder.next(&mut sent, &LIMITS).unwrap();
        assert!(matches!(step.event, Some(Event::Pong(b"are you there"))), "{:?}", step.event);
        let consumed = step.consumed;
        assert_eq!(consumed, sent.len(), "nothing but the pong was sent");
    }

    #[tokio::test]
    async fn cancelling_the_wait_loses_nothing() {
        let (mut connection, mut server) = pair().await;
        let bytes = frame(OpCode::Text, b"in many pieces");
        for (nth, byte) in bytes.iter().enumerate() {
            server.write_all(std::slice::from_ref(byte)).await.unwrap();
            connection.stream.readable().await.unwrap();
            if nth + 1 < bytes.len() {
                tokio::select! {
                    biased;
                    incoming = connection.next() => panic!("{incoming:?} after {nth} bytes"),
                    () = std::future::ready(()) => {}
                }
            }
        }
        let Incoming::Text(text) = connection.next().await.unwrap() else { panic!("no text") };
        assert_eq!(text, "in many pieces");
    }

    #[test]
    fn urls() {
        let check = |url, authority, path| {
            let url = Url::parse(url).unwrap();
            assert_eq!((url.authority.as_str(), url.path.as_str()), (authority, path));
        };
        check("ws://127.0.0.1:8080", "127.0.0.1:8080", "/ws");
        check("ws://localhost:1/ws?device=a", "localhost:1", "/ws?device=a");
        for bad in ["", "http://x/", "wss://x/ws", "ws:///ws", "ws://a b/"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Url::parse("ws://example/").unwrap().address(), "example:80");
    }
}
