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
    fn frames_stand_behind_one_another() {
        assert_eq!(masked_frames(3, "hello").len(), 3 * (2 + 4 + 5));
    }
}
