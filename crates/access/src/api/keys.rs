//! Keys of back ends: one file beside the signing secret, which the server and the command line
//! both change, whether a server runs or not.
//!
//! A key is `hbk_ID_SECRET`; the file holds the SHA-256 of the secret, of which there are 256 random
//! bits, so that it needs neither salt nor stretching. Invariants: the file is complete at any
//! moment, whoever crashes (written beside and renamed); two who change it do so one after the other
//! (a lock of the kernel's); whoever changes it, it stays the file of the server's user; a running
//! server follows a change within [`LOOK_EVERY_MS`]; secrets are compared in constant time, shown
//! once and logged never. Bounded: [`KEYS_MAX`] keys.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use hubbub_proto::route::Authority;
use hubbub_proto::{DeviceId, Identity, Reason, Refusal, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::scope::Scopes;

/// Most keys, those that were revoked included.
pub const KEYS_MAX: usize = 1_000;
/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Milliseconds after which a running server has seen a change at the latest.
pub const LOOK_EVERY_MS: u64 = 200;
/// What the users of keys are called, with the id behind it.
const USER: &str = "api.";
const PREFIX: &str = "hbk_";
/// What somebody is told who wants to be a key without having it.
pub(crate) const OF_KEYS: &str = "Users whose names begin with `api.` are those of keys.";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// What the server makes before any key, so that its owner is the server's user.
const STORE_FILE: &str = "hubbub.db";
/// Secrets of one key: the newest, and older ones that still hold.
const SECRETS_MAX: usize = 4;

/// Why nothing was done about a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or writing failed.
    #[error("the keys in {0}: {1}")]
    Io(PathBuf, io::Error),
    /// The file is not one of keys.
    #[error("{0} is damaged ({1}): restore it, or remove it to begin without keys")]
    Damaged(PathBuf, String),
    /// There is no such key.
    #[error("there is no key with this id")]
    Unknown,
    /// It was revoked.
    #[error("this key was revoked; make a new one")]
    Revoked,
    /// It is over.
    #[error("this key has expired; make a new one")]
    Expired,
    /// Its older secrets would have to end before their time.
    #[error(
        "{SECRETS_MAX} secrets of this key hold already; rotate it later, or with no grace, which \
         ends the older ones at once"
    )]
    Crowded,
    /// There are too many.
    #[error("there are {KEYS_MAX} keys already")]
    Full,
    /// A name that cannot be.
    #[error(
        "a key's name is of 1 to {NAME_CHARS_MAX} characters, none of them a control character"
    )]
    Name,
}

/// A key, without anything secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeyRecord {
    /// Its public part.
    pub id: Box<str>,
    /// What it is for.
    pub name: Box<str>,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

/// A new secret and whose it is.
pub struct NewSecret {
    /// The key.
    pub record: KeyRecord,
    /// What a back end brings; nobody can be shown it again.
    pub token: String,
}

