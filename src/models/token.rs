//! Random tokens and ids. The database holds only the hash of a token.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::models::Result;

/// A secret that is issued once and recognized by its hash.
pub struct Token(SecretString);

impl Token {
    /// 256 random bits (ASVS 7.2.3 asks for 128), as 43 characters of base64url.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        Ok(Self(BASE64URL_NOPAD.encode(&bytes).into()))
    }

    /// A token from a request. Any text is accepted: one that was never issued has an
    /// unknown hash.
    pub fn received(value: &str) -> Self {
        Self(value.into())
    }

    /// SHA-256, as hexadecimal digits. A fast hash is enough for 256 random bits (ASVS 6.5.2).
    pub fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0.expose_secret()))
    }

    /// The plain token, for its cookie or link.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A random id of 128 bits, as 22 characters of base64url.
pub fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// Whether a text from a request can be an id of [`random_id`]. PostgreSQL fails on some other
/// characters.
pub(super) fn can_be_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    text.bytes().all(fits)
}

/// Fills a buffer with the operating system's random numbers.
pub(super) fn fill(bytes: &mut [u8]) -> Result<()> {
    Ok(getrandom::fill(bytes)?)
}
