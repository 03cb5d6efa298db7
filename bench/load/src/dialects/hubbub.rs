//! Hubbub's native protocol, version 1, in JSON, between the users `u0`, `u1` … Each connection
//! brings a token with the upgrade request. A direct message is either durable (`send`) or volatile
//! (`signal`). Receivers of durable ones confirm what they got, once per conversation for
//! several messages, as the SDKs do.
//!
//! A command's id says what its ack stands for: `s` a subscription, `p` a publication, a number
//! the direct message of that number.
//!
//! Fields are found by their quoted names, in whatever order they come; `"id":` cannot be found
//! inside `"message_id":`, because of the quotation mark in front.

use super::{Dialect, Event, after, leading_number};
use crate::client_id::ClientIds;
use crate::token::Signer;
use std::io::Write;

/// Where the channels are; the server's configuration opens it to everyone.
const NAMESPACE: &str = "bench";

/// Which command a direct message becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direct {
    /// `send`: on disk before it is acknowledged.
    Durable,
    /// `signal`: passed on to whoever is there.
    Volatile,
}

pub(super) struct Hubbub {
    signer: Signer,
    direct: Direct,
    ids: ClientIds,
    /// What each user has received since its last confirmation.
    unconfirmed: Vec<Vec<Head>>,
}

/// The newest entry of a conversation that a user has received.
struct Head {
    conversation: Vec<u8>,
    seq: u64,
    confirmed: bool,
}

impl Hubbub {
    pub(super) fn new(signer: Signer, ids: ClientIds, direct: Direct) -> Self {
        Self { signer, direct, ids, unconfirmed: vec![] }
    }

    fn signal(to: u32, number: u64, data: &[u8], out: &mut Vec<u8>) {
        let _ = write!(
            out,
            r#"{{"type":"signal","id":"{number}","payload":{{"to":"user:u{to}","data":""#
        );
        out.extend_from_slice(data);
        out.extend_from_slice(br#""}}"#);
    }
}

/// The text of a string member, as long as it needs no escaping.
fn string_member<'a>(message: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let value = after(message, key)?;
    Some(&value[..memchr::memchr(b'"', value)?])
}

impl Dialect for Hubbub {
    fn path(&self, base: &str, _user: u32) -> String {
        if base == "/" { "/ws".into() } else { base.into() }
    }

    fn headers(&self, user: u32) -> String {
        let token = self.signer.token(&format!("u{user}"));
        format!("Authorization: Bearer {token}\r\n")
    }

    fn ready_on_upgrade(&self) -> bool {
        false
    }

