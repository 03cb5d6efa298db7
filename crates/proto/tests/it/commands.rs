//! Commands that are taken, in all the forms in which they may come.

use hubbub_proto::codec::{Codec, Incoming};
use hubbub_proto::command::{HISTORY_LIMIT_DEFAULT, JoinPolicy, Kind, Recipient};
use hubbub_proto::limits::Limits;
use hubbub_proto::{Command, CommandId, Reason, fuzz};

use crate::samples::{COMMANDS, message};

#[track_caller]
fn decoded(message: &str) -> Incoming {
    Codec::Json
        .decode(message.as_bytes(), &Limits::default())
        .unwrap_or_else(|malformed| panic!("{message}: {malformed:?}"))
}

#[test]
fn every_type_decodes_to_its_command() {
    let sampled: Vec<_> = COMMANDS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(sampled, Command::TYPES);
    for &(name, least, full) in COMMANDS.iter() {
        for payload in [least, full] {
            let message = message(name, payload);
            let incoming = decoded(&message);
            assert_eq!(incoming.command.type_name(), name);
            assert_eq!(incoming.id.unwrap().as_str(), "c-1");
            fuzz::command(message.as_bytes());
        }
    }
}

#[test]
fn the_full_form_is_written_as_it_was_read() {
    for &(name, _, full) in COMMANDS.iter() {
        let message = message(name, full);
        let incoming = decoded(&message);
        let mut out = Vec::new();
        Codec::Json.encode_command(incoming.id.as_ref(), &incoming.command, &mut out);
        let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let read: serde_json::Value = serde_json::from_str(&message).unwrap();
        assert_eq!(written, read);
    }
}

