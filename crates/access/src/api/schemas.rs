//! The forms of bodies and answers, as JSON Schema (2020-12).
//!
//! They describe what the protocol's types read and write, for people and for the generators of
//! clients; nothing is checked against them here. `scripts/test api` holds them against a running
//! server in both directions: what fits is taken, what does not is refused, and answers fit.

use serde_json::{Map, Value, json};

use super::scope::Scope;

/// Names of users, groups and devices.
const NAME: &str = "^[A-Za-z0-9._@+=~|-]{1,128}$";
/// Whom a message is for.
const RECIPIENT: &str = "^(user|group):[A-Za-z0-9._@+=~|-]{1,128}$";
const CONVERSATION: &str = "^(group:[A-Za-z0-9._@+=~|-]{1,128}|direct:[A-Za-z0-9._@+=~|-]{1,128}:[A-Za-z0-9._@+=~|-]{1,128})$";
const SYSTEM: &str = "^(group|direct|system):[A-Za-z0-9._@+=~|:-]+$";
const CHANNEL: &str = "^[a-z0-9_-]{1,62}:[!#-)+-\\[\\]-~]{1,64}$";
const RESERVED: &str = "^(all|chan|conv|direct|group|role|room|system|user):";
const TOKEN: &str = "^[!-~]{1,64}$";
/// The same, or nothing.
const LINES: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// Text without control characters.
const LINE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn list(of: &Value, most: usize) -> Value {
    json!({ "type": "array", "items": of, "maxItems": most })
}

fn number(max: u64) -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": max })
}

fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

fn properties(fields: &[(&str, Value)]) -> Map<String, Value> {
    fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect()
}

fn names(fields: &[(&str, Value)]) -> Vec<String> {
    fields.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// What is sent: a field that may be left out may be `null` too.
fn sent(must: &[(&str, Value)], may: &[(&str, Value)]) -> Value {
    let mut all = properties(must);
    for (name, schema) in may {
        let or_null = json!({ "anyOf": [schema, { "type": "null" }] });
        all.insert((*name).to_owned(), or_null);
    }
    json!({ "type": "object", "properties": all, "required": names(must) })
}

/// What is answered: a field that has nothing to say is not there.
fn answered(must: &[(&str, Value)], may: &[(&str, Value)]) -> Value {
    let mut all = properties(must);
    all.extend(properties(may));
    json!({ "type": "object", "properties": all, "required": names(must) })
}

/// All of them, by name.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for (name, schema) in names_of_things().into_iter().chain(bodies()).chain(answers()) {
        all.insert(name.to_owned(), schema);
    }
    Value::Object(all)
}

