use super::*;

#[test]
fn bad_pushes() {
    let push = |more: &str| {
        let missing = |name: &str| !more.contains(&format!("\"{name}\":"));
        let mut fields = vec![more.to_owned()];
        for (name, value) in [("to", "\"all\""), ("type", "\"notification\""), ("data", "1")] {
            if missing(name) {
                fields.push(format!("\"{name}\":{value}"));
            }
        }
        message("push", &format!("{{{}}}", fields.join(",")))
    };
    let users = |count| format!(r#""to":[{}]"#, vec![r#""user:u""#; count].join(","));
    let table = [
        (
            r#""to":17"#.into(),
            "`to` must be all, role:NAME, user:ID or an array of at most 1000 users.",
        ),
        (
            r#""to":"everyone""#.into(),
            "`to`: address must be all, role:NAME, user:ID or an array of users.",
        ),
        (
            r#""to":"group:g""#.into(),
            "`to`: address must be all, role:NAME, user:ID or an array of users.",
        ),
        (
            r#""to":"role:""#.into(),
            "`to`: role must be 1 to 128 characters out of A-Z a-z 0-9 . _ @ + = ~ | -.",
        ),
        (
            r#""to":"user:a b""#.into(),
            "`to`: user id must be 1 to 128 characters out of A-Z a-z 0-9 . _ @ + = ~ | -.",
        ),
        (r#""to":[]"#.into(), "`to`: at least one user in the array."),
        (
            r#""to":["all"]"#.into(),
            "`to`: address must be all, role:NAME, user:ID or an array of users.",
        ),
        (users(1_001), "`to`: at most 1000 users in one command."),
        (r#""durable":"yes""#.into(), "`durable` must be true or false."),
        (r#""expires_in_ms":0"#.into(), "`expires_in_ms` must be at least 1."),
        (r#""expires_in_ms":-1"#.into(), "`expires_in_ms` must be a whole number, 0 or more."),
        (
            r#""client_id":"""#.into(),
            "`client_id`: client id must be 1 to 64 printable ASCII characters without spaces.",
        ),
    ];
    for (more, sentence) in table {
        check(&push(&more), Reason::BadField, sentence);
    }
    assert!(Codec::Json.decode(push(&users(1_000)).as_bytes(), &Limits::default()).is_ok());
    for word in
        ["", "Upper", "9lives", "a-b", "message", "ping", "ack", "error", "typing", "connected"]
    {
        let malformed = refused(push(&format!(r#""type":"{word}""#)).as_bytes());
        assert!(malformed.refusal.message().starts_with("`type`: push type must be "), "{word}");
    }
    let long = "x".repeat(65);
    refused(push(&format!(r#""type":"{long}""#)).as_bytes());
    for word in ["notification", "order_update", "collaboration", "online_status", "x", &long[1..]]
    {
        let message = push(&format!(r#""type":"{word}""#));
        assert!(Codec::Json.decode(message.as_bytes(), &Limits::default()).is_ok(), "{word}");
    }
    let deep = format!(r#""data":{}1{}"#, "[".repeat(33), "]".repeat(33));
    check(&push(&deep), Reason::TooDeep, "`data` must not be nested deeper than 32 levels.");
    check(
        &push(r#""data":"\ud800""#),
        Reason::BadField,
        "`data` must not hold half of a surrogate pair or a number out of range.",
    );
}
