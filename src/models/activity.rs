//! The events of an account, which the security page lists. Each row is written in the
//! transaction of its event.

use std::cmp::Reverse;

use sqlx::FromRow;
use strum::{AsRefStr, EnumString};

use crate::models::client::Client;
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Result};

/// Seconds for which an event is kept.
pub const KEPT: i64 = 90 * 24 * 60 * 60;

/// The most events that the page shows.
const SHOWN: usize = 30;

/// An event displaces only others of its category, so that an intruder can't hide a new phone
/// number behind failed logins or renames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    /// Changes of password, factors, recovery codes and locks.
    Protection = 0,
    /// Failed attempts to log in or to reauthenticate.
    Failure = 1,
    /// Logins, logouts and sessions.
    Access = 2,
    Profile = 3,
}

impl Category {
    const ALL: [Self; 4] = [Self::Protection, Self::Failure, Self::Access, Self::Profile];

    /// The most rows that an account keeps, 200 over all categories.
    const fn kept(self) -> i64 {
        match self {
            Self::Protection => 80,
            Self::Failure | Self::Access => 50,
            Self::Profile => 20,
        }
    }

    /// The slots on the page, [`SHOWN`] over all categories.
    const fn slots(self) -> usize {
        match self {
            Self::Protection => 11,
            Self::Failure | Self::Access => 8,
            Self::Profile => 3,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// A login with only the password.
    LoggedIn,
    LoggedInWithCode,
    LoggedInWithRecoveryCode,
    /// A login with only the password, on a device that an earlier login trusted.
    LoggedInOnTrustedDevice,
    /// A login with a code trusted its device.
    TrustedDevice,
    /// The user ended the trust in a device.
    ForgotDevice,
    WrongPassword,
    WrongCode,
    WrongRecoveryCode,
    Reauthenticated,
    LoggedOut,
    /// The user logged out one other device.
    EndedSession,
    /// The user logged out all other devices.
    EndedOtherSessions,
    Renamed,
    PasswordChanged,
    /// An emailed link set a new password.
    PasswordReset,
    TwoFactorEnabled,
    PhoneChanged,
    PhoneAdded,
    PhoneRemoved,
    AuthenticatorAdded,
    AuthenticatorRemoved,
    TwoFactorDisabled,
    RecoveryCodesRenewed,
    /// A "this wasn't me" link locked the account.
    NotMe,
    LockedByOperator,
    UnlockedByOperator,
    TwoFactorResetByOperator,
    SessionsEndedByOperator,
}

impl Event {
    /// Whether it is a failed attempt to log in or to reauthenticate.
    pub fn is_failure(self) -> bool {
        self.category() == Category::Failure
    }

    const fn category(self) -> Category {
        match self {
            Self::WrongPassword | Self::WrongCode | Self::WrongRecoveryCode => Category::Failure,
            Self::LoggedIn
            | Self::LoggedInWithCode
            | Self::LoggedInWithRecoveryCode
            | Self::LoggedInOnTrustedDevice
            | Self::TrustedDevice
            | Self::ForgotDevice
            | Self::Reauthenticated
            | Self::LoggedOut
            | Self::EndedSession
            | Self::EndedOtherSessions => Category::Access,
            Self::Renamed => Category::Profile,
            _ => Category::Protection,
        }
    }
}

/// An event with its time and its client.
#[derive(Debug, Clone, FromRow)]
pub struct Activity {
    #[sqlx(try_from = "&'a str")]
    pub event: Event,
    /// The client's address. `None` for the operator.
    pub address: Option<String>,
    /// The client's user agent. `None` for the operator.
    pub user_agent: Option<String>,
    /// Unix seconds.
    pub at: i64,
    /// Orders the events of one second.
    number: i64,
}

/// An account's events for the page.
#[derive(Debug)]
pub struct Recent {
    /// Newest first.
    pub shown: Vec<Activity>,
    /// The number of older events that are not shown.
    pub more: usize,
}

impl Activity {
    /// Records an event that happens now. `client` is `None` for the operator.
    pub async fn record(
        connection: &mut Connection,
        user: &UserId,
        event: Event,
        client: Option<&Client>,
        now: i64,
    ) -> Result<()> {
        Self::record_if_known(connection, Some(user), event, client, now).await
    }

    /// The same for a username that may be unknown. Without a user, the same statements run
    /// and write nothing, so that the time does not reveal which usernames exist.
    pub(super) async fn record_if_known(
        connection: &mut Connection,
        user: Option<&UserId>,
        event: Event,
        client: Option<&Client>,
        now: i64,
    ) -> Result<()> {
        let user = user.map_or("", UserId::as_str);
        let category = event.category();
        // `number` orders the events of one second. The condition lists all categories,
        // because `category` comes before `at` in the index.
        sqlx::query(
            r"INSERT INTO activity (id, user_id, event, address, user_agent, category, at, number)
            SELECT $1, u.id, $2, $3, $4, $5, $6, (
                SELECT COALESCE(MAX(number), 0) + 1
                FROM activity
                WHERE user_id = u.id AND category IN (0, 1, 2, 3) AND at = $6
            )
            FROM users u
            WHERE u.id = $7",
        )
        .bind(random_id()?)
        .bind(event.as_ref())
        .bind(client.map(|client| client.address.to_string()))
        .bind(client.map(|client| client.user_agent.as_str()))
        .bind(category as i64)
        .bind(now)
        .bind(user)
        .execute(&mut *connection)
        .await?;
        // Events of the future, which a wrong clock wrote, do not displace others.
        sqlx::query(
            r"DELETE FROM activity
            WHERE user_id = $1 AND category = $2 AND (at, number) < (
                SELECT at, number
                FROM activity
                WHERE user_id = $1 AND category = $2 AND at <= $4
                ORDER BY at DESC, number DESC
                LIMIT 1 OFFSET $3
            )",
        )
        .bind(user)
        .bind(category as i64)
        .bind(category.kept() - 1)
        .bind(now)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Loads the latest events for the page. Each category has its slots, and the newest
    /// other events fill the free ones.
    pub async fn recent(connection: &mut Connection, user: &UserId) -> Result<Recent> {
        let (mut shown, mut others): (Vec<Self>, Vec<Self>) = (Vec::new(), Vec::new());
        for category in Category::ALL {
            let mut events: Vec<Self> = sqlx::query_as(
                r"SELECT event, address, user_agent, at, number
                FROM activity
                WHERE user_id = $1 AND category = $2
                ORDER BY at DESC, number DESC
                LIMIT $3",
            )
            .bind(user.as_str())
            .bind(category as i64)
            .bind(category.kept())
            .fetch_all(&mut *connection)
            .await?;
            others.extend(events.split_off(category.slots().min(events.len())));
            shown.extend(events);
        }
        let newest_first = |it: &Self| Reverse((it.at, it.number));
        others.sort_by_key(newest_first);
        let left = others.split_off((SHOWN - shown.len()).min(others.len()));
        shown.extend(others);
        shown.sort_by_key(newest_first);
        Ok(Recent {
            shown,
            more: left.len(),
        })
    }
}
