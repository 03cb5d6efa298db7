//! UTF-8 in messages: the matter of Autobahn group 6, with every sample in one frame, in fragments of
//! one byte, and cut by the network.

use hubbub_websocket::fuzz::run;
use hubbub_websocket::{OpCode, ProtocolError as E, Role};

use crate::wire::{LIMITS, Wire, check, text, wire};

/// The payload in fragments of `size` bytes.
fn fragments(payload: &[u8], size: usize) -> Wire {
    let mut stream = wire();
    let mut opcode = OpCode::Text;
    for piece in payload.chunks(size) {
        stream = stream.frame(false, opcode, piece);
        opcode = OpCode::Continuation;
    }
    stream.frame(true, opcode, "")
}

fn valid(payload: &[u8]) {
    let expected = [text(str::from_utf8(payload).unwrap())];
    check(&wire().text(payload), &expected, None);
    for size in 1..=payload.len().clamp(1, 5) {
        check(&fragments(payload, size), &expected, None);
    }
}

fn invalid(payload: &[u8]) {
    check(&wire().text(payload), &[], Some(E::InvalidUtf8));
    for size in 1..=payload.len().clamp(1, 5) {
        check(&fragments(payload, size), &[], Some(E::InvalidUtf8));
    }
}

#[test]
fn valid_text() {
    // 6.2, 6.5 to 6.7, 6.9, 6.11, 6.13, 6.22 and 6.23: the ends of each length's range, and what is
    // unusual but legal.
    valid(b"");
    valid("Hello-µ@ßöäüàá-UTF-8!!".as_bytes());
    valid("κόσμε".as_bytes());
    for c in [
        '\0',
        '\u{7f}',
        '\u{80}',
        '\u{7ff}',
        '\u{800}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{fffd}',
        '\u{feff}',
    ] {
        valid(format!("{c}").as_bytes());
        valid(format!("a{c}b{c}{c}").as_bytes());
    }
    // The last two code points of every plane are no characters, but may be exchanged.
    for plane in 0..=16 {
        for low in [0xfffe, 0xffff] {
            valid(String::from(char::from_u32(plane << 16 | low).unwrap()).as_bytes());
        }
    }
}

#[test]
fn invalid_text() {
    // 6.3, 6.8, 6.10, 6.12, 6.14 to 6.21.
    let samples: &[&[u8]] = &[
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xfb\xbf\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80\xbf\x80\xbf\x80",
        b"\xc0 \xc1 \xc2 \xdf ",
        b"\xe0 \xef ",
        b"\xf0 \xf7 ",
        b"\xf8 \xfb ",
        b"\xfc \xfd ",
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xf8\x80\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xc3\xe2\x82\xf0\x9f\x92",
        b"\xfe",
        b"\xff",
        b"\xfe\xfe\xff\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x80\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xc0\x80",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xae\x80",
        b"\xed\xaf\xbf",
        b"\xed\xb0\x80",
        b"\xed\xbe\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xed\xaf\xbf\xed\xbf\xbf",
    ];
    for sample in samples {
        invalid(sample);
        invalid(&[b"long enough for a vector register \xe2\x82\xac", *sample].concat());
    }
}

#[test]
fn a_character_may_not_end_with_its_message() {
    check(&wire().begin(b"\xe2\x82").last(b"\xac"), &[text("€")], None);
    check(&wire().begin(b"\xe2").last(b"\x82").text("x"), &[], Some(E::InvalidUtf8));
    check(
        &wire().begin(b"\xe2").ping("").more("").last(b"\x82\xac"),
        &[crate::wire::ping(b""), text("€")],
        None,
    );
}

#[test]
fn binary_may_be_anything() {
    let bytes = b"\xff\xfe\xed\xa0\x80".to_vec();
    check(&wire().binary(&bytes), &[hubbub_websocket::fuzz::Seen::Binary(bytes.clone())], None);
}

#[test]
fn invalid_text_is_refused_before_the_rest_arrives() {
    // 6.4: the message is never completed, and yet it fails at the octet that shows it.
    let refused_at = |stream: &Wire| {
        (0..=stream.0.len())
            .find(|&len| run(Role::Server, &stream.0[..len], &LIMITS, 1, usize::MAX).1.is_some())
    };
    let good = "κόσμε".as_bytes();
    let bad = b"\xf4\x90\x80\x80edited";

    // Header and key take six bytes each; the second octet of the bad sequence shows it.
    let fragmented = wire().begin(good).more(bad);
    assert_eq!(refused_at(&fragmented), Some(6 + good.len() + 6 + 2));
    let one_frame = wire().text([good, bad].concat());
    assert_eq!(refused_at(&one_frame), Some(6 + good.len() + 2));
}
