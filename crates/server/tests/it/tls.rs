//! `https` and `wss`: sessions over TLS, and certificates that change while the server runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::process::{Data, Launch, PATIENCE, Said, Server, hubbub};
use crate::wire::tcp;

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A data directory with a certificate beside it.
struct Secure {
    data: Data,
}

impl Secure {
    fn new() -> Self {
        let secure = Self { data: Data::new() };
        secure.make_certificate();
        secure
    }

    fn files(&self) -> [PathBuf; 2] {
        ["certificate.pem", "key.pem"].map(|name| self.data.around().join(name))
    }

    /// A new pair in place of the old one.
    fn make_certificate(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let [certificate, key] = self.files();
        fs::write(certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn own(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.files()[0]).unwrap()
    }

    fn launch(&self) -> Launch {
        let [certificate, key] = self.files();
        self.data
            .launch()
            .dev()
            .set("TLS_CERTIFICATE_FILE", certificate.to_str().unwrap())
            .set("TLS_KEY_FILE", key.to_str().unwrap())
    }

    fn check(&self) -> Said {
        let [certificate, key] = self.files();
        let mut command = hubbub();
        command.args(["config", "check"]);
        command.env("HUBBUB_TLS_CERTIFICATE_FILE", certificate).env("HUBBUB_TLS_KEY_FILE", key);
        command.output().unwrap().into()
    }

    /// A client that trusts only the certificate that is there now.
    fn connect(&self, server: &Server, version: &'static SupportedProtocolVersion) -> Stream {
        let mut roots = RootCertStore::empty();
        roots.add(self.own()).unwrap();
        let config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, tcp(server.address))
    }

    /// A session, signed in with a token of the server's secret.
    fn session(
        &self,
        server: &Server,
        version: &'static SupportedProtocolVersion,
        user: &str,
    ) -> WebSocket<Stream> {
        let url = format!("wss://{}/ws?token={}", server.address, self.data.token(user));
        let stream = self.connect(server, version);
        let mut socket = tungstenite::client(url, stream).unwrap().0;
        assert_eq!(next_of(&mut socket, "connected")["payload"]["user"], user);
        socket
    }

    /// Asks until the certificate that is in the file is served.
    fn wait_until_served(&self, server: &Server) {
        let began = Instant::now();
        loop {
            let mut stream = self.connect(server, &TLS13);
            if stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").is_ok() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the new certificate is not served");
        }
    }
}

fn next_of(socket: &mut WebSocket<Stream>, kind: &str) -> Value {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            let event: Value = serde_json::from_str(&text).unwrap();
            assert!(event["type"] != "error", "{event}");
            if event["type"] == kind {
                return event;
            }
        }
    }
}

fn send(socket: &mut WebSocket<Stream>, to: &str, text: &str) {
    let id = format!("{to}-{}", text.len());
    let payload = json!({ "to": to, "client_id": id, "content": text });
    let command = json!({ "type": "send", "id": id, "payload": payload });
    socket.send(Message::text(command.to_string())).unwrap();
}

#[test]
fn two_people_chat_over_both_versions() {
    let secure = Secure::new();
    let server = secure.launch().start();
    let mut alice = secure.session(&server, &TLS12, "alice");
    let mut bob = secure.session(&server, &TLS13, "bob");
    send(&mut alice, "user:bob", "over TLS 1.2");
    next_of(&mut alice, "ack");
    assert_eq!(next_of(&mut bob, "message")["payload"]["content"], "over TLS 1.2");
    send(&mut bob, "user:alice", "over TLS 1.3");
    assert_eq!(next_of(&mut alice, "message")["payload"]["content"], "over TLS 1.3");

    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    for socket in [&mut alice, &mut bob] {
        next_of(socket, "bye");
        let code = loop {
            match socket.read().unwrap() {
                Message::Close(frame) => break u16::from(frame.unwrap().code),
                _ => continue,
            }
        };
        assert_eq!(code, 1001);
        // An end without `close_notify` would be an error.
        assert_eq!(socket.get_mut().read(&mut [0]).unwrap(), 0);
    }
    assert!(ended.out.contains("open https://127.0.0.1:"), "{}", ended.out);
}

#[test]
fn a_new_certificate_is_served_and_old_connections_go_on() {
    let secure = Secure::new();
    // Not by looking at the files, at first.
    let server = secure.launch().set("TLS_RELOAD_INTERVAL_MS", "86400000").start();
    let mut old = secure.session(&server, &TLS13, "alice");
    secure.make_certificate();
    server.signal("HUP");
    secure.wait_until_served(&server);

    // What cannot be used changes nothing: the client, which trusts the old one, still gets it.
    let [certificate, key] = secure.files();
    let good = [fs::read(&certificate).unwrap(), fs::read(&key).unwrap()];
    fs::write(&key, "no key").unwrap();
    server.signal("HUP");
    secure.wait_until_served(&server);
    fs::write(&key, &good[1]).unwrap();

    send(&mut old, "user:alice", "still here");
    next_of(&mut old, "ack");
    let ended = server.stop();
    assert!(ended.log.contains("key.pem: no private key"), "{}", ended.log);
}

#[test]
fn a_changed_file_is_noticed() {
    let secure = Secure::new();
    let server = secure.launch().set("TLS_RELOAD_INTERVAL_MS", "50").start();
    secure.wait_until_served(&server);
    secure.make_certificate();
    secure.wait_until_served(&server);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn files_that_cannot_be_used_are_named_before_anything_starts() {
    let secure = Secure::new();
    assert_eq!((secure.check().code, &*secure.check().out), (Some(0), "ok\n"));

    let [certificate, key] = secure.files();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = secure.check();
    assert_eq!((said.code, &*said.out), (Some(0), "ok\n"));
    assert!(said.err.contains("key.pem can be used by others (mode 0644): chmod 600"), "{said:?}");

    fs::remove_file(&certificate).unwrap();
    let said = secure.check();
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("certificate.pem: No such file"), "{said:?}");
    let said = secure.launch().refused();
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("certificate.pem: No such file"), "{said:?}");
    assert!(!secure.data.path().exists(), "nothing was made");
}
