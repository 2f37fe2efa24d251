//! What happened to an account, for its owner to read on the security page. It is
//! written in the transaction of what happened.

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};
use strum::{AsRefStr, EnumString};

use crate::models::client::Client;
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Error, parse_column};

/// How long it is kept, in seconds.
pub const KEPT: i64 = 90 * 24 * 60 * 60;

/// The most that the page shows.
const SHOWN: usize = 30;

/// Events that push out only each other: so nobody can hide a new phone number behind
/// failed logins, or behind renames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    /// What protects the account changed.
    Protection = 0,
    /// Somebody tried to get in and did not.
    Failure = 1,
    /// Logins, logouts and sessions.
    Access = 2,
    /// The profile changed.
    Profile = 3,
}

impl Category {
    const ALL: [Self; 4] = [Self::Protection, Self::Failure, Self::Access, Self::Profile];

    /// The rows that an account keeps: 200 together.
    const fn kept(self) -> i64 {
        match self {
            Self::Protection => 80,
            Self::Failure | Self::Access => 50,
            Self::Profile => 20,
        }
    }

    /// The places on the page that are its own, together [`SHOWN`]. Those that are free go
    /// to whatever is newest.
    const fn shown(self) -> usize {
        match self {
            Self::Protection => 11,
            Self::Failure | Self::Access => 8,
            Self::Profile => 3,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
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
    /// Whether somebody failed to get in.
    pub fn is_failure(self) -> bool {
        self.category() == Category::Failure
    }

    const fn category(self) -> Category {
        match self {
            Self::WrongPassword | Self::WrongCode | Self::WrongRecoveryCode => Category::Failure,
            Self::LoggedIn
            | Self::LoggedInWithCode
            | Self::LoggedInWithRecoveryCode
            | Self::Reauthenticated
            | Self::LoggedOut
            | Self::EndedSession
            | Self::EndedOtherSessions => Category::Access,
            Self::Renamed => Category::Profile,
            _ => Category::Protection,
        }
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
        Ok(Self {
            what: parse_column(row, "event")?,
            address: row.try_get("address")?,
            user_agent: row.try_get("user_agent")?,
            at: row.try_get("at")?,
        })
    }
}

/// What happened last to an account.
#[derive(Debug)]
pub struct Recent {
    /// Newest first.
    pub shown: Vec<Activity>,
    /// How many more there are.
    pub more: usize,
}

impl Activity {
    /// Writes down what happens now; `client` is none where the operator does it.
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
    /// same statements, so that nobody learns which it was.
    pub(super) async fn record_if_known(
        connection: &mut Connection,
        user: Option<&UserId>,
        what: Happening,
        client: Option<&Client>,
        now: i64,
    ) -> Result<(), Error> {
        let user = user.map_or("", UserId::as_str);
        let category = what.category();
        // Ids are random and times whole seconds, so they are numbered. All categories
        // are asked for, since the index has them before the time.
        sqlx::query(
            "INSERT INTO activity (id, user_id, event, address, user_agent, category, at, number)
            SELECT $1, u.id, $2, $3, $4, $5, $6, (
                SELECT COALESCE(MAX(number), 0) + 1 FROM activity
                WHERE user_id = u.id AND category IN (0, 1, 2, 3) AND at = $6
            )
            FROM users u
            WHERE u.id = $7",
        )
        .bind(random_id()?)
        .bind(what.as_ref())
        .bind(client.map(|client| client.address.to_string()))
        .bind(client.map(|client| client.user_agent.as_str()))
        .bind(category as i64)
        .bind(now)
        .bind(user)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "DELETE FROM activity
            WHERE user_id = $1 AND category = $2 AND (at, number) < (
                SELECT at, number FROM activity
                WHERE user_id = $1 AND category = $2
                ORDER BY at DESC, number DESC
                LIMIT 1 OFFSET $3
            )",
        )
        .bind(user)
        .bind(category as i64)
        .bind(category.kept() - 1)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// What happened last.
    pub async fn recent(connection: &mut Connection, user: &UserId) -> Result<Recent, Error> {
        let mut all: Vec<(Self, i64)> = Vec::new();
        for category in Category::ALL {
            let rows = sqlx::query(
                "SELECT event, address, user_agent, at, number FROM activity
                WHERE user_id = $1 AND category = $2
                ORDER BY at DESC, number DESC
                LIMIT $3",
            )
            .bind(user.as_str())
            .bind(category as i64)
            .bind(category.kept())
            .fetch_all(&mut *connection)
            .await?;
            for row in &rows {
                all.push((Self::from_row(row)?, row.try_get("number")?));
            }
        }
        all.sort_by_key(|(it, number)| std::cmp::Reverse((it.at, *number)));
        let all = all.into_iter().map(|(it, _)| it).collect();
        Ok(newest(all))
    }
}

/// The newest that the page has room for, of which each category has places of its own.
fn newest(all: Vec<Activity>) -> Recent {
    let total = all.len();
    let mut free = SHOWN;
    for category in Category::ALL {
        let of_category = all.iter().filter(|it| it.what.category() == category);
        free -= of_category.count().min(category.shown());
    }
    let mut places = Category::ALL.map(Category::shown);
    let mut shown = all;
    shown.retain(|it| {
        let place = places.get_mut(it.what.category() as usize);
        match place {
            Some(own) if *own > 0 => *own -= 1,
            _ if free > 0 => free -= 1,
            _ => return false,
        }
        true
    });
    let more = total - shown.len();
    Recent { shown, more }
}
