//! The chat page and the JavaScript SDK, embedded in the binary.

use hubbub_access::Asset;
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "../../web"]
#[allow_missing = true]
struct Pages;

#[derive(Embed)]
#[folder = "../../clients/js/src"]
#[allow_missing = true]
struct Sdk;

/// The file that is served at `/{path}`, if there is one.
pub(crate) fn asset(path: &str) -> Option<Asset> {
    let content_type = content_type(path)?;
    let file: EmbeddedFile = match path.strip_prefix("sdk/") {
        Some(path) => Sdk::get(path)?,
        None => Pages::get(path)?,
    };
    let hash = file.metadata.sha256_hash();
    let version = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    Some(Asset { bytes: file.data, content_type, version })
}

/// The types of files that are served; others that lie in the folders are not.
fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_is_there_and_nothing_outside_is() {
        let sdk = asset("sdk/index.js").unwrap();
        assert_eq!(sdk.content_type, "text/javascript; charset=utf-8");
        assert!(!sdk.bytes.is_empty());
        assert_eq!(sdk.version.len(), 24);
        for path in ["sdk/", "sdk/nothing.js", "sdk/../package.json", "../Cargo.toml", "", "x.js"] {
            assert!(asset(path).is_none(), "{path}");
        }
    }
}
