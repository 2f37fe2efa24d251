//! Random tokens and ids. Only the hash of a token is ever stored.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::models::Error;

/// A secret that is handed out once and recognised by its hash afterwards.
pub struct Token(SecretString);

impl Token {
    /// 256 bits from the operating system (ASVS 7.2.3 asks for 128), as 43
    /// characters of base64url.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        Ok(Self(BASE64URL_NOPAD.encode(&bytes).into()))
    }

    /// A token as somebody sent it. Anything is accepted: what was never handed
    /// out has a hash that stands nowhere.
    pub fn received(value: &str) -> Self {
        Self(value.into())
    }

    /// SHA-256, as hexadecimal digits: what the database holds. A fast hash is
    /// enough for 256 random bits (ASVS 6.5.2).
    pub fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0.expose_secret()))
    }

    /// The token itself, for the cookie or the link that hands it out.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A random id of 128 bits, as 22 characters of base64url.
pub fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// Fills it with the operating system's random numbers.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    Ok(getrandom::fill(bytes)?)
}
