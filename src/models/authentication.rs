//! Password checks, and the limits on wrong passwords.

use secrecy::SecretString;
use sqlx::FromRow;

use crate::models::activity::{Activity, Event};
use crate::models::client::Client;
use crate::models::device::{Browser, Device, DeviceId};
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::rate_limit::{
    Attempt, Bucket, RateLimit, RateLimitExceeded, WRONG_PASSWORDS, WRONG_PASSWORDS_OF_DEVICE,
    WRONG_PASSWORDS_PER_ACCOUNT, WRONG_PASSWORDS_PER_CLIENT, WRONG_PASSWORDS_PER_SITE, refund,
    take, try_take,
};
use crate::models::user::{User, UserId, case_key, user_columns};
use crate::models::{Connection, Database, Result};
use crate::services::passwords::Passwords;

/// Failed logins after which the next login is emailed to the owner.
const FAILURES_TO_REPORT: i64 = 5;

/// The limits that count only wrong passwords.
const WRONG_PASSWORD_LIMITS: [RateLimit; 4] = [
    WRONG_PASSWORDS,
    WRONG_PASSWORDS_OF_DEVICE,
    WRONG_PASSWORDS_PER_SITE,
    WRONG_PASSWORDS_PER_CLIENT,
];

/// A username and a password from a browser.
pub struct Credentials<'a> {
    /// The username as typed, which the limits count.
    pub typed: &'a str,
    /// The username to look up. An invalid one is replaced by one that cannot exist.
    pub username: &'a str,
    /// The logged-in user who confirms the password.
    pub current_user: Option<&'a UserId>,
    pub password: SecretString,
    pub browser: Browser<'a>,
    /// Its client, unless limits by client do not apply.
    pub limited_client: Option<&'a Client>,
    /// Limits that count only right passwords.
    pub limits: &'static [RateLimit],
}

/// Why a user was not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationError {
    /// The username or the password is wrong, or the account is locked.
    InvalidCredentials,
    /// A limit is exceeded. The password was not compared.
    RateLimited(RateLimitExceeded),
}

#[derive(FromRow)]
struct Account {
    #[sqlx(flatten)]
    user: User,
    password_hash: String,
    locked_at: Option<i64>,
}

impl Credentials<'_> {
    /// The buckets of an attempt. Those of a known device replace those that strangers can fill.
    fn buckets(&self, found: Option<&UserId>, device: Option<&DeviceId>) -> Vec<Bucket> {
        let mut buckets = match device {
            Some(device) => WRONG_PASSWORDS_OF_DEVICE.buckets(device.as_str()),
            None => self.buckets_by_name(),
        };
        let account = self.account(found);
        for limit in self.limits {
            buckets.extend(limit.buckets_for(&account, self.limited_client));
        }
        buckets
    }

    /// The buckets of the username and the client. For a logged-in user they count the account
    /// besides the username. Otherwise a session thief could rename the account after every ten
    /// guesses.
    fn buckets_by_name(&self) -> Vec<Bucket> {
        let client = self.browser.client;
        let mut subjects = vec![format!("name {}", case_key(self.typed))];
        subjects.extend(
            self.current_user
                .map(|id| format!("account {}", id.as_str())),
        );
        let mut buckets = WRONG_PASSWORDS_PER_CLIENT.buckets_for("", self.limited_client);
        for subject in subjects {
            // The network comes first, since it contains no space. A typed name may.
            let network = client.network();
            buckets.extend(WRONG_PASSWORDS.buckets(&format!("{network} {subject}")));
            if let Some(site) = client.site() {
                buckets.extend(WRONG_PASSWORDS_PER_SITE.buckets(&format!("{site} {subject}")));
            }
        }
        buckets
    }

    /// The subject of limits by account. An unknown username counts too, so that it takes the
    /// same time.
    fn account(&self, found: Option<&UserId>) -> String {
        match found {
            Some(id) => id.as_str().to_owned(),
            None => format!("name {}", case_key(self.typed)),
        }
    }

    /// Finds the account. If the logged-in user was renamed meanwhile, another account may
    /// have the username: that one is not returned.
    async fn find(&self, connection: &mut Connection) -> Result<Option<Account>> {
        let account: Option<Account> = sqlx::query_as(concat!(
            "SELECT ",
            user_columns!(),
            ", password_hash, locked_at FROM users WHERE username_key = $1"
        ))
        .bind(case_key(self.username))
        .fetch_optional(connection)
        .await?;
        Ok(account.filter(|it| self.current_user.is_none_or(|id| it.user.id == *id)))
    }
}

