//! `hubbub chat`: a plain terminal client, to see the server work without a browser.
//!
//! Invariant: a line typed is printed with its place in the log once the server has it on disk, and
//! the command does not end while one is on its way.

use std::collections::HashMap;
use std::io::BufRead;
use std::time::Duration;

use clap::Args;
use hubbub_access::{Grant, GrantOfChannels, Secret, Signer};
use hubbub_client::{Client, Event, Options};
use hubbub_proto::UserId;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Failure, Place, print};
use crate::clock;

const EXAMPLES: &str = "\
Examples:
  hubbub chat --user alice --to user:bob
  hubbub chat --user bob                      see who wrote, then /to somebody
  echo 'deployed' | hubbub chat --user ci --to group:01980b1e-...

While it runs, a line is a message, and
  /to user:bob          writes to bob from now on (or group:ID)
  /list                 shows your conversations
  /history [N]          shows the last N entries here (20)
  /group NAME USER...   makes a group and writes to it
  /help                 shows this
  /quit                 ends, as does the end of the input

It ends with 0 if every line is on the server's disk, else with 1.";

/// How long the last lines may take to be stored when the input ends.
const LAST_LINES: Duration = Duration::from_secs(30);

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Chat {
    /// Who you are
    #[arg(long, value_name = "ID")]
    user: String,
    /// Whom to write to: user:ID or group:ID
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Where the server is
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    url: String,
    /// A token; without one, one is signed with the secret in the data directory
    #[arg(long, env = "HUBBUB_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Chat {
    pub(super) fn run(self) -> Result<(), Failure> {
        let user = UserId::new(&self.user).map_err(|error| Failure::Usage(error.to_string()))?;
        let mut options = match self.token {
            Some(token) => Options::new(&self.url, &token),
            None => own_tokens(&self.place, &self.url, user)?,
        };
        options.attempts = None;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(error.to_string()))?;
        let ended = runtime.block_on(converse(options, self.user, self.to));
        // The thread that waits for a line cannot be woken; it must not hold up the end.
        runtime.shutdown_background();
        ended
    }
}

/// Tokens signed here, a new one at every connection.
fn own_tokens(place: &Place, url: &str, user: UserId) -> Result<Options, Failure> {
    let config = place.load(Vec::new())?;
    let secret = Secret::load(&config.secret_file()).map_err(|error| {
        Failure::Failed(format!(
            "{error}; start the server first, name its --data-dir, or pass --token"
        ))
    })?;
    let signer = Signer::new(&secret);
    let algorithm = config.auth.algorithms.first().map_or("HS256", String::as_str).to_owned();
    let sign = move || {
        let iat = clock::now().as_secs();
        let grant = Grant {
            sub: user.clone(),
            name: None,
            roles: Vec::new(),
            device: None,
            iss: config.auth.issuer(),
            aud: config.auth.audience(),
            iat,
            exp: iat + 3_600,
            of_channels: GrantOfChannels::default(),
        };
        signer.sign(&grant, &algorithm).unwrap_or_default()
    };
    let mut options = Options::new(url, "");
    options.token = std::sync::Arc::new(sign);
    Ok(options)
}

/// What is on the screen.
struct Screen {
    user: String,
    /// Whom a line goes to.
    to: Option<String>,
    /// Lines on their way, by client id.
    unsent: HashMap<String, String>,
    /// Lines that nobody will get.
    lost: usize,
    /// Where the server is.
    url: String,
    /// It was said that there is no connection.
    offline: bool,
}

