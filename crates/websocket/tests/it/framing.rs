//! Frames one by one: the matter of Autobahn groups 1 (framing), 2 (pings), 3 (reserved bits),
//! 4 (opcodes) and 10 (auto-fragmentation), plus lengths and masks, which it does not cover.

use hubbub_websocket::fuzz::{Seen, run};
use hubbub_websocket::{OpCode, ProtocolError as E, Role};

use crate::wire::{KEY, LIMITS, check, ping, text, wire};

const SIZES: [usize; 10] = [0, 1, 124, 125, 126, 127, 128, 65_535, 65_536, 70_001];

#[test]
fn group_1_text_and_binary_of_all_sizes() {
    for size in SIZES {
        let letters = "*".repeat(size);
        let bytes = vec![0xfe; size];
        check(&wire().text(&letters), &[text(&letters)], None);
        check(&wire().binary(&bytes), &[Seen::Binary(bytes.clone())], None);
    }
}

#[test]
fn group_2_pings_and_pongs() {
    let long: Vec<u8> = (0..125).map(|i| i ^ 0xa5).collect();
    check(&wire().ping(""), &[ping(b"")], None);
    check(&wire().ping("Hello"), &[ping(b"Hello")], None);
    check(
        &wire().ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        &[ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")],
        None,
    );
    check(&wire().ping(&long), &[ping(&long)], None);
    check(&wire().ping([0; 126]), &[], Some(E::ControlTooLong));
    check(&wire().pong("unasked"), &[Seen::Pong(b"unasked".to_vec())], None);
    let ten = (0..10).fold(wire(), |wire, i| wire.ping([i; 3]));
    let expected: Vec<_> = (0..10).map(|i| ping(&[i; 3])).collect();
    check(&ten, &expected, None);
}

#[test]
fn group_3_reserved_bits() {
    for rsv in 1..8u8 {
        for opcode in [1, 2, 8, 9, 10] {
            let stream =
                wire().text("before").first_byte(0x80 | rsv << 4 | opcode, "x").ping("after");
            check(&stream, &[text("before")], Some(E::ReservedBits));
        }
    }
}

#[test]
fn group_4_reserved_opcodes() {
    for opcode in (3..=7u8).chain(11..=15) {
        for payload in ["", "reserved"] {
            let stream = wire().text("before").first_byte(0x80 | opcode, payload).ping("after");
            check(&stream, &[text("before")], Some(E::ReservedOpcode));
        }
    }
}

#[test]
fn group_10_a_message_in_equal_fragments() {
    let whole = "*".repeat(65_536);
    let mut stream = wire().begin(&whole[..1300]);
    let mut rest = &whole[1300..];
    while rest.len() > 1300 {
        stream = stream.more(&rest[..1300]);
        rest = &rest[1300..];
    }
    check(&stream.last(rest), &[text(&whole)], None);
}

#[test]
fn group_9_sixteen_megabytes_in_one_frame_and_in_65536() {
    let size = 16 << 20;
    let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
    let one = wire().binary(&bytes);
    let mut many = wire().frame(false, OpCode::Binary, &bytes[..256]);
    let chunks: Vec<_> = bytes[256..].chunks(256).collect();
    for (i, chunk) in chunks.iter().enumerate() {
        many = many.frame(i + 1 == chunks.len(), OpCode::Continuation, chunk);
    }
    for stream in [one, many] {
        let (seen, error) = run(Role::Server, &stream.0, &LIMITS, 65_536, usize::MAX);
        assert_eq!(error, None);
        assert!(seen == [Seen::Binary(bytes.clone())]);
    }
}

#[test]
fn lengths_must_be_minimal_and_positive() {
    let padded = |len: &[u8]| wire().raw(&[0x82]).raw(len).raw(&KEY).raw(&[0; 125]);
    check(&padded(&[0xfe, 0, 125]), &[], Some(E::LengthNotMinimal));
    check(&padded(&[0xfe, 0, 0]), &[], Some(E::LengthNotMinimal));
    check(&padded(&[0xff, 0, 0, 0, 0, 0, 0, 0, 125]), &[], Some(E::LengthNotMinimal));
    check(&padded(&[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), &[], Some(E::LengthNotMinimal));
    check(&padded(&[0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), &[], Some(E::LengthOverflow));
    check(
        &padded(&[0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        &[],
        Some(E::MessageTooBig),
    );
}

#[test]
fn each_role_demands_its_mask() {
    check(&wire().text("masked").raw(b"\x81\x02hi"), &[text("masked")], Some(E::MaskMissing));

    let server = wire().raw(b"\x81\x02hi\x89\x00").text("masked").0;
    let (seen, error) = run(Role::Client, &server, &LIMITS, 1, usize::MAX);
    assert_eq!(seen, [text("hi"), ping(b"")]);
    assert_eq!(error, Some(E::MaskUnexpected));
}
