//! permessage-deflate on a chat: each message alone (one compression for all receivers), with the
//! connection's context, and the messages of one tick together. What each way saves is printed first.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hubbub_micro::chat;
use hubbub_websocket::deflate::{Deflater, History, Inflater, Level, WindowBits};
use std::hint::black_box;

const MESSAGES: usize = 1000;
/// Messages that one turn of a shard brings a busy member.
const TICK: usize = 16;
const MESSAGE_BYTES_MAX: usize = 1 << 20;

fn window(bits: u8) -> WindowBits {
    WindowBits::new(bits).expect("9 to 15")
}

/// What `compress` makes of `payloads`, in bytes; what does not become shorter is sent as it is.
fn sent_bytes(payloads: &[String], mut compress: impl FnMut(&[u8]) -> Option<usize>) -> usize {
    payloads.iter().map(|payload| compress(payload.as_bytes()).unwrap_or(payload.len())).sum()
}

fn savings(messages: &[String], ticks: &[String]) {
    let plain: usize = messages.iter().map(String::len).sum();
    let mean = plain / messages.len();
    println!("bytes saved on {} messages of {mean} bytes in the mean:", messages.len());
    let mut deflater = Deflater::new(Level::default());
    let show = |way: &str, sent: usize| {
        println!("  {way:<32} {:.1} %", 100.0 * (1.0 - sent as f64 / plain as f64));
    };
    let alone = |payload: &[u8]| deflater.compress(payload, WindowBits::MAX).map(<[u8]>::len);
    show("each alone", sent_bytes(messages, alone));
    let together = |payload: &[u8]| deflater.compress(payload, WindowBits::MAX).map(<[u8]>::len);
    show("16 of one tick together", sent_bytes(ticks, together));
    for bits in [9, 12, 15] {
        let mut history = History::new(window(bits));
        let next = |payload: &[u8]| deflater.compress_next(payload, &mut history).map(<[u8]>::len);
        show(&format!("with context, {bits} bits"), sent_bytes(messages, next));
    }
}

fn compress(criterion: &mut Criterion) {
    let messages = chat(MESSAGES);
    let ticks: Vec<String> = messages.chunks(TICK).map(<[String]>::concat).collect();
    savings(&messages, &ticks);
    let mut group = criterion.benchmark_group("deflate a message");
    let mut deflater = Deflater::new(Level::default());
    let mut turns = messages.iter().cycle();
    group.bench_function("alone", |bencher| {
        bencher.iter(|| {
            let message = turns.next().expect("endless").as_bytes();
            deflater.compress(black_box(message), WindowBits::MAX).map(<[u8]>::len)
        });
    });
    for bits in [12, 15] {
        // One connection after another, so that the working memory is primed anew each time: what
        // happens when many connections take turns.
        let mut histories = [History::new(window(bits)), History::new(window(bits))];
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("with context, taking turns", bits), |bencher| {
            bencher.iter(|| {
                turn += 1;
                let message = turns.next().expect("endless").as_bytes();
                deflater
                    .compress_next(black_box(message), &mut histories[turn % 2])
                    .map(<[u8]>::len)
            });
        });
    }
    let mut rounds = ticks.iter().cycle();
    group.throughput(Throughput::Elements(TICK as u64));
    group.bench_function("16 of one tick together", |bencher| {
        bencher.iter(|| {
            let tick = rounds.next().expect("endless").as_bytes();
            deflater.compress(black_box(tick), WindowBits::MAX).map(<[u8]>::len)
        });
    });
}

fn inflate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inflate a message");
    let mut deflater = Deflater::new(Level::default());
    let message = chat(1).remove(0);
    let compressed =
        deflater.compress(message.as_bytes(), WindowBits::MAX).expect("shorter").to_vec();
    let mut inflater = Inflater::new();
    group.bench_function("alone", |bencher| {
        bencher.iter(|| {
            let plain = inflater.inflate(black_box(&compressed), MESSAGE_BYTES_MAX, None);
            plain.map(<[u8]>::len)
        });
    });
}

criterion_group!(benches, compress, inflate);
criterion_main!(benches);
