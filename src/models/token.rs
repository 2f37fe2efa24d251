//! Random tokens and ids. Only the hash of a token is ever stored.

use std::cell::RefCell;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::models::Error;

/// A secret that is handed out once and recognised by its hash afterwards.
pub struct Token(SecretString);

impl Token {
    /// 256 bits from the operating system (ASVS 7.2.3 asks for 128), as 43
    /// characters of base64url.
    ///
    /// # Errors
    /// When the operating system has no random numbers to give.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        Ok(Self(BASE64URL_NOPAD.encode(&bytes).into()))
    }

    /// A token as somebody sent it. Anything is accepted: what was never handed
    /// out has a hash that stands nowhere.
    #[must_use]
    pub fn received(value: &str) -> Self {
        Self(value.into())
    }

    /// SHA-256, as hexadecimal digits: what the database holds. A fast hash is
    /// enough for 256 random bits (ASVS 6.5.2).
    #[must_use]
    pub fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.0.expose_secret()))
    }

    /// The token itself, for the cookie or the link that hands it out.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A random id of 128 bits, as 22 characters of base64url.
///
/// # Errors
/// When the operating system has no random numbers to give.
pub fn random_id() -> Result<String, Error> {
    let bytes = RESERVE.with_borrow_mut(Reserve::take)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

const ID_LENGTH: usize = 16;

/// The system's random numbers for the next ids of a thread: every request has one, and
/// would else be a system call more. Nothing secret is made of them.
struct Reserve(Vec<[u8; ID_LENGTH]>);

thread_local! {
    static RESERVE: RefCell<Reserve> = const { RefCell::new(Reserve(Vec::new())) };
}

impl Reserve {
    fn take(&mut self) -> Result<[u8; ID_LENGTH], Error> {
        if let Some(bytes) = self.0.pop() {
            return Ok(bytes);
        }
        let mut fresh = [[0; ID_LENGTH]; 32];
        fill(fresh.as_flattened_mut())?;
        self.0.extend_from_slice(&fresh[1..]);
        Ok(fresh[0])
    }
}

/// Fills it with the operating system's random numbers.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    Ok(getrandom::fill(bytes)?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_ids_are_alike_on_one_thread_or_two() {
        let some = || -> Vec<String> { (0..100).map(|_| random_id().unwrap()).collect() };
        let others = std::thread::spawn(some).join().unwrap();
        let all: HashSet<String> = some().into_iter().chain(others).collect();
        assert_eq!(all.len(), 200);
    }
}
