//! Frames of HTTP/2 that ask for an answer and cost their sender nothing (CVE-2019-9512, -9515).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::face::Face;
use crate::http2::{PATIENCE, Socket, with};

/// What begins a connection: the preface, and settings without an entry (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingpong";
/// At most 100 streams, again.
const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";

/// Far more than the buffers of both sockets hold.
const UNREAD_BYTES_MAX: usize = 64 << 20;

/// What came of a flood.
#[derive(Debug)]
struct Flood {
    sent: usize,
    received: usize,
    /// How the connection ended.
    error: ErrorKind,
}

/// Sends a frame until the server ends the connection or `bytes_max` are sent.
fn flood(address: SocketAddr, frame: &[u8], reads: bool, bytes_max: usize) -> Flood {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(2 * PATIENCE)).unwrap();
    stream.write_all(PREFACE).unwrap();
    let reader = reads.then(|| {
        let mut stream = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            let mut received = 0;
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                received += read;
            }
            received
        })
    });
    let frames = frame.repeat(1000);
    let mut sent = 0;
    let error = loop {
        assert!(sent < bytes_max, "{sent} bytes were taken");
        match stream.write(&frames[sent % frame.len()..]) {
            Ok(written) => sent += written,
            Err(error) => break error.kind(),
        }
    };
    let _ = stream.shutdown(Shutdown::Both);
    let received = reader.map_or(0, |reader| reader.join().unwrap());
    Flood { sent, received, error }
}

fn ended(flood: &Flood) -> bool {
    matches!(flood.error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Answers are not kept for somebody who does not read them: it is not read from either. It has no
/// WebSocket, so its time ends; who floods and reads has no longer.
#[test]
fn floods_are_neither_kept_nor_for_ever_and_others_are_served() {
    with(Duration::from_millis(200), async |both| {
        let mut client = both.connect().await;
        let mut other = Socket::open(&mut client, "/echo", &[]).await.ok().unwrap();
        let address = both.face.address;
        let floods = [(PING, false), (PING, true), (SETTINGS, false), (SETTINGS, true)].map(
            |(frame, reads)| {
                let bytes_max = if reads { usize::MAX } else { UNREAD_BYTES_MAX };
                let flood =
                    tokio::task::spawn_blocking(move || flood(address, frame, reads, bytes_max));
                (reads, flood)
            },
        );
        let mut turn = 0;
        while !floods.iter().all(|(_, flood)| flood.is_finished()) {
            other.echoes(&format!("meanwhile {turn}")).await;
            turn += 1;
        }
        assert!(turn > 10, "{turn}");
        for (reads, flood) in floods {
            let flood = flood.await.unwrap();
            assert!(ended(&flood), "{reads}: {flood:?}");
            // An answer has at most the length of the question, besides the server's own frames.
            assert!(flood.received <= flood.sent + 1000, "{flood:?}");
            assert_eq!(flood.received > 1000, reads, "{flood:?}");
        }
        assert_eq!(Face::counted(&both.face.stats.http2), 5);
        both.wait_for("places", |both| both.face.permits.used() as u64, 3).await;
        other.echoes("at last").await;
    });
}
