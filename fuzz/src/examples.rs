//! Well-formed inputs, from which the mutations start.

use hubbub_websocket::fuzz::Seen;

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
    }
    streams
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
