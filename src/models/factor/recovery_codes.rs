//! Recovery codes. Each replaces a code from the phone once. The database holds only their
//! hashes.

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::models::token::fill;
use crate::models::user::UserId;
use crate::models::{Connection, Database, Result};

const CODES: usize = 10;

/// Symbols of a code, of five random bits each: 120 bits (ASVS 6.5.4 requires 20).
const SYMBOLS: usize = 24;

/// Characters of a set's id.
const SET_ID: usize = 16;

/// Symbols between two dashes of a displayed code.
const GROUP: usize = 4;

/// Crockford's base32: no letter resembles a digit, and there is no U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code in plain text, without dashes.
pub struct RecoveryCode(SecretString);

impl RecoveryCode {
    fn generate() -> Result<Self> {
        let mut bytes = [0; SYMBOLS];
        fill(&mut bytes)?;
        // 32 divides 256, so all symbols are equally likely.
        let symbols = bytes.iter().map(|byte| usize::from(byte % 32));
        let code: String = symbols
            .filter_map(|at| ALPHABET.get(at))
            .map(|symbol| char::from(*symbol))
            .collect();
        Ok(Self(code.into()))
    }

    /// Parses a typed code: in any case, with spaces and dashes anywhere, O for 0, I or L for
    /// 1. `None` if it is not a code.
    pub fn parse(typed: &str) -> Option<Self> {
        let code: Option<String> = typed
            .chars()
            .filter(|c| !c.is_whitespace() && !is_dash(*c))
            .take(SYMBOLS + 1)
            .map(symbol)
            .collect();
        let code = code.filter(|code| code.len() == SYMBOLS)?;
        Some(Self(code.into()))
    }

    /// Formats the code for display: groups of four, joined by dashes.
    pub fn grouped(&self) -> SecretString {
        let mut grouped = String::with_capacity(SYMBOLS + SYMBOLS / GROUP);
        for (at, symbol) in self.0.expose_secret().chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                grouped.push('-');
            }
            grouped.push(symbol);
        }
        grouped.into()
    }

    /// SHA-256 with the user's id, as hexadecimal digits. A fast hash is enough for 120
    /// random bits (ASVS 6.5.2).
    fn hash(&self, user: &UserId) -> String {
        let hasher = Sha256::new()
            .chain_update(user.as_str())
            .chain_update([0])
            .chain_update(self.0.expose_secret());
        HEXLOWER.encode(&hasher.finalize())
    }

    /// Creates a new set and deletes the old one. The caller's transaction has locked the
    /// account's row, so the later of two parallel calls wins.
    pub async fn create_set(
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<Vec<Self>> {
        Self::delete_all(connection, user).await?;
        let mut set = Vec::with_capacity(CODES);
        for _ in 0..CODES {
            let code = Self::generate()?;
            sqlx::query(
                r"INSERT INTO recovery_codes (code_hash, user_id, created_at)
                VALUES ($1, $2, $3)",
            )
            .bind(code.hash(user))
            .bind(user.as_str())
            .bind(now)
            .execute(&mut *connection)
            .await?;
            set.push(code);
        }
        Ok(set)
    }

    /// Whether the code is one of the user's and unused.
    pub async fn is_valid(&self, database: &Database, user: &UserId) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            r"SELECT created_at
            FROM recovery_codes
            WHERE code_hash = $1 AND user_id = $2 AND used_at IS NULL",
        )
        .bind(self.hash(user))
        .bind(user.as_str())
        .fetch_optional(database)
        .await?;
        Ok(found.is_some())
    }

    /// Marks the code as used, if it is one of the user's and unused. Returns whether it was:
    /// of parallel calls, one returns true.
    pub async fn consume(
        &self,
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE recovery_codes
            SET used_at = $1
            WHERE code_hash = $2 AND user_id = $3 AND used_at IS NULL",
        )
        .bind(now)
        .bind(self.hash(user))
        .bind(user.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    pub async fn count_unused(connection: &mut Connection, user: &UserId) -> Result<i64> {
        Ok(sqlx::query_scalar(
            r"SELECT COUNT(*)
            FROM recovery_codes
            WHERE user_id = $1 AND used_at IS NULL",
        )
        .bind(user.as_str())
        .fetch_one(connection)
        .await?)
    }

    /// Identifies the present set, used codes included. Empty without codes. It reveals none of
    /// them: it is a part of a hash.
    pub async fn set_id(connection: &mut Connection, user: &UserId) -> Result<String> {
        let first: Option<String> = sqlx::query_scalar(
            r"SELECT MIN(code_hash)
            FROM recovery_codes
            WHERE user_id = $1",
        )
        .bind(user.as_str())
        .fetch_one(connection)
        .await?;
        Ok(first.unwrap_or_default().chars().take(SET_ID).collect())
    }

    pub async fn delete_all(connection: &mut Connection, user: &UserId) -> Result<()> {
        sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1")
            .bind(user.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Maps a typed character to a symbol of the alphabet.
fn symbol(typed: char) -> Option<char> {
    let symbol = match typed.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let known = ALPHABET.iter().any(|it| char::from(*it) == symbol);
    known.then_some(symbol)
}

/// Whether it is a hyphen, or a character that word processors put in its place.
const fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}
