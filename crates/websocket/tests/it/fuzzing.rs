//! The fuzz entry point on seeded input: stable, quick, and biased towards streams that get far.

use hubbub_websocket::deflate::WindowBits;
use hubbub_websocket::frame::write_frame;
use hubbub_websocket::{Limits, OpCode, Role, fuzz};

/// Xorshift64* (Vigna, 2016): small, seeded, good enough to choose test input.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize * bound) >> 32
    }

    pub(crate) fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }
}

/// A stream of frames, most of them legal, masked if `mask`; a fragment often ends inside a character
/// that the next one continues, and now and then something is spoiled.
pub(crate) fn frames(random: &mut Random, mask: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut open = false;
    let mut rest = Vec::new();
    for _ in 0..random.below(12) {
        let key = mask.then(|| std::array::from_fn(|_| random.byte()));
        match random.below(60) {
            0 => spoiled_header(random, mask, &mut out),
            1..=2 => write(&mut out, 0x88, key, &close_body(random)),
            3..=14 => {
                let len = [0, 1, 125, 125, 125, 126][random.below(6) * random.below(7) / 6];
                let payload: Vec<u8> = (0..len).map(|_| random.byte()).collect();
                write(&mut out, 0x89 + random.byte() % 2, key, &payload);
            }
            _ => {
                let opcode = if open { 0 } else { 1 + u8::from(random.below(4) == 0) };
                open = random.below(3) > 0;
                let mut payload = characters(random, std::mem::take(&mut rest));
                if open || random.below(20) == 0 {
                    let cut = payload.len() - payload.len().min(random.below(4));
                    rest = payload.split_off(cut);
                }
                write(&mut out, u8::from(!open) << 7 | opcode, key, &payload);
            }
        }
    }
    if random.below(4) == 0 && !out.is_empty() {
        let at = random.below(out.len());
        out[at] = random.byte();
    }
    out
}

/// Appends a frame with any first byte.
fn write(out: &mut Vec<u8>, first: u8, key: Option<[u8; 4]>, payload: &[u8]) {
    let start = out.len();
    write_frame(out, true, OpCode::Text, key, payload);
    out[start] = first;
}

/// Text of assorted lengths, continuing what a cut left over.
fn characters(random: &mut Random, mut text: Vec<u8>) -> Vec<u8> {
    const CHARS: [&str; 8] = ["a", "é", "€", "💬", "\0", "\u{7ff}", "zz", "\u{ffff}"];
    let len = [0, 1, 5, 60, 125, 300][random.below(6)];
    while text.len() < len {
        text.extend_from_slice(CHARS[random.below(CHARS.len())].as_bytes());
    }
    text
}

/// The body of a close frame with a code near the ends of the allowed ranges, or a lone byte.
fn close_body(random: &mut Random) -> Vec<u8> {
    let base = [995, 1000, 2995, 4990][random.below(4)];
    let code: u16 = base + random.below(20) as u16;
    let mut body = code.to_be_bytes().to_vec();
    match random.below(8) {
        0 => body.truncate(random.below(2)),
        1..=5 => body = characters(random, body),
        6 => body.push(random.byte()),
        _ => {}
    }
    body.truncate(125);
    body
}

/// A header with any first byte, or with a length that is too long or has more bytes than it needs.
fn spoiled_header(random: &mut Random, mask: bool, out: &mut Vec<u8>) {
    let mask_bit = u8::from(mask) << 7;
    let first = 0x80 | (1 + random.byte() % 2);
    match random.below(4) {
        0 => out.extend([random.byte(), mask_bit]),
        1 => out.extend([first, mask_bit | 126, 0, random.byte() % 126]),
        2 => out.extend([first, mask_bit | 127, random.byte(), 0, 0, 0, 0, 0, 0, random.byte()]),
        _ => out.extend([first, (mask_bit ^ 0x80) | 1]),
    }
    out.extend([0; 4]);
}

#[test]
fn seeded_streams_keep_the_invariants() {
    for seed in 0..20_000 {
        let mut random = Random::new(seed);
        let settings: [u8; 4] = std::array::from_fn(|_| random.byte());
        let mut data = settings.to_vec();
        data.extend_from_slice(&frames(&mut random, settings[0] & 1 == 0));
        let outcome = std::panic::catch_unwind(|| fuzz::decoder(&data));
        assert!(outcome.is_ok(), "seed {seed}: {data:x?}");
    }
}

#[test]
fn short_inputs_are_fine() {
    for len in 0..6 {
        fuzz::decoder(&vec![0x81; len]);
    }
}

#[test]
fn the_generator_reaches_events_and_errors() {
    let mut events = 0;
    let mut errors = std::collections::HashSet::new();
    for seed in 0..6000 {
        let stream = frames(&mut Random::new(seed), true);
        let limits = Limits { message_bytes_max: 400, fragments_max: 4 };
        let role = Role::Server;
        let (seen, error) = fuzz::run(role, &stream, &limits, 50, usize::MAX);
        events += seen.len();
        errors.extend(error);
    }
    assert!(events > 3000, "{events}");
    assert!(errors.len() >= 14, "{errors:?}");
}

/// Most of them legal, with the same message compressed more than once, and some bytes spoiled.
#[test]
fn seeded_compressed_streams_keep_the_invariants() {
    for seed in 0..3000 {
        let mut random = Random::new(seed ^ 0xdef1);
        let context = [0b1000_0000, 0b1100_0000][random.below(2)];
        let mut data = vec![context | 0b1010, 20, random.byte(), random.byte()];
        let mut encoder = fuzz::Encoder::new(if context == 0b1000_0000 {
            fuzz::Context::Message
        } else {
            fuzz::Context::Connection(WindowBits::MIN)
        });
        let start = data.len();
        for _ in 0..random.below(8) {
            let text = characters(&mut random, Vec::new()).repeat(1 + random.below(4));
            let event = fuzz::Seen::Text(String::from_utf8(text).unwrap());
            encoder.encode(&event, &mut data, Some([1, 2, 3, 4]));
        }
        for _ in 0..random.below(3).min(data.len() - start) {
            let at = start + random.below(data.len() - start);
            data[at] ^= 1 << random.below(8);
        }
        let outcome = std::panic::catch_unwind(|| fuzz::decoder(&data));
        assert!(outcome.is_ok(), "seed {seed}: {data:x?}");
    }
}

#[test]
fn seeded_offers_keep_the_invariants() {
    const WORDS: [&str; 14] = [
        "permessage-deflate",
        "; ",
        ";",
        ", ",
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits=10",
        "server_max_window_bits=8",
        "client_max_window_bits",
        "=\"12\"",
        "=15",
        "=",
        "\"",
        "é",
    ];
    for seed in 0..20_000 {
        let mut random = Random::new(seed ^ 0x0ffe);
        let mut line = "permessage-deflate; ".to_owned();
        for _ in 0..random.below(9) {
            line += WORDS[random.below(WORDS.len())];
        }
        let outcome = std::panic::catch_unwind(|| fuzz::extensions(line.as_bytes()));
        assert!(outcome.is_ok(), "seed {seed}: {line}");
    }
}
