//! Frames (RFC 6455 §5.2): the header on the wire, and building whole frames.
//!
//! Invariant: [`Header::encode`] writes the shortest length form, and [`Header::parse`] accepts nothing
//! else. [`FrameBuilder`] lets a serialiser write its payload straight behind the header, so that a
//! published message is copied nowhere. Absent: state across frames (see [`Decoder`](crate::Decoder)).

use std::io;
use std::ops::Deref;

use bytes::Bytes;

use crate::error::ProtocolError;
use crate::mask::Mask;

/// The longest header: two bytes, a 64-bit length and a mask key.
pub const HEADER_BYTES_MAX: usize = 14;

/// The longest payload of a control frame, in bytes (§5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// What a frame carries (§11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// More of a fragmented message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The closing handshake.
    Close = 8,
    /// To be answered with a pong of the same payload.
    Ping = 9,
    /// The answer to a ping, or unsolicited.
    Pong = 10,
}

impl OpCode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Close, ping or pong: at most 125 bytes, never fragmented, allowed between fragments.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// What this end demands of every header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// Frames must be masked (we are the server), or must not be (we are the client).
    pub masked: bool,
    /// Reserved bits admitted on the first frame of a data message, as in [`Header::rsv`]. Zero while
    /// no extension is negotiated; [`RSV_COMPRESSED`](crate::deflate::RSV_COMPRESSED) with deflate.
    pub rsv_data: u8,
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The last (or only) frame of its message.
    pub fin: bool,
    /// RSV1 to RSV3 as `0b123`.
    pub rsv: u8,
    /// What the frame carries.
    pub opcode: OpCode,
    /// The mask key in wire order; `None` when the payload is not masked.
    pub mask: Option<[u8; 4]>,
    /// Payload length in bytes.
    pub len: u64,
}

