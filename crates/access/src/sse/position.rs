//! Where a stream stands, in the text that goes out as the `id` of its events and comes back as
//! `Last-Event-ID`.
//!
//! The text holds no secret and is believed in nothing: whoever changes it is told of other
//! publications of a channel that they may subscribe to, or that nothing can be recovered.
//! Invariants: printable ASCII that needs no escaping anywhere; what is written is read back; what
//! cannot be read is no position, and never an error.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

/// The longest text that is read, in bytes: twice what the most channels take.
pub(crate) const POSITION_BYTES_MAX: usize = 8 * 1024;
/// What a text of this form begins with.
const FORM: &str = "1";

/// Where a stream stands in one channel: the last offset that went out, and its epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ChannelAt {
    pub(crate) epoch: u32,
    pub(crate) offset: u64,
}

/// Where it stands in what is the user's: the last commit of which everything went out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct UserAt {
    /// The store's.
    pub(crate) epoch: u32,
    pub(crate) rev: u64,
}

/// Where a stream stood, as a client brings it back.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Position {
    /// The stream was ended for good.
    pub(crate) is_over: bool,
    pub(crate) user: Option<UserAt>,
    /// By [`mark`].
    pub(crate) channels: HashMap<u32, ChannelAt>,
}

/// A channel's name in short. Two that have the same one have different epochs, so that taking one
/// for the other recovers nothing.
pub(crate) fn mark(channel: &str) -> u32 {
    // FNV-1a, because a later version of the server has to come to the same number.
    channel
        .bytes()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Appends a position as text.
pub(crate) fn write(
    out: &mut String,
    is_over: bool,
    user: Option<UserAt>,
    channels: impl Iterator<Item = (u32, ChannelAt)>,
) {
    out.push_str(FORM);
    // Writing to a text does not fail.
    let mut part = |arguments: fmt::Arguments<'_>| _ = out.write_fmt(arguments);
    if is_over {
        part(format_args!("-over"));
    }
    if let Some(UserAt { epoch, rev }) = user {
        part(format_args!("-u.{epoch:08x}.{rev:x}"));
    }
    for (mark, ChannelAt { epoch, offset }) in channels {
        part(format_args!("-{mark:08x}.{epoch:08x}.{offset:x}"));
    }
}

/// Reads a position; `None` where the text is none.
pub(crate) fn read(text: &str) -> Option<Position> {
    if text.len() > POSITION_BYTES_MAX {
        return None;
    }
    let mut parts = text.split('-');
    if parts.next() != Some(FORM) {
        return None;
    }
    let mut position = Position::default();
    for part in parts {
        if part == "over" {
            position.is_over = true;
            continue;
        }
        let mut numbers = part.splitn(3, '.');
        let (of, epoch, at) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let (epoch, at) = (short(epoch)?, hex(at)?);
        if of == "u" {
            position.user = Some(UserAt { epoch, rev: at });
        } else {
            position.channels.insert(short(of)?, ChannelAt { epoch, offset: at });
        }
    }
    Some(position)
}

/// Eight hexadecimal digits.
pub(crate) fn short(text: &str) -> Option<u32> {
    if text.len() == 8 { hex(text).and_then(|number| u32::try_from(number).ok()) } else { None }
}

fn hex(text: &str) -> Option<u64> {
    // A sign is no digit, though the standard library takes one.
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let user = UserAt { epoch: 7, rev: u64::MAX };
        let channels = [
            (mark("news:a"), ChannelAt { epoch: 0x00c0_ffee, offset: 18 }),
            (mark("news:b"), ChannelAt { epoch: u32::MAX, offset: 0 }),
        ];
        for is_over in [false, true] {
            for user in [None, Some(user)] {
                let mut text = String::new();
                write(&mut text, is_over, user, channels.into_iter());
                let expected = Position { is_over, user, channels: channels.into() };
                assert_eq!(read(&text), Some(expected), "{text}");
                assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)));
            }
        }
        assert_eq!(mark("news:a"), 0x46b7_9acf, "a later version reads what this one wrote");
    }

    #[test]
    fn what_cannot_be_read_is_no_position() {
        for text in [
            "",
            "2",
            "x",
            "1-",
            "1-u",
            "1-u.7.1",
            "1-00000000.00000000",
            "1-0.00000000.1",
            "1-00000000.00000000.",
            "1-00000000.0000000+.1",
            "1-00000000.00000000.+1",
            "1-00000000.00000000.10000000000000000",
            "1-over-",
            "0-over",
            "1-ünï.00000000.1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"1-over".repeat(2000)), None);
    }
}