#[derive(Clone, Deserialize, Serialize)]
struct Entry {
    #[serde(flatten)]
    record: KeyRecord,
    secrets: Vec<Hash>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Hash {
    sha256: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[derive(Default, Deserialize, Serialize)]
struct Contents {
    keys: Vec<Entry>,
}

/// The file with the keys.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// That of a data directory; made by the first key.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self { path: dir.join("api-keys.json") }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All keys, the oldest first.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Damaged`].
    pub fn list(&self) -> Result<Vec<KeyRecord>, KeyError> {
        Ok(self.read()?.keys.into_iter().map(|entry| entry.record).collect())
    }

    /// Makes a key.
    ///
    /// # Errors
    /// Any [`KeyError`] but that of an unknown key.
    pub fn create(
        &self,
        name: &str,
        scopes: Scopes,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<NewSecret, KeyError> {
        let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
        if !fits || name.chars().any(char::is_control) {
            return Err(KeyError::Name);
        }
        self.change(|contents| {
            if contents.keys.len() >= KEYS_MAX {
                return Err(KeyError::Full);
            }
            let id = self.random::<ID_BYTES>()?.into_boxed_str();
            let (token, hash) = self.secret(&id)?;
            let (name, created) = (name.into(), now);
            let record =
                KeyRecord { id, name, scopes, created, expires, last_used: None, revoked: None };
            contents.keys.push(Entry { record: record.clone(), secrets: vec![hash] });
            Ok(NewSecret { record, token })
        })
    }

    /// Gives a key a new secret; the old one holds for another `grace_ms`.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::Revoked`], [`KeyError::Expired`], [`KeyError::Crowded`], and
    /// those of the file.
    pub fn rotate(&self, id: &str, grace_ms: u64, now: Timestamp) -> Result<NewSecret, KeyError> {
        self.change(|contents| {
            let entry = find(contents, id)?;
            if entry.record.revoked.is_some() {
                return Err(KeyError::Revoked);
            }
            if entry.record.expires.is_some_and(|end| now >= end) {
                return Err(KeyError::Expired);
            }
            let (token, hash) = self.secret(id)?;
            let end = now.plus_ms(grace_ms);
            for old in &mut entry.secrets {
                old.until = Some(old.until.map_or(end, |until| until.min(end)));
            }
            entry.secrets.retain(|old| old.until.is_none_or(|until| until > now));
            if entry.secrets.len() >= SECRETS_MAX {
                return Err(KeyError::Crowded);
            }
            entry.secrets.push(hash);
            Ok(NewSecret { record: entry.record.clone(), token })
        })
    }

    /// Ends a key for ever; its name stays on the list.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], and those of the file.
    pub fn revoke(&self, id: &str, now: Timestamp) -> Result<KeyRecord, KeyError> {
        self.change(|contents| {
            let entry = find(contents, id)?;
            entry.record.revoked.get_or_insert(now);
            entry.secrets.clear();
            Ok(entry.record.clone())
        })
    }

    fn note_uses(&self, uses: &HashMap<Box<str>, Timestamp>) -> Result<(), KeyError> {
        self.change(|contents| {
            for entry in &mut contents.keys {
                entry.record.last_used =
                    uses.get(&entry.record.id).copied().max(entry.record.last_used);
            }
            Ok(())
        })
    }

    fn secret(&self, id: &str) -> Result<(String, Hash), KeyError> {
        let secret = self.random::<SECRET_BYTES>()?;
        let hash = Hash { sha256: hex(&hash(&secret)).into(), until: None };
        Ok((format!("{PREFIX}{id}_{secret}"), hash))
    }

    fn random<const BYTES: usize>(&self) -> Result<String, KeyError> {
        let mut random = [0; BYTES];
        getrandom::fill(&mut random).map_err(|error| self.failed(io::Error::other(error)))?;
        Ok(hex(&random))
    }

    fn read(&self) -> Result<Contents, KeyError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(self.failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| self.failed(error))?;
        serde_json::from_slice(&bytes)
            // The message could quote a part of the file.
            .map_err(|error| KeyError::Damaged(self.path.clone(), format!("line {}", error.line())))
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Contents) -> Result<T, KeyError>,
    ) -> Result<T, KeyError> {
        let failed = |error| self.failed(error);
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(self.path.with_extension("lock"))
            .map_err(failed)?;
        self.hand_over(&lock).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut contents = self.read()?;
        let answer = change(&mut contents)?;
        let bytes =
            serde_json::to_vec_pretty(&contents).map_err(io::Error::from).map_err(failed)?;
        self.replace(&bytes).map_err(failed)?;
        Ok(answer)
    }

    /// Whoever opens the file sees the old contents or the new ones.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let draft = self.path.with_extension("draft");
        // One that is left over may be another user's.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&draft)?;
        self.hand_over(&file)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        File::open(self.dir())?.sync_all()
    }

    fn dir(&self) -> &Path {
        match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        }
    }

    /// Gives a file to the server's user, who has to read it whoever made it: the owner of the store,
    /// or of the directory where there is none yet.
    fn hand_over(&self, file: &File) -> io::Result<()> {
        let (dir, own) = (self.dir(), file.metadata()?);
        let server = fs::metadata(dir.join(STORE_FILE)).or_else(|_| fs::metadata(dir))?;
        if server.uid() == own.uid() {
            return Ok(());
        }
        fchown(file, Some(server.uid()), Some(server.gid())).map_err(|error| {
            let said = format!("do this as the server's user, {}, or as root", server.uid());
            io::Error::new(error.kind(), format!("{said}: {error}"))
        })
    }

    fn failed(&self, error: io::Error) -> KeyError {
        KeyError::Io(self.path.clone(), error)
    }

    /// Differs from that of every earlier state of the file.
    fn stamp(&self) -> Stamp {
        let data = fs::metadata(&self.path).ok()?;
        Some((data.ino(), data.ctime(), data.ctime_nsec(), data.len()))
    }
}

