//! Bad input: each message gets a coded error that names what is wrong, and the id if it had one.

use hubbub_proto::codec::{Codec, Malformed};
use hubbub_proto::command::{
    MEMBERS_MAX, PRESENCE_USERS_MAX, ROLES_MAX, SYNC_CURSORS_MAX, USERS_MAX,
};
use hubbub_proto::limits::Limits;
use hubbub_proto::{Command, Reason, fuzz};
use serde_json::json;

use crate::samples::{COMMANDS, message};

mod live;
mod push;

#[track_caller]
fn refused(message: &[u8]) -> Malformed {
    fuzz::command(message);
    match Codec::Json.decode(message, &Limits::default()) {
        Err(malformed) => *malformed,
        Ok(incoming) => panic!("taken: {incoming:?}"),
    }
}

#[track_caller]
fn check(message: &str, reason: Reason, sentence: &str) {
    let malformed = refused(message.as_bytes());
    assert_eq!(malformed.refusal.reason, reason, "{message}");
    assert_eq!(malformed.refusal.message(), sentence, "{message}");
    if message.contains(r#""id":"c-1""#) {
        assert_eq!(malformed.id.unwrap().as_str(), "c-1", "{message}");
    }
}

#[test]
fn what_is_not_a_json_object() {
    for (message, sentence) in [
        ("[]", "The message must be one JSON object."),
        ("null", "The message must be one JSON object."),
        ("17", "The message must be one JSON object."),
        (r#""send""#, "The message must be one JSON object."),
        ("", "The message is not valid JSON: EOF while parsing a value at line 1 column 0."),
        ("hello", "The message is not valid JSON: expected value at line 1 column 1."),
        (
            r#"{"type":"ping","id":"c-1","payload":{}"#,
            "The message is not valid JSON: EOF while parsing an object at line 1 column 38.",
        ),
        (
            r#"{"type":"ping","id":"c-1","payload":{}}{}"#,
            "The message is not valid JSON: trailing characters at line 1 column 40.",
        ),
        (
            r#"{"type":"ping","id":"c-1",}"#,
            "The message is not valid JSON: trailing comma at line 1 column 27.",
        ),
        (
            r#"{'type':'ping'}"#,
            "The message is not valid JSON: key must be a string at line 1 column 2.",
        ),
        (
            r#"{"type":"read","id":"c-1","payload":{"seq":01}}"#,
            "The message is not valid JSON: invalid number at line 1 column 45.",
        ),
        (
            r#"{"type":"send","id":"c-1","payload":{"content":NaN}}"#,
            "The message is not valid JSON: expected value at line 1 column 48.",
        ),
    ] {
        check(message, Reason::BadJson, sentence);
    }
}

#[test]
fn binary_garbage() {
    for message in [
        &b"\xff\xfe\x00\x01"[..],
        b"\0",
        b"\x80",
        b"{\"type\":\"ping\",\"x\":\"\xc3\x28\"}",
        b"\xed\xa0\x80",
        b"\x82\xa4type\xa4ping",
    ] {
        assert_eq!(refused(message).refusal.reason, Reason::BadJson);
    }
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(refused(&all).refusal.reason, Reason::BadJson);
}

#[test]
fn unknown_types() {
    check(
        r#"{"type":"sned","id":"c-1","payload":{}}"#,
        Reason::UnknownType,
        "There is no command of type `sned`.",
    );
    // Events are not commands.
    check(
        r#"{"type":"message","id":"c-1"}"#,
        Reason::UnknownType,
        "There is no command of type `message`.",
    );
    check(r#"{"type":"","id":"c-1"}"#, Reason::UnknownType, "There is no command of type ``.");
    check(
        r#"{"type":"a`<b>\n\u0000é","id":"c-1","payload":17}"#,
        Reason::UnknownType,
        "There is no command of type `a?<b>???`.",
    );
    let long = "x".repeat(10_000);
    check(
        &format!(r#"{{"type":"{long}","id":"c-1"}}"#),
        Reason::UnknownType,
        &format!("There is no command of type `{}`.", &long[..64]),
    );
}

#[test]
fn a_bad_envelope() {
    let table = [
        (r#"{"id":"c-1","payload":{}}"#, "`type` is missing."),
        (r#"{"type":5,"id":"c-1"}"#, "`type` must be a string."),
        (r#"{"type":null,"id":"c-1"}"#, "`type` must be a string."),
        (r#"{"type":["send"],"id":"c-1"}"#, "`type` must be a string."),
        (r#"{"type":"read","id":"c-1","payload":[1]}"#, "`payload` must be an object."),
        (r#"{"type":"read","id":"c-1","payload":"x"}"#, "`payload` must be an object."),
        (r#"{"type":"ping","id":"c-1","payload":7}"#, "`payload` must be an object."),
        (r#"{"type":"read","payload":{},"id":"c-1"}"#, "`conversation` is missing."),
    ];
    for (message, sentence) in table {
        check(message, Reason::BadField, sentence);
    }
    let rule = "`id` must be a string of 1 to 64 printable ASCII characters without spaces.";
    let huge = format!("\"{}\"", "9".repeat(65));
    for id in [
        r#""""#,
        r#""a b""#,
        r#""é""#,
        r#""\n""#,
        "1.5",
        "1e400",
        "true",
        "[1]",
        "{}",
        "18446744073709551616",
        &huge,
    ] {
        for message in [
            format!(r#"{{"type":"ping","id":{id}}}"#),
            format!(r#"{{"id":{id},"type":"nonsense"}}"#),
        ] {
            check(&message, Reason::BadField, rule);
            assert!(refused(message.as_bytes()).id.is_none());
        }
    }
}

#[test]
fn missing_and_mistyped_fields() {
    const NAME: &str = "1 to 128 characters out of A-Z a-z 0-9 . _ @ + = ~ | -";
    let name = |what: &str| format!("{what} must be {NAME}.");
    let seq = "`seq` must be a whole number, 0 or more.";
    let token = "client id must be 1 to 64 printable ASCII characters without spaces.";
    let conversation =
        "`conversation`: conversation id must be direct:USER:USER (in order) or group:GROUP.";
    let to = "`to`: recipient must be user:ID, group:ID or direct:ID:ID (the ids in order).";
    let kind =
        "`kind`: kind must be text, image, file, audio, video, location, card or custom:NAME.";
    let group_name =
        "`name`: group name must be 1 to 128 characters, none of them a control character.";
    let long = "x".repeat(129);
    let seq_of = |field: &str| format!("`{field}` must be a whole number, 0 or more.");
    let table = [
        ("auth", "{}".into(), "`token` is missing.".to_owned()),
        ("auth", r#"{"token":5}"#.into(), "`token` must be a string.".into()),
        ("auth", r#"{"token":"t","device":{}}"#.into(), "`id` is missing.".into()),
        ("auth", r#"{"token":"t","device":{"id":""}}"#.into(), name("`device`: device id")),
        ("send", r#"{"content":1,"client_id":"m"}"#.into(), "`to` is missing.".into()),
        ("send", r#"{"to":"user:bob","client_id":"m"}"#.into(), "`content` is missing.".into()),
        ("send", r#"{"to":"user:bob","content":1}"#.into(), "`client_id` is missing.".into()),
        (
            "send",
            r#"{"to":"user:bob","content":1,"client_id":"m","to":"user:eve"}"#.into(),
            "`to` is there twice.".into(),
        ),
        (
            "send",
            r#"{"to":5,"content":1,"client_id":"m"}"#.into(),
            "`to` must be user:ID, group:ID or a conversation id.".into(),
        ),
        ("send", r#"{"to":"bob","content":1,"client_id":"m"}"#.into(), to.into()),
        ("send", r#"{"to":"group:","content":1,"client_id":"m"}"#.into(), to.into()),
        ("send", r#"{"to":"room:x","content":1,"client_id":"m"}"#.into(), to.into()),
        ("send", r#"{"to":"direct:bob:alice","content":1,"client_id":"m"}"#.into(), to.into()),
        ("send", r#"{"to":"user:a b","content":1,"client_id":"m"}"#.into(), name("`to`: user id")),
        (
            "send",
            format!(r#"{{"to":"user:{long}","content":1,"client_id":"m"}}"#),
            name("`to`: user id"),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"client_id":""}"#.into(),
            format!("`client_id`: {token}"),
        ),
        (
            "send",
            format!(r#"{{"to":"user:bob","content":1,"client_id":"{long}"}}"#),
            format!("`client_id`: {token}"),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"client_id":{}}"#.into(),
            "`client_id` must be a client id.".into(),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"client_id":"m","after":"a b"}"#.into(),
            format!("`after`: {token}"),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"client_id":"m","kind":"member_left"}"#.into(),
            kind.into(),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"client_id":"m","kind":"custom:a b"}"#.into(),
            kind.into(),
        ),
        ("read", r#"{"seq":1}"#.into(), "`conversation` is missing.".into()),
        ("read", r#"{"conversation":"group:t"}"#.into(), "`seq` is missing.".into()),
        ("read", r#"{"conversation":"group:t","seq":-1}"#.into(), seq.into()),
        ("read", r#"{"conversation":"group:t","seq":1.0}"#.into(), seq.into()),
        ("read", r#"{"conversation":"group:t","seq":"1"}"#.into(), seq.into()),
        ("read", r#"{"conversation":"group:t","seq":null}"#.into(), seq.into()),
        ("read", r#"{"conversation":"group:t","seq":18446744073709551616}"#.into(), seq.into()),
        ("received", r#"{"conversation":"direct:b:a","seq":1}"#.into(), conversation.into()),
        ("received", r#"{"conversation":"x","seq":1}"#.into(), conversation.into()),
        (
            "received",
            r#"{"conversation":[[[]]],"seq":1}"#.into(),
            "`conversation` must be a conversation id.".into(),
        ),
        (
            "typing",
            r#"{"conversation":"group:t","active":1}"#.into(),
            "`active` must be true or false.".into(),
        ),
        (
            "history",
            r#"{"conversation":"group:t","before":9,"after":3}"#.into(),
            "Give one of `before`, `after` and `around`.".into(),
        ),
        (
            "history",
            r#"{"conversation":"group:t","limit":5000000000}"#.into(),
            "`limit` must be a whole number from 0 to 4294967295.".into(),
        ),
        ("pull", r#"{"conversation":"group:t","from":1}"#.into(), "`to` is missing.".into()),
        (
            "sync",
            r#"{"cursors":[]}"#.into(),
            "`cursors` must be a map from conversation id to seq.".into(),
        ),
        (
            "sync",
            r#"{"cursors":{"group:t":-1}}"#.into(),
            "`cursors` must be a whole number, 0 or more.".into(),
        ),
        ("group_create", "{}".into(), "`name` is missing.".into()),
        ("group_create", r#"{"name":""}"#.into(), group_name.into()),
        ("group_create", r#"{"name":"a\u0007b"}"#.into(), group_name.into()),
        ("group_create", format!(r#"{{"name":"{long}"}}"#), group_name.into()),
        (
            "group_create",
            r#"{"name":5}"#.into(),
            "`name` must be text of 1 to 128 characters.".into(),
        ),
        (
            "group_create",
            r#"{"name":"x","members":"bob"}"#.into(),
            "`members` must be an array of at most 1000 user ids.".into(),
        ),
        ("group_create", r#"{"name":"x","members":["bob",""]}"#.into(), name("`members`: user id")),
        (
            "group_create",
            r#"{"name":"x","join":"anyone"}"#.into(),
            "`join` must be one of `invite`, `approval`, `open`.".into(),
        ),
        ("group_update", r#"{"group":"g","name":"\n"}"#.into(), group_name.into()),
        ("group_update", r#"{"group":"g","retention_ms":-1}"#.into(), "`retention_ms` must be a whole number, 0 or more.".into()),
        ("group_update", r#"{"group":"g","retention_ms":"1"}"#.into(), "`retention_ms` must be a whole number, 0 or more.".into()),
        ("group_join", r#"{"group":"group:"}"#.into(), name("`group`: group id")),
        (
            "group_invite",
            r#"{"group":"g","members":[]}"#.into(),
            "`members` must name at least one user.".into(),
        ),
        ("edit", r#"{"conversation":"group:t","seq":1}"#.into(), "`content` is missing.".into()),
        ("edit", r#"{"conversation":"group:t","seq":"1","content":1}"#.into(), seq.into()),
        (
            "edit",
            r#"{"conversation":"group:t","seq":1,"content":"\ud800"}"#.into(),
            "`content` must not hold half of a surrogate pair or a number out of range.".into(),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"forward":{"conversation":"group:t","seq":1},"client_id":"m"}"#.into(),
            "Give `content` or `forward`, not both.".into(),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"expires_in_ms":0,"client_id":"m"}"#.into(),
            "`expires_in_ms` must be at least 1.".into(),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"mentions":"bob","client_id":"m"}"#.into(),
            "`mentions` must be an array of at most 50 user ids.".into(),
        ),
        (
            "send",
            r#"{"to":"user:bob","content":1,"reply_to":-1,"client_id":"m"}"#.into(),
            "`reply_to` must be a whole number, 0 or more.".into(),
        ),
        (
            "delete",
            r#"{"conversation":"group:t","seq":1,"for":"them"}"#.into(),
            "`for` must be `me` or `all`.".into(),
        ),
        (
            "pin",
            r#"{"conversation":"group:t","seq":1,"active":0}"#.into(),
            "`active` must be true or false.".into(),
        ),
        ("clear", r#"{"conversation":"t","seq":1}"#.into(), conversation.into()),
        ("pins", r#"{"conversation":7}"#.into(), conversation.into()),
        ("recall", r#"{"conversation":"t","seq":1}"#.into(), conversation.into()),
        (
            "react",
            r#"{"conversation":"group:t","seq":1,"emoji":"a b"}"#.into(),
            "`emoji`: emoji must be 1 to 64 bytes without spaces and control characters.".into(),
        ),
        (
            "react",
            format!(r#"{{"conversation":"group:t","seq":1,"emoji":"{long}"}}"#),
            "`emoji`: emoji must be 1 to 64 bytes without spaces and control characters.".into(),
        ),
        (
            "react",
            r#"{"conversation":"group:t","seq":1,"emoji":"x","active":"yes"}"#.into(),
            "`active` must be true or false.".into(),
        ),
        (
            "reactions",
            r#"{"conversation":"group:t","seq":1,"after":{"emoji":"x"}}"#.into(),
            "`user` is missing.".into(),
        ),
        ("edits", r#"{"conversation":"group:t","seq":-1}"#.into(), seq.into()),
        (
            "group_role",
            r#"{"group":"g","user":"u","role":"king"}"#.into(),
            "`role` must be one of `member`, `admin`, `owner`.".into(),
        ),
        (
            "group_update",
            format!(r#"{{"group":"g","announcement":"{}"}}"#, "x".repeat(501)),
            "`announcement`: at most 500 characters, none of them a control character but newline and tab."
                .into(),
        ),
        (
            "group_update",
            r#"{"group":"g","announcement":["x"]}"#.into(),
            "`announcement` must be text of at most 500 characters.".into(),
        ),
        (
            "group_join",
            r#"{"group":"g","note":"a\u0000b"}"#.into(),
            "`note`: at most 200 characters, none of them a control character but newline and tab."
                .into(),
        ),
        ("group_ban", r#"{"group":"g","user":"u","until":-1}"#.into(), {
            "`until` must be a whole number, 0 or more.".into()
        }),
        ("group_ban", r#"{"group":"g","user":"u","until":"tomorrow"}"#.into(), {
            "`until` must be a whole number, 0 or more.".into()
        }),
        ("group_mute", r#"{"group":"g","muted":"yes"}"#.into(), {
            "`muted` must be true or false.".into()
        }),
        ("group_mute", r#"{"group":"g","user":"","muted":true}"#.into(), name("`user`: user id")),
        ("group_unban", r#"{"group":"a b","user":"u"}"#.into(), name("`group`: group id")),
        ("group_approve", r#"{"group":"g","user":{}}"#.into(), "`user` must be a user id.".into()),
        ("group_requests", r#"{"group":"g","limit":-1}"#.into(), {
            "`limit` must be a whole number from 0 to 4294967295.".into()
        }),
        ("group_bans", r#"{"group":"g","after":""}"#.into(), name("`after`: user id")),
        ("group_join", r#"{"group":"g","link":"a b"}"#.into(), {
            "`link`: link must be 1 to 64 letters and digits.".into()
        }),
        ("group_link_create", r#"{"group":"g","uses_max":-1}"#.into(), {
            "`uses_max` must be a whole number from 0 to 4294967295.".into()
        }),
        ("group_link_create", r#"{"group":"g","expires_in_ms":1.5}"#.into(), {
            "`expires_in_ms` must be a whole number, 0 or more.".into()
        }),
        ("group_link_revoke", r#"{"group":"g","link":""}"#.into(), {
            "`link`: link must be 1 to 64 letters and digits.".into()
        }),
        ("group_link_revoke", r#"{"group":"g","link":5}"#.into(), "`link` must be a link.".into()),
        ("conversation_update", r#"{"conversation":"group:t","draft":{}}"#.into(), {
            "`draft` must be a string.".into()
        }),
        ("conversation_update", r#"{"conversation":"group:t","pinned":"yes"}"#.into(), {
            "`pinned` must be true or false.".into()
        }),
        ("conversation_update", r#"{"conversation":"group:t","muted_until":-1}"#.into(), seq_of("muted_until")),
        ("receipts", r#"{"conversation":"group:t","seq":"x"}"#.into(), seq.into()),
    ];
    for (kind, payload, sentence) in table {
        check(&message(kind, &payload), Reason::BadField, &sentence);
    }
}

#[test]
fn every_required_field_is_required() {
    // Of two fields one is required there, which another test looks at.
    let of_one = COMMANDS.iter().filter(|(name, ..)| *name != "device_sign_out");
    for &(name, least, _) in of_one {
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(least).unwrap();
        for missing in fields.keys() {
            let mut rest = fields.clone();
            rest.remove(missing);
            let payload = serde_json::to_string(&rest).unwrap();
            let sentence = format!("`{missing}` is missing.");
            check(&message(name, &payload), Reason::BadField, &sentence);
        }
    }
}

#[test]
fn long_arrays() {
    let users = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let at_most = format!(r#"{{"name":"x","members":[{}]}}"#, users(MEMBERS_MAX));
    let taken =
        Codec::Json.decode(message("group_create", &at_most).as_bytes(), &Limits::default());
    assert!(matches!(
        taken.unwrap().command,
        Command::GroupCreate(create) if create.members.len() == MEMBERS_MAX
    ));
    let more = format!(r#"{{"name":"x","members":[{}]}}"#, users(MEMBERS_MAX + 1));
    let sentence = "`members`: at most 1000 users in one command.";
    check(&message("group_create", &more), Reason::BadField, sentence);

    let cursors = |n: usize| {
        let cursors: Vec<_> = (0..n).map(|i| format!(r#""group:{i}":1"#)).collect();
        message("sync", &format!(r#"{{"cursors":{{{}}}}}"#, cursors.join(",")))
    };
    let taken = Codec::Json.decode(cursors(SYNC_CURSORS_MAX).as_bytes(), &Limits::default());
    assert!(taken.is_ok());
    let sentence = "`cursors`: at most 1000 cursors in one sync.";
    check(&cursors(SYNC_CURSORS_MAX + 1), Reason::BadField, sentence);
}

#[test]
fn content_that_is_not_of_its_kind() {
    let text = "`content` of kind text must be a string that is not empty, or an object with such a \
                `text`.";
    let url = "`content.url` must be an http, https or relative URL of at most 2048 bytes, without \
               spaces and control characters.";
    for (kind, content, sentence) in [
        ("text", r#""""#, text),
        ("text", "7", text),
        ("text", "null", text),
        ("text", r#"["hi"]"#, text),
        ("text", r#"{"text":""}"#, "`content.text` must be a string that is not empty."),
        ("image", r#""https://a""#, "`content` of kind image must be an object."),
        ("file", "{}", "`content.url` is missing."),
        ("audio", r#"{"url":"data:audio/ogg;base64,AA"}"#, url),
        ("video", r#"{"url":"java\u0009script:alert(1)"}"#, url),
        ("image", r#"{"url":"a","size":-1}"#, "`content.size` must be a number, 0 or more."),
        (
            "location",
            r#"{"latitude":91,"longitude":0}"#,
            "`content.latitude` must be a number from -90 to 90.",
        ),
        ("card", r#"{"title":7}"#, "`content.title` must be a string."),
    ] {
        let payload =
            format!(r#"{{"to":"user:bob","kind":"{kind}","content":{content},"client_id":"m"}}"#);
        check(&message("send", &payload), Reason::BadContent, sentence);
        let payload = payload.replace(kind, "custom:any");
        let taken = Codec::Json.decode(message("send", &payload).as_bytes(), &Limits::default());
        assert!(taken.is_ok(), "{payload}");
    }
    // Without a kind it is text.
    let payload = r#"{"to":"user:bob","content":7,"client_id":"m"}"#;
    check(&message("send", payload), Reason::BadContent, text);
    // Nothing is read out of a field beyond the table, however large.
    let many = r#"{"text":7},"#.repeat(4_000);
    let payload = format!(
        r#"{{"to":"user:bob","content":{{"more":[{}],"text":"hi"}},"client_id":"m"}}"#,
        &many[..many.len() - 1]
    );
    let taken = Codec::Json.decode(message("send", &payload).as_bytes(), &Limits::default());
    assert!(taken.is_ok());
}

#[test]
fn deep_nesting() {
    let most = Limits::default().content_depth_max as usize;
    let send = |content: &str| {
        message("send", &format!(r#"{{"to":"user:bob","content":{content},"client_id":"m"}}"#))
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let sentence = "`content` must not be nested deeper than 32 levels.";
    check(&send(&nested(most + 1)), Reason::TooDeep, sentence);
    check(&send(&nested(30_000)), Reason::TooDeep, sentence);
    check(
        &send(&format!("{}1{}", r#"{"a":"#.repeat(9_000), "}".repeat(9_000))),
        Reason::TooDeep,
        sentence,
    );

    // Deep input must not reach the end of the stack wherever it stands.
    let unlimited = Limits { message_bytes_max: u32::MAX, ..Limits::default() };
    let deep = nested(100_000);
    let open = "[".repeat(100_000);
    let objects = r#"{"a":"#.repeat(100_000);
    for json in [&deep, &open, &objects] {
        for message in [
            json.clone(),
            format!(r#"{{"type":{json},"id":"c-1"}}"#),
            format!(r#"{{"id":{json},"type":"ping"}}"#),
            format!(r#"{{"type":"ping","id":"c-1","timestamp":{json},"payload":{json}}}"#),
            format!(r#"{{"type":"ping","payload":{{"x":{json}}},"id":"c-1"}}"#),
            format!(r#"{{"payload":{{"seq":{json}}},"type":"read"}}"#),
            format!(r#"{{"type":"read","payload":{{"conversation":{json}}}}}"#),
            format!(r#"{{"type":"group_create","payload":{{"name":"x","members":{json}}}}}"#),
            format!(r#"{{"type":"auth","payload":{{"token":"x","device":{json}}}}}"#),
            format!(r#"{{"type":"sync","payload":{{"cursors":{{"group:x":{json}}}}}}}"#),
            send(json),
        ] {
            fuzz::command(message.as_bytes());
            if let Err(malformed) = Codec::Json.decode(message.as_bytes(), &unlimited) {
                assert!(malformed.refusal.message().len() <= 256);
            }
        }
    }
}

#[test]
fn oversize_messages() {
    let limits = Limits { message_bytes_max: 100, ..Limits::default() };
    let fits = format!("{:<100}", r#"{"type":"ping"}"#);
    assert!(Codec::Json.decode(fits.as_bytes(), &limits).is_ok());
    let over = format!("{fits} ");
    let malformed = Codec::Json.decode(over.as_bytes(), &limits).unwrap_err();
    assert_eq!(malformed.refusal.reason, Reason::TooBig);
}

#[test]
fn a_refusal_does_not_repeat_what_it_refuses() {
    let secret = "hunter2".repeat(1_000);
    for message in [
        format!(r#"{{"type":"auth","payload":{{"token":["{secret}"]}}}}"#),
        format!(r#"{{"type":"auth","payload":{{"token":"t","device":"{secret}"}}}}"#),
        format!(r#"{{"type":"read","payload":{{"seq":"{secret}, expected 1"}}}}"#),
        format!(r#"{{"type":"send","payload":{{"to":"user: {secret}"}}}}"#),
        format!(r#"{{"type":"group_role","payload":{{"role":"{secret}"}}}}"#),
        format!(r#"{{"type":"group_role","payload":{{"role":"{secret} at line 1, expected x"}}}}"#),
        format!(r#"{{"type":"read","payload":"{secret}"}}"#),
        format!(r#"{{"type":"ping","id":"{secret}"}}"#),
    ] {
        let refusal = refused(message.as_bytes()).refusal;
        assert!(!refusal.message().contains("hunter2"), "{}", refusal.message());
    }
}

#[test]
fn presence() {
    let get = |payload: &str| message("presence_get", payload);
    let users = |n: usize| {
        let users: Vec<_> = (0..n).map(|n| format!(r#""u{n}""#)).collect();
        get(&format!(r#"{{"users":[{}],"friends":null}}"#, users.join(",")))
    };
    let taken = Codec::Json.decode(users(PRESENCE_USERS_MAX).as_bytes(), &Limits::default());
    assert!(matches!(taken.unwrap().command, Command::PresenceGet(get) if get.users.len() == 200));
    let sentence = "`users`: at most 200 users in one command.";
    check(&users(PRESENCE_USERS_MAX + 1), Reason::BadField, sentence);
    for payload in
        [r#"{"users":"bob"}"#, r#"{"users":[""]}"#, r#"{"friends":1}"#, r#"{"watch":"x"}"#]
    {
        assert_eq!(refused(get(payload).as_bytes()).refusal.reason, Reason::BadField, "{payload}");
    }
    for payload in ["{}", r#"{"status":"offline"}"#, r#"{"status":1}"#, r#"{"status":null}"#] {
        let set = message("presence_set", payload);
        assert_eq!(refused(set.as_bytes()).refusal.reason, Reason::BadField, "{payload}");
    }
}

#[test]
fn people_with_bad_fields() {
    let long = "x".repeat(257);
    let far = format!("https://{}", "x".repeat(2_048));
    let crowd: Vec<String> = (0..=USERS_MAX).map(|n| format!("u{n}")).collect();
    let roles: Vec<String> = (0..=ROLES_MAX).map(|n| format!("r{n}")).collect();
    let role = "`roles`: the role must be 1 to 128 bytes, none of them a control character.";
    let words = "`{}`: the text must be 1 to 256 characters, none of them a control character.";
    let address =
        "`avatar`: the avatar must be at most 2048 bytes that begin with https://, http:// or /.";
    let table = [
        ("friend_request", json!({}), "`user` is missing."),
        (
            "friend_request",
            json!({"user": ""}),
            "`user`: user id must be 1 to 128 characters out of A-Z a-z 0-9 . _ @ + = ~ | -.",
        ),
        ("friend_request", json!({"user": "bob", "note": long}), &words.replace("{}", "note")),
        ("friend_request", json!({"user": "bob", "note": ""}), &words.replace("{}", "note")),
        ("friend_request", json!({"user": "bob", "note": "a\u{7}b"}), &words.replace("{}", "note")),
        (
            "friend_request",
            json!({"user": "bob", "note": 7}),
            "`note` must be text of 1 to 256 characters.",
        ),
        ("friend_block", json!({"user": ["bob"]}), "`user` must be a user id."),
        ("friends", json!({"since": -1}), "`since` must be a whole number, 0 or more."),
        ("friends", json!({"full": 1}), "`full` must be true or false."),
        ("users", json!({}), "`users` is missing."),
        ("users", json!({"users": "bob"}), "`users` must be an array of at most 100 user ids."),
        ("users", json!({"users": crowd}), "`users`: at most 100 users in one command."),
        (
            "privacy_update",
            json!({"messages": "all"}),
            "`messages` must be one of `everyone`, `friends`, `nobody`.",
        ),
        ("device_sign_out", json!({}), "Give either `device` or `others`."),
        (
            "device_sign_out",
            json!({"device": "d", "others": true}),
            "Give either `device` or `others`.",
        ),
        (
            "device_sign_out",
            json!({"device": "a b"}),
            "`device`: device id must be 1 to 128 characters out of A-Z a-z 0-9 . _ @ + = ~ | -.",
        ),
        ("user_roles", json!({"user": "bob"}), "`roles` is missing."),
        (
            "user_roles",
            json!({"user": "a b", "roles": []}),
            "`user`: user id must be 1 to 128 characters out of A-Z a-z 0-9 . _ @ + = ~ | -.",
        ),
        (
            "user_roles",
            json!({"user": "bob", "roles": "staff"}),
            "`roles` must be an array of at most 64 roles.",
        ),
        ("user_roles", json!({"user": "bob", "roles": roles}), "`roles`: at most 64 roles."),
        ("user_roles", json!({"user": "bob", "roles": [""]}), role),
        ("user_roles", json!({"user": "bob", "roles": ["a\nb"]}), role),
        ("user_roles", json!({"user": "bob", "roles": ["r".repeat(129)]}), role),
        (
            "user_roles",
            json!({"user": "bob", "roles": [7]}),
            "`roles` must be a role of 1 to 128 bytes.",
        ),
        ("privacy_update", json!({"receipts": "no"}), "`receipts` must be true or false."),
        ("profile_update", json!({"avatar": "javascript:alert(1)"}), address),
        ("profile_update", json!({"avatar": "data:image/png;base64,AA=="}), address),
        ("profile_update", json!({"avatar": "/a b"}), address),
        ("profile_update", json!({"avatar": far}), address),
        ("profile_update", json!({"about": long}), &words.replace("{}", "about")),
    ];
    for (name, payload, sentence) in table {
        check(&message(name, &payload.to_string()), Reason::BadField, sentence);
    }
    let deep = format!("{}1{}", "[".repeat(33), "]".repeat(33));
    check(
        &message("profile_update", &format!(r#"{{"data":{deep}}}"#)),
        Reason::TooDeep,
        "`data` must not be nested deeper than 32 levels.",
    );
}
