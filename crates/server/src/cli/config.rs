//! `hubbub config check|default|doc`

use clap::{Args, Subcommand};

use super::{Failure, Place, print};
use crate::{certificates, config};

const EXAMPLES: &str = "\
Examples:
  hubbub config default > hubbub.toml
  hubbub config check --config hubbub.toml
  HUBBUB_SERVER_BIND=127.0.0.1:9000 hubbub config check";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check file, environment, flags and certificate; prints `ok`, or what is wrong
    Check(Place),
    /// Print a file with every key, its default and its meaning
    Default,
    /// Print the reference as Markdown
    Doc,
}

impl ConfigCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Check(place) => {
                let config = place.load(Vec::new())?;
                let certificate = certificates::load(&config);
                let certificate = certificate.map_err(|error| Failure::Usage(error.to_string()))?;
                if let Some(warning) = certificate.as_ref().and_then(certificates::warning) {
                    eprintln!("hubbub: {warning}");
                }
                print("ok\n")
            }
            What::Default => print(&config::as_toml()),
            What::Doc => print(&config::as_markdown()),
        }
    }
}
