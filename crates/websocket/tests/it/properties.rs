//! Properties over random streams.

use hubbub_websocket::fuzz::{Seen, run};
use hubbub_websocket::{Limits, OpCode, Role};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::wire::{LIMITS, Wire, wire};

/// A message, where to break it into fragments, and control frames to put between them.
#[derive(Debug, Clone)]
struct Sent {
    message: Seen,
    breaks: Vec<prop::sample::Index>,
    controls: Vec<Seen>,
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=max)
}

fn control() -> impl Strategy<Value = Seen> {
    prop_oneof![bytes(125).prop_map(Seen::Ping), bytes(125).prop_map(Seen::Pong)]
}

fn sent() -> impl Strategy<Value = Sent> {
    let message = prop_oneof![
        vec(any::<char>(), 0..200).prop_map(|chars| Seen::Text(chars.into_iter().collect())),
        bytes(1000).prop_map(Seen::Binary),
    ];
    (message, vec(any::<prop::sample::Index>(), 0..6), vec(control(), 0..3))
        .prop_map(|(message, breaks, controls)| Sent { message, breaks, controls })
}

/// Appends the frames of one message; the events they decode to.
fn send(stream: &mut Wire, sent: &Sent, key: [u8; 4], events: &mut Vec<Seen>) {
    let (mut opcode, payload) = match &sent.message {
        Seen::Text(text) => (OpCode::Text, text.as_bytes()),
        Seen::Binary(bytes) => (OpCode::Binary, &bytes[..]),
        other => unreachable!("not a data message: {other:?}"),
    };
    let mut cuts: Vec<usize> = sent.breaks.iter().map(|at| at.index(payload.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(payload.len());
    let mut controls = sent.controls.iter();
    let mut start = 0;
    for (i, &end) in cuts.iter().enumerate() {
        let fin = i + 1 == cuts.len();
        let piece = &payload[start..end];
        hubbub_websocket::frame::write_frame(&mut stream.0, fin, opcode, Some(key), piece);
        opcode = OpCode::Continuation;
        start = end;
        if !fin && let Some(control) = controls.next() {
            control.encode(&mut stream.0, Some(key));
            events.push(control.clone());
        }
    }
    events.push(sent.message.clone());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_valid_stream_decodes_to_what_was_sent(
        messages in vec(sent(), 0..8),
        key: [u8; 4],
        read in prop_oneof![1usize..20, 20usize..3000],
        pause in 1usize..4,
    ) {
        let mut stream = wire();
        let mut events = Vec::new();
        for message in &messages {
            send(&mut stream, message, key, &mut events);
        }
        let (seen, error) = run(Role::Server, &stream.0, &LIMITS, read, pause);
        prop_assert_eq!(error, None);
        prop_assert_eq!(seen, events);
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_hold_more_than_the_limit(
        noise in bytes(2000),
        client: bool,
        message_bytes_max in 0usize..3000,
        fragments_max in 1u32..10,
        read in 1usize..100,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let limits = Limits { message_bytes_max, fragments_max };
        // The bound on memory is asserted inside.
        let (seen, _) = run(role, &noise, &limits, read, usize::MAX);
        for event in seen {
            if let Seen::Text(text) = event {
                prop_assert!(text.len() <= message_bytes_max);
            }
        }
    }

    #[test]
    fn one_flipped_bit_never_panics_and_never_depends_on_the_cuts(
        messages in vec(sent(), 1..4),
        at: prop::sample::Index,
        bit in 0u8..8,
        read in 1usize..200,
    ) {
        let mut stream = wire();
        let mut events = Vec::new();
        for message in &messages {
            send(&mut stream, message, [1, 2, 3, 4], &mut events);
        }
        let at = at.index(stream.0.len());
        stream.0[at] ^= 1 << bit;
        let whole = run(Role::Server, &stream.0, &LIMITS, usize::MAX, usize::MAX);
        let cut = run(Role::Server, &stream.0, &LIMITS, read, 1);
        prop_assert_eq!(whole, cut);
    }
}