async fn converse(options: Options, user: String, to: Option<String>) -> Result<(), Failure> {
    let mut lines = Some(typed_lines());
    let mut screen = Screen {
        user,
        to,
        unsent: HashMap::new(),
        lost: 0,
        url: options.url.clone(),
        offline: false,
    };
    let (client, mut events) =
        Client::start(options).map_err(|error| Failure::Usage(error.to_string()))?;
    // Only after the first sync, so that what was missed stands above what is typed.
    let mut reading = false;
    let mut give_up = None;
    loop {
        if lines.is_none() && screen.unsent.is_empty() {
            client.close().await;
            return match screen.lost {
                0 => Ok(()),
                1 => Err(Failure::Failed("one line was not sent".into())),
                lost => Err(Failure::Failed(format!("{lost} lines were not sent"))),
            };
        }
        let line = async {
            match &mut lines {
                Some(lines) if reading => lines.recv().await,
                _ => std::future::pending().await,
            }
        };
        let late = async {
            match give_up {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.recv() => match event {
                None => return Err(Failure::Failed("the connection has ended".into())),
                // What was missed has been shown by now.
                Some(Event::Synced) => reading = true,
                // Without a connection what is typed waits, and `/quit` works.
                Some(event @ Event::Offline { .. }) => {
                    reading = true;
                    screen.show(&client, event).await?;
                }
                Some(event) => screen.show(&client, event).await?,
            },
            line = line => match line {
                Some(line) => match screen.obey(&client, line.trim()).await? {
                    Next::Line => {}
                    Next::Quit => {
                        screen.lost += screen.unsent.len();
                        screen.unsent.clear();
                        lines = None;
                    }
                },
                None => lines = None,
            },
            () = late => {
                screen.lost += screen.unsent.len();
                screen.unsent.clear();
            }
        }
        if lines.is_none() && give_up.is_none() {
            give_up = Some(tokio::time::Instant::now() + LAST_LINES);
        }
    }
}

/// What follows a line.
enum Next {
    /// Another one.
    Line,
    /// The end, at once.
    Quit,
}

impl Screen {
    async fn show(&mut self, client: &Client, event: Event) -> Result<(), Failure> {
        match event {
            Event::Connected(payload) if payload["user"].as_str() != Some(&self.user) => {
                let other = payload["user"].as_str().unwrap_or_default();
                Err(Failure::Usage(format!("the token is {other}'s, not {}'s", self.user)))
            }
            Event::Connected(payload) => {
                self.offline = false;
                let server = payload["server"].as_str().unwrap_or_default();
                note(&format!("connected to {server} as {}; /quit ends", self.user))
            }
            Event::Entry(entry) => {
                let client_id = entry["client_id"].as_str().unwrap_or_default();
                if self.unsent.remove(client_id).is_some() {
                    let conversation = entry["conversation"].as_str().unwrap_or_default();
                    return note(&format!("stored as {conversation} #{}", entry["seq"]));
                }
                if entry["from"].as_str() == Some(&self.user) {
                    return print(&entry_line(&entry));
                }
                let place = json!({ "conversation": entry["conversation"], "seq": entry["seq"] });
                client.tell("read", place).await.map_err(failed)?;
                print(&entry_line(&entry))
            }
            Event::Failed { client_id, error } => {
                let line = self.unsent.remove(&client_id).unwrap_or_default();
                self.lost += 1;
                note(&format!("not sent: {line}: {}", sentence(&error)))
            }
            Event::Offline { .. } if self.offline => Ok(()),
            Event::Offline { reason } => {
                self.offline = true;
                note(&format!("no connection to {}: {reason}; trying again", self.url))
            }
            Event::Other { kind, payload } if kind == "error" => note(&sentence(&payload)),
            Event::Other { kind, payload } if kind == "bye" => {
                note(&format!("the server says goodbye: {payload}"))
            }
            _ => Ok(()),
        }
    }

    async fn obey(&mut self, client: &Client, line: &str) -> Result<Next, Failure> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            "/quit" => return Ok(Next::Quit),
            "/help" => print(&format!("{EXAMPLES}\n"))?,
            "/to" if rest.is_empty() => note("name somebody: /to user:bob")?,
            "/to" => {
                self.to = Some(rest.trim().to_owned());
                self.history(client, 20).await?;
            }
            "/history" => self.history(client, rest.trim().parse().unwrap_or(20)).await?,
            "/list" => list(client).await?,
            "/group" => self.group(client, rest).await?,
            command if command.starts_with('/') => note(&format!("{command}? try /help"))?,
            _ => match &self.to {
                None => {
                    self.lost += 1;
                    note("whom to? /to user:ID or /to group:ID first")?;
                }
                Some(to) => {
                    let id = client.send(to, json!(line)).await.map_err(failed)?;
                    self.unsent.insert(id, line.to_owned());
                }
            },
        }
        Ok(Next::Line)
    }

    async fn history(&self, client: &Client, limit: u32) -> Result<(), Failure> {
        let Some(to) = &self.to else { return note("whose? /to user:ID first") };
        let conversation = match to.strip_prefix("user:") {
            Some(peer) => {
                let (a, b) =
                    if *self.user < *peer { (&*self.user, peer) } else { (peer, &*self.user) };
                format!("direct:{a}:{b}")
            }
            None => to.clone(),
        };
        let asked = json!({ "conversation": conversation, "limit": limit });
        match client.request("history", asked).await {
            Ok(page) => {
                let entries = page["entries"].as_array().cloned().unwrap_or_default();
                print(&entries.iter().map(entry_line).collect::<String>())
            }
            Err(hubbub_client::Error::Command(error)) => note(&sentence(&error)),
            Err(error) => Err(failed(error)),
        }
    }

    async fn group(&mut self, client: &Client, rest: &str) -> Result<(), Failure> {
        let mut words = rest.split_whitespace();
        let Some(name) = words.next() else { return note("name it: /group NAME USER...") };
        let members: Vec<&str> = words.collect();
        match client.request("group_create", json!({ "name": name, "members": members })).await {
            Ok(ack) => {
                let conversation = ack["conversation"].as_str().unwrap_or_default().to_owned();
                note(&format!("made {conversation}"))?;
                self.to = Some(conversation);
                Ok(())
            }
            Err(hubbub_client::Error::Command(error)) => note(&sentence(&error)),
            Err(error) => Err(failed(error)),
        }
    }
}