impl Header {
    /// Reads a header from the start of `buf`: the header and its length in bytes, or `None` when more
    /// bytes are needed (never with [`HEADER_BYTES_MAX`] or more).
    ///
    /// # Errors
    /// What the header alone shows to be wrong, as soon as the bytes that show it are there.
    #[inline]
    pub fn parse(buf: &[u8], expect: Expect) -> Result<Option<(Self, usize)>, ProtocolError> {
        let [first, second, rest @ ..] = buf else {
            return Ok(None);
        };
        let fin = first & 0x80 != 0;
        let rsv = first >> 4 & 7;
        let opcode = OpCode::from_bits(first & 0x0f);
        let masked = second & 0x80 != 0;
        let short = second & 0x7f;

        let rsv_allowed = match opcode {
            Some(OpCode::Text | OpCode::Binary) => expect.rsv_data,
            _ => 0,
        };
        if rsv & !rsv_allowed != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = opcode.ok_or(ProtocolError::ReservedOpcode)?;
        if opcode.is_control() {
            if !fin {
                return Err(ProtocolError::ControlFragmented);
            }
            if usize::from(short) > CONTROL_BYTES_MAX {
                return Err(ProtocolError::ControlTooLong);
            }
        }
        if masked != expect.masked {
            return Err(if masked {
                ProtocolError::MaskUnexpected
            } else {
                ProtocolError::MaskMissing
            });
        }

        let (len, rest) = match short {
            126 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u16::from_be_bytes(*bytes);
                if len < 126 {
                    return Err(ProtocolError::LengthNotMinimal);
                }
                (u64::from(len), rest)
            }
            127 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                let len = u64::from_be_bytes(*bytes);
                if len >> 63 != 0 {
                    return Err(ProtocolError::LengthOverflow);
                }
                if len <= u64::from(u16::MAX) {
                    return Err(ProtocolError::LengthNotMinimal);
                }
                (len, rest)
            }
            short => (u64::from(short), rest),
        };
        let (mask, rest) = if masked {
            let Some((key, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (Some(*key), rest)
        } else {
            (None, rest)
        };
        Ok(Some((Self { fin, rsv, opcode, mask, len }, buf.len() - rest.len())))
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> HeaderBytes {
        let mut out = HeaderBytes { bytes: [0; HEADER_BYTES_MAX], len: 0 };
        let mask_bit = if self.mask.is_some() { 0x80 } else { 0 };
        out.push(&[u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | self.opcode as u8]);
        match (u8::try_from(self.len), u16::try_from(self.len)) {
            (Ok(len @ 0..=125), _) => out.push(&[mask_bit | len]),
            (_, Ok(len)) => {
                out.push(&[mask_bit | 126]);
                out.push(&len.to_be_bytes());
            }
            _ => {
                out.push(&[mask_bit | 127]);
                out.push(&self.len.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            out.push(&key);
        }
        out
    }
}

/// An encoded header; dereferences to its bytes.
#[derive(Debug, Clone, Copy)]
pub struct HeaderBytes {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl HeaderBytes {
    fn push(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }
}

impl Deref for HeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The header of a server's unfragmented frame with a payload of `len` bytes, for payloads that are
/// sent from elsewhere (a vectored write).
#[must_use]
pub fn server_header(opcode: OpCode, len: usize) -> HeaderBytes {
    Header { fin: true, rsv: 0, opcode, mask: None, len: len as u64 }.encode()
}

/// Appends one frame. `mask` is the key of a client (unpredictable and new for each frame, §5.3),
/// `None` for a server. For fragments, `fin` is false on all but the last and `opcode` is
/// [`OpCode::Continuation`] on all but the first.
pub fn write_frame(
    out: &mut Vec<u8>,
    fin: bool,
    opcode: OpCode,
    mask: Option<[u8; 4]>,
    payload: &[u8],
) {
    write_frame_rsv(out, fin, 0, opcode, mask, payload);
}

/// As [`write_frame`], with reserved bits in the notation of [`Header::rsv`]: on the first frame of a
/// message that an extension has changed.
pub fn write_frame_rsv(
    out: &mut Vec<u8>,
    fin: bool,
    rsv: u8,
    opcode: OpCode,
    mask: Option<[u8; 4]>,
    payload: &[u8],
) {
    let header = Header { fin, rsv, opcode, mask, len: payload.len() as u64 }.encode();
    out.reserve(header.len() + payload.len());
    out.extend_from_slice(&header);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        Mask::new(key).apply(&mut out[start..]);
    }
}

/// A server's complete text frame, to be shared by many connections.
#[must_use]
pub fn text_frame(payload: &str) -> Bytes {
    server_frame(OpCode::Text, payload.as_bytes())
}

/// A server's complete binary frame.
#[must_use]
pub fn binary_frame(payload: &[u8]) -> Bytes {
    server_frame(OpCode::Binary, payload)
}

/// A server's ping, or `None` when the payload is longer than [`CONTROL_BYTES_MAX`].
#[must_use]
pub fn ping_frame(payload: &[u8]) -> Option<Bytes> {
    (payload.len() <= CONTROL_BYTES_MAX).then(|| server_frame(OpCode::Ping, payload))
}

/// A server's pong, or `None` when the payload is longer than [`CONTROL_BYTES_MAX`] (the payload of a
/// decoded ping never is).
#[must_use]
pub fn pong_frame(payload: &[u8]) -> Option<Bytes> {
    (payload.len() <= CONTROL_BYTES_MAX).then(|| server_frame(OpCode::Pong, payload))
}

fn server_frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let mut out = Vec::new();
    write_frame(&mut out, true, opcode, None, payload);
    out.into()
}

/// A server's frame whose payload is written straight behind its header.
///
/// The header's size depends on the length, which is not known at first: space is kept for the length
/// that was hinted, and [`finish`](Self::finish) moves the payload by a few bytes when the hint put it
/// in the wrong class (up to 125 bytes, up to 65,535, more). Dropped unfinished, for example because
/// serialising failed, it takes back everything it wrote.
#[derive(Debug)]
pub struct FrameBuilder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    payload_start: usize,
    opcode: OpCode,
    finished: bool,
}

impl<'a> FrameBuilder<'a> {
    /// Starts a frame at the end of `out`. `len_hint` is the expected payload length in bytes.
    #[must_use]
    pub fn begin(out: &'a mut Vec<u8>, opcode: OpCode, len_hint: usize) -> Self {
        let start = out.len();
        let header = server_header(opcode, len_hint);
        out.reserve(header.len() + len_hint);
        out.extend_from_slice(&header);
        let payload_start = out.len();
        Self { out, start, payload_start, opcode, finished: false }
    }

    /// Appends to the payload.
    pub fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// The buffer, for serialisers that want a `Vec`: append only.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Payload bytes written so far.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.out.len().saturating_sub(self.payload_start)
    }

    /// Writes the header. Returns the length of the whole frame in bytes.
    ///
    /// # Panics
    /// When [`buffer`](Self::buffer) was used to remove what stood there before the frame.
    pub fn finish(mut self) -> usize {
        assert!(self.out.len() >= self.payload_start, "a frame's buffer is append only");
        let header = server_header(self.opcode, self.payload_len());
        let kept = self.start..self.payload_start;
        if kept.len() == header.len() {
            self.out[kept].copy_from_slice(&header);
        } else {
            self.out.splice(kept, header.iter().copied());
        }
        self.finished = true;
        self.out.len() - self.start
    }
}

