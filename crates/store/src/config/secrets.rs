//! Passwords are not kept: what customers must prove is a digest hash, what we present to vendors is sealed with a
//! key that is not in the database (`SEC-2`).

use crate::StoreError;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// A password as entered. It shows itself nowhere.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    pub fn new(text: impl Into<String>) -> Password {
        Password(text.into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// HA1 in both algorithms (RFC 7616 §3.4.2), good for one realm and one username.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySecret {
    pub realm: String,
    pub ha1_md5: String,
    pub ha1_sha256: String,
}

impl fmt::Debug for GatewaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatewaySecret({}, ***)", self.realm)
    }
}

/// Makes and opens secrets.
pub struct Secrets {
    realm: Arc<str>,
    cipher: ChaCha20Poly1305,
    journal: [u8; 32],
}

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

impl Secrets {
    /// Reads the key file, or makes one that only its owner may read.
    pub fn open_or_make(path: &Path, realm: Arc<str>) -> Result<Secrets, StoreError> {
        let io = |doing| move |error| StoreError::Io { doing, file: path.to_path_buf(), error };
        let key = match std::fs::read(path) {
            Ok(text) => read_key(&text).ok_or_else(|| {
                StoreError::Key(format!(
                    "{} is not a key; expected {} hex digits",
                    path.display(),
                    KEY_BYTES * 2
                ))
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let key = random::<KEY_BYTES>()?;
                let mut options = std::fs::OpenOptions::new();
                let mut file =
                    options.write(true).create_new(true).mode(0o600).open(path).map_err(io("making"))?;
                file.write_all(hex(&key).as_bytes()).and_then(|()| file.sync_all()).map_err(io("writing"))?;
                key
            }
            Err(e) => return Err(io("reading")(e)),
        };
        let journal = Sha256::new().chain_update(b"tandem journal").chain_update(key).finalize().into();
        Ok(Secrets { realm, cipher: ChaCha20Poly1305::new(Key::from_slice(&key)), journal })
    }

    /// Another key, for what is secret in the journal.
    pub(crate) fn journal(&self) -> [u8; 32] {
        self.journal
    }

    /// The stored form of a password that a gateway must prove.
    pub(crate) fn digest(&self, username: &str, password: &Password) -> GatewaySecret {
        let text = format!("{username}:{}:{}", self.realm, password.0);
        GatewaySecret {
            realm: self.realm.to_string(),
            ha1_md5: hex(&Md5::digest(text.as_bytes())),
            ha1_sha256: hex(&Sha256::digest(text.as_bytes())),
        }
    }

    /// `None` when the system has no randomness to give.
    pub(crate) fn seal(&self, password: &Password) -> Option<String> {
        let nonce = random::<NONCE_BYTES>().ok()?;
        let sealed = self.cipher.encrypt(Nonce::from_slice(&nonce), password.0.as_bytes()).ok()?;
        Some(format!("{}{}", hex(&nonce), hex(&sealed)))
    }

    /// `None` when the text was not sealed with this key.
    pub(crate) fn open(&self, sealed: &str) -> Option<String> {
        let bytes = unhex(sealed)?;
        let (nonce, body) = bytes.split_at_checked(NONCE_BYTES)?;
        let plain = self.cipher.decrypt(Nonce::from_slice(nonce), body).ok()?;
        String::from_utf8(plain).ok()
    }
}

fn read_key(text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    unhex(std::str::from_utf8(text).ok()?.trim())?.try_into().ok()
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| StoreError::Key(format!("no randomness from the system: {e}")))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn sealed_passwords_open_with_their_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open_or_make(&dir.path().join("a"), "tandem".into()).unwrap();
        let again = Secrets::open_or_make(&dir.path().join("a"), "tandem".into()).unwrap();
        let other = Secrets::open_or_make(&dir.path().join("b"), "tandem".into()).unwrap();
        let sealed = secrets.seal(&Password::new("geheim")).unwrap();
        assert_eq!(again.open(&sealed).as_deref(), Some("geheim"));
        assert_eq!(other.open(&sealed), None);
        for bad in ["", "00", "zz", "é", &sealed[1..], &sealed[2..]] {
            assert_eq!(secrets.open(bad), None, "{bad}");
        }
        let mode = std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.path().join("c"), "short").unwrap();
        assert!(Secrets::open_or_make(&dir.path().join("c"), "tandem".into()).is_err());
    }

    #[test]
    fn digests_match_the_worked_example() {
        // RFC 7616 §3.9.1: user, realm and password of the example; the hashes by md5sum and sha256sum.
        let dir = tempfile::tempdir().unwrap();
        let realm = "http-auth@example.org";
        let secrets = Secrets::open_or_make(&dir.path().join("k"), realm.into()).unwrap();
        let secret = secrets.digest("Mufasa", &Password::new("Circle of Life"));
        assert_eq!(secret.ha1_md5, "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(secret.ha1_sha256, "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
    }
}
