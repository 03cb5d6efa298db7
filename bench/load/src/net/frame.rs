//! The little of RFC 6455 that a generator needs: whole, unfragmented, masked frames out,
//! unmasked frames in.

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// One frame, and how many bytes it took.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Frame<'a> {
    pub(super) opcode: u8,
    pub(super) body: &'a [u8],
    pub(super) length: usize,
}

/// The frame at the start of `bytes`, if it is complete.
pub(super) fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    let (head, body) = match bytes.get(1)? & 127 {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, usize::from(short)),
    };
    let length = head + body;
    Some(Frame { opcode: bytes[0] & 15, body: bytes.get(head..length)?, length })
}

/// Appends a masked frame.
pub(super) fn encode(opcode: u8, body: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match body.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(body);
    // Eight bytes at a time, because masking is a visible part of the generator's work.
    let (words, rest) = out[start..].as_chunks_mut::<8>();
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_once_unmasked() {
        for length in [0, 1, 7, 8, 125, 126, 300, 65_535, 65_536, 70_001] {
            let body: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let mut bytes = vec![];
            encode(TEXT, &body, [1, 2, 3, 4], &mut bytes);
            let head = bytes.len() - length - 4;
            for (i, byte) in bytes[head + 4..].iter_mut().enumerate() {
                *byte ^= [1, 2, 3, 4][i & 3];
            }
            bytes.drain(head..head + 4);
            bytes[1] &= 127;
            assert_eq!(decode(&bytes[..bytes.len() - 1]), None, "{length}");
            bytes.push(0x81);
            let frame = Frame { opcode: TEXT, body: &body, length: bytes.len() - 1 };
            assert_eq!(decode(&bytes), Some(frame), "{length}");
        }
    }
}
