//! Context takeover: our histories against compressors that keep their state, in both directions.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use hubbub_websocket::ProtocolError;
use hubbub_websocket::deflate::{Deflater, History, Inflater, Level, WindowBits};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::fuzzing::Random;

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
const MAX: usize = 1 << 20;

fn windows() -> impl Iterator<Item = WindowBits> {
    (0..=15).filter_map(WindowBits::new)
}

/// Messages that resemble one another, some longer than a window, some that nothing makes shorter.
fn messages(seed: u64) -> Vec<Vec<u8>> {
    const WORDS: [&str; 8] =
        ["the ", "message ", "你好 ", "\"seq\":", "and so on ", "x", "明天 ", "?"];
    let mut random = Random::new(seed);
    (0..60)
        .map(|i| {
            if i % 10 == 7 {
                return (0..random.below(700)).map(|_| random.byte()).collect();
            }
            let len = [0, 3, 200, 400, 900, 5000][random.below(6)];
            let mut message = Vec::new();
            while message.len() < len {
                message.extend_from_slice(WORDS[random.below(WORDS.len())].as_bytes());
            }
            message
        })
        .collect()
}

/// A compressor as others keep it, for one connection.
struct Kept(Compress);

impl Kept {
    fn next(&mut self, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            // A second flush in a row writes nothing (RFC 7692 §7.2.3.6).
            return vec![0];
        }
        let mut out = vec![0; message.len() * 2 + 64];
        let before = self.0.total_out();
        self.0.compress(message, &mut out, FlushCompress::Sync).unwrap();
        out.truncate((self.0.total_out() - before) as usize);
        out.strip_suffix(&TAIL).unwrap().to_vec()
    }
}

#[test]
fn a_kept_inflater_reads_what_we_write() {
    for window in windows() {
        let mut deflater = Deflater::new(Level::default());
        let mut history = History::new(window);
        // Their window is as small as was agreed: what reached further back would be refused.
        let mut theirs = Decompress::new_with_window_bits(false, window.get());
        let mut whole = Vec::new();
        let (mut plain, mut raw) = (Vec::new(), 0);
        for message in messages(window.get().into()) {
            let Some(compressed) = deflater.compress_next(&message, &mut history) else {
                raw += 1;
                continue;
            };
            assert!(compressed.len() < message.len());
            let stream = [compressed, &TAIL].concat();
            let mut out = vec![0; message.len() + 1];
            let before = theirs.total_out();
            theirs.decompress(&stream, &mut out, FlushDecompress::Sync).unwrap();
            out.truncate((theirs.total_out() - before) as usize);
            assert_eq!(out, message, "{window:?}");
            whole.extend_from_slice(&stream);
            plain.extend_from_slice(&message);
            assert!(history.capacity() <= window.bytes());
        }
        assert!((5..30).contains(&raw), "{raw} messages went as they were");
        // All messages together are one deflate stream, for an implementation that is not zlib.
        whole.extend_from_slice(&[0x03, 0x00]);
        assert_eq!(miniz_oxide::inflate::decompress_to_vec(&whole).unwrap(), plain);
    }
}

#[test]
fn we_read_what_a_kept_compressor_writes() {
    for window in windows() {
        let level = Compression::new(6);
        let mut theirs = Kept(Compress::new_with_window_bits(level, false, window.get()));
        let mut inflater = Inflater::new();
        let mut history = History::new(window);
        for message in messages(100 + u64::from(window.get())) {
            let compressed = theirs.next(&message);
            let plain = inflater.inflate(&compressed, MAX, Some(&mut history)).unwrap();
            assert_eq!(plain, message, "{window:?}");
            assert!(history.capacity() <= window.bytes());
        }
    }
}

#[test]
fn connections_share_one_deflater_and_one_inflater() {
    let mut deflater = Deflater::new(Level::default());
    let mut inflater = Inflater::new();
    let mut random = Random::new(7);
    let new = |i: u8| {
        let window = WindowBits::new(9 + i % 3).unwrap();
        (History::new(window), History::new(window))
    };
    let mut connections: Vec<_> = (0..6).map(new).collect();
    let mut shared = 0;
    for message in messages(1).iter().cycle().take(2000) {
        // Runs of one connection, between which others, and messages for all, come in.
        let at = random.below(connections.len() + 1);
        for _ in 0..1 + random.below(3) {
            let Some((ours, theirs)) = connections.get_mut(at) else {
                if let Some(compressed) = deflater.compress(message, WindowBits::MIN) {
                    assert_eq!(inflater.inflate(compressed, MAX, None).unwrap(), message);
                    shared += 1;
                }
                continue;
            };
            if let Some(compressed) = deflater.compress_next(message, ours) {
                assert_eq!(inflater.inflate(compressed, MAX, Some(theirs)).unwrap(), message);
            }
        }
    }
    assert!(shared > 100, "{shared}");
    assert_eq!(deflater.totals(), inflater.totals());
}

#[test]
fn a_context_makes_small_messages_smaller() {
    let mut deflater = Deflater::new(Level::default());
    let mut history = History::new(WindowBits::new(12).unwrap());
    let (mut alone, mut with) = (0, 0);
    for seq in 0..200 {
        let message = format!(
            "{{\"type\":\"message\",\"payload\":{{\"seq\":{seq},\"content\":\"{}\"}}}}",
            seq * 7919
        );
        let message = message.repeat(2);
        alone += deflater.compress(message.as_bytes(), WindowBits::MAX).unwrap().len();
        with += deflater.compress_next(message.as_bytes(), &mut history).unwrap().len();
    }
    assert!(with * 2 < alone, "{with} bytes with, {alone} without");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_is_said_arrives(
        messages in vec(vec(prop_oneof![Just(b'a'), any::<u8>()], 0..600), 1..20),
        bits in 9u8..=15,
        level in 1u8..=9,
    ) {
        let window = WindowBits::new(bits).unwrap();
        let mut deflater = Deflater::new(Level::new(level).unwrap());
        let mut inflater = Inflater::new();
        let (mut ours, mut theirs) = (History::new(window), History::new(window));
        for message in &messages {
            if let Some(compressed) = deflater.compress_next(message, &mut ours) {
                let plain = inflater.inflate(compressed, 600, Some(&mut theirs));
                prop_assert_eq!(plain, Ok(&message[..]));
            }
            if let Some(compressed) = deflater.compress(message, window) {
                prop_assert_eq!(inflater.inflate(compressed, 600, None), Ok(&message[..]));
            }
        }
    }

    #[test]
    fn noise_is_refused_or_stays_within_the_limit(
        noise in vec(any::<u8>(), 0..300),
        max in 0usize..2000,
    ) {
        let mut inflater = Inflater::new();
        match inflater.inflate(&noise, max, None) {
            Ok(plain) => prop_assert!(plain.len() <= max),
            Err(error) => prop_assert!(matches!(
                error,
                ProtocolError::DeflateInvalid | ProtocolError::MessageTooBig
            )),
        }
        prop_assert!(inflater.capacity() <= max);
    }
}
