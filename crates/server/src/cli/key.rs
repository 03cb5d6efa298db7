//! `hubbub key create|list|rotate|revoke`: the keys with which back ends call the API.
//!
//! The file in the data directory is changed in place, whether a server runs or not: a running one
//! follows within a second.

use clap::{Args, Subcommand};
use hubbub_access::api::keys::{KeyError, KeyRecord};
use hubbub_access::{KeyFile, Scope, Scopes};
use hubbub_proto::Timestamp;

use super::token::seconds;
use super::{Failure, Place, print};
use crate::clock;

const EXAMPLES: &str = "\
Examples:
  hubbub key create --name shop --scope messages --scope push
  KEY=$(hubbub key create --name ops --scope '*' --expires-in 30d --data-dir /var/lib/hubbub)
  hubbub key list
  hubbub key rotate 0123456789ab --grace 1h
  hubbub key revoke 0123456789ab
  curl -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\
       -d '{\"to\":\"user:alice\",\"content\":\"Hello\"}' http://127.0.0.1:8080/api/v1/messages

A key is shown once, when it is made or rotated; what is kept cannot be turned back into it. The
server may be running. The reference of the API is at /api of a running server.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct KeyCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key and print it
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may be used for; may be given several times. `*` is everything
        #[arg(long = "scope", value_name = "SCOPE", required = true, long_help = scopes())]
        scopes: Vec<String>,
        /// How long it holds, such as 12h or 90d [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        expires_in: Option<u64>,
        #[command(flatten)]
        place: Place,
    },
    /// List all keys, one a line: id, name, scopes, state
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Give a key a new secret and print it
    Rotate {
        /// The key's id
        id: String,
        /// How long the old secret still holds, such as 5m; 0s for not at all
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = grace)]
        grace: u64,
        #[command(flatten)]
        place: Place,
    },
    /// End a key for ever
    Revoke {
        /// The key's id
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

impl KeyCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let now = clock::now();
        match self.what {
            What::Create { name, scopes, expires_in, place } => {
                let scopes = Scopes::parse(scopes.iter().map(String::as_str))
                    .map_err(|error| Failure::Usage(error.to_string()))?;
                let expires = expires_in.map(|s| now.plus_ms(s.saturating_mul(1_000)));
                let made = file(&place)?.create(&name, scopes, expires, now);
                print(&format!("{}\n", made?.token))
            }
            What::List { place } => {
                let keys = file(&place)?.list()?;
                print(&keys.iter().map(|key| line(key, now)).collect::<String>())
            }
            What::Rotate { id, grace, place } => {
                let made = file(&place)?.rotate(&id, grace.saturating_mul(1_000), now);
                print(&format!("{}\n", made?.token))
            }
            What::Revoke { id, place } => {
                file(&place)?.revoke(&id, now)?;
                print("revoked\n")
            }
        }
    }
}

fn file(place: &Place) -> Result<KeyFile, Failure> {
    let config = place.load(Vec::new())?;
    let dir = config.server.data_dir();
    if !dir.is_dir() {
        let said = "is not a directory: run `hubbub serve` once to make it, or check --data-dir";
        return Err(Failure::Usage(format!("{} {said}", dir.display())));
    }
    Ok(KeyFile::in_dir(dir))
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn scopes() -> String {
    let mut text = "What it may be used for; may be given several times:\n".to_owned();
    for scope in Scope::ALL {
        text.push_str(&format!("  {:<12}{}\n", scope.word(), scope.about().trim()));
    }
    text.push_str("  *           everything, also what later versions add");
    text
}

/// As [`seconds`], and none at all.
fn grace(text: &str) -> Result<u64, String> {
    if text == "0s" { Ok(0) } else { seconds(text) }
}

fn line(key: &KeyRecord, now: Timestamp) -> String {
    let state = match (key.revoked, key.expires) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(end)) if now >= end => "expired".to_owned(),
        (None, Some(end)) => format!("expires in {} h", end.since(now) / 3_600_000),
        (None, None) => "active".to_owned(),
    };
    let used = match key.last_used {
        Some(at) => format!("used {} min ago", now.since(at) / 60_000),
        None => "not used".to_owned(),
    };
    format!("{}\t{}\t{}\t{state}\t{used}\n", key.id, key.name, key.scopes.words().join(","))
}