impl Drop for FrameBuilder<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.out.truncate(self.start);
        }
    }
}

impl io::Write for FrameBuilder<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.push(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const SERVER: Expect = Expect { masked: true, rsv_data: 0 };
    const CLIENT: Expect = Expect { masked: false, rsv_data: 0 };

    #[test]
    fn headers_survive_the_wire_and_need_all_their_bytes() {
        let lens = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 1 << 40, (1 << 63) - 1];
        for len in lens {
            for mask in [None, Some([1, 2, 3, 4])] {
                for (fin, opcode) in [(true, OpCode::Text), (false, OpCode::Continuation)] {
                    let header = Header { fin, rsv: 0, opcode, mask, len };
                    let expect = if mask.is_some() { SERVER } else { CLIENT };
                    let bytes = header.encode();
                    let mut longer = bytes.to_vec();
                    longer.extend_from_slice(b"payload");
                    let expected = Ok(Some((header, bytes.len())));
                    assert_eq!(Header::parse(&bytes, expect), expected);
                    assert_eq!(Header::parse(&longer, expect), expected);
                    for cut in 0..bytes.len() {
                        assert_eq!(Header::parse(&bytes[..cut], expect), Ok(None), "{header:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn bad_headers() {
        use ProtocolError as E;
        let server = |bytes: &[u8], expected| {
            assert_eq!(Header::parse(bytes, SERVER), Err(expected), "{bytes:x?}");
        };
        server(&[0xc1, 0x80], E::ReservedBits);
        server(&[0xa1, 0x80], E::ReservedBits);
        server(&[0x91, 0x80], E::ReservedBits);
        server(&[0xf9, 0x80], E::ReservedBits);
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            server(&[0x80 | opcode, 0x80], E::ReservedOpcode);
        }
        server(&[0x09, 0x80], E::ControlFragmented);
        server(&[0x89, 0xfe], E::ControlTooLong);
        server(&[0x88, 0xff], E::ControlTooLong);
        server(&[0x81, 0x00], E::MaskMissing);
        server(&[0x81, 0xfe, 0, 125], E::LengthNotMinimal);
        server(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], E::LengthNotMinimal);
        server(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], E::LengthOverflow);
        assert_eq!(Header::parse(&[0x81, 0x80], CLIENT), Err(E::MaskUnexpected));
    }

    #[test]
    fn an_extension_may_use_rsv1_on_a_first_data_frame_only() {
        let deflate = Expect { masked: false, rsv_data: 0b100 };
        let check = |first: u8, ok: bool| {
            assert_eq!(Header::parse(&[first, 0], deflate).is_ok(), ok, "{first:x}");
        };
        check(0xc1, true);
        check(0x42, true);
        check(0xa1, false);
        check(0xc0, false);
        check(0xc9, false);
    }

    #[test]
    fn built_frames_equal_written_frames_whatever_the_hint() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            for hint in [0, 125, 126, 65_535, 65_536] {
                let payload = vec![b'x'; len];
                let mut expected = b"before".to_vec();
                write_frame(&mut expected, true, OpCode::Text, None, &payload);

                let mut out = b"before".to_vec();
                let mut builder = FrameBuilder::begin(&mut out, OpCode::Text, hint);
                let (left, right) = payload.split_at(len / 3);
                builder.write_all(left).unwrap();
                builder.buffer().extend_from_slice(right);
                assert_eq!(builder.payload_len(), len);
                assert_eq!(builder.finish(), expected.len() - 6);
                assert_eq!(out, expected, "len {len} hint {hint}");
            }
        }
    }

    #[test]
    fn an_unfinished_frame_leaves_no_trace() {
        let mut out = b"before".to_vec();
        let mut builder = FrameBuilder::begin(&mut out, OpCode::Text, 10);
        builder.push(b"half");
        drop(builder);
        assert_eq!(out, b"before");
    }

    #[test]
    fn rfc_examples() {
        // RFC 6455 §5.7.
        assert_eq!(&text_frame("Hello")[..], b"\x81\x05Hello");
        assert_eq!(&ping_frame(b"Hello").unwrap()[..], b"\x89\x05Hello");
        let mut out = Vec::new();
        write_frame(&mut out, true, OpCode::Text, Some([0x37, 0xfa, 0x21, 0x3d]), b"Hello");
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        assert_eq!(binary_frame(&[7; 256])[..4], [0x82, 0x7e, 1, 0]);
        assert_eq!(binary_frame(&[7; 65_536])[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(ping_frame(&[0; 126]), None);
        assert_eq!(pong_frame(&[0; 126]), None);
    }
}
