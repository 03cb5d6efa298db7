//! The JSON codec: commands in, events and replies out.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hubbub_micro::ascii;
use hubbub_proto::codec::Codec;
use hubbub_proto::event::{Ack, Delivered, Entry};
use hubbub_proto::limits::Limits;
use hubbub_proto::{Command, ConversationId, Event, Timestamp, UserId};
use std::hint::black_box;

const PAYLOAD_BYTES: usize = 128;
const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// A command of each kind that a busy connection sends.
fn commands() -> [(&'static str, String); 3] {
    let text = ascii(PAYLOAD_BYTES);
    [
        (
            "send",
            format!(
                r#"{{"type":"send","id":"17","payload":{{"to":"user:bob","kind":"text","content":"{text}","client_id":"01920f6e-7c1f-7a3b-9d2e-3f5a6b7c8d9e"}}}}"#
            ),
        ),
        (
            "received",
            r#"{"type":"received","payload":{"conversation":"direct:alice:bob","seq":17}}"#.into(),
        ),
        ("pong", r#"{"type":"pong"}"#.into()),
    ]
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let limits = Limits::default();
    for (name, text) in commands() {
        assert!(Codec::Json.decode(text.as_bytes(), &limits).is_ok(), "{text}");
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| Codec::Json.decode(black_box(text.as_bytes()), &limits));
        });
    }
}

/// The entry that a `send` becomes.
fn entry() -> Event {
    let text = &commands()[0].1;
    let incoming = Codec::Json.decode(text.as_bytes(), &Limits::default()).expect("a command");
    let Command::Send(send) = incoming.command else { panic!("{text} is a send") };
    let [alice, bob] = ["alice", "bob"].map(|name| UserId::new(name).expect("a name"));
    Event::Entry(Delivered {
        entry: Entry {
            conversation: ConversationId::direct(&alice, &bob),
            seq: 17,
            message_id: 90_210,
            from: alice,
            kind: send.kind,
            content: send.content.expect("it says something"),
            client_id: send.client_id,
            at: NOW,
            extra: None,
        },
        attempt: 1,
    })
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let mut out = Vec::new();
    let event = entry();
    group.bench_function("message", |bencher| {
        bencher.iter(|| {
            out.clear();
            Codec::Json.encode_event(black_box(&event), NOW, &mut out);
        });
    });
    let incoming = Codec::Json.decode(commands()[0].1.as_bytes(), &Limits::default());
    let id = incoming.expect("a command").id;
    let done = Ok(Ack::Done);
    group.bench_function("ack", |bencher| {
        bencher.iter(|| {
            out.clear();
            Codec::Json.encode_reply(id.as_ref(), black_box(&done), NOW, &mut out);
        });
    });
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
