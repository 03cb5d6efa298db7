//! The configuration: a file, then the environment, then flags, the later winning.
//!
//! Invariant: a [`Config`] that came out of [`Sources::load`] satisfies every rule of the table, so
//! nothing behind it checks again; each error names the key, where its value came from, and what
//! would do.

mod document;
mod keys;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hubbub_access::{Endpoint, GateRules, NetworkError, Networks};
use toml::{Table, Value};

pub use document::{as_markdown, as_toml};
pub use keys::{
    ApiSection, Auth, ChannelsSection, Chat, CompressionSection, Config, Echo, Edge, FAMILY,
    LimitsSection, Log, MetricsSection, Namespace, PushSection, SECTIONS, Server, Signals, Store,
    Tls,
};
pub use table::{Key, Rule, Section};

/// A configuration that cannot be used, in one line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Where values come from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file, if one is given.
    pub file: Option<PathBuf>,
    /// `HUBBUB_SECTION_KEY` variables; others are passed over.
    pub environment: Vec<(String, String)>,
    /// `(section, key, value)` from flags.
    pub flags: Vec<(&'static str, &'static str, Value)>,
}

/// Values as they were found, and where each came from.
#[derive(Default)]
struct Found {
    sections: BTreeMap<&'static str, BTreeMap<&'static str, (Value, String)>>,
    /// Of [`FAMILY`], by the name of its member.
    members: BTreeMap<String, Table>,
}

impl Sources {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// The first key that cannot be used, in one line.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut found = Found::default();
        if let Some(path) = &self.file {
            found.read_file(path)?;
        }
        for (name, text) in &self.environment {
            found.read_variable(name, text)?;
        }
        for (section, key, value) in &self.flags {
            let (section, key) = lookup(section, key).map_err(ConfigError)?;
            found.put(section, key, value.clone(), format!("--{}", key.name.replace('_', "-")))?;
        }
        let config = found.into_config()?;
        check_together(&config)?;
        Ok(config)
    }
}

impl Found {
    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{shown}: {error}; check --config")))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                text.as_bytes()[..span.start.min(text.len())]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count()
                    + 1
            });
            ConfigError(format!("{shown}: line {line}: {}", error.message().replace('\n', " ")))
        })?;
        for (section, keys) in table {
            let Value::Table(keys) = keys else {
                let message =
                    format!("{shown}: {section}: a key needs a section; put it under one");
                return Err(ConfigError(format!("{message} of [{}]", section_names("], ["))));
            };
            if section == FAMILY.name {
                for (member, keys) in keys {
                    self.read_member(member, keys)
                        .map_err(|said| ConfigError(format!("{shown}: {said}")))?;
                }
                continue;
            }
            if keys.is_empty() {
                lookup_section(&section).map_err(|said| ConfigError(format!("{shown}: {said}")))?;
            }
            for (key, value) in keys {
                let (section, key) = lookup(&section, &key)
                    .map_err(|said| ConfigError(format!("{shown}: {said}")))?;
                self.put(section, key, value, shown.to_string())?;
            }
        }
        Ok(())
    }

    /// Reads `[namespaces.MEMBER]`.
    fn read_member(&mut self, member: String, keys: Value) -> Result<(), String> {
        let name = format!("{}.{member}", FAMILY.name);
        let Value::Table(keys) = keys else {
            return Err(format!("{name}: it is a section of its own; write [{name}]"));
        };
        if !hubbub_proto::id::is_namespace(&member) {
            return Err(format!(
                "[{name}]: this cannot be the name of a namespace; use a-z 0-9 _ - and no word of \
                 the server's own, such as user or group"
            ));
        }
        let table = self.members.entry(member).or_default();
        for (key, value) in keys {
            let Some(known) = FAMILY.keys.iter().find(|known| known.name == key) else {
                let names: Vec<_> = FAMILY.keys.iter().map(|known| known.name).collect();
                return Err(format!(
                    "{name}.{key}: there is no such key; there are {}",
                    names.join(", ")
                ));
            };
            let value = one_or_list(known, value);
            check_type(&family_default(known), &value)
                .and_then(|()| known.rule.check(&value))
                .map_err(|said| format!("{name}.{key}: {said}"))?;
            table.insert(key, value);
        }
        Ok(())
    }

    fn read_variable(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let Some(rest) = name.strip_prefix("HUBBUB_") else { return Ok(()) };
        let rest = rest.to_ascii_lowercase();
        // Other names may be meant for others: orchestrators set some after a service's name.
        let Some((section, key)) = SECTIONS.iter().find_map(|section| {
            Some((section, rest.strip_prefix(section.name)?.strip_prefix('_')?))
        }) else {
            return Ok(());
        };
        let (section, key) =
            lookup(section.name, key).map_err(|said| ConfigError(format!("{name}: {said}")))?;
        let value = parse_like(&default_value(section, key), text);
        self.put(section, key, value, name.to_owned())
    }

    fn put(
        &mut self,
        section: &'static Section,
        key: &'static Key,
        value: Value,
        from: String,
    ) -> Result<(), ConfigError> {
        let value = one_or_list(key, value);
        let checked =
            check_type(&default_value(section, key), &value).and_then(|()| key.rule.check(&value));
        if let Err(said) = checked {
            let name = format!("{}.{}", section.name, key.name);
            return Err(ConfigError(format!("{name}: {said} (set by {from})")));
        }
        self.sections.entry(section.name).or_default().insert(key.name, (value, from));
        Ok(())
    }

    fn into_config(self) -> Result<Config, ConfigError> {
        let members = self.members.into_iter().map(|(name, keys)| (name, Value::Table(keys)));
        let family = (FAMILY.name.to_owned(), Value::Table(members.collect()));
        let table: Table = self
            .sections
            .into_iter()
            .map(|(section, keys)| {
                let keys = keys.into_iter().map(|(key, (value, _))| (key.to_owned(), value));
                (section.to_owned(), Value::Table(keys.collect()))
            })
            .chain([family])
            .collect();
        table.try_into().map_err(|error: toml::de::Error| ConfigError(error.message().to_owned()))
    }
}

