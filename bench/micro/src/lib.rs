//! What the benches measure with: texts and frames like those of a chat.

use hubbub_websocket::OpCode;
use hubbub_websocket::frame::write_frame;

/// Payload sizes: a typing event, a line of chat, a long one, a paste.
pub const SIZES: [usize; 4] = [32, 128, 1024, 16_384];
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Letters and spaces, one byte each.
pub fn ascii(bytes: usize) -> String {
    "the quick brown fox jumps over the lazy dog ".chars().cycle().take(bytes).collect()
}

/// Chinese and an emoji now and then, cut at the last whole character.
pub fn wide(bytes: usize) -> String {
    let mut text = String::new();
    for letter in "天地玄黄宇宙洪荒日月盈昃辰宿列张🙂".chars().cycle() {
        if text.len() + letter.len_utf8() > bytes {
            return text;
        }
        text.push(letter);
    }
    text
}

/// `count` text frames as a client sends them, one behind the other.
pub fn masked_frames(count: usize, payload: &str) -> Vec<u8> {
    let mut frames = Vec::new();
    for _ in 0..count {
        write_frame(&mut frames, true, OpCode::Text, Some(MASK), payload.as_bytes());
    }
    frames
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const WORDS: [&str; 64] = [
    "yes", "no", "maybe", "tomorrow", "today", "at", "the", "meeting", "is", "moved", "to", "nine",
    "ten", "can", "you", "send", "me", "that", "file", "again", "thanks", "sure", "I", "will",
    "look", "into", "it", "after", "lunch", "who", "has", "keys", "for", "room", "four", "we",
    "ship", "on", "Friday", "unless", "tests", "are", "red", "good", "morning", "everyone", "see",
    "picture", "from", "trip", "lovely", "weather", "here", "and", "did", "anybody", "read", "my",
    "last", "mail", "about", "budget", "please", "soon",
];
const USERS: [&str; 12] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory",
    "niaj",
];

/// A conversation of a dozen people as one member's connection gets it: `message` events with lines
/// of 3 to 14 words, ids and times that go up, and random client ids.
pub fn chat(messages: usize) -> Vec<String> {
    let mut dice = Dice(7);
    let mut at = 1_790_000_000_000_u64;
    (1..=messages)
        .map(|seq| {
            at += dice.roll(20_000) as u64;
            let count = 3 + dice.roll(12);
            let line: Vec<&str> = (0..count).map(|_| WORDS[dice.roll(WORDS.len())]).collect();
            let from = USERS[dice.roll(USERS.len())];
            let (high, low) = (dice.roll(1 << 31), dice.roll(1 << 31));
            format!(
                r#"{{"type":"message","id":"{id}","timestamp":{sent},"payload":{{"conversation":"group:team","seq":{seq},"message_id":"{id}","from":"{from}","to":"group:team","kind":"text","content":"{line}","client_id":"0192{high:08x}-7{low:08x}","at":{at},"attempt":1}}}}"#,
                id = 90_000 + seq * 3,
                sent = at + 2,
                line = line.join(" "),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_long_as_asked() {
        for size in SIZES {
            assert_eq!(ascii(size).len(), size);
            assert!((size - 3..=size).contains(&wide(size).len()));
        }
    }

    #[test]
    fn the_same_chat_every_time() {
        let messages = chat(50);
        assert_eq!(messages, chat(50));
        assert_ne!(messages[0], messages[1]);
        assert!(messages.iter().all(|message| (200..450).contains(&message.len())));
    }

    #[test]
    fn frames_stand_behind_one_another() {
        assert_eq!(masked_frames(3, "hello").len(), 3 * (2 + 4 + 5));
    }
}
