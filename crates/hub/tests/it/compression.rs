//! permessage-deflate: who gets what in which form, what is shared, and what it may cost.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use hubbub_hub::{CompressionConfig, LiveConfig, Namespace, OpeningKind};
use hubbub_proto::codec::Codec;
use hubbub_proto::limits::Limits;
use hubbub_proto::{Effect, Who};
use hubbub_websocket::deflate::negotiate::{ClientWindow, Offer};
use hubbub_websocket::deflate::{
    Agreement, Deflater, History, Inflate, Inflater, Level, RSV_COMPRESSED, WindowBits,
};
use hubbub_websocket::frame::write_frame_rsv;
use hubbub_websocket::{Decoder, Event, Limits as FrameLimits, OpCode, Role};
use serde_json::{Value, json};

use crate::stage::{Stage, entry, identity, small_buffers, user_topic};

fn config() -> CompressionConfig {
    CompressionConfig {
        enabled: true,
        min_bytes: 200,
        level: Level::default(),
        takeover: true,
        takeover_bytes_max: 1 << 20,
        window: WindowBits::new(12).unwrap(),
    }
}

fn stage(shards: u16, limits: Limits) -> Stage {
    let open = Namespace {
        subscribe: Who::Everyone.into(),
        publish: Who::Everyone.into(),
        ..Namespace::default()
    };
    let live = LiveConfig { namespaces: vec![("open".into(), open)], ..LiveConfig::default() };
    let limits = Limits { commands_per_second: 1_000_000, commands_burst: 1_000_000, ..limits };
    Stage::with(shards, limits, live, config())
}

/// Without takeover, with this window.
fn alone(bits: u8) -> Offer {
    Offer {
        server_no_context: true,
        client_no_context: true,
        server_window: WindowBits::new(bits),
        client_window: ClientWindow::Any,
    }
}

/// A client that compresses whatever gets shorter.
struct Peer {
    stream: TcpStream,
    decoder: Decoder,
    inflater: Inflater,
    deflater: Deflater,
    agreement: Agreement,
    ours: Option<History>,
    theirs: Option<History>,
    /// What was received; close frames as a number.
    seen: VecDeque<Value>,
}

const LIMITS: FrameLimits = FrameLimits { message_bytes_max: 8 << 20, fragments_max: 10 };
const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

impl Peer {
    fn open(
        stage: &Stage,
        offer: Offer,
        kind: impl FnOnce(Option<hubbub_hub::Compressed>) -> OpeningKind,
    ) -> Self {
        let line = offer.header();
        let (header, compressed) = stage.hub.compression().agree(&[&line]).unwrap().unwrap();
        let agreement = offer.check([header.as_str()]).unwrap().unwrap();
        let kind = kind(Some(compressed));
        let stream = stage.open_with(kind, b"", Box::new(()), small_buffers).socket.into_inner();
        Self {
            stream,
            decoder: Decoder::new(Role::Client),
            inflater: Inflater::new(),
            deflater: Deflater::new(Level::default()),
            agreement,
            ours: agreement.client_context.then(|| History::new(agreement.client_window.unwrap())),
            theirs: agreement.server_context.then(|| History::new(agreement.server_window)),
            seen: VecDeque::new(),
        }
    }

    fn echo(stage: &Stage, offer: Offer) -> Self {
        Self::open(stage, offer, |compressed| OpeningKind::Echo {
            message_bytes_max: 1 << 20,
            fragments_max: 10,
            compressed,
        })
    }

    fn session(stage: &Stage, offer: Offer, user: &str) -> Self {
        let identity = Some(Arc::new(identity(user, None)));
        let mut peer = Self::open(stage, offer, |compressed| OpeningKind::Session {
            codec: Codec::Json,
            identity,
            device: None,
            compressed,
        });
        peer.expect("connected");
        peer
    }

    fn write(&mut self, rsv: u8, payload: &[u8]) {
        let mut out = Vec::new();
        write_frame_rsv(&mut out, true, rsv, OpCode::Text, MASK, payload);
        self.stream.write_all(&out).unwrap();
    }

    fn say(&mut self, text: &str) {
        let window = self.agreement.client_window.unwrap();
        let shorter = match &mut self.ours {
            Some(history) => self.deflater.compress_next(text.as_bytes(), history),
            None => self.deflater.compress(text.as_bytes(), window),
        };
        match shorter.map(<[u8]>::to_vec) {
            Some(shorter) => self.write(RSV_COMPRESSED, &shorter),
            None => self.write(0, text.as_bytes()),
        }
    }

