//! Who knows an account's password, and how often somebody may say so wrongly.

use secrecy::SecretString;
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

use crate::models::activity::{Activity, Happening};
use crate::models::client::Client;
use crate::models::limits::{WRONG_PASSWORDS, WRONG_PASSWORDS_OF_ADDRESS, WRONG_PASSWORDS_OF_SITE};
use crate::models::throttle::{self, Attempt, Bucket, TooMany};
use crate::models::user::{User, UserId, case_key};
use crate::models::{Connection, Database, Error};
use crate::services::passwords::Passwords;

/// A log-in after so many that failed is told to the owner.
const FAILURES_TO_TELL: i64 = 5;

/// What somebody says to prove who they are, and from where.
#[derive(Debug)]
pub struct Claim<'a> {
    /// The name that counts, as typed: anybody's or nobody's.
    pub typed: &'a str,
    /// The name to look for: nobody's, where nobody can be called what was typed.
    pub username: &'a str,
    /// Who is signed in, where it is their password that is asked for.
    pub signed_in: Option<&'a UserId>,
    /// The password.
    pub password: SecretString,
    /// Where the request came from.
    pub client: &'a Client,
    /// Whom the limit by address alone counts, if it applies.
    pub limited_address: Option<String>,
}

/// Why a password was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody has that name and that password.
    Wrong,
    /// Too many were wrong before: this one was not looked at.
    TooMany(TooMany),
}

impl Claim<'_> {
    /// Whom a wrong password counts against. Who is signed in is counted by
    /// account besides: a thief of the session could else take another name after
    /// each ten guesses.
    fn buckets(&self) -> Vec<Bucket> {
        let mut whom = vec![format!("name {}", case_key(self.typed))];
        whom.extend(self.signed_in.map(|id| format!("account {}", id.as_str())));
        let places = [
            (WRONG_PASSWORDS, Some(self.client.network())),
            (WRONG_PASSWORDS_OF_SITE, self.client.site()),
        ];
        let mut buckets = Vec::new();
        for (limit, place) in places {
            // The place first: it holds no blank, and what was typed may hold anything.
            let of = |whom: &String| place.as_ref().map(|place| format!("{place} {whom}"));
            buckets.extend(whom.iter().filter_map(of).map(|it| limit.bucket(&it)));
        }
        if let Some(address) = &self.limited_address {
            buckets.push(WRONG_PASSWORDS_OF_ADDRESS.bucket(address));
        }
        buckets
    }

    /// The account's row, with what proves it. The name of who is signed in may be
    /// another's by now, if the account was renamed meanwhile.
    async fn find(&self, connection: &mut Connection) -> Result<Option<AnyRow>, Error> {
        let row = sqlx::query(
            "SELECT id AS user_id, username, email, auth_version, verification_phone, about_me, \
             last_seen_at, password_hash, locked_at FROM users WHERE username_key = $1",
        )
        .bind(case_key(self.username))
        .fetch_optional(connection)
        .await?;
        let is_own = match (&row, self.signed_in) {
            (Some(row), Some(id)) => row.try_get::<String, _>("user_id")? == id.as_str(),
            _ => true,
        };
        Ok(row.filter(|_| is_own))
    }
}

