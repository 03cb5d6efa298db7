//! Messages in fragments: the matter of Autobahn group 5, and the limit on their number.

use hubbub_websocket::fuzz::Seen;
use hubbub_websocket::{Limits, OpCode, ProtocolError as E};

use crate::wire::{LIMITS, check, check_with, ping, text, wire};

#[test]
fn control_frames_are_never_fragmented() {
    // 5.1 and 5.2, and the same for close.
    check(&wire().frame(false, OpCode::Ping, "a").last("b"), &[], Some(E::ControlFragmented));
    check(&wire().frame(false, OpCode::Pong, "a").last("b"), &[], Some(E::ControlFragmented));
    check(&wire().frame(false, OpCode::Close, "").last(""), &[], Some(E::ControlFragmented));
}

#[test]
fn fragments_with_pings_between_them() {
    // 5.3 to 5.8.
    check(&wire().begin("frag1").last("frag2"), &[text("frag1frag2")], None);
    check(&wire().begin("frag1").ping("p").last("frag2"), &[ping(b"p"), text("frag1frag2")], None);
    // 5.19 and 5.20.
    check(
        &wire().begin("1").more("2").ping("one").more("3").more("4").ping("two").last("5"),
        &[ping(b"one"), ping(b"two"), text("12345")],
        None,
    );
    check(
        &wire().begin("a").pong("p").last("b").binary("next"),
        &[Seen::Pong(b"p".to_vec()), text("ab"), Seen::Binary(b"next".to_vec())],
        None,
    );
}

#[test]
fn empty_fragments() {
    check(&wire().begin("").more("").last(""), &[text("")], None);
    check(&wire().begin("").more("x").last(""), &[text("x")], None);
    check(&wire().frame(false, OpCode::Binary, "").last(""), &[Seen::Binary(Vec::new())], None);
}

#[test]
fn a_continuation_needs_a_beginning() {
    // 5.9 to 5.14.
    let refused = Some(E::ContinuationUnexpected);
    check(&wire().last("nothing").text("after"), &[], refused);
    check(&wire().more("nothing").text("after"), &[], refused);
    // 5.15: a second ending.
    check(&wire().begin("1").last("2").more("3").last("4"), &[text("12")], refused);
    // 5.16 and 5.17.
    check(&wire().more("1").begin("2").last("3"), &[], refused);
    check(&wire().last("1").begin("2").last("3"), &[], refused);
}

#[test]
fn a_beginning_needs_its_continuation() {
    // 5.18.
    let refused = Some(E::ContinuationMissing);
    check(&wire().begin("1").begin("2"), &[], refused);
    check(&wire().begin("1").text("2"), &[], refused);
    check(&wire().begin("1").ping("p").binary("2"), &[ping(b"p")], refused);
}

#[test]
fn a_close_may_interrupt_a_message() {
    check(
        &wire().begin("1").close(b"\x03\xe8").last("2"),
        &[Seen::Close(Some(1000), String::new())],
        None,
    );
}

#[test]
fn fragments_are_counted_even_when_empty() {
    let limits = Limits { fragments_max: 3, ..LIMITS };
    let check = |wire, events: &[_], error| check_with(&wire, &limits, events, error);
    check(wire().begin("a").more("b").last("c"), &[text("abc")], None);
    check(wire().begin("a").more("b").more("c").last("d"), &[], Some(E::TooManyFragments));
    check(wire().begin("").more("").more("").more(""), &[], Some(E::TooManyFragments));
    check(
        wire().begin("a").ping("1").more("b").ping("2").last("c").text("again"),
        &[ping(b"1"), ping(b"2"), text("abc"), text("again")],
        None,
    );
}
