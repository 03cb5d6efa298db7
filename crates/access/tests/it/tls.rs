//! The accept loop over TLS, with rustls as the client.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use hubbub_access::{Certificate, MinVersion, Security, TlsStats};
use hubbub_hub::tls::KEPT_MAX;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use tempfile::TempDir;

use crate::face::{Face, HANDSHAKE};

const LONG: Duration = Duration::from_secs(60);
const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// An accept loop with a certificate of its own.
struct Secure {
    face: Face,
    certificate: Certificate,
    stats: Arc<TlsStats>,
    folder: TempDir,
}

impl Secure {
    fn start(headers_timeout: Duration) -> Self {
        Self::start_with(10, headers_timeout, MinVersion::Tls12)
    }

    fn start_with(connections_max: usize, headers_timeout: Duration, min: MinVersion) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_certificate(&folder);
        let [certificate, key] = files(&folder);
        let certificate = Certificate::load(&certificate, &key).unwrap();
        let stats = Arc::<TlsStats>::default();
        let config = certificate.config(min, &[b"http/1.1"]).unwrap();
        let security = Security { config, stats: stats.clone() };
        let face = Face::start_with(connections_max, headers_timeout, Some(security));
        Self { face, certificate, stats, folder }
    }

    /// Trusts the certificate that is in the file now.
    fn client_config(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        trusting(&self.folder, version)
    }

    fn connect(&self, config: &Arc<ClientConfig>) -> Stream {
        StreamOwned::new(client(config), self.face.connect().0)
    }

    /// Waits until a counter of handshakes is there.
    fn wait_for(&self, what: &str, counter: impl Fn(&TlsStats) -> &AtomicU64, wanted: u64) {
        let began = Instant::now();
        while Face::counted(counter(&self.stats)) != wanted {
            assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?}", self.stats);
            std::thread::yield_now();
        }
    }
}

pub(crate) fn files(folder: &TempDir) -> [PathBuf; 2] {
    ["certificate.pem", "key.pem"].map(|name| folder.path().join(name))
}

pub(crate) fn make_certificate(folder: &TempDir) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key] = files(folder);
    std::fs::write(certificate, made.cert.pem()).unwrap();
    std::fs::write(key, made.signing_key.serialize_pem()).unwrap();
}

/// A client that trusts the certificate that is in the file now.
pub(crate) fn trusting(
    folder: &TempDir,
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let own = CertificateDer::from_pem_file(&files(folder)[0]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own).unwrap();
    ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn client(config: &Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(config.clone(), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// Everything up to an orderly end.
fn rest(stream: &mut Stream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn head(stream: &mut Stream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn pages_are_served_and_sessions_resumed() {
    let secure = Secure::start(LONG);
    for (n, version) in BOTH.into_iter().enumerate() {
        let config = Arc::new(secure.client_config(version));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = secure.connect(&config);
            stream.write_all(REQUEST).unwrap();
            let answer = rest(&mut stream);
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("page"), "{answer}");
            assert_eq!(stream.conn.handshake_kind(), Some(kind), "{version:?}");
        }
        assert_eq!(Face::counted(&secure.stats.handshakes), 2 * (n as u64 + 1));
        assert_eq!(Face::counted(&secure.stats.resumed), n as u64 + 1);
    }
}

#[test]
fn the_hand_over_has_the_keys_and_what_was_decrypted() {
    let secure = Secure::start(LONG);
    for version in BOTH {
        let mut stream = secure.connect(&Arc::new(secure.client_config(version)));
        // One record with the request and the beginning of what comes behind it.
        stream.write_all(format!("{HANDSHAKE}first,").as_bytes()).unwrap();
        assert!(head(&mut stream).starts_with("HTTP/1.1 101 "));
        let mut adopted = secure.face.adopted();
        let mut tls = adopted.tls.take().unwrap();
        let mut got = adopted.already_read.to_vec();
        stream.write_all(b"second").unwrap();
        adopted.stream.set_nonblocking(false).unwrap();
        let mut buffer = vec![0; KEPT_MAX + 100];
        while got.len() < 12 {
            let kept = tls.kept();
            let read = adopted.stream.read(&mut buffer[kept..]).unwrap();
            tls.receive(&mut buffer[..kept + read], &mut got).unwrap();
        }
        assert_eq!(got, b"first,second");
        tls.encrypt(&[std::io::IoSlice::new(b"back")]).unwrap();
        tls.write_pending(&mut adopted.stream).unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"back");
    }
}

#[test]
fn large_answers_reach_a_client_that_takes_its_time() {
    let secure = Secure::start(LONG);
    for version in BOTH {
        let mut stream = secure.connect(&Arc::new(secure.client_config(version)));
        stream
            .write_all(b"GET /large.js HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .unwrap();
        head(&mut stream);
        let mut taken = 0;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = stream.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            assert!(buffer[..read].iter().all(|byte| *byte == b'x'));
            taken += read;
        }
        assert_eq!(taken, 64 << 20);
    }
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let secure = Secure::start(LONG);
    for version in BOTH {
        let mut connection = client(&Arc::new(secure.client_config(version)));
        let mut socket = secure.face.connect().0;
        socket.set_nodelay(true).unwrap();
        connection.writer().write_all(REQUEST).unwrap();
        while connection.is_handshaking() || connection.wants_write() {
            let mut wire = Vec::new();
            while connection.wants_write() {
                connection.write_tls(&mut wire).unwrap();
            }
            for byte in wire {
                socket.write_all(&[byte]).unwrap();
            }
            if connection.is_handshaking() {
                connection.read_tls(&mut socket).unwrap();
                connection.process_new_packets().unwrap();
            }
        }
        assert!(rest(&mut StreamOwned::new(connection, socket)).ends_with("page"));
    }
}

#[test]
fn the_deadline_holds_for_handshake_and_head_together() {
    let secure = Secure::start(Duration::from_millis(300));
    let config = Arc::new(secure.client_config(&TLS13));
    let began = Instant::now();
    // Nothing; half of a ClientHello.
    let mut hello = Vec::new();
    client(&config).write_tls(&mut hello).unwrap();
    for part in [&[][..], &hello[..hello.len() / 2]] {
        let mut socket = secure.face.connect().0;
        socket.write_all(part).unwrap();
        assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)));
    }
    secure.wait_for("timed out", |stats| &stats.timed_out, 2);
    // The handshake, and no head behind it.
    let mut stream = secure.connect(&config);
    stream.write_all(b"GET / HT").unwrap();
    let _ = stream.read(&mut [0]);
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(Face::counted(&secure.stats.handshakes), 1);
}

