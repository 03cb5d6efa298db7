//! The command line: one file for each command.
//!
//! Invariant: what a command makes goes to standard output and nothing else does; a failure is one
//! line on standard error, with 2 for what was asked and 1 for what went wrong. A server that a
//! second signal cut off ends with 3 (see `signals`).

mod backup;
mod chat;
mod config;
mod key;
mod restored;
mod serve;
mod token;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use toml::Value;

use crate::config::{Config, ConfigError, Sources};

const EXAMPLES: &str = "\
Try it:
  hubbub serve --dev                       then open the printed address in two browser windows

Run it:
  hubbub serve --data-dir /var/lib/hubbub  nobody gets in without a token
  hubbub token --user alice --data-dir /var/lib/hubbub
  hubbub key create --name shop --scope messages --data-dir /var/lib/hubbub
  curl http://127.0.0.1:8080/readyz

Configure it:
  hubbub config default > hubbub.toml
  hubbub serve --config hubbub.toml
  HUBBUB_LIMITS_COMMANDS_PER_SECOND=500 hubbub serve

`hubbub COMMAND --help` explains a command.";

/// A self-hosted real-time messaging server.
#[derive(Debug, Parser)]
#[command(name = "hubbub", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Make a token for a user, signed with the server's secret
    Token(token::Token),
    /// Make, list, rotate and revoke the keys of back ends
    Key(key::KeyCommand),
    /// Chat in the terminal
    Chat(chat::Chat),
    /// Check, print or explain the configuration
    Config(config::ConfigCommand),
    /// Copy the data, while the server runs or not
    Backup(backup::Backup),
    /// Say that the data was restored from a backup
    Restored(restored::Restored),
    /// Print the version
    Version,
}

/// Flags that say where the configuration and the data are.
#[derive(Args, Clone, Debug)]
struct Place {
    /// The directory with the store and the signing secret [default: hubbub-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// A TOML file; `hubbub config default` prints one
    #[arg(long, value_name = "FILE", env = "HUBBUB_CONFIG")]
    config: Option<PathBuf>,
}

impl Place {
    /// The configuration with these flags and `more`.
    fn load(&self, more: Vec<(&'static str, &'static str, Value)>) -> Result<Config, ConfigError> {
        let data_dir = self.data_dir.clone();
        let data_dir = data_dir.map(|dir| ("server", "data_dir", Value::String(dir)));
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let flags = more.into_iter().chain(data_dir).collect();
        Sources { file: self.config.clone(), environment, flags }.load()
    }
}

/// Why a command failed.
enum Failure {
    /// What was asked for cannot be.
    Usage(String),
    /// It could not be done.
    Failed(String),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

/// Runs the command of the process's arguments and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Token(token) => token.run(),
        Command::Key(key) => key.run(),
        Command::Chat(chat) => chat.run(),
        Command::Config(config) => config.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restored(restored) => restored.run(),
        Command::Version => version::run(),
    };
    let (said, code) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(said)) => (said, 2),
        Err(Failure::Failed(said)) => (said, 1),
    };
    eprintln!("hubbub: {}", said.replace('\n', " "));
    ExitCode::from(code)
}

/// Writes to standard output; a reader that has gone away ends the command without noise.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
