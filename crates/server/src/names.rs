//! Names for what the server itself makes: UUIDs of version 7 (RFC 9562), which sort by time; and
//! secrets.

use aws_lc_rs::digest::{SHA256, digest};
use hubbub_chat::ports::Names;
use hubbub_proto::Timestamp;
use uuid::{ContextV7, Uuid};

/// Makes names that sort after earlier ones, also within a millisecond.
pub(crate) struct UuidNames {
    context: ContextV7,
    latest: Timestamp,
}

impl UuidNames {
    pub(crate) fn new() -> Self {
        Self { context: ContextV7::new(), latest: Timestamp::default() }
    }
}

impl Names for UuidNames {
    fn unique(&mut self, now: Timestamp) -> String {
        // A clock that was set back must not make a name sort before an earlier one.
        self.latest = self.latest.max(now);
        let nanos = u32::try_from(self.latest.0 % 1000).unwrap_or(0) * 1_000_000;
        let at = uuid::Timestamp::from_unix(&self.context, self.latest.as_secs(), nanos);
        Uuid::new_v7(at).to_string()
    }

    fn secret(&mut self) -> Option<[u8; 16]> {
        let mut secret = [0; 16];
        aws_lc_rs::rand::fill(&mut secret).ok().map(|()| secret)
    }

    fn digest(&self, text: &str) -> [u8; 32] {
        let digest = digest(&SHA256, text.as_bytes());
        std::array::from_fn(|place| digest.as_ref()[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_digests_are_those_of_the_standard() {
        let mut names = UuidNames::new();
        let (one, other) = (names.secret().unwrap(), names.secret().unwrap());
        assert_ne!(one, other);
        // FIPS 180-4, appendix B.1.
        let digest = names.digest("abc");
        assert_eq!(digest[..8], [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]);
    }

    #[test]
    fn each_sorts_after_the_one_before() {
        let mut names = UuidNames::new();
        let at = [5, 5, 5, 6, 4, 4, 7].map(|ms| Timestamp(1_700_000_000_000 + ms));
        let made: Vec<String> = at.iter().cycle().take(7_000).map(|at| names.unique(*at)).collect();
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made.iter().all(|name| name.len() <= 64));
    }
}
