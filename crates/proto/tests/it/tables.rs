//! The tables of reasons, close codes and codecs contradict neither themselves nor the RFC.

use std::collections::BTreeSet;

use hubbub_proto::codec::Codec;
use hubbub_proto::{CloseCode, Reason};

#[test]
fn every_reason_is_named_once_and_follows_http() {
    let slugs: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.slug()).collect();
    assert_eq!(slugs.len(), Reason::ALL.len());
    for &reason in Reason::ALL {
        let slug = reason.slug();
        assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{slug}");
        assert!((400..600).contains(&reason.code()), "{slug}");
        assert!(reason.message().ends_with('.'), "{slug} has a sentence");
        // What the server is to blame for may be tried again.
        assert!(reason.code() < 500 || reason.retry(), "{slug}");
    }
}

#[test]
fn every_close_code_may_be_sent_and_fits_its_frame() {
    let codes: BTreeSet<_> = CloseCode::ALL.iter().map(|close| close.code()).collect();
    assert_eq!(codes.len(), CloseCode::ALL.len());
    for close in CloseCode::ALL {
        let code = close.code();
        // RFC 6455 §7.4.1 keeps 1004 to 1006 and 1015 out of frames; §7.4.2 leaves 4000 on to us.
        let of_the_rfc = (1000..=1011).contains(&code) && !(1004..=1006).contains(&code);
        assert!(of_the_rfc || (4000..5000).contains(&code), "{code}");
        // RFC 6455 §5.5: a control frame holds 125 bytes, two of them the code.
        assert!(close.reason().len() <= 123, "{code}");
        assert!(!close.advice().is_empty(), "{code}");
    }
}

#[test]
fn a_codec_is_found_by_its_subprotocol_and_index() {
    for (index, codec) in Codec::ALL.into_iter().enumerate() {
        assert_eq!(codec.index(), index);
        assert_eq!(Codec::from_subprotocol(codec.subprotocol()), Some(codec));
    }
    for unknown in ["", "hubbub.v1", "HUBBUB.V1.JSON", "hubbub.v2.json"] {
        assert_eq!(Codec::from_subprotocol(unknown), None);
    }
}
