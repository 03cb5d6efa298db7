//! An endpoint that sends every message back as it came, such as Hubbub's `/echo`.

use super::{Dialect, Event};

pub(super) struct RawEcho;

impl Dialect for RawEcho {
    fn event(&self, _message: &[u8], _ready: bool) -> Event {
        Event::Other
    }

    fn echo(&self, data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(data);
    }
}
