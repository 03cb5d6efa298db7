//! Well-formed inputs, from which the mutations start.

use hubbub_websocket::deflate::WindowBits;
use hubbub_websocket::fuzz::{Context, Encoder, Seen};

/// Streams of frames towards a server and towards a client, behind the bytes that choose how they
/// are decoded.
pub(crate) fn websocket_streams() -> Vec<Vec<u8>> {
    let events = [
        Seen::Text(String::new()),
        Seen::Text("Grüße, 你好 👋".into()),
        Seen::Binary(vec![0xa5; 126]),
        Seen::Ping(b"ping".to_vec()),
        Seen::Pong(vec![7; 125]),
        Seen::Binary(vec![1; 70_000]),
        Seen::Close(Some(1000), "done".into()),
        Seen::Close(None, String::new()),
    ];
    // The lowest bit chooses the role, the next three the limit of a message.
    let towards_server = ([0b1110, 7, 2, 0], Some([0x37, 0xfa, 0x21, 0x3d]));
    let towards_client = ([0b1111, 7, 2, 0], None);
    let mut streams = vec![];
    for (choices, mask) in [towards_server, towards_client] {
        let mut all = choices.to_vec();
        for event in &events {
            let mut one = choices.to_vec();
            event.encode(&mut one, mask);
            event.encode(&mut all, mask);
            streams.push(one);
        }
        streams.push(all);
        streams.push(fragmented(choices, mask));
        streams.extend(compressed(choices, mask));
    }
    streams
}

/// The same texts compressed, each by itself and with context takeover, as the two highest bits of the
/// first byte say.
fn compressed(choices: [u8; 4], mask: Option<[u8; 4]>) -> [Vec<u8>; 2] {
    let contexts =
        [(0b1000_0000, Context::Message), (0b1100_0000, Context::Connection(WindowBits::MIN))];
    contexts.map(|(bits, context)| {
        let mut stream = choices.to_vec();
        stream[0] |= bits;
        let mut encoder = Encoder::new(context);
        for number in 0..4 {
            let text = format!("{{\"type\":\"message\",\"number\":{number}}}").repeat(2 + number);
            encoder.encode(&Seen::Text(text), &mut stream, mask);
        }
        encoder.encode(&Seen::Binary(vec![7; 3000]), &mut stream, mask);
        stream
    })
}

/// Offers of permessage-deflate, as browsers and libraries make them, and answers to them.
pub(crate) fn websocket_extensions() -> Vec<Vec<u8>> {
    [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=10; client_max_window_bits=\"12\"",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate; mystery, \
         x-webkit-deflate-frame; a=b, permessage-deflate; client_max_window_bits=15",
    ]
    .map(|line| line.as_bytes().to_vec())
    .into()
}

/// A text in three fragments, cut inside a character, with a ping between them.
fn fragmented(choices: [u8; 4], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut stream = choices.to_vec();
    for (head, body) in
        [(0x01, &b"\xe4\xbd"[..]), (0x89, b"?"), (0x00, b"\xa0\xe5"), (0x80, b"\xa5\xbd")]
    {
        stream.push(head);
        stream.push(body.len() as u8 | if mask.is_some() { 0x80 } else { 0 });
        stream.extend(mask.into_iter().flatten());
        let key = mask.unwrap_or_default();
        stream.extend(body.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
    stream
}

/// Commands as clients send them, and a few that are refused.
pub(crate) fn json_commands() -> Vec<Vec<u8>> {
    let id = "01936a2b-7c40-7000-8000-000000000001";
    let payloads = [
        (
            "send",
            format!(
                r#"{{"to":"user:bob","kind":"text","content":"hi \u4f60","client_id":"{id}"}}"#
            ),
        ),
        (
            "send",
            format!(
                r#"{{"to":"group:g1","content":{{"text":"a","a":[1,2.5e3,null,true]}},"client_id":"{id}","mentions":["bob",7]}}"#
            ),
        ),
        (
            "send",
            format!(
                r#"{{"to":"user:bob","kind":"image","content":{{"url":"https://a/b.png","name":"b","size":7,"width":1.5,"height":0,"thumbnail":"t"}},"client_id":"{id}"}}"#
            ),
        ),
        (
            "send",
            format!(
                r#"{{"to":"user:bob","kind":"location","content":{{"latitude":-90,"longitude":180.0,"name":null}},"client_id":"{id}"}}"#
            ),
        ),
        ("received", r#"{"conversation":"direct:alice:bob","seq":5}"#.into()),
        ("read", r#"{"conversation":"direct:alice:bob","seq":18446744073709551615}"#.into()),
        ("history", r#"{"conversation":"direct:alice:bob","before":9,"limit":50}"#.into()),
        ("pull", r#"{"conversation":"direct:alice:bob","from":3,"to":7}"#.into()),
        ("sync", r#"{"epoch":"e","cursors":{"direct:alice:bob":4},"rev":0}"#.into()),
        ("typing", r#"{"conversation":"direct:alice:bob","active":true}"#.into()),
        ("conversations", "{}".into()),
        (
            "group_create",
            format!(r#"{{"name":"tea","members":["bob","carol"],"client_id":"{id}"}}"#),
        ),
        ("group_members", r#"{"group":"g1"}"#.into()),
        ("subscribe", r#"{"channel":"news:sports"}"#.into()),
        ("unsubscribe", r#"{"channel":"news:sports"}"#.into()),
        ("publish", r#"{"channel":"news:sports","data":{"score":[2,1]}}"#.into()),
        ("signal", r#"{"to":"user:bob","data":"hi"}"#.into()),
        ("auth", r#"{"token":"a.b.c","device":{"id":"d1","kind":"web","name":"tab"}}"#.into()),
        ("refresh", r#"{"token":"a.b.c"}"#.into()),
        ("ping", "{}".into()),
        ("pong", r#"{"timestamp":1732104000000}"#.into()),
    ];
    let mut messages: Vec<Vec<u8>> = payloads
        .iter()
        .map(|(kind, payload)| {
            format!(r#"{{"type":"{kind}","id":"c-17","payload":{payload}}}"#).into_bytes()
        })
        .collect();
    messages.push(br#"{"payload":{},"type":"ping","id":17,"timestamp":0}"#.to_vec());
    messages.push(br#"{"type":"ping"}"#.to_vec());
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubbub_proto::{codec::Codec, limits::Limits};

    /// Examples that are refused at once would leave most of the decoder untouched.
    #[test]
    fn every_command_is_accepted() {
        for message in json_commands() {
            let decoded = Codec::Json.decode(&message, &Limits::default());
            assert!(decoded.is_ok(), "{}: {decoded:?}", String::from_utf8_lossy(&message));
        }
    }
}
