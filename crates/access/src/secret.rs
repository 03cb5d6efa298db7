//! The signing secret: one file that only the server's own user may read.
//!
//! Made on the first start, never a default one (P12). Invariant: at its final name the file is
//! always complete, whoever crashes or races; the key is the file's text without the white space
//! around it, so that `openssl rand -hex 32 > secret` makes one too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Shortest secret that is accepted, in characters.
pub const SECRET_CHARS_MIN: usize = 32;
/// Longest secret file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The key that signs and checks tokens.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

/// A secret is never printed.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why there is no secret. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such file.
    #[error(
        "there is no signing secret at {0}: run `hubbub serve` once to make it, or check --data-dir"
    )]
    Missing(PathBuf),
    /// Others than the owner may read the file.
    #[error(
        "the signing secret {path} can be read by others (mode {mode:04o}): run `chmod 600 {path}`",
        path = .0.display(), mode = .1
    )]
    Exposed(PathBuf, u32),
    /// Too short to be a secret.
    #[error(
        "the signing secret {0} has fewer than 32 characters: put a longer one there, for example \
         `openssl rand -hex 32`, or remove the file to have one made"
    )]
    Short(PathBuf),
    /// Larger than any secret.
    #[error("the signing secret {0} is larger than 64 KiB: this is the wrong file")]
    Long(PathBuf),
    /// Reading or writing failed.
    #[error("the signing secret {0}: {1}")]
    Io(PathBuf, io::Error),
}

impl Secret {
    /// A secret from its text; for tests and embedders.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.trim().as_bytes().into())
    }

    /// The bytes of the HMAC key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the secret at `path`.
    ///
    /// # Errors
    /// [`SecretError`], with the fix in its text.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => SecretError::Missing(path.to_owned()),
            _ => SecretError::Io(path.to_owned(), error),
        };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SecretError::Exposed(path.to_owned(), mode));
        }
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(SecretError::Long(path.to_owned()));
        }
        let key = text.trim_ascii();
        if key.len() < SECRET_CHARS_MIN {
            return Err(SecretError::Short(path.to_owned()));
        }
        Ok(Self(key.into()))
    }

    /// Reads the secret at `path`, making it where there is none: 32 random bytes as 64 hex digits.
    ///
    /// # Errors
    /// [`SecretError`], with the fix in its text.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        match Self::load(path) {
            Err(SecretError::Missing(_)) => {
                create(path).map_err(|error| SecretError::Io(path.to_owned(), error))?;
                Self::load(path)
            }
            other => other,
        }
    }
}

/// Writes the file under a name of its own and links it to its final name: the link fails where
/// somebody else was first, and theirs is used then.
fn create(path: &Path) -> io::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut text = String::with_capacity(65);
    for byte in random {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');

    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", uuid::Uuid::new_v4().simple()));
    let draft = PathBuf::from(draft);
    let written = write_private(&draft, text.as_bytes()).and_then(|()| {
        fs::hard_link(&draft, path).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })
    });
    let removed = fs::remove_file(&draft);
    written.and(removed)?;
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        (dir, path)
    }

    fn put(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn made_once_and_private() {
        let (dir, path) = place();
        let first = Secret::load_or_create(&path).unwrap();
        let second = Secret::load_or_create(&path).unwrap();
        assert_eq!(first.as_bytes(), second.as_bytes());
        assert_eq!(first.as_bytes().len(), 64);
        assert!(first.as_bytes().iter().all(u8::is_ascii_hexdigit));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn racing_makers_agree() {
        let (_dir, path) = place();
        let made: Vec<Box<[u8]>> = std::thread::scope(|scope| {
            let makers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Secret::load_or_create(&path).unwrap().0)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(made.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn refusals_say_the_fix() {
        let (_dir, path) = place();
        let check = |text: &str, mode, expected: &str| {
            put(&path, text, mode);
            let said = Secret::load_or_create(&path).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        };
        let good = "0123456789abcdef0123456789abcdef";
        check(good, 0o640, "chmod 600 ");
        check(good, 0o604, "mode 0604");
        check("", 0o600, "fewer than 32");
        check("                     short                      ", 0o600, "fewer than 32");
        check(&"x".repeat(70_000), 0o600, "wrong file");
        put(&path, &format!(" {good}\n"), 0o400);
        assert_eq!(Secret::load(&path).unwrap().as_bytes(), good.as_bytes());
    }

    #[test]
    fn missing_is_not_made_by_loading() {
        let (_dir, path) = place();
        let said = Secret::load(&path).unwrap_err().to_string();
        assert!(said.contains("hubbub serve"), "{said}");
        assert!(!path.exists());
        assert!(!format!("{:?}", Secret::from_text("hush")).contains("hush"));
    }
}
