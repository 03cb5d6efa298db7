//! Where the server is: `ws://ADDRESS:PORT/PATH`, with a numeric IPv4 address or `localhost`.

use std::net::{Ipv4Addr, SocketAddrV4};

pub(crate) struct Target {
    pub(super) address: SocketAddrV4,
    pub(super) host: String,
    pub(super) path: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("ws://").ok_or("the URL must start with ws://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
        let ip = if name == "localhost" { Ok(Ipv4Addr::LOCALHOST) } else { name.parse() };
        Ok(Self {
            address: SocketAddrV4::new(
                ip.map_err(|_| "the host must be an IPv4 address")?,
                port.parse().map_err(|_| "bad port")?,
            ),
            host: host.into(),
            path: if path.is_empty() { "/".into() } else { path.into() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let target = Target::parse("ws://localhost:9000/ws?x=1").unwrap();
        assert_eq!(target.address.to_string(), "127.0.0.1:9000");
        assert_eq!(target.host, "localhost:9000");
        assert_eq!(target.path, "/ws?x=1");
        assert_eq!(Target::parse("ws://10.0.0.1").unwrap().path, "/");
        for bad in ["http://127.0.0.1/", "ws://example:1/", "ws://127.0.0.1:x/"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
