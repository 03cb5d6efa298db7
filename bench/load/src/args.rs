//! The command line: a bench's name, then `--option value` pairs.

use crate::die;
use std::collections::HashMap;
use std::str::FromStr;

pub(crate) const USAGE: &str = "\
usage: load conns|fanout|echo|pairs|logins|memory|slow|storm --url ws://127.0.0.1:PORT/ [options]

common:  --dialect plain|socketio|hubbub|hubbub-volatile|raw-echo   the server's protocol (plain)
         --pid P | --pids P,Q   the server: its CPU and memory, children included
         --core C               the CPU the server is pinned to, if it is
         --name LABEL           written into the result
         --opening N            concurrent handshakes (256)
         --open-rate R          connections opened per second (0: no limit)
         --src K                first source address 127.0.0.(2+K)
         --json-only            no listing on stderr
hubbub:  --secret-file PATH     the server's signing secret (required)
         --client-ids ordered|random   time-ordered UUIDs, or random ones (ordered)
         --confirm-ms N                a receiver confirms within N ms or after 50 messages, as the SDKs do;
                                       0 for once after each read (200)
conns:   --count N --hold S
fanout:  --subs N --rate R|max --window W --channel NAME --size B --secs S --warmup S
         W is the number of publications in flight at rate max (16)
echo:    --conns N --inflight K --size B --secs S --warmup S
pairs:   --conns N --inflight K --size B --secs S --warmup S --rate R|max
         R is the number of messages per second over all connections
storm:   --count N --conns E --rate R --size B --settle S --opening K
         N clients connect, K at a time (N: all at once), while E established ones send each
         other R messages per second
logins:  --count N --friends F
         N users log in as fast as they may, ask for their F friends and watch them (hubbub)
memory:  --count N --hold S [--plain]
         a warm-up of 1,000, then 1,000, 5,000 and N connections, S seconds each; --plain: no channels, no burst
slow:    --subs N --stopped K --rate R --channel NAME --size B --secs S --warmup S
         K subscribers more stop reading after half of S";

const OPTIONS: &[&str] = &[
    "channel",
    "client-ids",
    "confirm-ms",
    "conns",
    "core",
    "count",
    "dialect",
    "friends",
    "hold",
    "inflight",
    "json-only",
    "name",
    "open-rate",
    "opening",
    "pid",
    "pids",
    "plain",
    "rate",
    "secret-file",
    "secs",
    "settle",
    "size",
    "src",
    "stopped",
    "subs",
    "url",
    "warmup",
    "window",
];

/// The options given, by name without the dashes.
pub(crate) struct Args(HashMap<String, String>);

/// Splits the command line into the bench's name and its options; an error holds the usage.
pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<(String, Args), String> {
    let mut words = words.peekable();
    let bench = words.next().ok_or(USAGE)?;
    if bench == "--help" || bench == "-h" {
        return Ok(("help".into(), Args(HashMap::new())));
    }
    let mut given = HashMap::new();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--").filter(|name| OPTIONS.contains(name)) else {
            return Err(format!("unexpected {word}\n{USAGE}"));
        };
        let value = words.next_if(|next| !next.starts_with("--")).unwrap_or_else(|| "1".into());
        given.insert(option.to_owned(), value);
    }
    Ok((bench, Args(given)))
}

impl Args {
    /// The option's text, or `default`.
    pub(crate) fn text(&self, option: &str, default: &str) -> String {
        self.0.get(option).cloned().unwrap_or_else(|| default.into())
    }

    /// The option as a number, or `default`.
    pub(crate) fn number<T: FromStr>(&self, option: &str, default: T) -> T {
        match self.0.get(option) {
            None => default,
            Some(value) => {
                value.parse().unwrap_or_else(|_| die(&format!("--{option}: bad value {value}")))
            }
        }
    }

    /// The option in seconds, as nanoseconds.
    pub(crate) fn nanoseconds(&self, option: &str, default_seconds: f64) -> u64 {
        (self.number(option, default_seconds) * 1e9) as u64
    }

    /// Events per second; `None` stands for `max`, as fast as the closed loop goes.
    pub(crate) fn rate(&self) -> Option<f64> {
        match self.text("rate", "max").as_str() {
            "max" => None,
            _ => Some(self.number("rate", 0.0)).filter(|rate| *rate > 0.0),
        }
    }

    /// Whether the option was given at all.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.0.contains_key(option)
    }

    /// The server's processes.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let list = if self.has("pids") { self.text("pids", "") } else { self.text("pid", "") };
        list.split(',')
            .filter(|pid| !pid.is_empty())
            .map(|pid| pid.parse().unwrap_or_else(|_| die(&format!("bad process id {pid}"))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> impl Iterator<Item = String> {
        line.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn options_and_flags_are_told_apart() {
        let (bench, args) = parse(words("pairs --json-only --rate 50 --pids 3,4")).unwrap();
        assert_eq!(bench, "pairs");
        assert!(args.has("json-only"));
        assert_eq!(args.rate(), Some(50.0));
        assert_eq!(args.pids(), [3, 4]);
        assert_eq!(args.nanoseconds("secs", 0.5), 500_000_000);
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(parse(words("pairs --sise 3")).is_err());
        assert!(parse(words("pairs 3")).is_err());
    }
}
