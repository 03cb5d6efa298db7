//! The server's certificate: two files, read again while the server runs.
//!
//! Invariant: what is in use is always a complete chain with its own key; files that cannot be used
//! change nothing. Connections keep the certificate that they were opened with, and sessions can be
//! resumed across a change, because the tickets' keys do not depend on it. Deliberately absent:
//! several certificates by name, certificates of clients, and when to look at the files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, sign};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};

/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why files cannot be used. Each text names the file and says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Reading failed.
    #[error("{0}: {1}; check tls.certificate_file and tls.key_file")]
    Io(PathBuf, io::Error),
    /// Larger than any certificate.
    #[error("{0}: larger than 1 MiB; this is the wrong file")]
    Long(PathBuf),
    /// There is no certificate in the file.
    #[error(
        "{0}: no certificate; put the server's certificate there as PEM (BEGIN CERTIFICATE), and \
         behind it those that lead to the authority"
    )]
    NoCertificate(PathBuf),
    /// There is no key in the file.
    #[error(
        "{0}: no private key; put the certificate's key there as PEM (BEGIN PRIVATE KEY), not \
         encrypted"
    )]
    NoKey(PathBuf),
    /// The key cannot be used.
    #[error("{0}: {1}; use an RSA key of at least 2048 bits, an ECDSA key, or Ed25519")]
    BadKey(PathBuf, rustls::Error),
    /// The certificate cannot be read.
    #[error("{0}: {1}; the first certificate of the file must be the server's own")]
    BadCertificate(PathBuf, rustls::Error),
    /// Both are fine, but not together.
    #[error(
        "{certificate}: the key in {key} belongs to another certificate; use the pair that was \
         made together, with the server's own certificate first", certificate = .0.display(),
        key = .1.display()
    )]
    OtherKey(PathBuf, PathBuf),
    /// The library refused.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MinVersion {
    /// 1.2 and 1.3.
    #[default]
    Tls12,
    /// 1.3 only.
    Tls13,
}

/// See the module.
#[derive(Debug)]
pub struct Certificate {
    certificate_file: PathBuf,
    key_file: PathBuf,
    current: Arc<Current>,
}

/// What handshakes use.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`CertificateError`], with the fix in its text.
    pub fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, CertificateError> {
        let current = Current(RwLock::new(read_pair(certificate_file, key_file)?));
        Ok(Self {
            certificate_file: certificate_file.to_owned(),
            key_file: key_file.to_owned(),
            current: Arc::new(current),
        })
    }

    /// Reads the files again; handshakes from now on use what they hold. Answers whether it is
    /// another certificate.
    ///
    /// # Errors
    /// [`CertificateError`]; nothing has changed then.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let next = read_pair(&self.certificate_file, &self.key_file)?;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = current.cert != next.cert;
        *current = next;
        Ok(is_new)
    }

    /// Both files.
    #[must_use]
    pub fn files(&self) -> [&Path; 2] {
        [&self.certificate_file, &self.key_file]
    }

    /// The mode of the key's file, where others than its owner may read or write it.
    #[must_use]
    pub fn exposed(&self) -> Option<u32> {
        let mode = fs::metadata(&self.key_file).ok()?.permissions().mode() & 0o7777;
        (mode & 0o077 != 0).then_some(mode)
    }

    /// What handshakes need to know: this certificate whenever it is read again, and in `alpn` the
    /// protocols that the server speaks, the one it likes best first (RFC 7301).
    ///
    /// # Errors
    /// [`CertificateError::Library`].
    pub fn config(
        &self,
        min_version: MinVersion,
        alpn: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, CertificateError> {
        let versions = match min_version {
            MinVersion::Tls12 => &[&TLS13, &TLS12][..],
            MinVersion::Tls13 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        // Sessions are resumed by what the client keeps; nothing is stored here.
        config.ticketer = Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, CertificateError> {
    let text = read(certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateError::NoCertificate(certificate.to_owned()))?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate(certificate.to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| CertificateError::NoKey(key.to_owned()))?;
    let private = sign::any_supported_type(&private)
        .map_err(|error| CertificateError::BadKey(key.to_owned(), error))?;
    let pair = CertifiedKey::new(chain, private);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(Arc::new(pair))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(CertificateError::OtherKey(certificate.to_owned(), key.to_owned()))
        }
        Err(error) => Err(CertificateError::BadCertificate(certificate.to_owned(), error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |error| CertificateError::Io(path.to_owned(), error);
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(CertificateError::Long(path.to_owned()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key, as PEM.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn files_that_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] =
            ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
        let (good, of_good) = pair();
        let (other, of_other) = pair();
        let check = |certificate_text: &str, key_text: &str, expected: &str| {
            fs::write(&certificate, certificate_text).unwrap();
            fs::write(&key, key_text).unwrap();
            let said = match Certificate::load(&certificate, &key) {
                Ok(_) => "fine".to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(said.contains(expected), "{said}");
        };
        check(&good, &of_good, "fine");
        check(&format!("{good}{other}"), &of_good, "fine");
        check(&format!("{good}{of_good}"), &format!("{good}{of_good}"), "fine");
        check("", &of_good, "certificate.pem: no certificate; put");
        check(&of_good, &of_good, "certificate.pem: no certificate; put");
        check(&good, "", "key.pem: no private key; put");
        check(&good, &good, "key.pem: no private key; put");
        check(&good, &of_other, "certificate.pem: the key in");
        check(&format!("{other}{good}"), &of_good, "certificate.pem: the key in");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(broken, &of_good, "certificate.pem: ");
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        check(&good, broken, "key.pem: ");
        check(&"x".repeat(2 << 20), &of_good, "larger than 1 MiB");
        fs::remove_file(&key).unwrap();
        let missing = Certificate::load(&certificate, &key).unwrap_err().to_string();
        assert!(missing.contains("larger"), "{missing}");
        fs::write(&certificate, good).unwrap();
        let missing = Certificate::load(&certificate, &key).unwrap_err().to_string();
        assert!(missing.contains("key.pem: No such file"), "{missing}");
    }

    #[test]
    fn a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] =
            ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
        let (first, of_first) = pair();
        fs::write(&certificate, &first).unwrap();
        fs::write(&key, &of_first).unwrap();
        let loaded = Certificate::load(&certificate, &key).unwrap();
        let served = || loaded.current.0.read().unwrap().cert[0].clone();
        let before = served();
        assert!(!loaded.reload().unwrap(), "the same again");

        let (second, of_second) = pair();
        fs::write(&certificate, &second).unwrap();
        loaded.reload().unwrap_err();
        assert_eq!(served(), before);
        fs::write(&key, &of_second).unwrap();
        assert!(loaded.reload().unwrap());
        assert_ne!(served(), before);
    }

    #[test]
    fn a_key_that_others_can_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("both.pem");
        let (certificate, key) = pair();
        fs::write(&path, certificate + &key).unwrap();
        let loaded = Certificate::load(&path, &path).unwrap();
        for (mode, exposed) in [(0o600, None), (0o400, None), (0o640, Some(0o640))] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(loaded.exposed(), exposed);
        }
    }
}
