//! Encrypts the secrets of authenticator apps with the keys of `SECRET_KEY` (AES-256-GCM).

use std::iter;

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretSlice};

/// The first byte of a sealed text. The nonce and the ciphertext with its tag follow.
const VERSION: u8 = 1;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there must be a key, and each must have 32 bytes")]
    Keys,
    #[error("no random numbers for a nonce")]
    Randomness(#[from] getrandom::Error),
    #[error("the plaintext is too long")]
    TooLong,
    /// The text was cut, or sealed by a newer version.
    #[error("not a sealed text")]
    Malformed,
    /// An unknown key sealed it, it was sealed for another purpose, or somebody changed it.
    #[error("no key opens the sealed text")]
    NoKeyOpens,
}

/// The first key seals, all keys open. There is no `Debug`.
pub struct SecretKeys {
    first: LessSafeKey,
    older: Vec<LessSafeKey>,
}

/// The result of [`SecretKeys::open`].
pub struct Opened {
    pub plaintext: SecretSlice<u8>,
    /// An older key sealed it: the caller should seal it again.
    pub is_outdated: bool,
}

impl SecretKeys {
    pub fn new(keys: &[SecretSlice<u8>]) -> Result<Self, Error> {
        let key = |bytes: &SecretSlice<u8>| {
            let key = UnboundKey::new(&AES_256_GCM, bytes.expose_secret());
            key.map(LessSafeKey::new).map_err(|_| Error::Keys)
        };
        let (first, older) = keys.split_first().ok_or(Error::Keys)?;
        Ok(Self {
            first: key(first)?,
            older: older.iter().map(key).collect::<Result<_, _>>()?,
        })
    }