#[test]
fn a_handshake_that_fails_is_told_why_and_counted() {
    let secure = Secure::start_with(10, LONG, MinVersion::Tls13);

    let mut plain = secure.face.connect();
    plain.write(HANDSHAKE);
    let answer = plain.rest();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("\"reason\":\"tls_expected\""), "{answer}");
    secure.wait_for("plaintext", |stats| &stats.plaintext, 1);

    for (n, garbage) in
        [&b"\x80\x2e\x01\0\x02"[..], b"\x16\x03\x01\xff\xff", &[0x55; 100]].into_iter().enumerate()
    {
        let mut client = secure.face.connect();
        client.0.write_all(&[garbage, &[0; 50]].concat()).unwrap();
        let mut alert = Vec::new();
        client.0.read_to_end(&mut alert).unwrap();
        // U is a capital letter.
        if garbage[0] == 0x55 {
            assert!(alert.starts_with(b"HTTP/1.1 400 "));
        } else {
            assert_eq!((alert[0], alert[5]), (21, 2), "a fatal alert: {alert:?}");
            secure.wait_for("garbage", |stats| &stats.garbage, n as u64 + 1);
        }
    }

    let mut old = secure.connect(&Arc::new(secure.client_config(&TLS12)));
    let error = old.write_all(REQUEST).unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    secure.wait_for("incompatible", |stats| &stats.incompatible, 1);

    let mut config = secure.client_config(&TLS13);
    config.alpn_protocols = vec![b"h3".to_vec()];
    let mut other = secure.connect(&Arc::new(config));
    let error = other.write_all(REQUEST).unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    secure.wait_for("incompatible", |stats| &stats.incompatible, 2);

    let distrustful = ClientConfig::builder_with_protocol_versions(&[&TLS13])
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut stream = secure.connect(&Arc::new(distrustful));
    stream.write_all(REQUEST).unwrap_err();
    secure.wait_for("rejected", |stats| &stats.rejected, 1);

    let mut hello = Vec::new();
    client(&Arc::new(secure.client_config(&TLS13))).write_tls(&mut hello).unwrap();
    let mut leaving = secure.face.connect();
    leaving.0.write_all(&hello[..50]).unwrap();
    drop(leaving);
    secure.wait_for("abandoned", |stats| &stats.abandoned, 1);
    assert_eq!(Face::counted(&secure.stats.handshakes), 0);
    assert_eq!(Face::counted(&secure.stats.failed), 0);
}

#[test]
fn a_protocol_is_agreed_on() {
    let secure = Secure::start(LONG);
    let mut config = secure.client_config(&TLS13);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut stream = secure.connect(&Arc::new(config));
    stream.write_all(REQUEST).unwrap();
    assert!(rest(&mut stream).ends_with("page"));
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn above_the_limit_is_503_here_too() {
    let secure = Secure::start_with(0, LONG, MinVersion::Tls12);
    let mut stream = secure.connect(&Arc::new(secure.client_config(&TLS13)));
    stream.write_all(HANDSHAKE.as_bytes()).unwrap();
    let answer = rest(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn a_new_certificate_is_served_while_old_connections_go_on() {
    let secure = Secure::start(LONG);
    let served = |config: ClientConfig| {
        let mut stream = secure.connect(&Arc::new(config));
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        head(&mut stream);
        let certificate = stream.conn.peer_certificates().unwrap()[0].clone();
        (stream, certificate)
    };
    let (mut old, first) = served(secure.client_config(&TLS13));
    let own = |secure: &Secure| CertificateDer::from_pem_file(&files(&secure.folder)[0]).unwrap();
    assert_eq!(first, own(&secure));

    make_certificate(&secure.folder);
    assert_ne!(first, own(&secure));
    assert!(secure.certificate.reload().unwrap());
    let (_, second) = served(secure.client_config(&TLS13));
    assert_eq!(second, own(&secure));

    let mut page = [0; 4];
    old.read_exact(&mut page).unwrap();
    old.write_all(REQUEST).unwrap();
    assert!(rest(&mut old).ends_with("page"));
}
