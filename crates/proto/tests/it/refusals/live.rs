//! Channels.

use hubbub_proto::Reason;

use super::{check, refused};

#[track_caller]
fn bad(kind: &str, payload: &str, sentence: &str) {
    let message = format!(r#"{{"type":"{kind}","id":"c-1","payload":{payload}}}"#);
    check(&message, Reason::BadField, sentence);
}

#[test]
fn a_channel_has_a_name() {
    let kinds = ["subscribe", "unsubscribe", "publish", "channel_history", "channel_presence"];
    for kind in kinds {
        bad(kind, "{}", "`channel` is missing.");
        for channel in [
            "17",
            "null",
            "true",
            "[]",
            r#""""#,
            r#""news""#,
            r#""news:""#,
            r#"":a""#,
            r#""News:a""#,
            r#""news:a b""#,
            r#""news:a*b""#,
            r#""news*""#,
            r#""*""#,
            r#""user:bob""#,
            r#""chan:x""#,
            r#""room:x""#,
            r#""news:\u00e9""#,
        ] {
            let payload = format!(r#"{{"channel":{channel},"data":1}}"#);
            let message = format!(r#"{{"type":"{kind}","id":"c-1","payload":{payload}}}"#);
            let refusal = refused(message.as_bytes()).refusal;
            assert_eq!(refusal.reason, Reason::BadField, "{message}");
            assert!(refusal.message().starts_with("`channel`"), "{}", refusal.message());
        }
    }
}

#[test]
fn a_position_is_an_offset_and_an_epoch() {
    for recover in ["17", r#""x""#, "[]", "true"] {
        let payload = format!(r#"{{"channel":"news:a","recover":{recover}}}"#);
        bad("subscribe", &payload, "`recover` must be an object: {offset, epoch}.");
    }
    for (recover, sentence) in [
        ("{}", "`offset` is missing."),
        (r#"{"offset":1}"#, "`epoch` is missing."),
        (r#"{"offset":-1,"epoch":"00c0ffee"}"#, "`recover` must be a whole number, 0 or more."),
        (r#"{"offset":1.5,"epoch":"00c0ffee"}"#, "`recover` must be a whole number, 0 or more."),
        (r#"{"offset":1,"epoch":"c0ffee"}"#, "`recover` must be an epoch of 8 hexadecimal digits."),
        (
            r#"{"offset":1,"epoch":"+0c0ffee"}"#,
            "`recover` must be an epoch of 8 hexadecimal digits.",
        ),
        (r#"{"offset":1,"epoch":12345678}"#, "`recover` must be a string."),
    ] {
        let payload = format!(r#"{{"channel":"news:a","recover":{recover}}}"#);
        bad("subscribe", &payload, sentence);
    }
}

#[test]
fn a_page_has_one_direction() {
    let both = r#"{"channel":"news:a","after":1,"before":9}"#;
    bad("channel_history", both, "Give one of `before` and `after`.");
    for field in ["after", "before", "limit"] {
        let payload = format!(r#"{{"channel":"news:a","{field}":-1}}"#);
        let sentence = match field {
            "limit" => "`limit` must be a whole number from 0 to 4294967295.",
            _ => &format!("`{field}` must be a whole number, 0 or more."),
        };
        bad("channel_history", &payload, sentence);
    }
    let epoch = r#"{"channel":"news:a","epoch":"xyz"}"#;
    bad("channel_history", epoch, "`epoch` must be an epoch of 8 hexadecimal digits.");
}

#[test]
fn a_name_of_a_publication_is_a_client_id() {
    let payload = r#"{"channel":"news:a","data":1,"client_id":"a b"}"#;
    bad(
        "publish",
        payload,
        "`client_id`: client id must be 1 to 64 printable ASCII characters without spaces.",
    );
}

#[test]
fn a_pattern_is_only_subscribed_to() {
    for kind in ["publish", "channel_history", "channel_presence"] {
        let payload = r#"{"channel":"news:*","data":1}"#;
        let message = format!(r#"{{"type":"{kind}","id":"c-1","payload":{payload}}}"#);
        assert_eq!(refused(message.as_bytes()).refusal.reason, Reason::BadField, "{kind}");
    }
    bad("subscribe", r#"{"channel":"news:*","token":7}"#, "`token` must be a string.");
    let limit = r#"{"channel":"news:a","limit":-1}"#;
    bad("channel_presence", limit, "`limit` must be a whole number from 0 to 4294967295.");
    bad(
        "publish",
        r#"{"channel":"news:a","data":1,"key":""}"#,
        "`key`: key must be 1 to 64 printable ASCII characters without spaces.",
    );
}