    fn event(&self, message: &[u8], _ready: bool) -> Event {
        match string_member(message, br#""type":""#) {
            Some(b"ack") => match string_member(message, br#""id":""#) {
                Some(b"s") => Event::Subscribed,
                Some(id) => leading_number(id).map_or(Event::Other, Event::Ack),
                None => Event::Other,
            },
            Some(b"connected") => Event::Ready,
            Some(b"ping") => Event::Reply(br#"{"type":"pong"}"#),
            Some(b"error") => Event::Refused,
            _ => Event::Other,
        }
    }

    fn delivered(&mut self, user: u32, message: &[u8]) {
        if self.direct == Direct::Volatile {
            return;
        }
        let conversation = string_member(message, br#""conversation":""#);
        let seq = after(message, br#""seq":"#).and_then(leading_number);
        let (Some(conversation), Some(seq)) = (conversation, seq) else { return };
        let user = user as usize;
        if user >= self.unconfirmed.len() {
            self.unconfirmed.resize_with(user + 1, Vec::new);
        }
        let heads = &mut self.unconfirmed[user];
        match heads.iter_mut().find(|head| head.conversation == conversation) {
            Some(head) => {
                head.seq = head.seq.max(seq);
                head.confirmed = false;
            }
            None => heads.push(Head { conversation: conversation.to_vec(), seq, confirmed: false }),
        }
    }

    fn confirmation(&mut self, user: u32, out: &mut Vec<u8>) -> bool {
        let heads = self.unconfirmed.get_mut(user as usize);
        let Some(head) = heads.and_then(|heads| heads.iter_mut().find(|head| !head.confirmed))
        else {
            return false;
        };
        head.confirmed = true;
        out.extend_from_slice(br#"{"type":"received","payload":{"conversation":""#);
        out.extend_from_slice(&head.conversation);
        let _ = write!(out, r#"","seq":{}}}}}"#, head.seq);
        true
    }

    fn subscribe(&self, channel: &str, out: &mut Vec<u8>) {
        let _ = write!(
            out,
            r#"{{"type":"subscribe","id":"s","payload":{{"channel":"{NAMESPACE}:{channel}"}}}}"#
        );
    }

    fn publish(&self, channel: &str, data: &[u8], out: &mut Vec<u8>) {
        let _ = write!(
            out,
            r#"{{"type":"publish","id":"p","payload":{{"channel":"{NAMESPACE}:{channel}","data":""#
        );
        out.extend_from_slice(data);
        out.extend_from_slice(br#""}}"#);
    }

    fn direct(&mut self, to: u32, number: u64, data: &[u8], out: &mut Vec<u8>) {
        if self.direct == Direct::Volatile {
            return Self::signal(to, number, data, out);
        }
        let _ = write!(
            out,
            r#"{{"type":"send","id":"{number}","payload":{{"to":"user:u{to}","kind":"text","content":""#
        );
        out.extend_from_slice(data);
        out.extend_from_slice(br#"","client_id":""#);
        out.extend_from_slice(&self.ids.next());
        out.extend_from_slice(br#""}}"#);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_id::Order;
    use serde_json::Value;

    fn dialect_with(direct: Direct) -> Hubbub {
        Hubbub::new(Signer::new(b"secret"), ClientIds::new(Order::Time), direct)
    }

    fn dialect() -> Hubbub {
        dialect_with(Direct::Durable)
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = vec![];
        write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    fn confirmations(dialect: &mut Hubbub, user: u32) -> Vec<Value> {
        let mut sent = vec![];
        let mut out = vec![];
        while dialect.confirmation(user, &mut out) {
            sent.push(serde_json::from_slice(&out).unwrap());
            out.clear();
        }
        sent
    }

    #[test]
    fn events_are_recognised_in_any_field_order() {
        let check =
            |text: &str, event| assert_eq!(dialect().event(text.as_bytes(), true), event, "{text}");
        check(
            r#"{"type":"connected","timestamp":1,"payload":{"client_id":"c","user":"u1"}}"#,
            Event::Ready,
        );
        check(
            r#"{"type":"ack","id":"17","timestamp":1,"payload":{"message_id":"9","seq":5}}"#,
            Event::Ack(17),
        );
        check(r#"{"payload":{"message_id":"9"},"id":"17","type":"ack"}"#, Event::Ack(17));
        check(
            r#"{"type":"ack","id":"s","payload":{"channel":"bench:room","offset":0,"epoch":"e"}}"#,
            Event::Subscribed,
        );
        check(r#"{"type":"ack","id":"p","payload":{"offset":7,"epoch":"e"}}"#, Event::Other);
        check(r#"{"type":"ping","timestamp":1,"payload":{}}"#, Event::Reply(br#"{"type":"pong"}"#));
        check(
            r#"{"type":"error","id":"3","payload":{"code":429,"reason":"too_fast"}}"#,
            Event::Refused,
        );
        check(
            r#"{"type":"receipt","payload":{"conversation":"direct:u1:u2","received_seq":5}}"#,
            Event::Other,
        );
        check("{}", Event::Other);
    }

    #[test]
    fn one_confirmation_per_conversation_and_time() {
        let mut dialect = dialect();
        for (conversation, seq) in [("direct:u1:u2", 4), ("direct:u1:u2", 5), ("direct:u2:u3", 1)] {
            let message = format!(
                r#"{{"type":"message","id":"m","payload":{{"target_seq":99,"seq":{seq},"conversation":"{conversation}"}}}}"#
            );
            dialect.delivered(2, message.as_bytes());
        }
        let sent = confirmations(&mut dialect, 2);
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0]["payload"]["conversation"], "direct:u1:u2");
        assert_eq!(sent[0]["payload"]["seq"], 5);
        assert_eq!(sent[1]["payload"]["seq"], 1);
        assert!(confirmations(&mut dialect, 2).is_empty());
        assert!(confirmations(&mut dialect, 3).is_empty());
    }

    #[test]
    fn a_direct_message_is_the_protocol_s_send() {
        let value = written(|out| dialect().direct(2, 17, b"@~00", out));
        assert_eq!(value["type"], "send");
        assert_eq!(value["id"], "17");
        assert_eq!(value["payload"]["to"], "user:u2");
        assert_eq!(value["payload"]["content"], "@~00");
        assert_eq!(value["payload"]["client_id"].as_str().map(str::len), Some(36));
    }
    #[test]
    fn volatile_messages_are_signals_and_are_not_confirmed() {
        let mut dialect = dialect_with(Direct::Volatile);
        let value = written(|out| dialect.direct(2, 17, b"@~00", out));
        assert_eq!((&value["type"], &value["id"]), (&"signal".into(), &"17".into()));
        assert_eq!(value["payload"], serde_json::json!({"to": "user:u2", "data": "@~00"}));
        dialect.delivered(2, br#"{"conversation":"direct:u1:u2","seq":1}"#);
        assert!(confirmations(&mut dialect, 2).is_empty());
    }

    #[test]
    fn channels_are_in_the_namespace_of_the_bench() {
        let value = written(|out| dialect().subscribe("room", out));
        assert_eq!((&value["type"], &value["id"]), (&"subscribe".into(), &"s".into()));
        assert_eq!(value["payload"]["channel"], "bench:room");
        let value = written(|out| dialect().publish("room", b"@~00", out));
        assert_eq!((&value["type"], &value["id"]), (&"publish".into(), &"p".into()));
        assert_eq!(value["payload"], serde_json::json!({"channel": "bench:room", "data": "@~00"}));
    }
}
