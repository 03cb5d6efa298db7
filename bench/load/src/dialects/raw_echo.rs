//! An endpoint that sends every message back as it came: `/echo` on Hubbub and on the peers without
//! a protocol of their own.

use super::{Dialect, Event};

pub(super) struct RawEcho;

impl Dialect for RawEcho {
    fn path(&self, base: &str, _user: u32) -> String {
        if base == "/" { "/echo".into() } else { base.into() }
    }

    fn event(&self, _message: &[u8], _ready: bool) -> Event {
        Event::Other
    }

    fn echo(&self, data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_usual_one_unless_the_address_names_another() {
        assert_eq!(RawEcho.path("/", 3), "/echo");
        assert_eq!(RawEcho.path("/other", 3), "/other");
        let mut out = vec![];
        RawEcho.echo(b"@~", &mut out);
        assert_eq!(out, b"@~");
    }
}
