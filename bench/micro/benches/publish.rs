//! A publication through a running hub: from the publisher's write over decoding, permission, offset
//! and encoding to the last subscriber's read, on loopback sockets. Nothing is merged, because the next
//! one leaves when the last one has arrived everywhere; the difference between the numbers of
//! subscribers is the price of one more.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hubbub_hub::{Announce, Hub, HubConfig, LiveConfig, Namespace, Opening, OpeningKind, Upstream};
use hubbub_micro::{ascii, masked_frames};
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use hubbub_proto::{DeviceId, Identity, Reason, Refusal, Request, Timestamp, UserId, Who};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const SUBSCRIBERS: [usize; 3] = [1, 16, 128];

/// Stands for the chat services, which channels do not need.
struct Nobody;

impl Upstream for Nobody {
    fn submit(&self, batch: &mut VecDeque<Request>) {
        batch.clear();
    }

    fn authenticate(&self, _token: &str, _device: Option<&DeviceId>) -> Result<Identity, Refusal> {
        Err(Reason::BadToken.into())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}

fn hub() -> Hub {
    let open = Namespace { subscribe: Who::Everyone, publish: Who::Everyone };
    let announce = Announce { epoch: "bench".into(), server: "bench", dedupe_window_ms: 1000 };
    let hub = Hub::new(HubConfig {
        shards: 1,
        limits: Limits {
            commands_per_second: 10_000_000,
            commands_burst: 10_000_000,
            ..Limits::default()
        },
        inbox_bytes_max: 1 << 24,
        clock: Arc::new(now),
        announce,
        compression: Default::default(),
        live: LiveConfig { namespaces: vec![("bench".into(), open)], ..LiveConfig::default() },
        on_calm: || {},
    });
    let hub = hub.expect("a hub");
    hub.run(Arc::new(Nobody)).expect("threads");
    hub
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// A session of user `number`, greeted.
    fn open(hub: &Hub, listener: &TcpListener, number: usize) -> Self {
        let address = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let (server, remote) = listener.accept().expect("a connection");
        let identity = Identity {
            user: UserId::new(&format!("u{number}")).expect("a name"),
            name: None,
            roles: Vec::new(),
            device: DeviceId::new("bench").expect("a name"),
            device_named: false,
            expires_at: None,
        };
        let kind = OpeningKind::Session {
            codec: Codec::Json,
            identity: Some(Arc::new(identity)),
            device: None,
            compressed: None,
        };
        let opening = Opening { kind, answer: [].as_slice().into(), remote, permit: Box::new(()) };
        hub.adopt(server.into(), [].as_slice().into(), opening);
        let mut client = Self { stream, buffer: vec![0; 1 << 16] };
        client.receive(r#""connected""#);
        client
    }

    fn send(&mut self, text: &str) {
        self.stream.write_all(&masked_frames(1, text)).expect("written");
    }

    /// Reads one frame, which must contain `part`.
    fn receive(&mut self, part: &str) {
        self.stream.read_exact(&mut self.buffer[..2]).expect("a frame");
        let length = match self.buffer[1] {
            126 => {
                self.stream.read_exact(&mut self.buffer[..2]).expect("a length");
                usize::from(u16::from_be_bytes([self.buffer[0], self.buffer[1]]))
            }
            short => usize::from(short),
        };
        let body = &mut self.buffer[..length];
        self.stream.read_exact(body).expect("a frame");
        assert!(body.windows(part.len()).any(|window| window == part.as_bytes()));
    }

    /// Reads one frame of `bytes`, whatever it says.
    fn receive_bytes(&mut self, bytes: usize) {
        self.stream.read_exact(&mut self.buffer[..bytes]).expect("a frame");
    }
}

/// Bytes of the frame that a publication with an offset of `digits` digits becomes.
fn frame_bytes(first: usize, offset: u64) -> usize {
    first + offset.ilog10() as usize
}

fn publish(criterion: &mut Criterion) {
    let hub = hub();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut group = criterion.benchmark_group("publish to");
    let mut number = 0;
    for count in SUBSCRIBERS {
        let channel = format!("bench:of{count}");
        let mut open = || {
            number += 1;
            Client::open(&hub, &listener, number)
        };
        let mut publisher = open();
        let mut subscribers: Vec<Client> = (0..count).map(|_| open()).collect();
        for subscriber in &mut subscribers {
            subscriber.send(&format!(
                r#"{{"type":"subscribe","id":"s","payload":{{"channel":"{channel}"}}}}"#
            ));
            subscriber.receive(r#""ack""#);
        }
        let text = ascii(128);
        let command = masked_frames(
            1,
            &format!(r#"{{"type":"publish","payload":{{"channel":"{channel}","data":"{text}"}}}}"#),
        );
        // The first one tells how long the others are: only the offset's digits change.
        publisher.stream.write_all(&command).expect("written");
        let first = subscribers
            .iter_mut()
            .map(|subscriber| subscriber.stream.read(&mut subscriber.buffer).expect("a frame"))
            .max()
            .expect("a subscriber");
        let mut offset = 1;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                offset += 1;
                publisher.stream.write_all(&command).expect("written");
                let bytes = frame_bytes(first, offset);
                for subscriber in &mut subscribers {
                    subscriber.receive_bytes(bytes);
                }
            });
        });
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
