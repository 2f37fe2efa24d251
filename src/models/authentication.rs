//! Who knows an account's password, and how often somebody may say so wrongly.

use secrecy::SecretString;
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

use crate::models::activity::{Activity, Happening};
use crate::models::client::Client;
use crate::models::outbox::{Event, Notice};
use crate::models::rate_limit::{
    Attempt, Bucket, RateLimit, RateLimitExceeded, WRONG_PASSWORDS, WRONG_PASSWORDS_PER_ACCOUNT,
    WRONG_PASSWORDS_PER_CLIENT, WRONG_PASSWORDS_PER_SITE, refund, take,
};
use crate::models::user::{User, UserId, case_key};
use crate::models::{Connection, Database, Error};
use crate::services::passwords::Passwords;

/// A login after so many that failed is told to the owner.
const FAILURES_TO_TELL: i64 = 5;

/// The limits that a right password does not count in.
const WRONG: [RateLimit; 3] = [
    WRONG_PASSWORDS,
    WRONG_PASSWORDS_PER_SITE,
    WRONG_PASSWORDS_PER_CLIENT,
];

/// What somebody sent to prove who they are, and from where.
#[derive(Debug)]
pub struct Credentials<'a> {
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
    /// The same, unless limits by client do not apply.
    pub limited_client: Option<&'a Client>,
    /// What a right password counts in.
    pub limits: &'static [RateLimit],
}

/// Why a password was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody has that name and that password.
    Wrong,
    /// Too many were wrong or right before: this one was not looked at.
    TooMany(RateLimitExceeded),
}

impl Credentials<'_> {
    /// What a wrong password counts in, and a right one. Somebody who is signed in is
    /// counted by account besides: a thief of the session could else take another name
    /// after each ten guesses.
    fn buckets(&self, found: Option<&UserId>) -> Vec<Bucket> {
        let mut whom = vec![format!("name {}", case_key(self.typed))];
        whom.extend(self.signed_in.map(|id| format!("account {}", id.as_str())));
        let places = [
            (WRONG_PASSWORDS, Some(self.client.network())),
            (WRONG_PASSWORDS_PER_SITE, self.client.site()),
        ];
        let mut buckets = WRONG_PASSWORDS_PER_CLIENT.buckets_of("", self.limited_client);
        for (limit, place) in places {
            let Some(place) = place else { continue };
            // The place first: it holds no blank, and what was typed may hold anything.
            let bucket = |whom: &String| limit.buckets(&format!("{place} {whom}"));
            buckets.extend(whom.iter().flat_map(bucket));
        }
        let account = self.account(found);
        let right = self.limits.iter();
        buckets.extend(right.flat_map(|it| it.buckets_of(&account, self.limited_client)));
        buckets
    }

    /// The account for limits that count by it. A name that nobody has is counted as well,
    /// so that it costs the same.
    fn account(&self, found: Option<&UserId>) -> String {
        match found {
            Some(id) => id.as_str().to_owned(),
            None => format!("name {}", case_key(self.typed)),
        }
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
    /// Also when no password can be compared. An attempt that was not compared does not
    /// count.
    pub async fn authenticate(
        database: &Database,
        passwords: &Passwords,
        credentials: Credentials<'_>,
        now: i64,
    ) -> Result<Result<Self, Refused>, Error> {
        let mut connection = database.acquire().await?;
        let row = credentials.find(&mut connection).await?;
        let id: Option<String> = row.as_ref().map(|row| row.try_get("user_id")).transpose()?;
        let id = id.map(UserId::from_column);
        let buckets = credentials.buckets(id.as_ref());
        let attempt = match take(&mut connection, &buckets, now).await? {
            Ok(attempt) => attempt,
            Err(exceeded) => return Ok(Err(Refused::TooMany(exceeded))),
        };
        drop(connection); // nobody waits for it behind the hashing
        let refunded = match Self::compare(database, passwords, &credentials, row).await {
            Ok(Compared::Wrong) => {
                Self::record_failed_login(database, id.as_ref(), &credentials, &attempt, now)
                    .await?;
                return Ok(Err(Refused::Wrong));
            }
            Ok(Compared::Right(user)) => (attempt.under(&WRONG), Ok(Ok(user))),
            // A flood that keeps the hashing busy must not use up other people's tries.
            Err(error) => (attempt, Err(error)),
        };
        let (refunded, answer) = refunded;
        refund(&mut *database.acquire().await?, &refunded).await?;
        answer
    }

    async fn compare(
        database: &Database,
        passwords: &Passwords,
        credentials: &Credentials<'_>,
        row: Option<AnyRow>,
    ) -> Result<Compared, Error> {
        let stored: Option<String> = row
            .as_ref()
            .map(|row| row.try_get("password_hash"))
            .transpose()?;
        let password = credentials.password.clone();
        let found = passwords
            .compare(password.clone(), stored.as_deref())
            .await?;
        let (Some(row), Some(stored)) = (row, stored) else {
            return Ok(Compared::Wrong);
        };
        let user = Self::from_row(&row)?;
        let is_locked = row.try_get::<Option<i64>, _>("locked_at")?.is_some();
        if is_locked || !found.matches {
            return Ok(Compared::Wrong);
        }
        if found.outdated {
            user.rehash(database, passwords, password, &stored).await?;
        }
        Ok(Compared::Right(user))
    }

    /// Writes a wrong password down, where somebody has the name. Where nobody
    /// has, the same statements do the same work.
    async fn record_failed_login(
        database: &Database,
        id: Option<&UserId>,
        credentials: &Credentials<'_>,
        attempt: &Attempt,
        now: i64,
    ) -> Result<(), Error> {
        let client = credentials.client;
        let mut transaction = database.begin().await?;
        sqlx::query("UPDATE users SET failed_logins = failed_logins + 1 WHERE id = $1")
            .bind(id.map_or("", UserId::as_str))
            .execute(&mut *transaction)
            .await?;
        let what = Happening::WrongPassword;
        Activity::record_if_known(&mut transaction, id, what, Some(client), now).await?;
        refund(&mut transaction, &attempt.not_under(&WRONG)).await?;
        let buckets = WRONG_PASSWORDS_PER_ACCOUNT.buckets(&credentials.account(id));
        if take(&mut transaction, &buckets, now).await?.is_err() {
            let notice = Notice::new(Event::ManyWrongPasswords, client, now);
            notice.enqueue_if_known(&mut transaction, id).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets the failed logins, in the transaction of one that was completed and
    /// holds the account's row, so that one of two log-ins tells of them. Returns
    /// whether they were so many that its owner is to be told.
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
    Wrong,
}
