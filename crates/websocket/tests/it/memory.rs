//! What a connection costs: size when idle, nothing kept without need, limits before allocation.

use hubbub_websocket::fuzz::Seen;
use hubbub_websocket::{Decoder, Event, Limits, OpCode, ProtocolError as E, Role};

use crate::wire::{LIMITS, check_with, text, wire};

#[test]
fn an_idle_decoder_is_small() {
    assert_eq!(size_of::<Decoder>(), 16);
    const { assert!(Decoder::HELD_BYTES_OVERHEAD <= 300) };
}

#[test]
fn whole_frames_are_lent_from_the_buffer() {
    let mut decoder = Decoder::new(Role::Server);
    let mut buf = wire().text("one").ping("two").binary("three").0;
    let place = buf.as_ptr_range();
    let mut at = 0;
    let mut events = 0;
    loop {
        let step = decoder.next(&mut buf[at..], &LIMITS).unwrap();
        at += step.consumed;
        let payload = match step.event {
            Some(Event::Text(text)) => text.as_bytes(),
            Some(Event::Ping(bytes) | Event::Binary(bytes)) => bytes,
            other => {
                assert_eq!(other, None);
                break;
            }
        };
        assert!(place.contains(&payload.as_ptr()), "copied: {payload:?}");
        events += 1;
        assert_eq!(decoder.held_bytes(), 0);
    }
    assert_eq!(events, 3);
}

#[test]
fn what_was_kept_is_freed_after_use() {
    for stream in [wire().text("hello"), wire().ping("hello"), wire().begin("hel").last("lo")] {
        let mut decoder = Decoder::new(Role::Server);
        let mut seen = 0;
        let mut bytes = stream.0;
        for byte in bytes.chunks_mut(1) {
            seen += usize::from(decoder.next(byte, &LIMITS).unwrap().event.is_some());
        }
        assert_eq!(seen, 1);
        assert!(decoder.held_bytes() > 0, "the event was lent from here");
        assert_eq!(decoder.next(&mut [], &LIMITS).unwrap().event, None);
        assert_eq!(decoder.held_bytes(), 0);
    }
}

#[test]
fn the_announced_length_is_not_allocated() {
    let mut decoder = Decoder::new(Role::Server);
    let mut stream = wire().binary(vec![7; 10 << 20]).0;
    decoder.next(&mut stream[..1014], &LIMITS).unwrap();
    assert!(
        decoder.held_bytes() <= 1000 + Decoder::HELD_BYTES_OVERHEAD,
        "{}",
        decoder.held_bytes()
    );
}

#[test]
fn a_long_message_grows_geometrically_and_ends_at_its_length() {
    let size = 4 << 20;
    for (opcode, byte) in [(OpCode::Binary, 0xff), (OpCode::Text, b'x')] {
        let mut decoder = Decoder::new(Role::Server);
        let mut stream = wire().frame(true, opcode, vec![byte; size]).0;
        let mut growths = 0;
        let mut held = 0;
        for read in stream.chunks_mut(1000) {
            decoder.next(read, &LIMITS).unwrap();
            growths += usize::from(decoder.held_bytes() != held);
            held = decoder.held_bytes();
        }
        assert!(growths < 20, "{growths}");
        assert!(held <= size + Decoder::HELD_BYTES_OVERHEAD, "{held}");
    }
}

#[test]
fn the_limit_is_checked_against_the_header() {
    let limits = Limits { message_bytes_max: 300, fragments_max: 10 };
    let fits = "x".repeat(300);
    let check = |wire, events: &[Seen], error| check_with(&wire, &limits, events, error);
    check(wire().text(&fits), &[text(&fits)], None);
    check(wire().text("x".repeat(301)), &[], Some(E::MessageTooBig));
    check(wire().begin("x".repeat(200)).last("x".repeat(100)), &[text(&fits)], None);
    check(wire().begin("x".repeat(200)).last("x".repeat(101)), &[], Some(E::MessageTooBig));
    // Bytes of a character still incomplete count as well.
    check(
        wire().begin([&[b'x'; 297][..], b"\xe2\x82"].concat()).last("xx"),
        &[],
        Some(E::MessageTooBig),
    );

    let mut decoder = Decoder::new(Role::Server);
    let mut header = wire().text("x".repeat(301)).0;
    header.truncate(8);
    assert_eq!(decoder.next(&mut header, &limits), Err(E::MessageTooBig));
}

#[test]
fn a_paused_receiver_loses_nothing() {
    let mut decoder = Decoder::new(Role::Server);
    let mut buf = wire().text("one").text("two").begin("th").0;
    let step = decoder.next(&mut buf, &LIMITS).unwrap();
    assert_eq!(step.event, Some(Event::Text("one")));
    let at = step.consumed;
    let mut tail = buf[at..].to_vec();
    assert_eq!(tail, wire().text("two").begin("th").0, "the tail must be as it came");

    tail.extend_from_slice(&wire().last("ree").0);
    let step = decoder.next(&mut tail, &LIMITS).unwrap();
    assert_eq!(step.event, Some(Event::Text("two")));
    let at = step.consumed;
    let step = decoder.next(&mut tail[at..], &LIMITS).unwrap();
    assert_eq!(step.event, Some(Event::Text("three")));
}