impl User {
    /// The account with that name and that password, unless the operator has
    /// locked it. The attempt counts as a wrong one before the password is even
    /// looked at, so that no number of parallel ones gets more answers than the
    /// limits allow, and no longer counts once it was right. An unknown name costs
    /// the same work as a wrong password, and a locked account's right one too. A
    /// hash made with other parameters than today's is made anew.
    ///
    /// # Errors
    /// When the database fails or no password can be compared. An attempt that was
    /// not compared does not count.
    pub async fn authenticate(
        database: &Database,
        passwords: &Passwords,
        claim: Claim<'_>,
        now: i64,
    ) -> Result<Result<Self, Refused>, Error> {
        let mut connection = database.acquire().await?;
        let counted = throttle::count_alone(&mut *connection, &claim.buckets(), now).await?;
        let attempt = match counted {
            Ok(attempt) => attempt,
            Err(too_many) => return Ok(Err(Refused::TooMany(too_many))),
        };
        let found = claim.find(&mut connection).await;
        drop(connection); // nobody waits for it behind the hashing
        let compared = match found {
            Ok(row) => Self::compare(database, passwords, &claim, row).await,
            Err(error) => Err(error),
        };
        let answer = match compared {
            Ok(Compared::Wrong(id)) => {
                Self::note_failure(database, id.as_ref(), &claim, &attempt, now).await?;
                return Ok(Err(Refused::Wrong));
            }
            Ok(Compared::Right(user)) => Ok(Ok(user)),
            Err(error) => Err(error),
        };
        // Neither a right password counts, nor one that nobody could look at: a
        // flood that keeps the hashing busy must not use up other people's tries.
        throttle::take_back(&mut *database.acquire().await?, &attempt).await?;
        answer
    }

    async fn compare(
        database: &Database,
        passwords: &Passwords,
        claim: &Claim<'_>,
        row: Option<AnyRow>,
    ) -> Result<Compared, Error> {
        let stored: Option<String> = row
            .as_ref()
            .map(|row| row.try_get("password_hash"))
            .transpose()?;
        let password = claim.password.clone();
        let found = passwords
            .compare(password.clone(), stored.as_deref())
            .await?;
        let (Some(row), Some(stored)) = (row, stored) else {
            return Ok(Compared::Wrong(None));
        };
        let user = Self::from_row(&row)?;
        let is_locked = row.try_get::<Option<i64>, _>("locked_at")?.is_some();
        if is_locked || !found.matches {
            return Ok(Compared::Wrong(Some(user.id)));
        }
        if found.outdated {
            user.rehash(database, passwords, password, &stored).await?;
        }
        Ok(Compared::Right(user))
    }

    /// Writes a wrong password down, where somebody has the name. Where nobody
    /// has, the same statements do the same work.
    async fn note_failure(
        database: &Database,
        id: Option<&UserId>,
        claim: &Claim<'_>,
        attempt: &Attempt,
        now: i64,
    ) -> Result<(), Error> {
        let mut transaction = database.begin().await?;
        sqlx::query("UPDATE users SET failed_logins = failed_logins + 1 WHERE id = $1")
            .bind(id.map_or("", UserId::as_str))
            .execute(&mut *transaction)
            .await?;
        let what = Happening::WrongPassword;
        Activity::record_if_known(&mut transaction, id, what, Some(claim.client), now).await?;
        throttle::keep(&mut transaction, attempt).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets the failed log-ins, in the transaction of one that was completed and
    /// holds the account's row, so that one of two log-ins tells of them. Returns
    /// whether they were so many that its owner is to be told.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn clear_failed_logins(
        connection: &mut Connection,
        id: &UserId,
    ) -> Result<bool, Error> {
        let failed: Option<i64> = sqlx::query_scalar(
            "SELECT failed_logins FROM users WHERE id = $1 AND failed_logins > 0",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(failed) = failed else {
            return Ok(false); // of most log-ins
        };
        sqlx::query("UPDATE users SET failed_logins = 0 WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(failed >= FAILURES_TO_TELL)
    }

    /// The password is the same, so `auth_version` stays; a password changed
    /// meanwhile stays too.
    async fn rehash(
        &self,
        database: &Database,
        passwords: &Passwords,
        password: SecretString,
        stored: &str,
    ) -> Result<(), Error> {
        let password_hash = passwords.hash(password).await?;
        sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
            .bind(password_hash)
            .bind(self.id.as_str())
            .bind(stored)
            .execute(database)
            .await?;
        Ok(())
    }
}

/// What a comparison found.
enum Compared {
    Right(User),
    /// Whose it was not, where somebody has that name.
    Wrong(Option<UserId>),
}