impl User {
    /// Finds the account with this username and password, unless the operator has locked it.
    ///
    /// The attempt counts as wrong before the password is compared, and is refunded if it was
    /// right. So parallel attempts never get more answers than the limits allow. If the
    /// comparison fails, the attempt does not count. An unknown username and a locked account
    /// take the same work as a wrong password. A hash with outdated parameters is replaced.
    pub async fn authenticate(
        database: &Database,
        passwords: &Passwords,
        credentials: Credentials<'_>,
        now: i64,
    ) -> Result<Result<Self, AuthenticationError>> {
        let mut connection = database.acquire().await?;
        let account = credentials.find(&mut connection).await?;
        let id = account.as_ref().map(|account| account.user.id.clone());
        let token = credentials.browser.device;
        let device = Device::find_known(&mut connection, id.as_ref(), token).await?;
        let buckets = credentials.buckets(id.as_ref(), device.as_ref());
        let attempt = match take(&mut connection, &buckets, now).await? {
            Ok(attempt) => attempt,
            Err(exceeded) => return Ok(Err(AuthenticationError::RateLimited(exceeded))),
        };
        drop(connection); // hashing is slow, and other requests need the connection
        let result = Self::compare(database, passwords, &credentials, account).await;
        let refunded = match &result {
            Ok(Ok(_)) => attempt.under(&WRONG_PASSWORD_LIMITS),
            Ok(Err(_)) => {
                let id = id.as_ref();
                Self::record_failed_login(database, id, &credentials, &attempt, now).await?;
                return result;
            }
            // A flood that keeps the hashing busy must not consume other users' attempts.
            Err(_) => attempt,
        };
        refund(&mut *database.acquire().await?, &refunded).await?;
        result
    }

    async fn compare(
        database: &Database,
        passwords: &Passwords,
        credentials: &Credentials<'_>,
        account: Option<Account>,
    ) -> Result<Result<Self, AuthenticationError>> {
        let password = &credentials.password;
        let stored = account.as_ref().map(|account| &*account.password_hash);
        let found = passwords.compare(password.clone(), stored).await?;
        let account = account.filter(|it| found.matches && it.locked_at.is_none());
        let Some(Account {
            user,
            password_hash,
            ..
        }) = account
        else {
            return Ok(Err(AuthenticationError::InvalidCredentials));
        };
        if found.outdated {
            user.rehash(database, passwords, password.clone(), &password_hash)
                .await?;
        }
        Ok(Ok(user))
    }

    /// Records a wrong password. For an unknown username the same statements run.
    async fn record_failed_login(
        database: &Database,
        id: Option<&UserId>,
        credentials: &Credentials<'_>,
        attempt: &Attempt,
        now: i64,
    ) -> Result<()> {
        let client = credentials.browser.client;
        let mut transaction = database.begin().await?;
        sqlx::query("UPDATE users SET failed_logins = failed_logins + 1 WHERE id = $1")
            .bind(id.map_or("", UserId::as_str))
            .execute(&mut *transaction)
            .await?;
        let event = Event::WrongPassword;
        Activity::record_if_known(&mut transaction, id, event, Some(client), now).await?;
        refund(&mut transaction, &attempt.not_under(&WRONG_PASSWORD_LIMITS)).await?;
        let account = credentials.account(id);
        let buckets = WRONG_PASSWORDS_PER_ACCOUNT.buckets(&account);
        if try_take(&mut transaction, &buckets, now).await?.is_err() {
            tracing::warn!(
                event = "many_wrong_passwords",
                user = id.map(UserId::as_str),
                "many wrong passwords for an account"
            );
            let notice = Notice::new(NoticeKind::ManyWrongPasswords, client, now);
            notice
                .enqueue_if_known(&mut transaction, id, &account)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Resets the count of failed logins, and emails the owner about many of them. Returns
    /// whether there is an email. If a limit holds it back, the count stays for the next
    /// login. The caller's transaction holds the account's row, so that of two parallel logins
    /// only one sends it.
    pub async fn clear_failed_logins(
        connection: &mut Connection,
        id: &UserId,
        client: &Client,
        now: i64,
    ) -> Result<bool> {
        let failed: Option<i64> = sqlx::query_scalar(
            r"SELECT failed_logins
            FROM users
            WHERE id = $1 AND failed_logins > 0",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let Some(failed) = failed else {
            return Ok(false);
        };
        let is_reported = failed >= FAILURES_TO_REPORT;
        let notice = Notice::new(NoticeKind::LoginAfterFailures, client, now);
        if is_reported && !notice.enqueue(connection, id).await? {
            return Ok(false);
        }
        sqlx::query("UPDATE users SET failed_logins = 0 WHERE id = $1")
            .bind(id.as_str())
            .execute(connection)
            .await?;
        Ok(is_reported)
    }

    /// Replaces the hash of the same password, so `auth_version` stays. Does nothing if the
    /// password was changed meanwhile.
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
