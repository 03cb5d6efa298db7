//! How long content may be, by kind.

use hubbub_proto::command::{Content, Kind};
use hubbub_proto::{Reason, Refusal};

use crate::config::ContentBytes;

/// Checks the length of content that somebody wants to write.
///
/// # Errors
/// `too_big`, with the limit of the kind.
pub fn check(limits: &ContentBytes, kind: &Kind, content: &Content) -> Result<(), Refusal> {
    let most = match kind {
        Kind::Text => limits.text,
        Kind::Image | Kind::File | Kind::Audio | Kind::Video => limits.media,
        Kind::Location | Kind::Card => limits.card,
        _ => limits.custom,
    };
    if content.get().len() > most as usize {
        let name = kind.as_str();
        let detail = format!("`content` of kind {name} must not be longer than {most} bytes.");
        return Err(Refusal::with(Reason::TooBig, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn each_kind_has_a_length() {
        let limits = ContentBytes { text: 10, media: 20, card: 30, custom: 40 };
        for (kind, most) in [
            ("text", 10),
            ("image", 20),
            ("file", 20),
            ("audio", 20),
            ("video", 20),
            ("location", 30),
            ("card", 30),
            ("custom:poll", 40),
        ] {
            let kind = Kind::parse(kind).unwrap();
            let content = |bytes: usize| -> Content {
                Arc::from(RawValue::from_string(format!("\"{}\"", "x".repeat(bytes - 2))).unwrap())
            };
            assert_eq!(check(&limits, &kind, &content(most)), Ok(()));
            let refusal = check(&limits, &kind, &content(most + 1)).unwrap_err();
            assert_eq!(refusal.reason, Reason::TooBig);
            assert!(
                refusal.message().contains(&format!("longer than {most} bytes")),
                "{refusal:?}"
            );
        }
    }
}
