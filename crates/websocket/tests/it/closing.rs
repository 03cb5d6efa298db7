//! Close frames and the end of the stream: the matter of Autobahn group 7.

use hubbub_websocket::fuzz::Seen;
use hubbub_websocket::{Decoder, ProtocolError as E, Role};

use crate::wire::{LIMITS, check, ping, text, wire};

fn closed(code: Option<u16>, reason: &str) -> Seen {
    Seen::Close(code, reason.to_owned())
}

fn body(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_ref()].concat()
}

#[test]
fn nothing_comes_after_a_close() {
    // 7.1.
    check(&wire().text("hi").close(body(1000, "")), &[text("hi"), closed(Some(1000), "")], None);
    check(&wire().close("").close("").ping("late").text("late"), &[closed(None, "")], None);
    check(&wire().begin("open").close("").last("late"), &[closed(None, "")], None);
    check(&wire().close("").raw(&[0xff; 300]), &[closed(None, "")], None);
    let large = "*".repeat(262_144);
    check(
        &wire().begin("frag").ping("p").last("ment").text(&large).close(body(1000, "")).ping(""),
        &[ping(b"p"), text("fragment"), text(&large), closed(Some(1000), "")],
        None,
    );
}

#[test]
fn bodies() {
    // 7.3 and 7.5.
    check(&wire().close(""), &[closed(None, "")], None);
    check(&wire().close([3]), &[], Some(E::ClosePayload));
    check(&wire().close(body(1000, "Hello World!")), &[closed(Some(1000), "Hello World!")], None);
    let longest = "*".repeat(123);
    check(&wire().close(body(1000, &longest)), &[closed(Some(1000), &longest)], None);
    check(&wire().close(body(1000, "*".repeat(124))), &[], Some(E::ControlTooLong));
    check(&wire().close(body(1000, b"\xce\xba\xed\xa0\x80")), &[], Some(E::InvalidUtf8));
    check(&wire().close(body(1000, b"cut \xe2\x82")), &[], Some(E::InvalidUtf8));
}

#[test]
fn codes() {
    // 7.7 and 7.9, and every code between.
    let in_table =
        |code: u16| matches!(code, 1000..=1003 | 1007..=1011 | 1012..=1014 | 3000..=4999);
    for code in 0..=u16::MAX {
        let wire = wire().close(body(code, ""));
        let expected = if in_table(code) {
            (vec![closed(Some(code), "")], None)
        } else {
            (vec![], Some(E::CloseCode))
        };
        let run = hubbub_websocket::fuzz::run(Role::Server, &wire.0, &LIMITS, 3, 1);
        assert_eq!(run, expected, "{code}");
    }
}

#[test]
fn an_error_is_told_once_and_frees_everything() {
    let mut decoder = Decoder::new(Role::Server);
    let mut first = wire().begin("x".repeat(5000)).0;
    assert_eq!(decoder.next(&mut first, &LIMITS).unwrap().event, None);
    assert!(decoder.held_bytes() >= 5000);
    let mut bad = wire().text("interrupts").ping("after").0;
    assert_eq!(decoder.next(&mut bad, &LIMITS), Err(E::ContinuationMissing));
    assert!(decoder.is_ended());
    assert_eq!(decoder.held_bytes(), 0);
    let len = bad.len();
    let step = decoder.next(&mut bad, &LIMITS).unwrap();
    assert_eq!((step.consumed, step.event), (len, None));
}

#[test]
fn a_close_frees_the_message_it_interrupts() {
    for read in [usize::MAX, 1] {
        let mut decoder = Decoder::new(Role::Server);
        let mut begun = wire().begin("x".repeat(5000)).0;
        assert_eq!(decoder.next(&mut begun, &LIMITS).unwrap().event, None);
        let mut closes = wire().close(body(1000, "bye")).0;
        let mut last = None;
        for piece in closes.chunks_mut(read) {
            last = decoder.next(piece, &LIMITS).unwrap().event.map(Seen::from);
        }
        assert_eq!(last, Some(closed(Some(1000), "bye")));
        assert!(decoder.held_bytes() < 500, "{}", decoder.held_bytes());
    }
}

#[test]
fn text_that_ends_inside_a_character_is_freed_too() {
    for read in [usize::MAX, 1] {
        let mut decoder = Decoder::new(Role::Server);
        let mut stream = wire().begin("x".repeat(5000)).last(b"\xe2\x82").0;
        let error = stream.chunks_mut(read).find_map(|piece| decoder.next(piece, &LIMITS).err());
        assert_eq!(error, Some(E::InvalidUtf8));
        assert_eq!(decoder.held_bytes(), 0);
    }
}