/// Rules over more than one key.
fn check_together(config: &Config) -> Result<(), ConfigError> {
    let Config { server, tls, limits, chat, metrics, namespaces, .. } = config;
    let say = |said: String| Err(ConfigError(said));
    if server.dev && !server.address().is_some_and(|address| address.ip().is_loopback()) {
        return say(format!(
            "server.dev: signing in under any name is for this machine only, and server.bind is \
             {}; bind 127.0.0.1:PORT, or do without --dev",
            server.bind
        ));
    }
    for (set, name, missing, wanted) in [
        (&tls.certificate_file, "tls.certificate_file", &tls.key_file, "tls.key_file"),
        (&tls.key_file, "tls.key_file", &tls.certificate_file, "tls.certificate_file"),
    ] {
        if !set.is_empty() && missing.is_empty() {
            return say(format!("{name}: it is of no use alone; set {wanted} too"));
        }
    }
    if metrics.token_file.is_empty()
        && metrics.address().is_some_and(|address| !address.ip().is_loopback())
    {
        return say(format!(
            "metrics.bind: {} can be reached from elsewhere; set metrics.token_file too, or bind \
             127.0.0.1:PORT",
            metrics.bind
        ));
    }
    for (name, rules) in namespaces {
        let say = |said: &str| Err(ConfigError(format!("namespaces.{name}.{said}")));
        if rules.join_leave && !rules.track_presence {
            return say("join_leave: it needs track_presence = true");
        }
        if rules.delivery == "volatile" && (rules.history_size > 0 || rules.recover || rules.cache)
        {
            return say(
                "delivery: what is volatile is not kept; do without history_size, recover and cache",
            );
        }
        if rules.recover && rules.history_size == 0 {
            return say("recover: it needs a history_size");
        }
    }
    // A message or an answer must fit where it waits, or its receiver could never get it.
    for (name, bytes, holder, capacity) in [
        (
            "limits.outbox_bytes_max",
            limits.outbox_bytes_max,
            "limits.message_bytes_max",
            limits.message_bytes_max,
        ),
        (
            "limits.outbox_bytes_max",
            limits.outbox_bytes_max,
            "chat.sync_bytes_max",
            chat.sync_bytes_max,
        ),
        (
            "chat.queue_bytes_max",
            chat.queue_bytes_max,
            "limits.message_bytes_max",
            limits.message_bytes_max,
        ),
    ] {
        let least = u64::from(capacity) * 2;
        if u64::from(bytes) < least {
            return say(format!(
                "{name}: {bytes} is too small; use at least {least}, twice {holder}"
            ));
        }
    }
    let chat: hubbub_chat::ChatConfig = chat.into();
    chat.check().map_err(|error| ConfigError(error.to_string()))
}

fn lookup_section(section: &str) -> Result<&'static Section, String> {
    SECTIONS.iter().find(|known| known.name == section).ok_or_else(|| {
        format!("[{section}]: there is no such section; there are [{}]", section_names("], ["))
    })
}