    fn ask(&mut self, kind: &str, payload: &Value) {
        self.say(&json!({"type": kind, "id": "r", "payload": payload}).to_string());
    }

    fn next(&mut self) -> Value {
        let mut buffer = vec![0; 16 * 1024];
        while self.seen.is_empty() {
            let len = self.stream.read(&mut buffer).unwrap();
            assert!(len > 0, "the server left");
            let mut at = 0;
            loop {
                let inflate =
                    Inflate { inflater: &mut self.inflater, history: self.theirs.as_mut() };
                let step =
                    self.decoder.next_inflating(&mut buffer[at..len], &LIMITS, inflate).unwrap();
                at += step.consumed;
                match step.event {
                    Some(Event::Text(text)) => self.seen.push_back(
                        serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
                    ),
                    Some(Event::Close { code, .. }) => self.seen.push_back(Value::from(code)),
                    Some(_) => {}
                    None => break,
                }
            }
        }
        self.seen.pop_front().unwrap()
    }

    fn expect(&mut self, kind: &str) -> Value {
        let value = self.next();
        assert_eq!(value["type"], kind, "{value}");
        value
    }

    fn subscribe(&mut self, channel: &str) {
        self.ask("subscribe", &json!({"channel": channel}));
        self.expect("ack");
    }

    fn expect_publication(&mut self, offset: u64, data: &Value) {
        let value = self.expect("publication");
        assert_eq!(value["payload"]["offset"], offset, "{value}");
        assert_eq!(value["payload"]["data"], *data);
    }

    /// How many messages came compressed.
    fn inflated(&self) -> u64 {
        self.inflater.totals().messages
    }
}

fn long(word: &str) -> String {
    format!("the same {word} once more ").repeat(20)
}

#[test]
fn an_echo_is_compressed_both_ways() {
    let stage = stage(1, Limits::default());
    for offer in [alone(15), alone(9), Offer::default()] {
        let before = stage.hub.stats();
        let mut peer = Peer::echo(&stage, offer);
        for round in 0..20 {
            let text = long(["word", "other"][round % 2]);
            peer.say(&text);
            assert_eq!(peer.next(), Value::from(text));
            peer.say("short");
            assert_eq!(peer.next(), Value::from("short"));
        }
        assert_eq!(peer.inflated(), 20, "short messages come as they are");
        let seen = stage.wait_for("counted", |stats| {
            stats.compressed_out == before.compressed_out + 20
                && stats.compressed_in >= before.compressed_in + 20
        });
        let ours = seen.compressed_out_bytes - before.compressed_out_bytes;
        assert_eq!(ours, peer.inflater.totals().compressed_bytes);
        let plain = seen.compressed_out_plain_bytes - before.compressed_out_plain_bytes;
        assert_eq!(plain, peer.inflater.totals().plain_bytes);
        assert!(ours < plain / 5, "{ours} of {plain}");
    }
}

#[test]
fn publications_are_compressed_once_for_each_window_and_shared() {
    let stage = stage(2, Limits::default());
    let mut wide: Vec<Peer> =
        (0..4).map(|n| Peer::session(&stage, alone(15), &format!("w{n}"))).collect();
    let mut narrow: Vec<Peer> =
        (0..4).map(|n| Peer::session(&stage, alone(9), &format!("n{n}"))).collect();
    let (mut plain, _) = stage.session("plain");
    let mut keeper = Peer::session(&stage, Offer::default(), "keeper");
    for peer in wide.iter_mut().chain(&mut narrow).chain([&mut keeper]) {
        peer.subscribe("open:a");
    }
    plain.send(&json!({"type": "subscribe", "id": "s", "payload": {"channel": "open:a"}}));
    plain.expect("ack");
    let before = stage.hub.stats().compressed_out;
    let data = Value::from(long("publication"));
    for offset in 1..=3 {
        plain.send(&json!({"type": "publish", "payload": {"channel": "open:a", "data": data}}));
        for peer in wide.iter_mut().chain(&mut narrow).chain([&mut keeper]) {
            peer.expect_publication(offset, &data);
        }
        assert_eq!(plain.expect("publication")["payload"]["data"], data);
    }
    // Two windows and one connection of its own.
    stage.wait_for("counted", |stats| stats.compressed_out == before + 3 * 3);

    // An entry, too.
    let topics = ["w0", "w1", "n0", "n1", "keeper"].map(user_topic);
    let before = stage.hub.stats().compressed_out;
    stage.router.post(vec![Effect::Publish(entry(&topics, "g", 1, &long("entry")))]);
    let (wide, narrow) = (&mut wide[..2], &mut narrow[..2]);
    for peer in wide.iter_mut().chain(narrow).chain([&mut keeper]) {
        assert_eq!(peer.expect("message")["payload"]["content"], long("entry"));
    }
    stage.wait_for("counted", |stats| stats.compressed_out == before + 3);
}