async fn list(client: &Client) -> Result<(), Failure> {
    match client.request("conversations", json!({})).await {
        Ok(page) => {
            let conversations = page["conversations"].as_array().cloned().unwrap_or_default();
            for conversation in conversations {
                let id = conversation["id"].as_str().unwrap_or_default();
                let name = conversation["name"].as_str().unwrap_or_default();
                let unread = &conversation["unread"];
                print(&format!("{id}  {name}  {unread} unread\n"))?;
            }
            Ok(())
        }
        Err(hubbub_client::Error::Command(error)) => note(&sentence(&error)),
        Err(error) => Err(failed(error)),
    }
}

/// Lines of standard input, until it ends.
fn typed_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn entry_line(entry: &Value) -> String {
    let at = entry["at"].as_u64().unwrap_or_default() / 1000;
    let (hours, minutes) = (at / 3_600 % 24, at / 60 % 60);
    let from = entry["from"].as_str().unwrap_or_default();
    let conversation = entry["conversation"].as_str().unwrap_or_default();
    let place = if conversation.starts_with("group:") { conversation } else { "direct" };
    let content = match entry["content"].as_str() {
        Some(text) => printable(text),
        None => printable(&format!(
            "({}) {}",
            entry["kind"].as_str().unwrap_or_default(),
            entry["content"]
        )),
    };
    format!("{hours:02}:{minutes:02}Z {place} #{} {from}: {content}\n", entry["seq"])
}

/// Text without what would move a terminal's cursor or change its state.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn note(text: &str) -> Result<(), Failure> {
    print(&format!("* {}\n", printable(text)))
}

fn sentence(error: &Value) -> String {
    let reason = error["reason"].as_str().unwrap_or("error");
    format!("{reason}: {}", error["message"].as_str().unwrap_or_default())
}

#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn failed(error: hubbub_client::Error) -> Failure {
    Failure::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_harmless_line() {
        let entry = json!({
            "conversation": "direct:a:b", "seq": 7, "from": "a", "kind": "text",
            "content": "hi\u{1b}[2J\nthere", "at": 3_660_000,
        });
        assert_eq!(entry_line(&entry), "01:01Z direct #7 a: hi [2J there\n");
    }
}
