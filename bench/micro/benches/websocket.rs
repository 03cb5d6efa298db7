//! Frames in and out: header, mask, UTF-8, and the decoder that does all of it.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hubbub_micro::{SIZES, ascii, masked_frames, wide};
use hubbub_websocket::frame::{Expect, FrameBuilder, HEADER_BYTES_MAX, OpCode, text_frame};
use hubbub_websocket::mask::Mask;
use hubbub_websocket::{Decoder, Header, Limits, Role, utf8};
use std::hint::black_box;

/// Frames in one read: what a busy connection sends between two turns of its shard.
const FRAMES_PER_READ: usize = 16;

fn header(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header parse");
    for size in SIZES {
        let frame = masked_frames(1, &ascii(size));
        let head = &frame[..HEADER_BYTES_MAX.min(frame.len())];
        let expect = Expect { masked: true, rsv_data: 0 };
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| Header::parse(black_box(head), expect));
        });
    }
}

fn unmask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unmask");
    for size in SIZES {
        let mut payload = ascii(size).into_bytes();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| Mask::new(black_box([1, 2, 3, 4])).apply(black_box(&mut payload)));
        });
    }
}

fn utf8_check(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("UTF-8 check");
    for (kind, text) in [("ascii", ascii as fn(usize) -> String), ("wide", wide)] {
        for size in SIZES {
            let text = text(size);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(BenchmarkId::new(kind, size), |bencher| {
                bencher.iter(|| utf8::validate(black_box(text.as_bytes())).is_ok());
            });
        }
    }
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decoder, 16 frames in a read");
    let limits = Limits { message_bytes_max: 1 << 20, fragments_max: 64 };
    for size in SIZES {
        let frames = masked_frames(FRAMES_PER_READ, &ascii(size));
        group.throughput(Throughput::Elements(FRAMES_PER_READ as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            // The decoder unmasks in place, so each round gets bytes of its own.
            bencher.iter_batched_ref(
                || (Decoder::new(Role::Server), frames.clone()),
                |(decoder, bytes)| {
                    let mut at = 0;
                    let mut count = 0;
                    while let Ok(step) = decoder.next(&mut bytes[at..], &limits) {
                        at += step.consumed;
                        if step.event.is_none() {
                            break;
                        }
                        count += 1;
                    }
                    assert_eq!(count, FRAMES_PER_READ);
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame encode");
    for size in SIZES {
        let text = ascii(size);
        group.bench_function(BenchmarkId::new("shared", size), |bencher| {
            bencher.iter(|| text_frame(black_box(&text)));
        });
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new("in place", size), |bencher| {
            bencher.iter(|| {
                out.clear();
                let mut frame = FrameBuilder::begin(&mut out, OpCode::Text, size);
                frame.push(black_box(text.as_bytes()));
                frame.finish()
            });
        });
    }
}

criterion_group!(benches, header, unmask, utf8_check, decode, encode);
criterion_main!(benches);
