//! `hubbub token`: signs a token with the server's secret and prints it alone.

use clap::Args;
use hubbub_access::{Grant, GrantOfChannels, Secret, Signer};
use hubbub_proto::{DeviceId, UserId};

use super::{Failure, Place, print};
use crate::clock;

const EXAMPLES: &str = "\
Examples:
  hubbub token --user alice
  hubbub token --user bob --name Bob --role admin --role staff --ttl 7d
  TOKEN=$(hubbub token --user alice --data-dir /var/lib/hubbub)

The token is signed with the secret in the data directory, so whoever may read that may sign in as
anybody. Back ends sign tokens themselves: a JWT (HS256) with `sub` and `exp`, keyed with the text of
the file `secret`.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Token {
    /// The user's id: 1 to 128 of A-Z a-z 0-9 . _ @ + = ~ | -
    #[arg(long, value_name = "ID", value_parser = user)]
    user: UserId,
    /// The name that others see
    #[arg(long)]
    name: Option<String>,
    /// A role; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A channel that it names, or a pattern such as news:*; may be given several times
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,
    /// A channel to which its connections are subscribed from the start; may be given several times
    #[arg(long = "subscribe", value_name = "CHANNEL")]
    subs: Vec<String>,
    /// The channel, or pattern, that it is for and for nothing else: it goes into `subscribe`
    #[arg(long = "for-channel", value_name = "CHANNEL")]
    for_channel: Option<String>,
    /// How long it holds, such as 30m, 1h or 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = seconds)]
    ttl: u64,
    /// Bind the token to one device
    #[arg(long, value_name = "ID", value_parser = device)]
    device: Option<DeviceId>,
    #[command(flatten)]
    place: Place,
}

impl Token {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.place.load(Vec::new())?;
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let secret = Secret::load(&config.secret_file()).map_err(|error| failed(&error))?;
        let iat = clock::now().as_secs();
        let grant = Grant {
            sub: self.user,
            name: self.name,
            roles: self.roles,
            device: self.device,
            iss: config.auth.issuer(),
            aud: config.auth.audience(),
            iat,
            exp: iat.saturating_add(self.ttl),
            of_channels: GrantOfChannels {
                channels: self.channels,
                subs: self.subs,
                channel: self.for_channel,
            },
        };
        let algorithm = config.auth.algorithms.first().map_or("HS256", String::as_str);
        let token = Signer::new(&secret).sign(&grant, algorithm).map_err(|error| failed(&error))?;
        print(&format!("{token}\n"))
    }
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::new(text).map_err(|error| error.to_string())
}

fn device(text: &str) -> Result<DeviceId, String> {
    DeviceId::new(text).map_err(|error| error.to_string())
}

/// Reads a length of time: a whole number and one of `s`, `m`, `h`, `d`; in seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no length of time; use for example 30m, 1h or 7d");
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd']);
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit) {
        Some(total) if total > 0 && total <= 100 * 365 * 24 * 60 * 60 => Ok(total),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, expected) in [
            ("30s", Some(30)),
            ("30m", Some(1_800)),
            ("1h", Some(3_600)),
            ("7d", Some(604_800)),
            ("0s", None),
            ("", None),
            ("h", None),
            ("10", None),
            ("1h30m", None),
            ("1hh", None),
            ("-1h", None),
            ("99999999999999999999d", None),
            ("999999999999999d", None),
            ("1 h", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }
}
