//! permessage-deflate on the receiving side: what is accepted, what is refused, and what it costs
//! (RFC 7692 §6, §7.2.2).

use hubbub_websocket::deflate::{Inflate, Inflater, WindowBits, compressed_bytes_max};
use hubbub_websocket::fuzz::{Context, Encoder, Seen};
use hubbub_websocket::{Decoder, Event, Limits, OpCode, ProtocolError as E, Role};

use crate::wire::{LIMITS, Wire, check, check_in, ping, text, wire};

const TAKEOVER: Context = Context::Connection(WindowBits::MAX);
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[track_caller]
fn accepts(wire: &Wire, events: &[Seen]) {
    check_in(Context::Message, wire, &LIMITS, events, None);
}

#[track_caller]
fn refuses(wire: &Wire, error: E) {
    check_in(Context::Message, wire, &LIMITS, &[], Some(error));
}

fn compressed(payload: &[u8]) -> Wire {
    wire().compressed(true, OpCode::Text, payload)
}

/// The deflated form by another implementation.
fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut out = miniz_oxide::deflate::compress_to_vec(plain, 6);
    // It ends with a final block; see RFC 7692 §7.2.3.5.
    out.push(0);
    out
}

#[test]
fn the_examples_of_the_rfc() {
    // §7.2.3.1, §7.2.3.3 to §7.2.3.6.
    accepts(&compressed(HELLO), &[text("Hello")]);
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    accepts(&compressed(&stored), &[text("Hello")]);
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    accepts(&compressed(&last), &[text("Hello")]);
    let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    accepts(&compressed(&two), &[text("Hello")]);
    accepts(&compressed(&[0x00]), &[text("")]);
    // §7.2.3.1, fragmented, and §7.2.3.2.
    let pieces = wire().compressed(false, OpCode::Text, &HELLO[..3]).last(&HELLO[3..]);
    accepts(&pieces, &[text("Hello")]);
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    let twice = compressed(HELLO).compressed(true, OpCode::Text, again);
    check_in(TAKEOVER, &twice, &LIMITS, &[text("Hello"), text("Hello")], None);
    check_in(Context::Message, &twice, &LIMITS, &[text("Hello")], Some(E::DeflateInvalid));
}

#[test]
fn compressed_and_plain_messages_mix() {
    let stream = wire()
        .text("plain")
        .compressed(true, OpCode::Binary, HELLO)
        .begin("pl")
        .last("ain")
        .compressed(false, OpCode::Text, [])
        .ping("between")
        .more(&HELLO[..1])
        .pong("")
        .more([])
        .last(&HELLO[1..])
        .text("");
    let hello = Seen::Binary(b"Hello".to_vec());
    let (ping, pong) = (ping(b"between"), Seen::Pong(Vec::new()));
    accepts(&stream, &[text("plain"), hello, text("plain"), ping, pong, text("Hello"), text("")]);
}

#[test]
fn the_bit_is_for_the_first_frame_of_a_message_with_an_agreement() {
    check(&compressed(HELLO), &[], Some(E::ReservedBits));
    refuses(&wire().first_byte(0xe1, HELLO), E::ReservedBits);
    refuses(&wire().first_byte(0xa1, HELLO), E::ReservedBits);
    refuses(&wire().first_byte(0xc9, ""), E::ReservedBits);
    refuses(&wire().first_byte(0xc8, ""), E::ReservedBits);
    refuses(&wire().compressed(false, OpCode::Text, HELLO).first_byte(0xc0, ""), E::ReservedBits);
    refuses(&wire().begin("x").first_byte(0xc0, ""), E::ReservedBits);
}

#[test]
fn what_is_not_deflate() {
    // A block of the reserved type, a stored block whose lengths disagree, a distance beyond the
    // beginning, and a message that stops in a block.
    refuses(&compressed(&[0x06]), E::DeflateInvalid);
    refuses(&compressed(&[0x00, 0x05, 0x00, 0x05, 0x00]), E::DeflateInvalid);
    refuses(&compressed(&[0xf2, 0x00, 0x11, 0x00, 0x00]), E::DeflateInvalid);
    for cut in 1..HELLO.len() {
        refuses(&compressed(&HELLO[..cut]), E::DeflateInvalid);
    }
    refuses(&compressed(&[0x00, 0xff, 0x00, 0x00, 0xff, b'x']), E::DeflateInvalid);
    refuses(&compressed(b"plain text with the wrong bit"), E::DeflateInvalid);
}

#[test]
fn final_blocks_are_bounded() {
    // Each `03 00` is an empty final block.
    let blocks = |count: usize| [&[0x03, 0x00].repeat(count)[..], &[0x00]].concat();
    accepts(&compressed(&blocks(60)), &[text("")]);
    refuses(&compressed(&blocks(64)), E::DeflateInvalid);
    // The octet behind a final block may be missing; the window goes on behind it, and into the
    // next message.
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    accepts(&compressed(&last), &[text("Hello")]);
    let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
    accepts(&compressed(&[&last[..], &again].concat()), &[text("HelloHello")]);
    let stream = compressed(&last).compressed(true, OpCode::Text, again);
    check_in(TAKEOVER, &stream, &LIMITS, &[text("Hello"), text("Hello")], None);
}

