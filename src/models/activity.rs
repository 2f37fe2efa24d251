//! What happened to an account, for its owner to read on the security page. It is
//! written in the transaction of what happened.

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};

use crate::models::client::Client;
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Error};

/// How long it is kept, in seconds.
pub const KEPT: i64 = 90 * 24 * 60 * 60;

/// The most that the page shows of failures, and of everything else. Each has a
/// share of its own, so that nobody can push out of sight what they did by failing
/// often.
const SHOWN_FAILURES: i64 = 10;
const SHOWN: i64 = 30;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// A log-in with the password alone.
    LoggedIn,
    /// A log-in with password and code.
    LoggedInWithCode,
    /// A log-in with password and recovery code.
    LoggedInWithRecoveryCode,
    /// A wrong password.
    WrongPassword,
    /// A wrong code.
    WrongCode,
    /// A wrong recovery code.
    WrongRecoveryCode,
    /// Proved again to be the same person.
    Reauthenticated,
    /// Logged out.
    LoggedOut,
    /// Ended one of the other sessions.
    EndedSession,
    /// Ended all other sessions.
    EndedOtherSessions,
    /// The name was changed.
    Renamed,
    /// The password was changed.
    PasswordChanged,
    /// The password was set through a mailed link.
    PasswordReset,
    /// Two-factor authentication was switched on.
    TwoFactorEnabled,
    /// The number was changed.
    PhoneChanged,
    /// Two-factor authentication was switched off.
    TwoFactorDisabled,
    /// The recovery codes were made anew.
    RecoveryCodesRenewed,
    /// The account was locked through "this was not me".
    NotMe,
    /// The operator locked the account.
    LockedByOperator,
    /// The operator unlocked the account.
    UnlockedByOperator,
    /// The operator switched two-factor authentication off.
    TwoFactorResetByOperator,
    /// The operator ended all sessions.
    SessionsEndedByOperator,
}

impl Happening {
    const ALL: [(Self, &str); 22] = [
        (Self::LoggedIn, "logged_in"),
        (Self::LoggedInWithCode, "logged_in_with_code"),
        (
            Self::LoggedInWithRecoveryCode,
            "logged_in_with_recovery_code",
        ),
        (Self::WrongPassword, "wrong_password"),
        (Self::WrongCode, "wrong_code"),
        (Self::WrongRecoveryCode, "wrong_recovery_code"),
        (Self::Reauthenticated, "reauthenticated"),
        (Self::LoggedOut, "logged_out"),
        (Self::EndedSession, "ended_session"),
        (Self::EndedOtherSessions, "ended_other_sessions"),
        (Self::Renamed, "renamed"),
        (Self::PasswordChanged, "password_changed"),
        (Self::PasswordReset, "password_reset"),
        (Self::TwoFactorEnabled, "two_factor_enabled"),
        (Self::PhoneChanged, "phone_changed"),
        (Self::TwoFactorDisabled, "two_factor_disabled"),
        (Self::RecoveryCodesRenewed, "recovery_codes_renewed"),
        (Self::NotMe, "not_me"),
        (Self::LockedByOperator, "locked_by_operator"),
        (Self::UnlockedByOperator, "unlocked_by_operator"),
        (
            Self::TwoFactorResetByOperator,
            "two_factor_reset_by_operator",
        ),
        (Self::SessionsEndedByOperator, "sessions_ended_by_operator"),
    ];

    /// Its name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(it, _)| *it == self).map_or("", |(_, name)| name)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, name)| *name == text).map(|(it, _)| it)
    }

    /// Whether somebody failed to get in.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::WrongPassword | Self::WrongCode | Self::WrongRecoveryCode
        )
    }
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Activity {
    /// What.
    pub what: Happening,
    /// From which address; none for what the operator did.
    pub address: Option<String>,
    /// What the browser called itself.
    pub user_agent: Option<String>,
    /// When, in Unix seconds.
    pub at: i64,
}

impl FromRow<'_, AnyRow> for Activity {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let what: String = row.try_get("event")?;
        let what = Happening::parse(&what).ok_or_else(|| sqlx::Error::ColumnDecode {
            index: "event".into(),
            source: "a value that this program does not write".into(),
        })?;
        Ok(Self {
            what,
            address: row.try_get("address")?,
            user_agent: row.try_get("user_agent")?,
            at: row.try_get("at")?,
        })
    }
}

impl Activity {
    /// Writes down what happens now; `client` is none where the operator does it.
    ///
    /// # Errors
    /// When the database fails or there are no random numbers.
    pub async fn record(
        connection: &mut Connection,
        user: &UserId,
        what: Happening,
        client: Option<&Client>,
        now: i64,
    ) -> Result<(), Error> {
        Self::record_if_known(connection, Some(user), what, client, now).await
    }

    /// The same for somebody who may be nobody: then nothing is written, by the
    /// same statement, so that nobody learns which it was.
    ///
    /// # Errors
    /// When the database fails or there are no random numbers.
    pub(super) async fn record_if_known(
        connection: &mut Connection,
        user: Option<&UserId>,
        what: Happening,
        client: Option<&Client>,
        now: i64,
    ) -> Result<(), Error> {
        // Ids are random and times whole seconds, so they are numbered. Both kinds
        // are asked for, since the index has the kind before the time.
        sqlx::query(
            "INSERT INTO activity (id, user_id, event, address, user_agent, failure, at, number) \
             SELECT $1, u.id, $2, $3, $4, $5, $6, (SELECT COALESCE(MAX(number), 0) + 1 \
             FROM activity WHERE user_id = u.id AND failure IN (0, 1) AND at = $6) \
             FROM users u WHERE u.id = $7",
        )
        .bind(random_id()?)
        .bind(what.as_str())
        .bind(client.map(|client| client.address.to_string()))
        .bind(client.map(|client| client.user_agent.as_str()))
        .bind(i64::from(what.is_failure()))
        .bind(now)
        .bind(user.map_or("", UserId::as_str))
        .execute(connection)
        .await?;
        Ok(())
    }

    /// What happened last, newest first. Failures and the rest have a share each.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent(connection: &mut Connection, user: &UserId) -> Result<Vec<Self>, Error> {
        Ok(sqlx::query_as(
            "SELECT event, address, user_agent, at FROM (\
             SELECT * FROM (SELECT event, address, user_agent, at, number FROM activity \
             WHERE user_id = $1 AND failure = 1 ORDER BY at DESC, number DESC LIMIT $2) failures \
             UNION ALL \
             SELECT * FROM (SELECT event, address, user_agent, at, number FROM activity \
             WHERE user_id = $1 AND failure = 0 ORDER BY at DESC, number DESC LIMIT $3) others\
             ) recent ORDER BY at DESC, number DESC",
        )
        .bind(user.as_str())
        .bind(SHOWN_FAILURES)
        .bind(SHOWN)
        .fetch_all(connection)
        .await?)
    }
}