    /// Returns base64url. Only the same `associated_data` opens it. If that is the id of a row,
    /// someone who can write to the database can't move the text to another row.
    pub fn seal(&self, plaintext: &[u8], associated_data: &str) -> Result<String, Error> {
        // Random nonces of 96 bits are safe for 2^32 texts per key (NIST SP 800-38D).
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let mut ciphertext = SecretSlice::from(plaintext.to_vec());
        let tag = self.first.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated_data),
            ciphertext.expose_secret_mut(),
        );
        let tag = tag.map_err(|_| Error::TooLong)?;
        let parts = [
            &[VERSION],
            &nonce[..],
            ciphertext.expose_secret(),
            tag.as_ref(),
        ];
        Ok(BASE64URL_NOPAD.encode(&parts.concat()))
    }

    /// Tries every key, since a sealed text names none.
    pub fn open(&self, text: &str, associated_data: &str) -> Result<Opened, Error> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| Error::Malformed)?;
        let Some((&VERSION, rest)) = bytes.split_first() else {
            return Err(Error::Malformed);
        };
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(Error::Malformed)?;
        let open_with = |(index, key): (usize, &LessSafeKey)| {
            let mut buffer = SecretSlice::from(ciphertext.to_vec());
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let data = Aad::from(associated_data);
            let plaintext = key.open_in_place(nonce, data, buffer.expose_secret_mut());
            Some(Opened {
                plaintext: plaintext.ok()?.to_vec().into(),
                is_outdated: index > 0,
            })
        };
        let mut keys = iter::once(&self.first).chain(&self.older).enumerate();
        keys.find_map(open_with).ok_or(Error::NoKeyOpens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAINTEXT: &[u8] = b"twenty secret bytes.";

    fn keys(bytes: &[u8]) -> SecretKeys {
        let keys = bytes.iter().map(|byte| vec![*byte; 32].into());
        let keys: Vec<SecretSlice<u8>> = keys.collect();
        SecretKeys::new(&keys).unwrap()
    }

    /// The plaintext, and whether it is outdated.
    fn open(keys: &SecretKeys, text: &str, data: &str) -> Result<(Vec<u8>, bool), Error> {
        let opened = keys.open(text, data)?;
        Ok((
            opened.plaintext.expose_secret().to_vec(),
            opened.is_outdated,
        ))
    }

    #[test]
    fn a_sealed_text_is_base64url_and_opens_again() {
        let keys = keys(&[1]);
        for plaintext in [PLAINTEXT, b""] {
            let text = keys.seal(plaintext, "a").unwrap();
            let is_symbol = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(text.bytes().all(is_symbol), "{text}");
            assert_eq!(open(&keys, &text, "a"), Ok((plaintext.to_vec(), false)));
        }
    }

    #[test]
    fn two_seals_of_one_text_differ_everywhere_after_the_version() {
        let keys = keys(&[1]);
        let [one, other] = [(); 2].map(|()| keys.seal(PLAINTEXT, "a").unwrap());
        let [one, other] = [one, other].map(|it| BASE64URL_NOPAD.decode(it.as_bytes()).unwrap());
        assert_eq!(one[0], other[0]);
        for range in [1..13, 13..33, 33..49] {
            assert_ne!(one[range.clone()], other[range.clone()], "{range:?}");
        }
    }

    #[test]
    fn other_associated_data_does_not_open() {
        let keys = keys(&[1]);
        let text = keys.seal(PLAINTEXT, "factor").unwrap();
        for data in ["", "facto", "factor ", "Factor"] {
            assert_eq!(open(&keys, &text, data), Err(Error::NoKeyOpens), "{data}");
        }
    }

    #[test]
    fn no_flipped_bit_opens() {
        let keys = keys(&[1]);
        let text = keys.seal(PLAINTEXT, "a").unwrap();
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = match bit / 8 {
                0 => Error::Malformed, // the version
                _ => Error::NoKeyOpens,
            };
            let flipped = BASE64URL_NOPAD.encode(&flipped);
            assert_eq!(open(&keys, &flipped, "a"), Err(error), "bit {bit}");
        }
    }

    #[test]
    fn no_shorter_longer_or_differently_written_text_opens() {
        let keys = keys(&[1]);
        let text = keys.seal(PLAINTEXT, "a").unwrap();
        for end in 0..text.len() {
            assert!(open(&keys, &text[..end], "a").is_err(), "{end}");
        }
        // 49 bytes leave four unused bits in the last symbol.
        let unused_bit = format!("{}B", &text[..text.len() - 1]);
        for (changed, error) in [
            (format!("{text}AAAA"), Error::NoKeyOpens),
            (format!("{text}="), Error::Malformed),
            (format!("{text}=="), Error::Malformed),
            (format!(" {text}"), Error::Malformed),
            (unused_bit, Error::Malformed),
            ("ä".to_owned(), Error::Malformed),
        ] {
            assert_eq!(open(&keys, &changed, "a"), Err(error), "{changed}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_keys_open() {
        let (old, rotated, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let of_old = old.seal(PLAINTEXT, "a").unwrap();
        let of_rotated = rotated.seal(PLAINTEXT, "a").unwrap();
        let opened = |is_outdated| Ok((PLAINTEXT.to_vec(), is_outdated));
        for (name, keys, text, expected) in [
            ("old by old", &old, &of_old, opened(false)),
            ("old by rotated", &rotated, &of_old, opened(true)),
            ("rotated by rotated", &rotated, &of_rotated, opened(false)),
            ("rotated by new", &new, &of_rotated, opened(false)),
            ("rotated by old", &old, &of_rotated, Err(Error::NoKeyOpens)),
            ("old by new", &new, &of_old, Err(Error::NoKeyOpens)),
        ] {
            assert_eq!(open(keys, text, "a"), expected, "{name}");
        }
    }

    #[test]
    fn keys_have_32_bytes_and_there_is_one() {
        for lengths in [&[] as &[usize], &[31], &[33], &[0], &[32, 16]] {
            let keys = lengths.iter().map(|length| vec![1; *length].into());
            let keys: Vec<SecretSlice<u8>> = keys.collect();
            assert_eq!(
                SecretKeys::new(&keys).err(),
                Some(Error::Keys),
                "{lengths:?}"
            );
        }
    }
}
