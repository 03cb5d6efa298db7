//! TLS without I/O: ciphertext in, plaintext out, and the other way round.
//!
//! The server's side of one connection, from the first byte of its handshake to the last alert; who
//! reads and writes is somebody else's. The same state goes from the handshake, which the control
//! plane waits for, to the shard. Invariants: an idle connection owns no buffer here; of what came
//! in, only the beginning of a record is kept, at most [`KEPT_MAX`] bytes; what goes out is kept
//! until [`Tls::write_pending`] got rid of it, and whoever encrypts more meanwhile has to look at
//! [`Tls::pending`]. Deliberately absent: early data, client certificates.

use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{HandshakeKind, ProtocolVersion};

/// Bytes of a record's payload (RFC 8446 §5.1), and so the most that one record encrypts.
pub const RECORD_BYTES: usize = 16 * 1024;
/// The longest record on the wire: header, payload, and what TLS 1.2 allows a cipher to add
/// (RFC 5246 §6.2.3). No longer beginning of anything is kept.
pub const KEPT_MAX: usize = 5 + RECORD_BYTES + 2048;
/// What encrypting adds to one record, nearly always: header, nonce of TLS 1.2, type, tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;

/// Why a connection cannot go on. An alert that tells the peer is pending, where there is one for
/// the case.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// What the peer sent is not TLS, or not what TLS allows; or there is nothing in common.
    #[error(transparent)]
    Protocol(#[from] rustls::Error),
    /// A handshake message in pieces, longer than anything that a client has to say.
    #[error("a handshake message of more than {KEPT_MAX} bytes")]
    TooLong,
    /// The keys of this connection must not encrypt any more.
    #[error("the keys are used up")]
    KeysUsedUp,
    /// There is no key to encrypt with, because the handshake is not done.
    #[error("the handshake is not done")]
    NoKeys,
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// See the module.
pub struct Tls {
    connection: UnbufferedServerConnection,
    /// The beginning of a record.
    kept: Vec<u8>,
    /// Ciphertext on its way out.
    outgoing: Vec<u8>,
    /// Bytes of `outgoing` that were written.
    written: usize,
    peer_closed: bool,
    /// Our `close_notify` is on its way.
    closed: bool,
}

/// Keys are never printed.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

impl Tls {
    /// A connection that waits for its `ClientHello`.
    ///
    /// # Errors
    /// [`TlsError::Protocol`] when the configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            kept: Vec::new(),
            outgoing: Vec::new(),
            written: 0,
            peer_closed: false,
            closed: false,
        })
    }

    /// Whether there are no keys for both directions yet.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the handshake took up an older session again.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The protocol agreed on by ALPN (RFC 7301).
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// Whether the peer speaks TLS 1.3.
    #[must_use]
    pub fn is_1_3(&self) -> bool {
        self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Whether the peer said that nothing more will come.
    #[must_use]
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Bytes of a record that has begun: so much of the buffer for [`Self::receive`] is taken.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Bytes that wait for [`Self::write_pending`].
    #[must_use]
    pub fn pending(&self) -> usize {
        self.outgoing.len() - self.written
    }

    /// Takes ciphertext: `buffer` has room for [`Self::kept`] bytes, and behind it what was read
    /// just now. Decrypts in the buffer and appends what was decrypted to `plaintext`.
    ///
    /// # Errors
    /// [`TlsError`]; what came before the fault is in `plaintext` all the same.
    pub fn receive(&mut self, buffer: &mut [u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        buffer[..self.kept.len()].copy_from_slice(&self.kept);
        let mut done = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut buffer[done..]);
            let goes_on = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        plaintext.extend_from_slice(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, &mut self.outgoing);
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    true
                }
                // The end, or nothing to do before more has come; early data is never offered.
                Ok(_) => false,
                Err(error) => {
                    self.take_alert(&mut buffer[done + discard..]);
                    self.kept = Vec::new();
                    return Err(error.into());
                }
            };
            done += discard;
            if !goes_on {
                break;
            }
        }
        let rest = &buffer[done..];
        if self.peer_closed || rest.is_empty() {
            self.kept = Vec::new();
        } else if rest.len() > KEPT_MAX {
            return Err(TlsError::TooLong);
        } else {
            self.kept.clear();
            self.kept.extend_from_slice(rest);
        }
        Ok(())
    }

    /// After an error, the alert is all that is left to be taken out; nothing else that came is to
    /// be looked at.
    fn take_alert(&mut self, rest: &mut [u8]) {
        while self.connection.wants_write() {
            match self.connection.process_tls_records(rest).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                _ => return,
            }
        }
    }

    /// Encrypts from the front of `slices` as much as one record holds. Answers how much that is.
    ///
    /// # Errors
    /// [`TlsError::NoKeys`] before the end of the handshake, [`TlsError::KeysUsedUp`],
    /// [`TlsError::Protocol`].
    pub fn encrypt(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, TlsError> {
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if first.len() == total || first.len() >= RECORD_BYTES {
            let len = first.len().min(RECORD_BYTES);
            self.encrypt_record(&first[..len])?;
            return Ok(len);
        }
        let mut record = Vec::with_capacity(total.min(RECORD_BYTES));
        for slice in slices {
            let room = RECORD_BYTES - record.len();
            record.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        self.encrypt_record(&record)?;
        Ok(record.len())
    }

    fn encrypt_record(&mut self, plaintext: &[u8]) -> Result<(), TlsError> {
        self.with_keys(plaintext.len() + RECORD_OVERHEAD, |mut keys, room| {
            keys.encrypt(plaintext, room)
        })
    }

    /// Says that nothing more will come from here, once (RFC 8446 §6.1).
    ///
    /// # Errors
    /// As [`Self::encrypt`].
    pub fn close(&mut self) -> Result<(), TlsError> {
        if !self.closed {
            self.with_keys(2 + RECORD_OVERHEAD, |mut keys, room| keys.queue_close_notify(room))?;
            self.closed = true;
        }
        Ok(())
    }

    /// Has `write` put something into room at the end of what goes out; `len` is a guess.
    fn with_keys(
        &mut self,
        len: usize,
        write: impl Fn(
            WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), TlsError> {
        let mut room = len;
        loop {
            // The state machine looks at what came in before it lets anything out.
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.kept);
            let mut is_done = false;
            match state {
                Ok(ConnectionState::WriteTraffic(keys)) => {
                    let start = self.outgoing.len();
                    self.outgoing.resize(start + room, 0);
                    let wrote = write(keys, &mut self.outgoing[start..]);
                    self.outgoing.truncate(start + wrote.as_ref().map_or(0, |wrote| *wrote));
                    match wrote {
                        Ok(_) => is_done = true,
                        // A key update goes out in front.
                        Err(EncryptError::InsufficientSize(needed)) => room = needed.required_size,
                        Err(EncryptError::EncryptExhausted) => return Err(TlsError::KeysUsedUp),
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(_) => return Err(TlsError::NoKeys),
                Err(error) => return Err(error.into()),
            }
            self.kept.drain(..discard);
            if is_done {
                return Ok(());
            }
        }
    }

    /// Writes what is pending.
    ///
    /// # Errors
    /// Those of the socket: with `WouldBlock`, some is still pending.
    pub fn write_pending(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.written < self.outgoing.len() {
            match socket.write(&self.outgoing[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing = Vec::new();
        self.written = 0;
        Ok(())
    }
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, outgoing: &mut Vec<u8>) {
    let start = outgoing.len();
    let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) else { return };
    outgoing.resize(start + needed.required_size, 0);
    let wrote = data.encode(&mut outgoing[start..]).unwrap_or(0);
    outgoing.truncate(start + wrote);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

    use super::*;

    /// Both ends, and nothing in between.
    fn pair(version: &'static SupportedProtocolVersion) -> (ClientConnection, Tls) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let chain = vec![made.cert.der().clone()];
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let client = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(client), name).unwrap();
        (client, Tls::new(Arc::new(server)).unwrap())
    }

    /// What the client has to say, in pieces of at most `piece` bytes.
    fn to_server(client: &mut ClientConnection, tls: &mut Tls, piece: usize) -> Vec<u8> {
        let (mut wire, mut plaintext) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        for bytes in wire.chunks(piece) {
            let kept = tls.kept();
            let mut buffer = vec![0xaa; kept + bytes.len()];
            buffer[kept..].copy_from_slice(bytes);
            tls.receive(&mut buffer, &mut plaintext).unwrap();
            assert!(tls.kept() <= KEPT_MAX);
        }
        plaintext
    }

    /// What the server has to say, in pieces of at most `piece` bytes.
    fn to_client(tls: &mut Tls, client: &mut ClientConnection, piece: usize) -> Vec<u8> {
        let (mut wire, mut plaintext) = (Vec::new(), Vec::new());
        tls.write_pending(&mut wire).unwrap();
        for bytes in wire.chunks(piece) {
            let mut bytes = bytes;
            while !bytes.is_empty() {
                client.read_tls(&mut bytes).unwrap();
                let state = client.process_new_packets().unwrap();
                let start = plaintext.len();
                plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
                client.reader().read_exact(&mut plaintext[start..]).unwrap();
            }
        }
        plaintext
    }

    fn shake_hands(client: &mut ClientConnection, tls: &mut Tls, piece: usize) {
        while client.is_handshaking() || tls.is_handshaking() {
            to_server(client, tls, piece);
            to_client(tls, client, piece);
        }
    }

    fn version(is_1_3: bool) -> &'static SupportedProtocolVersion {
        if is_1_3 { &rustls::version::TLS13 } else { &rustls::version::TLS12 }
    }

    #[test]
    fn an_idle_connection_keeps_no_buffers() {
        for is_1_3 in [false, true] {
            let (mut client, mut tls) = pair(version(is_1_3));
            shake_hands(&mut client, &mut tls, 100);
            assert_eq!(tls.is_1_3(), is_1_3);
            client.writer().write_all(&[1; 5000]).unwrap();
            assert_eq!(to_server(&mut client, &mut tls, 100), [1; 5000]);
            tls.encrypt(&[IoSlice::new(&[2; 5000])]).unwrap();
            assert_eq!(to_client(&mut tls, &mut client, 100), [2; 5000]);
            assert_eq!((tls.kept.capacity(), tls.outgoing.capacity()), (0, 0));
        }
    }

    #[test]
    fn before_the_end_of_the_handshake_there_is_nothing_to_encrypt_with() {
        let (_, mut tls) = pair(version(true));
        let refused = tls.encrypt(&[IoSlice::new(b"early")]);
        assert!(matches!(refused, Err(TlsError::NoKeys)), "{refused:?}");
        assert!(matches!(tls.close(), Err(TlsError::NoKeys)));
        assert_eq!(tls.pending(), 0);
    }

    #[test]
    fn a_handshake_message_without_end_is_refused() {
        let (_, mut tls) = pair(version(true));
        // A ClientHello of 65,535 bytes, in records of 1,000.
        let mut message = vec![1, 0, 0xff, 0xff];
        message.resize(60_000, 0);
        let mut taken = 0;
        let refused = message.chunks(1000).find_map(|piece| {
            let record = [&[22, 3, 1, 3, 0xe8][..], piece].concat();
            let kept = tls.kept();
            let mut buffer = vec![0; kept + record.len()];
            buffer[kept..].copy_from_slice(&record);
            taken += record.len();
            tls.receive(&mut buffer, &mut Vec::new()).err()
        });
        assert!(matches!(refused, Some(TlsError::TooLong)), "{refused:?} after {taken}");
        assert!(taken < KEPT_MAX + 2000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn bytes_arrive_whole_and_in_order(
            is_1_3: bool,
            piece in 1_usize..20_000,
            messages in proptest::collection::vec((any::<bool>(), 0_usize..40_000), 1..8),
        ) {
            let (mut client, mut tls) = pair(version(is_1_3));
            client.set_buffer_limit(None);
            shake_hands(&mut client, &mut tls, piece);
            for (n, (up, len)) in messages.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|at| (at + n) as u8).collect();
                if up {
                    client.writer().write_all(&bytes).unwrap();
                    prop_assert!(to_server(&mut client, &mut tls, piece) == bytes);
                } else {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let (a, b) = rest.split_at(rest.len() / 3);
                        let taken = tls.encrypt(&[IoSlice::new(a), IoSlice::new(b)]).unwrap();
                        prop_assert!(taken > 0 && taken <= RECORD_BYTES);
                        rest = &rest[taken..];
                    }
                    prop_assert!(to_client(&mut tls, &mut client, piece) == bytes);
                }
            }
            tls.close().unwrap();
            to_client(&mut tls, &mut client, piece);
            prop_assert_eq!(client.reader().read(&mut [0]).unwrap(), 0);
        }
    }
}
