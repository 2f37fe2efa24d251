//! Password checks, and the limits of wrong ones.

use secrecy::SecretString;
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

use crate::models::activity::{Activity, Event};
use crate::models::client::Client;
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::rate_limit::{
    Attempt, Bucket, RateLimit, RateLimitExceeded, WRONG_PASSWORDS, WRONG_PASSWORDS_PER_ACCOUNT,
    WRONG_PASSWORDS_PER_CLIENT, WRONG_PASSWORDS_PER_SITE, refund, take, try_take,
};
use crate::models::user::{User, UserId, case_key};
use crate::models::{Connection, Database, Result};
use crate::services::passwords::Passwords;

/// The owner gets an email about a login after so many failed ones.
const FAILURES_TO_TELL: i64 = 5;

/// The limits that count wrong passwords only.
const WRONG: [RateLimit; 3] = [
    WRONG_PASSWORDS,
    WRONG_PASSWORDS_PER_SITE,
    WRONG_PASSWORDS_PER_CLIENT,
];

/// A username and a password, as a client sent them.
#[derive(Debug)]
pub struct Credentials<'a> {
    /// The name as typed, which the limits count.
    pub typed: &'a str,
    /// The name to look up: one that cannot exist if the typed name is not valid.
    pub username: &'a str,
    /// The user who is logged in and confirms the password.
    pub signed_in: Option<&'a UserId>,
    /// The password.
    pub password: SecretString,
    /// The client that sent the request.
    pub client: &'a Client,
    /// The same, unless limits by client do not apply.
    pub limited_client: Option<&'a Client>,
    /// The limits that count right passwords too.
    pub limits: &'static [RateLimit],
}

/// Why a password was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The username or the password is wrong, or the account is locked.
    Wrong,
    /// A limit is exceeded. The password was not compared.
    TooMany(RateLimitExceeded),
}

impl Credentials<'_> {
    /// The buckets of an attempt. For a user who is logged in, the account counts besides the
    /// name: otherwise someone who stole the session could rename the account after every
    /// ten guesses.
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
            // The place comes first, since it holds no blank. A typed name may.
            let bucket = |whom: &String| limit.buckets(&format!("{place} {whom}"));
            buckets.extend(whom.iter().flat_map(bucket));
        }
        let account = self.account(found);
        let right = self.limits.iter();
        buckets.extend(right.flat_map(|it| it.buckets_of(&account, self.limited_client)));
        buckets
    }

    /// The subject of limits by account. An unknown name counts as well, so that it costs
    /// the same time.
    fn account(&self, found: Option<&UserId>) -> String {
        match found {
            Some(id) => id.as_str().to_owned(),
            None => format!("name {}", case_key(self.typed)),
        }
    }

    /// The account's row with its password hash. If the user who is logged in was renamed
    /// meanwhile, another account may have the name: that one is not returned.
    async fn find(&self, connection: &mut Connection) -> Result<Option<AnyRow>> {
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
    /// The account with that username and password, unless the operator has locked it.
    ///
    /// The attempt counts as wrong before the password is compared, and is refunded if it
    /// was right: so parallel attempts never get more answers than the limits allow. If the
    /// comparison fails, the attempt does not count. An unknown name and a locked account
    /// cost the same work as a wrong password. A hash with outdated parameters is replaced.
    pub async fn authenticate(
        database: &Database,
        passwords: &Passwords,
        credentials: Credentials<'_>,
        now: i64,
    ) -> Result<Result<Self, Refused>> {
        let mut connection = database.acquire().await?;
        let row = credentials.find(&mut connection).await?;
        let id: Option<UserId> = row.as_ref().map(|row| row.try_get("user_id")).transpose()?;
        let buckets = credentials.buckets(id.as_ref());
        let attempt = match take(&mut connection, &buckets, now).await? {
            Ok(attempt) => attempt,
            Err(exceeded) => return Ok(Err(Refused::TooMany(exceeded))),
        };
        drop(connection); // hashing is slow: other requests need the connection
        let (refunded, answer) = match Self::compare(database, passwords, &credentials, row).await {
            Ok(Compared::Wrong) => {
                Self::record_failed_login(database, id.as_ref(), &credentials, &attempt, now)
                    .await?;
                return Ok(Err(Refused::Wrong));
            }
            Ok(Compared::Right(user)) => (attempt.under(&WRONG), Ok(Ok(user))),
            // A flood that keeps the hashing busy must not consume other users' attempts.
            Err(error) => (attempt, Err(error)),
        };
        refund(&mut *database.acquire().await?, &refunded).await?;
        answer
    }

    async fn compare(
        database: &Database,
        passwords: &Passwords,
        credentials: &Credentials<'_>,
        row: Option<AnyRow>,
    ) -> Result<Compared> {
        let stored = row.as_ref().map(|row| row.try_get("password_hash"));
        let stored: Option<String> = stored.transpose()?;
        let password = credentials.password.clone();
        let comparison = passwords.compare(password.clone(), stored.as_deref());
        let found = comparison.await?;
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

    /// Records a wrong password. For an unknown name the same statements do the same work.
    async fn record_failed_login(
        database: &Database,
        id: Option<&UserId>,
        credentials: &Credentials<'_>,
        attempt: &Attempt,
        now: i64,
    ) -> Result<()> {
        let client = credentials.client;
        let mut transaction = database.begin().await?;
        sqlx::query("UPDATE users SET failed_logins = failed_logins + 1 WHERE id = $1")
            .bind(id.map_or("", UserId::as_str))
            .execute(&mut *transaction)
            .await?;
        let what = Event::WrongPassword;
        Activity::record_if_known(&mut transaction, id, what, Some(client), now).await?;
        refund(&mut transaction, &attempt.not_under(&WRONG)).await?;
        let account = credentials.account(id);
        let buckets = WRONG_PASSWORDS_PER_ACCOUNT.buckets(&account);
        if try_take(&mut transaction, &buckets, now).await?.is_err() {
            tracing::warn!(
                event = "many_wrong_passwords",
                user = id.map(UserId::as_str),
                "more wrong passwords in a day than a user mistypes"
            );
            let notice = Notice::new(NoticeKind::ManyWrongPasswords, client, now);
            notice
                .enqueue_if_known(&mut transaction, id, &account)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Clears the count of failed logins after an email to the owner about them, and returns
    /// whether there is one. If a limit held it back, the next login sends it. The caller's
    /// transaction holds the account's row, so only one of two parallel logins does.
    pub async fn clear_failed_logins(
        connection: &mut Connection,
        id: &UserId,
        client: &Client,
        now: i64,
    ) -> Result<bool> {
        let failed: Option<i64> = sqlx::query_scalar(
            "SELECT failed_logins FROM users WHERE id = $1 AND failed_logins > 0",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(failed) = failed else {
            return Ok(false);
        };
        let is_told = failed >= FAILURES_TO_TELL;
        let notice = Notice::new(NoticeKind::LoginAfterFailures, client, now);
        if is_told && !notice.enqueue(connection, id).await? {
            return Ok(false);
        }
        sqlx::query("UPDATE users SET failed_logins = 0 WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(is_told)
    }

    /// Replaces the hash of the same password, so `auth_version` stays. A password that was
    /// changed meanwhile stays too.
    async fn rehash(
        &self,
        database: &Database,
        passwords: &Passwords,
        password: SecretString,
        stored: &str,
    ) -> Result<()> {
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

enum Compared {
    Right(User),
    Wrong,
}
