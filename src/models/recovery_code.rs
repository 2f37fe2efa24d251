//! Recovery codes: what is entered in place of a code from the phone. Ten a set,
//! each good once. Only hashes are kept.

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::models::token::fill;
use crate::models::user::UserId;
use crate::models::{Connection, Database, Error};

/// Codes in a set.
const CODES: usize = 10;

/// Symbols of a code, of five random bits each: 120 bits (ASVS 6.5.4 asks for 20).
const SYMBOLS: usize = 24;

/// Symbols between two dashes, where a code is shown.
const GROUP: usize = 4;

/// Crockford's base32: no letter that is taken for a digit, and no U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code in clear, without dashes. It has no `Debug`.
pub struct RecoveryCode(SecretString);

impl RecoveryCode {
    /// A code from the operating system's random numbers.
    fn generate() -> Result<Self, Error> {
        let mut bytes = [0; SYMBOLS];
        fill(&mut bytes)?;
        // 32 divides 256: every symbol is as likely as any other.
        let symbols = bytes.iter().map(|byte| usize::from(byte % 32));
        let code: String = symbols
            .filter_map(|at| ALPHABET.get(at))
            .map(|symbol| char::from(*symbol))
            .collect();
        Ok(Self(code.into()))
    }

    /// A code as somebody typed it: in any case, with blanks and dashes anywhere,
    /// O for 0, I or L for 1. `None` for what no code looks like.
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

    /// The code as it is shown: in groups of four, joined by dashes.
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

    /// SHA-256 with the user's id, as hexadecimal digits: what the database holds.
    /// A fast hash is enough for 120 random bits (ASVS 6.5.2).
    fn hash(&self, user: &UserId) -> String {
        let hasher = Sha256::new()
            .chain_update(user.as_str())
            .chain_update([0])
            .chain_update(self.0.expose_secret());
        HEXLOWER.encode(&hasher.finalize())
    }

    /// Makes a set of ten, and ends the one that there was, within a transaction
    /// that has locked the account's row: of two at once, the later one's stands.
    pub async fn make_set(
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<Vec<Self>, Error> {
        Self::delete_all(connection, user).await?;
        let mut set = Vec::with_capacity(CODES);
        for _ in 0..CODES {
            let code = Self::generate()?;
            sqlx::query(
                "INSERT INTO recovery_codes (code_hash, user_id, created_at) VALUES ($1, $2, $3)",
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

    /// Whether the code is one of the user's and still unused. Looking uses nothing
    /// up, and decides nothing: [`RecoveryCode::use_up`] does.
    pub async fn is_good(&self, database: &Database, user: &UserId) -> Result<bool, Error> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT created_at FROM recovery_codes \
             WHERE code_hash = $1 AND user_id = $2 AND used_at IS NULL",
        )
        .bind(self.hash(user))
        .bind(user.as_str())
        .fetch_optional(database)
        .await?;
        Ok(found.is_some())
    }

    /// Uses the code up, within the transaction of what it is for. Returns whether
    /// it was the user's and unused: of any number of parallel uses, one is told yes.
    pub async fn use_up(
        &self,
        connection: &mut Connection,
        user: &UserId,
        now: i64,
    ) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE recovery_codes SET used_at = $1 \
             WHERE code_hash = $2 AND user_id = $3 AND used_at IS NULL",
        )
        .bind(now)
        .bind(self.hash(user))
        .bind(user.as_str())
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// How many of a user's codes are unused.
    pub async fn left(connection: &mut Connection, user: &UserId) -> Result<i64, Error> {
        Ok(sqlx::query_scalar(
            "SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL",
        )
        .bind(user.as_str())
        .fetch_one(connection)
        .await?)
    }

    /// Ends a user's set.
    pub async fn delete_all(connection: &mut Connection, user: &UserId) -> Result<(), Error> {
        sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1")
            .bind(user.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// The symbol that a character stands for.
fn symbol(typed: char) -> Option<char> {
    let symbol = match typed.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let known = ALPHABET.iter().any(|it| char::from(*it) == symbol);
    known.then_some(symbol)
}

/// A hyphen, or what text programs make of one.
const fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{ad}' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(typed: &str) -> Option<String> {
        let code = RecoveryCode::parse(typed);
        code.map(|code| code.grouped().expose_secret().to_owned())
    }

    /// ASVS 6.5.3, 6.5.4
    #[test]
    fn a_code_is_24_symbols_in_groups_of_four() {
        for _ in 0..200 {
            let code = RecoveryCode::generate().unwrap().grouped();
            let groups: Vec<&str> = code.expose_secret().split('-').collect();
            assert_eq!(groups.len(), 6);
            for group in groups {
                assert_eq!(group.len(), 4);
                assert!(group.bytes().all(|it| ALPHABET.contains(&it)), "{group}");
            }
            let again = parsed(code.expose_secret());
            assert_eq!(again.as_deref(), Some(code.expose_secret()));
        }
    }

    #[test]
    fn every_symbol_comes_up() {
        let codes = (0..100).map(|_| RecoveryCode::generate().unwrap());
        let all: String = codes.map(|it| it.0.expose_secret().to_owned()).collect();
        assert!(ALPHABET.iter().all(|it| all.contains(char::from(*it))));
    }

    #[test]
    fn what_is_typed_may_differ_in_case_blanks_dashes_and_look_alikes() {
        let code = "0123-4567-89AB-CDEF-GHJK-1010";
        for typed in [
            code,
            "0123456789ABCDEFGHJK1010",
            "0123 4567 89ab cdef ghjk 1010",
            " 0123-4567-89ab-CDEF\tghjk\u{a0}1010\r\n",
            "o123-4567-89ab-cdef-ghjk-lOiO",
            "O123 4567 89AB CDEF GHJK IOLo",
            "0\u{2011}123\u{2013}4567\u{2212}89ab--cdef\u{ad}ghjk1010-",
        ] {
            assert_eq!(parsed(typed).as_deref(), Some(code), "{typed}");
        }
    }

    #[test]
    fn what_no_code_looks_like_is_none() {
        let long = "A".repeat(100_000);
        for typed in [
            "",
            "-",
            "0123456789ABCDEFGHJK101",
            "0123456789ABCDEFGHJK10101",
            "0123456789ABCDEFGHJK101U",
            "0123456789ABCDEFGHJK101_",
            "0123456789ABCDEFGHJK101\0",
            "0123456789ABCDEFGHJK101\u{ff11}",
            "0123456789ABCDEFGHJK101\u{131}",
            &long,
        ] {
            assert_eq!(parsed(typed), None, "{typed}");
        }
    }

    #[test]
    fn the_hash_depends_on_the_user() {
        let code = RecoveryCode::generate().unwrap();
        let user = |id: &str| UserId::from_column(id.to_owned());
        assert_ne!(code.hash(&user("a")), code.hash(&user("b")));
        assert_eq!(code.hash(&user("a")).len(), 64);
    }
}