#[test]
fn the_order_of_fields_and_unknown_ones_do_not_matter() {
    let payload = r#"{"x":[[{}]],"seq":7,"conversation":"group:team","y":null}"#;
    let forms = [
        format!(r#"{{"type":"read","id":"c-1","timestamp":1,"payload":{payload}}}"#),
        format!(r#"{{"payload":{payload},"id":"c-1","type":"read"}}"#),
        format!(r#"{{"id":"c-1","payload":{payload},"type":"read","timestamp":{{"a":"b"}}}}"#),
        format!(r#"{{"type":"read","payload":{payload},"new":[1,2],"id":"c-1"}}"#),
        format!(r#"{{"\u0074ype":"re\u0061d","i\u0064":"c\u002d1","payload":{payload}}}"#),
        format!("\r\n{{ \"type\" : \"read\" ,\t\"id\":\"c-1\", \"payload\" : {payload} }}\n"),
        format!(r#"{{"type":"send","type":"read","id":"c-0","id":"c-1","payload":{payload}}}"#),
        format!(r#"{{"type":"read","payload":{{}},"id":"c-1","payload":{payload}}}"#),
    ];
    let plain =
        decoded(r#"{"type":"read","id":"c-1","payload":{"conversation":"group:team","seq":7}}"#);
    for form in forms {
        assert_eq!(format!("{:?}", decoded(&form)), format!("{plain:?}"), "{form}");
    }
}

#[test]
fn an_id_may_be_a_number_or_absent() {
    #[track_caller]
    fn check(id: &str, expect: Option<&str>) {
        let incoming = decoded(&format!(r#"{{"type":"ping"{id},"payload":{{}}}}"#));
        assert_eq!(incoming.id.as_ref().map(CommandId::as_str), expect);
        let incoming = decoded(&format!(r#"{{"payload":{{}}{id},"type":"ping"}}"#));
        assert_eq!(incoming.id.as_ref().map(CommandId::as_str), expect);
    }
    check("", None);
    check(r#","id":null"#, None);
    check(r#","id":17"#, Some("17"));
    check(r#","id":-3"#, Some("-3"));
    check(r#","id":18446744073709551615"#, Some("18446744073709551615"));
    check(r#","id":"17""#, Some("17"));
    let longest = "x".repeat(64);
    check(&format!(r#","id":"{longest}""#), Some(&longest));
}

#[test]
fn a_payload_may_be_absent_where_nothing_is_required() {
    for name in ["ping", "pong", "sync", "conversations"] {
        for rest in ["", r#","payload":null"#, r#","payload":{}"#] {
            let incoming = decoded(&format!(r#"{{"type":"{name}"{rest}}}"#));
            assert_eq!(incoming.command.type_name(), name);
        }
    }
}

#[test]
fn content_is_kept_as_it_came() {
    for content in [
        "null",
        "\"\"",
        "0.10",
        "1e300",
        "-0",
        "[ 1,\n2 ]",
        r#"{"b":1,"a":2,"b":3}"#,
        r#""\u00e9\ud83d\ude00\/""#,
        "\"<é😀>\"",
        r#"{"type":"send","payload":{"to":"user:eve"}}"#,
    ] {
        let payload = format!(
            r#"{{"client_id":"m-1","content":{content} ,"kind":"custom:any","to":"user:bob"}}"#
        );
        for message in
            [message("send", &payload), format!(r#"{{"payload":{payload},"type":"send"}}"#)]
        {
            let Command::Send(send) = decoded(&message).command else { panic!("not a send") };
            assert_eq!(send.content.as_ref().unwrap().get(), content);
        }
    }
}

#[test]
fn content_that_some_receivers_cannot_read_is_refused() {
    for content in ["1e999", r#""\ud800""#, r#"{"a":["\udc00"]}"#] {
        let payload = format!(r#"{{"client_id":"m-1","content":{content},"to":"user:bob"}}"#);
        let message = message("send", &payload);
        let malformed = Codec::Json.decode(message.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(malformed.refusal.reason, Reason::BadField, "{content}");
    }
}

#[test]
fn content_may_be_as_deep_as_the_limit() {
    let most = Limits::default().content_depth_max as usize;
    let content = format!("{}\"]]]\"{}", "[".repeat(most), "]".repeat(most));
    let payload = format!(
        r#"{{"to":"user:bob","kind":"custom:deep","content":{content},"client_id":"m-1"}}"#
    );
    decoded(&message("send", &payload));
}

#[test]
fn recipients_kinds_and_defaults() {
    #[track_caller]
    fn send(fields: &str) -> hubbub_proto::command::Send {
        let payload = format!(
            r#"{{"content":{{"text":"hi","url":"a","title":"b","latitude":1,"longitude":2}},"client_id":"m-1",{fields}}}"#
        );
        match decoded(&message("send", &payload)).command {
            Command::Send(send) => send,
            other => panic!("{other:?}"),
        }
    }
    let to_bob = send(r#""to":"user:bob""#);
    assert!(matches!(&to_bob.to, Recipient::User(user) if user.as_str() == "bob"));
    assert_eq!(to_bob.kind, Kind::Text);
    assert!(to_bob.after.is_none());
    for id in ["group:team", "direct:alice:bob", "direct:me:me"] {
        let to = send(&format!(r#""to":"{id}""#)).to;
        assert!(matches!(&to, Recipient::Conversation(to) if to.as_str() == id));
    }
    for kind in ["text", "image", "file", "audio", "video", "location", "card", "custom:a.b_c-1"] {
        assert_eq!(send(&format!(r#""to":"user:bob","kind":"{kind}""#)).kind.as_str(), kind);
    }
    assert_eq!(send(r#""to":"user:bob","kind":null,"after":null"#).kind, Kind::Text);

    let Command::History(history) =
        decoded(&message("history", r#"{"conversation":"group:team","limit":null}"#)).command
    else {
        panic!("not a history")
    };
    assert_eq!(history.limit, HISTORY_LIMIT_DEFAULT);

    let Command::GroupCreate(create) =
        decoded(&message("group_create", r#"{"name":"群","members":null,"join":null}"#)).command
    else {
        panic!("not a group_create")
    };
    assert_eq!((&*create.name, create.join), ("群", JoinPolicy::Invite));
    assert!(create.members.is_empty());
}

#[test]
fn names_may_be_numbers_and_groups_may_bear_their_prefix() {
    for group in ["7", r#""7""#, r#""group:7""#] {
        let payload = format!(r#"{{"group":{group},"user":42}}"#);
        let Command::GroupKick(kick) = decoded(&message("group_kick", &payload)).command else {
            panic!("not a group_kick")
        };
        assert_eq!((kick.group.as_str(), kick.user.as_str()), ("7", "42"));
    }
}