/// One state of the file: its number, when it or who may read it changed, its length.
type Stamp = Option<(u64, i64, i64, u64)>;

/// For the owner's eyes only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

fn find<'c>(contents: &'c mut Contents, id: &str) -> Result<&'c mut Entry, KeyError> {
    contents.keys.iter_mut().find(|entry| *entry.record.id == *id).ok_or(KeyError::Unknown)
}

fn hash(secret: &str) -> [u8; 32] {
    let digest = digest(&SHA256, secret.as_bytes());
    std::array::from_fn(|place| digest.as_ref()[place])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// A key in a running server.
pub(crate) struct Key {
    pub(crate) record: KeyRecord,
    secrets: Vec<([u8; 32], Option<Timestamp>)>,
    /// Who writes with it.
    pub(crate) identity: Arc<Identity>,
    pub(crate) usage: Arc<Usage>,
}

/// What outlives a change of the file.
#[derive(Default)]
pub(crate) struct Usage {
    /// When it was last used, in milliseconds; 0 for never.
    last_used: AtomicU64,
    /// When its bucket would be full again, in microseconds.
    full_at_us: AtomicU64,
}

impl Usage {
    /// Takes a place in a rate of `per_second`, with a second's worth at once; 0 is without a limit.
    /// Otherwise the milliseconds to wait.
    pub(crate) fn admit(&self, per_second: u32, now: Timestamp) -> Result<(), u64> {
        if per_second == 0 {
            return Ok(());
        }
        let (cost, now_us) = ((1_000_000 / u64::from(per_second)).max(1), now.0 * 1_000);
        let next = |full_at: u64| {
            let next = full_at.max(now_us) + cost;
            (next <= now_us + 1_000_000.max(cost)).then_some(next)
        };
        self.full_at_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).map(drop).map_err(
            |full_at| {
                let missing = (full_at + cost).saturating_sub(now_us + 1_000_000.max(cost));
                missing.div_ceil(1_000).max(1)
            },
        )
    }
}

#[derive(Default)]
struct Table {
    keys: HashMap<Box<str>, Arc<Key>>,
    stamp: Stamp,
}

impl Table {
    /// The key with this id, if it was not revoked and this is the hash of one of its secrets.
    fn find(&self, id: &str, hash: &[u8; 32], now: Timestamp) -> Option<Arc<Key>> {
        let key = self.keys.get(id).filter(|key| key.record.revoked.is_none())?;
        let mut holds = false;
        for (known, until) in &key.secrets {
            let is_equal = verify_slices_are_equal(known, hash).is_ok();
            holds |= is_equal && until.is_none_or(|until| now < until);
        }
        holds.then(|| key.clone())
    }

    /// What the keys that were not revoked are good for.
    fn scopes(&self) -> Scopes {
        let live = self.keys.values().filter(|key| key.record.revoked.is_none());
        live.fold(Scopes::default(), |all, key| all.and(key.record.scopes))
    }
}

/// The keys of a running server.
pub struct ApiKeys {
    file: KeyFile,
    table: RwLock<Arc<Table>>,
    /// The state in which the file could not be read, which is said once.
    failed_at: Mutex<Option<Stamp>>,
    /// When the file was last looked at, in milliseconds.
    looked_at: AtomicU64,
    /// Told what the keys are good for, all together.
    on_load: Box<dyn Fn(Scopes) + Send + Sync>,
}