#[test]
fn bad_data_ends_its_connection_and_no_other() {
    let stage = stage(1, Limits { message_bytes_max: 10_000, ..Limits::default() });
    let mut other = Peer::session(&stage, alone(15), "other");
    let mut bomb = Deflater::new(Level::default());
    let bomb = bomb.compress(&vec![b' '; 10_001], WindowBits::MAX).unwrap();
    let latin = [0x00, 0x01, 0x00, 0xfe, 0xff, 0xe9, 0x00];
    for (payload, code) in [(bomb, 1009), (b"nonsense", 1007), (&latin, 1007)] {
        let mut peer = Peer::session(&stage, alone(15), "peer");
        peer.write(RSV_COMPRESSED, payload);
        assert_eq!(peer.next(), Value::from(code));
        other.ask("ping", &json!({}));
        other.expect("pong");
        other.expect("ack");
    }
    // Without an agreement the bit means nothing.
    let (plain, _) = stage.session("plain");
    let mut stream = plain.socket.into_inner();
    let mut out = Vec::new();
    write_frame_rsv(&mut out, true, RSV_COMPRESSED, OpCode::Text, MASK, &[0]);
    stream.write_all(&out).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[2..], 1002_u16.to_be_bytes());
}

#[test]
fn contexts_are_given_back_and_beyond_their_limit_there_are_none() {
    let stage = stage(1, Limits::default());
    // Each takes 4 KB in either direction.
    let max = (1 << 20) / 8192;
    let mut peers: Vec<Peer> = (0..max).map(|_| Peer::echo(&stage, Offer::default())).collect();
    assert!(peers.iter().all(|peer| peer.theirs.is_some() && peer.ours.is_some()));
    let mut without = Peer::echo(&stage, Offer::default());
    assert!(without.theirs.is_none() && without.ours.is_none());
    let stats = stage.hub.stats();
    assert_eq!((stats.takeover_bytes, stats.takeover_refused), (1 << 20, 1));
    for peer in [&mut without, &mut peers[0]] {
        peer.say(&long("word"));
        assert_eq!(peer.next(), Value::from(long("word")));
        assert_eq!(peer.inflated(), 1);
    }
    peers.truncate(1);
    stage.wait_for("given back", |stats| stats.takeover_bytes == 8192);
    assert!(Peer::echo(&stage, Offer::default()).theirs.is_some());
}

#[test]
fn what_a_slow_reader_misses_does_not_spoil_its_context() {
    let limits = Limits { outbox_bytes_max: 64 << 10, ..Limits::default() };
    let stage = stage(1, limits);
    let mut slow = Peer::session(&stage, Offer::default(), "slow");
    slow.subscribe("open:a");
    let (mut writer, _) = stage.session("writer");
    // Digits that differ, so that the compressed form is not too short to fall behind.
    let mut x = 1_u64;
    let mut data = || {
        let mut text = long("word");
        for _ in 0..300 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text += &(x >> 20).to_string();
        }
        json!({"type": "publish", "payload": {"channel": "open:a", "data": text}})
    };
    let mut sent = 0;
    while stage.hub.stats().dropped_publications == 0 {
        writer.send(&data());
        sent += 1;
        assert!(sent < 100_000);
    }
    let mut last = 0;
    loop {
        let value = slow.next();
        if value["type"] == "lag" {
            break;
        }
        last += 1;
        assert_eq!(value["payload"]["offset"], last, "{value}");
    }
    assert!(last < sent, "{last} of {sent}");
    slow.ask("ping", &json!({}));
    while slow.next()["type"] != "pong" {}
    slow.expect("ack");
    writer.send(&data());
    assert!(slow.expect("publication")["payload"]["offset"].as_u64() > Some(last));
}