#[test]
fn text_is_checked_after_inflating() {
    let good = "χαίρετε 你好 👋".repeat(50);
    accepts(&compressed(&deflated(good.as_bytes())), &[text(&good)]);
    refuses(&compressed(&deflated(b"\xed\xa0\x80")), E::InvalidUtf8);
    refuses(&compressed(&deflated(&good.as_bytes()[..good.len() - 1])), E::InvalidUtf8);
    let binary = wire().compressed(true, OpCode::Binary, deflated(b"\xff"));
    accepts(&binary, &[Seen::Binary(vec![0xff])]);
}

#[test]
fn an_empty_payload_is_an_empty_message() {
    accepts(&compressed(&[]), &[text("")]);
    accepts(&wire().compressed(false, OpCode::Text, []).last([]), &[text("")]);
}

#[test]
fn the_limit_counts_what_comes_out() {
    let limits = Limits { message_bytes_max: 1000, fragments_max: 3 };
    let check = |wire: &Wire, events: &[Seen], error| {
        check_in(Context::Message, wire, &limits, events, error);
    };
    let fits = "x".repeat(1000);
    check(&compressed(&deflated(fits.as_bytes())), &[text(&fits)], None);
    check(&compressed(&deflated("x".repeat(1001).as_bytes())), &[], Some(E::MessageTooBig));
    // Stored, it is longer on the wire than the limit, which is allowed.
    let mut stored = vec![0x00, 0xe8, 0x03, 0x17, 0xfc];
    stored.extend_from_slice(fits.as_bytes());
    stored.push(0);
    check(&compressed(&stored), &[text(&fits)], None);
    // As many empty blocks as fit, and one byte more.
    let max = compressed_bytes_max(1000);
    let blocks = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(max);
    check(&compressed(&[&blocks[..max / 5 * 5 - 5], &[0]].concat()), &[text("")], None);
    check(&compressed(&blocks[..max + 1]), &[], Some(E::MessageTooBig));
    let halves =
        |len: usize| wire().compressed(false, OpCode::Text, &blocks[..600]).last(&blocks[600..len]);
    check(&halves(max + 1), &[], Some(E::MessageTooBig));
    let many = wire().compressed(false, OpCode::Text, []).more([]).more([]).last([]);
    check(&many, &[], Some(E::TooManyFragments));
}

/// 64 MB of zeros in 64 KB.
fn bomb() -> Vec<u8> {
    deflated(&vec![0; 64 << 20])
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let limits = Limits { message_bytes_max: 100_000, fragments_max: 3 };
    let mut stream = wire().compressed(true, OpCode::Binary, bomb()).0;
    assert!(stream.len() < 70_000, "{}", stream.len());
    let mut inflater = Inflater::new();
    let mut decoder = Decoder::new(Role::Server);
    let inflate = Inflate { inflater: &mut inflater, history: None };
    let refused = decoder.next_inflating(&mut stream, &limits, inflate);
    assert_eq!(refused, Err(E::MessageTooBig));
    assert!(inflater.capacity() <= 100_000, "{}", inflater.capacity());
    assert_eq!(inflater.totals().messages, 0);

    // The inflater serves the next connection as if nothing had been.
    let mut stream = compressed(HELLO).0;
    let mut decoder = Decoder::new(Role::Server);
    let inflate = Inflate { inflater: &mut inflater, history: None };
    let step = decoder.next_inflating(&mut stream, &limits, inflate).unwrap();
    assert_eq!(step.event, Some(Event::Text("Hello")));
    assert!(inflater.capacity() <= 64 * 1024, "{}", inflater.capacity());
}

#[test]
fn an_idle_compressed_connection_owns_nothing() {
    let mut inflater = Inflater::new();
    let mut decoder = Decoder::new(Role::Server);
    let mut stream = compressed(HELLO).0;
    for (cut, held) in [(stream.len(), false), (5, true)] {
        for piece in stream.clone().chunks_mut(cut) {
            let inflate = Inflate { inflater: &mut inflater, history: None };
            decoder.next_inflating(piece, &LIMITS, inflate).unwrap();
        }
        assert_eq!(decoder.held_bytes() > 0, held, "what was in pieces is freed by the next call");
        decoder.next(&mut [], &LIMITS).unwrap();
        assert_eq!(decoder.held_bytes(), 0);
    }
    stream.clear();
    assert_eq!(inflater.totals().messages, 2);
    assert_eq!(inflater.totals().plain_bytes, 10);
    assert_eq!(inflater.totals().compressed_bytes, 14);
}

#[test]
fn what_we_compress_is_what_others_read() {
    let plain = "{\"type\":\"message\",\"content\":\"one and the same\"}".repeat(3);
    let mut encoder = Encoder::new(Context::Message);
    for _ in 0..3 {
        let mut stream = encoder.compress(plain.as_bytes()).unwrap().to_vec();
        assert!(stream.len() < plain.len());
        stream.extend_from_slice(&[0x00, 0x00, 0xff, 0xff, 0x03, 0x00]);
        let theirs = miniz_oxide::inflate::decompress_to_vec(&stream).unwrap();
        assert_eq!(theirs, plain.as_bytes());
    }
}