fn names_of_things() -> Vec<(&'static str, Value)> {
    let id = |about: &str| json!({ "type": "string", "pattern": NAME, "description": about, "examples": ["ann"] });
    vec![
        ("UserId", id("A user's id, the `sub` of their tokens.")),
        ("GroupId", id("A group's id.")),
        ("DeviceId", id("A device's id.")),
        ("KeyId", id("A key's id, the part between the underscores.")),
        (
            "ClientId",
            json!({ "type": "string", "pattern": TOKEN,
                "description": "The sender's own name for what is written." }),
        ),
        (
            "ConversationId",
            json!({ "type": "string", "pattern": CONVERSATION,
                "description": "`group:ID`, or `direct:A:B` with the ids in order.",
                "examples": ["direct:ann:bob"] }),
        ),
        (
            "Channel",
            json!({ "type": "string", "pattern": CHANNEL, "not": { "pattern": RESERVED },
                "description": "`NAMESPACE:NAME`; the namespace is one of the configuration.",
                "examples": ["news:sports"] }),
        ),
        (
            "Epoch",
            json!({ "type": "string", "pattern": "^[0-9a-f]{8}$",
                "description": "One life of a channel." }),
        ),
        ("Count", json!({ "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64 })),
        (
            "Limit",
            json!({ "type": "integer", "minimum": 1, "maximum": 200,
                "description": "How many entries at most." }),
        ),
        (
            "Timestamp",
            json!({ "type": "integer", "minimum": 0,
                "description": "Milliseconds since 1970 (UTC)." }),
        ),
        (
            "Scopes",
            json!({ "type": "array", "minItems": 1, "items": {
                "type": "string",
                "enum": Scope::ALL.iter().map(|s| s.word()).chain(["*"]).collect::<Vec<_>>(),
            } }),
        ),
    ]
}

/// What can be sent as a message: the content is of the form of its kind.
fn message() -> Value {
    let url = json!({ "type": "string", "pattern": "^https://[a-z]{1,20}/[a-z]{0,20}$" });
    let words = json!({ "type": "string", "minLength": 1 });
    let kind = |kinds: Value, content: Value, is_default: bool| {
        let required: &[&str] = if is_default { &["content"] } else { &["content", "kind"] };
        json!({ "properties": { "kind": kinds, "content": content }, "required": required })
    };
    let object = |fields: &[(&str, Value)]| answered(fields, &[]);
    let of_kind = json!([
        kind(
            json!({ "enum": ["text", null] }),
            json!({ "anyOf": [words, object(&[("text", words.clone())])] }),
            true,
        ),
        kind(
            json!({ "enum": ["image", "file", "audio", "video"] }),
            json!({ "type": "object", "properties": { "url": url }, "required": ["url"],
                "additionalProperties": false }),
            false,
        ),
        kind(
            json!({ "enum": ["location"] }),
            json!({ "type": "object", "required": ["latitude", "longitude"],
                "additionalProperties": false, "properties": {
                "latitude": { "type": "number", "minimum": -90, "maximum": 90 },
                "longitude": { "type": "number", "minimum": -180, "maximum": 180 } } }),
            false,
        ),
        kind(json!({ "enum": ["card"] }), object(&[("title", json!({ "type": "string" }))]), false,),
        kind(text("^custom:[A-Za-z0-9._-]{1,64}$"), json!(true), false),
    ]);
    let mut message = sent(
        &[
            (
                "to",
                json!({ "type": "string", "pattern": RECIPIENT,
                "description": "`user:ID`, `group:ID` or a conversation.",
                "examples": ["user:ann"] }),
            ),
            ("content", json!({ "description": "JSON of the form of its kind." })),
        ],
        &[
            ("kind", json!({ "type": "string", "default": "text" })),
            ("reply_to", number(u64::from(u32::MAX))),
            ("mentions", list(&user(), 50)),
            ("mention_all", json!({ "type": "boolean" })),
            ("expires_in_ms", json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })),
            ("receipt", json!({ "type": "boolean" })),
            ("after", reference("ClientId")),
        ],
    );
    message["anyOf"] = of_kind;
    message
}

/// A number in place of a name.
fn any_number() -> Value {
    json!({ "type": "integer", "minimum": i64::MIN, "maximum": u64::MAX })
}

/// A user in a body; a number stands for its digits.
fn user() -> Value {
    json!({ "anyOf": [reference("UserId"), any_number()] })
}

fn bodies() -> Vec<(&'static str, Value)> {
    let data = json!({ "description": "Any JSON, passed on as it came." });
    let group_name = json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": LINE });
    let join = words(&["invite", "approval", "open"]);
    let roles = json!({
        "type": "array",
        "items": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": LINE },
        "description": "At most 64 different ones.",
    });
    let seconds = |min: u64, max: u64| json!({ "type": "integer", "minimum": min, "maximum": max });
    let users = list(&user(), 1_000);
    let some_users = json!({ "type": "array", "items": user(), "minItems": 1, "maxItems": 1_000 });
    let addresses = json!({ "type": "array", "items": text("^user:[A-Za-z0-9._@+=~|-]{1,128}$"),
        "minItems": 1, "maxItems": 1_000 });
    vec![
        ("Message", message()),
        (
            "Push",
            sent(
                &[
                    (
                        "to",
                        json!({ "anyOf": [
                            text("^(all|(user|role):[A-Za-z0-9._@+=~|-]{1,128})$"), addresses,
                        ], "description": "`all`, `role:NAME`, `user:ID`, or a list of users." }),
                    ),
                    (
                        "type",
                        json!({ "anyOf": [
                            words(&["notification", "order_update", "collaboration", "online_status"]),
                            text("^app_[a-z0-9_]{0,60}$"),
                        ], "description": "One of those named, or the application's own word \
                            that is no event of the protocol." }),
                    ),
                    ("data", data.clone()),
                ],
                &[
                    ("durable", json!({ "type": "boolean", "default": true })),
                    (
                        "expires_in_ms",
                        json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
                    ),
                ],
            ),
        ),
        ("Publish", sent(&[("data", data.clone())], &[])),
        (
            "Broadcast",
            sent(
                &[
                    (
                        "channels",
                        json!({ "type": "array", "items": reference("Channel"),
                        "minItems": 1, "maxItems": 100 }),
                    ),
                    ("data", data.clone()),
                ],
                &[],
            ),
        ),
        (
            "Profile",
            sent(
                &[],
                &[
                    (
                        "avatar",
                        json!({ "type": "string", "maxLength": 200,
                        "pattern": "^(https?://|/)[!-~]*$" }),
                    ),
                    (
                        "about",
                        json!({ "type": "string", "minLength": 1, "maxLength": 256,
                        "pattern": LINE }),
                    ),
                    ("data", data),
                ],
            ),
        ),
        ("Roles", sent(&[("roles", roles.clone())], &[])),
        ("Disconnect", sent(&[], &[("device", device())])),
        (
            "NewGroup",
            sent(&[("name", group_name.clone())], &[("members", users), ("join", join.clone())]),
        ),
        (
            "GroupChange",
            sent(
                &[],
                &[
                    ("name", group_name),
                    ("join", join),
                    (
                        "announcement",
                        json!({ "type": "string", "maxLength": 500,
                        "pattern": LINES }),
                    ),
                ],
            ),
        ),
        ("NewMembers", sent(&[("members", some_users)], &[])),
        ("MemberRole", sent(&[("role", words(&["member", "admin", "owner"]))], &[])),
        (
            "NewToken",
            sent(
                &[("user", user())],
                &[
                    ("name", json!({ "type": "string", "maxLength": 256, "pattern": LINES })),
                    ("roles", roles),
                    ("device", device()),
                    ("ttl_s", seconds(1, 366 * 24 * 3_600)),
                ],
            ),
        ),
        (
            "NewKey",
            sent(
                &[
                    (
                        "name",
                        json!({ "type": "string", "minLength": 1, "maxLength": 64,
                        "pattern": LINE }),
                    ),
                    ("scopes", reference("Scopes")),
                ],
                &[("expires_in_s", seconds(1, 100 * 366 * 24 * 3_600))],
            ),
        ),
        ("Rotation", sent(&[], &[("grace_s", seconds(0, 30 * 24 * 3_600))])),
        (
            "RoomMessage",
            sent(
                &[
                    (
                        "roomId",
                        json!({ "anyOf": [text(NAME), text(RECIPIENT),
                        { "type": "integer", "minimum": 0, "maximum": u64::MAX }] }),
                    ),
                    ("text", json!({ "type": "string", "minLength": 1 })),
                ],
                &[],
            ),
        ),
        (
            "Batch",
            sent(
                &[(
                    "requests",
                    json!({ "type": "array", "minItems": 1, "maxItems": 100, "items": sent(
                        &[
                            ("method", json!({ "type": "string", "examples": ["POST"] })),
                            ("path", json!({ "type": "string", "examples": ["/api/v1/messages"] })),
                        ],
                        &[
                            ("body", json!({ "description": "The body of this request." })),
                            ("user", json!({ "type": "string" })),
                            ("idempotency_key", json!({ "type": "string" })),
                        ],
                    ) }),
                )],
                &[],
            ),
        ),
    ]
}

fn device() -> Value {
    json!({ "anyOf": [reference("DeviceId"), any_number()] })
}

fn answers() -> Vec<(&'static str, Value)> {
    let count = || reference("Count");
    let at = || reference("Timestamp");
    let flag = || json!({ "type": "boolean" });
    let any_text = || json!({ "type": "string" });
    let decimal = || text("^[0-9]+$");
    let lists = |of: Value| json!({ "type": "array", "items": of });
    let key_fields = [
        ("id", reference("KeyId")),
        ("name", any_text()),
        ("scopes", reference("Scopes")),
        ("created", at()),
    ];
    let key_more = [("expires", at()), ("last_used", at()), ("revoked", at())];
    let entry = answered(
        &[
            ("type", words(&["message", "message_updated", "group_changed", "push"])),
            ("conversation", text(SYSTEM)),
            ("seq", count()),
            ("message_id", decimal()),
            ("from", reference("UserId")),
            ("to", any_text()),
            ("kind", any_text()),
            ("content", json!(true)),
            ("client_id", reference("ClientId")),
            ("at", at()),
        ],
        &[],
    );
    let public = answered(&[("id", reference("UserId"))], &[("name", any_text())]);
    let position = [("offset", count()), ("epoch", reference("Epoch"))];
    let problem = [
        ("type", any_text()),
        ("title", any_text()),
        ("status", json!({ "type": "integer", "minimum": 400, "maximum": 599 })),
        ("code", json!({ "type": "integer", "minimum": 400, "maximum": 599 })),
        ("reason", json!({ "type": "string", "description": "Stable; one of the protocol's." })),
        ("detail", any_text()),
        (
            "retry",
            json!({ "type": "boolean",
            "description": "Whether the same request may succeed later." }),
        ),
    ];
    let circle = || words(&["everyone", "friends", "nobody"]);
    vec![
        ("Nothing", json!({ "type": "object" })),
        ("Problem", answered(&problem, &[("retry_after_ms", count()), ("until", at())])),
        (
            "Written",
            answered(
                &[
                    ("conversation", text(SYSTEM)),
                    ("seq", count()),
                    ("message_id", decimal()),
                    ("timestamp", at()),
                    (
                        "duplicate",
                        json!({ "type": "boolean",
                        "description": "The request had been carried out before." }),
                    ),
                ],
                &[("group", reference("GroupId"))],
            ),
        ),
        (
            "Pushed",
            answered(
                &[],
                &[
                    (
                        "written",
                        lists(answered(
                            &[
                                ("to", any_text()),
                                ("conversation", text(SYSTEM)),
                                ("seq", count()),
                                ("message_id", decimal()),
                            ],
                            &[],
                        )),
                    ),
                    ("timestamp", at()),
                    ("duplicate", flag()),
                ],
            ),
        ),
        ("Position", answered(&position, &[])),
        (
            "Subscribers",
            answered(
                &[
                    (
                        "users",
                        lists(answered(
                            &[("user", reference("UserId")), ("connections", count())],
                            &[("info", json!(true))],
                        )),
                    ),
                    ("total", count()),
                    ("more", flag()),
                ],
                &[],
            ),
        ),
        (
            "Publications",
            answered(
                &[
                    (
                        "publications",
                        lists(answered(
                            &[
                                ("offset", count()),
                                ("from", reference("UserId")),
                                ("timestamp", at()),
                                ("data", json!(true)),
                            ],
                            &[],
                        )),
                    ),
                    ("offset", count()),
                    ("epoch", reference("Epoch")),
                    ("more", flag()),
                ],
                &[],
            ),
        ),
        (
            "Broadcasted",
            answered(
                &[(
                    "results",
                    lists(json!({
                        "type": "object",
                        "properties": { "channel": reference("Channel") },
                        "required": ["channel"],
                        "anyOf": [answered(&position, &[]), answered(&problem, &[])],
                    })),
                )],
                &[],
            ),
        ),
        (
            "Me",
            answered(
                &[
                    (
                        "user",
                        answered(
                            &[("id", reference("UserId"))],
                            &[
                                ("name", any_text()),
                                ("avatar", any_text()),
                                ("about", any_text()),
                                ("data", json!(true)),
                            ],
                        ),
                    ),
                    (
                        "privacy",
                        answered(
                            &[
                                ("presence", circle()),
                                ("last_seen", circle()),
                                ("messages", circle()),
                                ("invites", circle()),
                                ("receipts", flag()),
                            ],
                            &[],
                        ),
                    ),
                    ("roles", lists(any_text())),
                    ("rev", count()),
                ],
                &[],
            ),
        ),
        (
            "Conversations",
            answered(
                &[(
                    "conversations",
                    lists(answered(
                        &[
                            ("id", text(SYSTEM)),
                            ("kind", words(&["direct", "group", "system"])),
                            ("member", flag()),
                            ("head_seq", count()),
                            ("floor_seq", count()),
                            ("first_seq", count()),
                            ("unread", count()),
                            ("received_seq", count()),
                            ("read_seq", count()),
                            ("rev", count()),
                        ],
                        &[("name", any_text()), ("peer", public.clone()), ("last", entry.clone())],
                    )),
                )],
                &[("next", count())],
            ),
        ),
        (
            "History",
            answered(
                &[
                    ("entries", lists(entry)),
                    ("from_seq", count()),
                    ("through_seq", count()),
                    ("head_seq", count()),
                    ("floor_seq", count()),
                    ("more", flag()),
                ],
                &[],
            ),
        ),
        (
            "Friends",
            answered(
                &[
                    (
                        "relations",
                        lists(answered(
                            &[
                                ("user", reference("UserId")),
                                ("state", words(&["none", "requested", "received", "friend"])),
                                ("blocked", flag()),
                                ("at", at()),
                                ("rev", count()),
                            ],
                            &[("name", any_text()), ("note", any_text())],
                        )),
                    ),
                    ("rev", count()),
                    ("more", flag()),
                ],
                &[("reset", flag())],
            ),
        ),
        (
            "Devices",
            answered(
                &[(
                    "devices",
                    lists(answered(
                        &[("id", reference("DeviceId")), ("last_seen", at())],
                        &[
                            ("kind", any_text()),
                            ("name", any_text()),
                            ("current", flag()),
                            ("signed_out", flag()),
                        ],
                    )),
                )],
                &[],
            ),
        ),
        (
            "Presences",
            answered(
                &[(
                    "presences",
                    lists(answered(
                        &[
                            ("user", reference("UserId")),
                            ("status", words(&["offline", "invisible", "away", "online", "busy"])),
                        ],
                        &[("last_seen", at()), ("devices", lists(any_text()))],
                    )),
                )],
                &[],
            ),
        ),
        (
            "Members",
            answered(
                &[
                    (
                        "members",
                        lists(answered(
                            &[
                                ("id", reference("UserId")),
                                ("role", words(&["member", "admin", "owner"])),
                            ],
                            &[("name", any_text())],
                        )),
                    ),
                    ("count", count()),
                ],
                &[("next", reference("UserId"))],
            ),
        ),
        (
            "Token",
            answered(
                &[("token", any_text()), ("user", reference("UserId")), ("expires_at", at())],
                &[],
            ),
        ),
        ("Key", answered(&key_fields, &key_more)),
        ("Keys", answered(&[("keys", lists(reference("Key")))], &[])),
        (
            "KeyMade",
            answered(
                &[("key", reference("Key")), ("token", text("^hbk_[0-9a-f]+_[0-9a-f]{64}$"))],
                &[],
            ),
        ),
        ("Sent", answered(&[("sent", json!({ "const": true }))], &[])),
        (
            "BatchResult",
            answered(
                &[(
                    "results",
                    lists(answered(
                        &[
                            (
                                "status",
                                json!({ "type": "integer", "minimum": 200, "maximum": 599 }),
                            ),
                            ("body", json!(true)),
                        ],
                        &[],
                    )),
                )],
                &[],
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::document::openapi;

    /// Every `$ref` of a document.
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value.as_str().filter(|_| key == "$ref") {
                        Some(target) => found.push(target),
                        None => references(value, found),
                    }
                }
            }
            Value::Array(all) => all.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn what_the_document_refers_to_is_there_and_all_of_it_is_used() {
        let document: Value = serde_json::from_str(&openapi("1")).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let known: Vec<String> =
            schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
        for target in &found {
            assert!(known.iter().any(|known| known == target), "{target} is missing");
        }
        for name in &known {
            assert!(found.contains(&name.as_str()), "nothing refers to {name}");
        }
    }
}