fn lookup(section: &str, key: &str) -> Result<(&'static Section, &'static Key), String> {
    let section = lookup_section(section)?;
    match section.keys.iter().find(|known| known.name == key) {
        Some(key) => Ok((section, key)),
        None => {
            let near = section.keys.iter().min_by_key(|known| distance(known.name, key));
            let near = near.map_or("", |near| near.name);
            Err(format!("{}.{key}: there is no such key; did you mean {near}?", section.name))
        }
    }
}

fn section_names(between: &str) -> String {
    SECTIONS.iter().map(|section| section.name).collect::<Vec<_>>().join(between)
}

/// How many letters must change to make `a` of `b` (Levenshtein's distance).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The default of a key, as it stands in a file.
fn default_value(section: &Section, key: &Key) -> Value {
    let defaults = Value::try_from(Config::default()).unwrap_or(Value::Boolean(false));
    let value = defaults.get(section.name).and_then(|keys| keys.get(key.name));
    value.cloned().unwrap_or(Value::Boolean(false))
}

/// The default of a key of [`FAMILY`].
fn family_default(key: &Key) -> Value {
    let defaults = Value::try_from(Namespace::default()).unwrap_or(Value::Boolean(false));
    defaults.get(key.name).cloned().unwrap_or(Value::Boolean(false))
}

/// A rule about people may be written as one word.
fn one_or_list(key: &Key, value: Value) -> Value {
    match value {
        Value::String(_)
            if matches!(key.rule, Rule::Whose | Rule::Permits | Rule::PermitsToken) =>
        {
            Value::Array(vec![value])
        }
        value => value,
    }
}

/// The text of an environment variable as a value of the kind that `default` has; text that is no
/// such value stays text, and is refused for its type then.
fn parse_like(default: &Value, text: &str) -> Value {
    let text = text.trim();
    let kept = || Value::String(text.to_owned());
    match default {
        Value::Integer(_) => text.replace('_', "").parse().map_or_else(|_| kept(), Value::Integer),
        Value::Boolean(_) => text.parse().map_or_else(|_| kept(), Value::Boolean),
        Value::Array(_) => {
            let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
            Value::Array(entries.map(|entry| Value::String(entry.to_owned())).collect())
        }
        _ => kept(),
    }
}

fn check_type(default: &Value, value: &Value) -> Result<(), String> {
    let texts = |list: &[Value]| list.iter().all(Value::is_str);
    let (fits, wanted) = match default {
        Value::Integer(_) => (value.is_integer(), "a whole number"),
        Value::Boolean(_) => (value.is_bool(), "true or false"),
        Value::Array(_) => (value.as_array().is_some_and(|list| texts(list)), "a list of texts"),
        _ => (value.is_str(), "a text"),
    };
    if fits { Ok(()) } else { Err(format!("{value} is not {wanted}")) }
}

impl Server {
    /// `bind`, parsed; `Some` in every configuration that was loaded.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.bind.parse().ok()
    }

    /// `data_dir` as a path.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        Path::new(&self.data_dir)
    }
}

impl MetricsSection {
    /// `bind`, parsed, where there is one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.bind.parse().ok()
    }
}

impl Config {
    /// Where the signing secret is.
    #[must_use]
    pub fn secret_file(&self) -> PathBuf {
        match self.auth.secret_file.as_str() {
            "" => self.server.data_dir().join("secret"),
            path => path.into(),
        }
    }
}

impl Edge {
    /// The rules at the gate.
    ///
    /// # Errors
    /// None in a configuration that was loaded.
    pub fn rules(&self) -> Result<GateRules, NetworkError> {
        let networks = |texts: &[String]| Networks::parse(texts.iter().map(String::as_str));
        let endpoints = self.endpoints.iter().map(|text| text.parse::<Endpoint>());
        Ok(GateRules {
            allow: networks(&self.allow)?,
            deny: networks(&self.deny)?,
            trusted_proxies: networks(&self.trusted_proxies)?,
            proxy_protocol: self.proxy_protocol,
            endpoints: endpoints.collect::<Result<_, _>>()?,
            connections_per_address_max: self.connections_per_address_max,
        })
    }
}

impl Auth {
    /// `issuer`, where one is asked for.
    #[must_use]
    pub fn issuer(&self) -> Option<String> {
        (!self.issuer.is_empty()).then(|| self.issuer.clone())
    }

    /// `audience`, where one is asked for.
    #[must_use]
    pub fn audience(&self) -> Option<String> {
        (!self.audience.is_empty()).then(|| self.audience.clone())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
