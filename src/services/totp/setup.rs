//! The hidden field `setup` of the form that adds an app. It carries the secret, sealed, so
//! that showing the form writes nothing.

use secrecy::{ExposeSecret, SecretSlice};

use super::TotpSecret;
use crate::services::sealing::{Error, SecretKeys};

/// Seconds until the form expires.
const LIFE: i64 = 10 * 60;

/// The field is old, malformed, of another account, or from before its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the form that adds an authenticator app has expired")]
pub struct SetupExpired;

/// Seals the field for this user and `auth_version`. A change of password or factors raises
/// that, so a field can't be used twice.
pub fn seal_setup(
    keys: &SecretKeys,
    secret: &TotpSecret,
    user_id: &str,
    auth_version: i64,
    now: i64,
) -> Result<String, Error> {
    let plaintext = SecretSlice::from([&now.to_be_bytes(), secret.expose()].concat());
    let data = associated_data(user_id, auth_version);
    keys.seal(plaintext.expose_secret(), &data)
}

/// Opens the field as sent back by this user.
pub fn open_setup(
    keys: &SecretKeys,
    text: &str,
    user_id: &str,
    auth_version: i64,
    now: i64,
) -> Result<TotpSecret, SetupExpired> {
    let data = associated_data(user_id, auth_version);
    let opened = keys.open(text, &data).map_err(|_| SetupExpired)?;
    let plaintext = opened.plaintext.expose_secret().split_first_chunk();
    let (issued_at, secret) = plaintext.ok_or(SetupExpired)?;
    if now.saturating_sub(i64::from_be_bytes(*issued_at)) > LIFE {
        return Err(SetupExpired);
    }
    TotpSecret::from_bytes(secret).ok_or(SetupExpired)
}

/// Differs from the associated data of a stored secret, which is an id without spaces.
fn associated_data(user_id: &str, auth_version: i64) -> String {
    format!("setup {auth_version} {user_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn keys(bytes: &[u8]) -> SecretKeys {
        let keys = bytes.iter().map(|byte| vec![*byte; 32].into());
        SecretKeys::new(&keys.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_setup_opens_for_ten_minutes_for_its_user_and_auth_version() {
        let secret = TotpSecret::generate().unwrap();
        let text = seal_setup(&keys(&[1]), &secret, "alice", 7, NOW).unwrap();
        for (name, by, user_id, auth_version, seconds, is_open) in [
            ("at once", &[1][..], "alice", 7, 0, true),
            ("after a rotation of keys", &[2, 1], "alice", 7, 0, true),
            ("at the last second", &[1], "alice", 7, 600, true),
            ("a second later", &[1], "alice", 7, 601, false),
            ("by a slower clock", &[1], "alice", 7, -1, true),
            ("by another user", &[1], "mallory", 7, 0, false),
            ("after a change", &[1], "alice", 8, 0, false),
            ("before a change", &[1], "alice", 6, 0, false),
            ("by another key", &[2], "alice", 7, 0, false),
        ] {
            let now = NOW + seconds;
            let opened = open_setup(&keys(by), &text, user_id, auth_version, now);
            let opened = opened.map(|it| it.expose().to_vec());
            let expected = if is_open {
                Ok(secret.expose().to_vec())
            } else {
                Err(SetupExpired)
            };
            assert_eq!(opened, expected, "{name}");
        }
    }

    #[test]
    fn texts_that_are_no_setup_have_expired() {
        let keys = keys(&[1]);
        let stored = keys.seal(&[7; 28], "alice").unwrap();
        let long = keys.seal(&[7; 29], &associated_data("alice", 7)).unwrap();
        let short = keys.seal(&[7; 7], &associated_data("alice", 7)).unwrap();
        for text in ["", "?", &stored, &long, &short] {
            let opened = open_setup(&keys, text, "alice", 7, NOW);
            assert_eq!(opened.err(), Some(SetupExpired), "{text}");
        }
    }
}