impl ApiKeys {
    /// Reads the file. `on_load` is told what all keys together are good for, now and whenever the
    /// file was read again.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Damaged`].
    pub fn open(
        file: KeyFile,
        on_load: impl Fn(Scopes) + Send + Sync + 'static,
    ) -> Result<Self, KeyError> {
        let table = load(&file, &Table::default())?;
        on_load(table.scopes());
        let (table, on_load) = (RwLock::new(Arc::new(table)), Box::new(on_load));
        let (failed_at, looked_at) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { file, table, failed_at, looked_at, on_load })
    }

    /// The file, to be changed.
    #[must_use]
    pub const fn file(&self) -> &KeyFile {
        &self.file
    }

    /// The key that a request brought.
    pub(crate) fn check(&self, token: &str, now: Timestamp) -> Result<Arc<Key>, Refusal> {
        let bad = || Refusal::with(Reason::BadToken, "The key is not valid.");
        let (id, secret) =
            token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or_else(bad)?;
        let hash = hash(secret);
        self.follow(now);
        let key = match self.table().find(id, &hash, now) {
            Some(key) => key,
            // One that was made a moment ago is good at once.
            None => {
                self.reload();
                self.table().find(id, &hash, now).ok_or_else(bad)?
            }
        };
        if key.record.expires.is_some_and(|end| now >= end) {
            return Err(Refusal::with(Reason::TokenExpired, "The key has expired."));
        }
        key.usage.last_used.fetch_max(now.0, Ordering::Relaxed);
        Ok(key)
    }

    /// Whether a string looks like a key.
    pub(crate) fn is_key(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// Writes down when keys were last used, where that is not known yet. For once in a while.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Damaged`].
    pub fn note_uses(&self) -> Result<(), KeyError> {
        let table = self.table();
        let uses: HashMap<Box<str>, Timestamp> = table
            .keys
            .values()
            .map(|key| (key, Timestamp(key.usage.last_used.load(Ordering::Relaxed))))
            .filter(|(key, used)| {
                used.0 > 0 && key.record.last_used.is_none_or(|known| known < *used)
            })
            .map(|(key, used)| (key.record.id.clone(), used))
            .collect();
        if uses.is_empty() { Ok(()) } else { self.file.note_uses(&uses) }
    }

    /// Takes over what changed in the file, now and not a little later.
    pub(crate) fn reload(&self) {
        if let Some(Err(error)) = self.look() {
            tracing::error!(%error, "the keys that were known still hold");
        }
    }

    /// Reads the file, if it is not as it was when that was last tried.
    fn look(&self) -> Option<Result<(), KeyError>> {
        let (old, stamp) = (self.table(), self.file.stamp());
        let mut failed_at = self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp == old.stamp || *failed_at == Some(stamp) {
            return None;
        }
        let loaded = load(&self.file, &old);
        *failed_at = loaded.is_err().then_some(stamp);
        Some(loaded.map(|table| {
            (self.on_load)(table.scopes());
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        }))
    }

    fn follow(&self, now: Timestamp) {
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        // One of those who come at the same time looks.
        if now.0.abs_diff(looked_at) >= LOOK_EVERY_MS
            && self
                .looked_at
                .compare_exchange(looked_at, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.reload();
        }
    }

    fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn load(file: &KeyFile, old: &Table) -> Result<Table, KeyError> {
    // Before reading, so that a change in between is seen the next time.
    let stamp = file.stamp();
    let damaged = |what: &str| KeyError::Damaged(file.path.clone(), what.to_owned());
    let mut keys = HashMap::new();
    for Entry { record, secrets } in file.read()?.keys {
        let user = UserId::new(&format!("{USER}{}", record.id));
        let user = user.map_err(|_| damaged("the id of a key"))?;
        let secrets = secrets
            .iter()
            .map(|hash| Some((unhex(&hash.sha256)?, hash.until)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| damaged("the secret of a key"))?;
        let identity = Arc::new(identity(user, Some(record.name.clone()), Authority::Backend));
        let usage = old.keys.get(&record.id).map(|key| key.usage.clone()).unwrap_or_default();
        keys.insert(record.id.clone(), Arc::new(Key { record, secrets, identity, usage }));
    }
    Ok(Table { keys, stamp })
}

/// Whether a user is the one of a key, and can sign in as nothing else.
pub(crate) fn is_of_key(user: &UserId) -> bool {
    user.as_str().starts_with(USER)
}

/// Somebody for whom a back end speaks, itself or a user.
pub(crate) fn identity(user: UserId, name: Option<Box<str>>, authority: Authority) -> Identity {
    Identity {
        user,
        name,
        roles: Box::default(),
        device: DeviceId::new("api").expect("three letters are a device id"),
        device_named: false,
        expires_at: None,
        issued_at: None,
        rare: None,
        authority,
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
