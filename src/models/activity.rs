//! The events of an account, which the security page lists. Each is written in the
//! transaction of its event.

use sqlx::{FromRow, Row};
use strum::{AsRefStr, EnumString};

use crate::models::client::Client;
use crate::models::token::random_id;
use crate::models::user::UserId;
use crate::models::{Connection, Result};

/// How long an event is kept, in seconds.
pub const KEPT: i64 = 90 * 24 * 60 * 60;

/// Events on the page.
const SHOWN: usize = 30;

/// Events push out only others of their category: an intruder can't hide a new phone number
/// behind failed logins or renames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    /// Changes of password, factors, recovery codes and locks.
    Protection = 0,
    /// Failed attempts to log in or to confirm.
    Failure = 1,
    /// Logins, logouts and sessions.
    Access = 2,
    /// Changes of the profile.
    Profile = 3,
}

impl Category {
    const ALL: [Self; 4] = [Self::Protection, Self::Failure, Self::Access, Self::Profile];

    /// The rows that an account keeps, 200 in total.
    const fn kept(self) -> i64 {
        match self {
            Self::Protection => 80,
            Self::Failure | Self::Access => 50,
            Self::Profile => 20,
        }
    }

    /// The places that the category has on the page, [`SHOWN`] in total. The newest events
    /// of any category fill those that stay free.
    const fn shown(self) -> usize {
        match self {
            Self::Protection => 11,
            Self::Failure | Self::Access => 8,
            Self::Profile => 3,
        }
    }
}

/// An event of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// A login with the password alone.
    LoggedIn,
    /// A login with password and code.
    LoggedInWithCode,
    /// A login with password and recovery code.
    LoggedInWithRecoveryCode,
    /// A wrong password.
    WrongPassword,
    /// A wrong code.
    WrongCode,
    /// A wrong recovery code.
    WrongRecoveryCode,
    /// The user confirmed their identity.
    Reauthenticated,
    /// A logout.
    LoggedOut,
    /// The user ended one other session.
    EndedSession,
    /// The user ended all other sessions.
    EndedOtherSessions,
    /// The name was changed.
    Renamed,
    /// The password was changed.
    PasswordChanged,
    /// The password was set by an emailed link.
    PasswordReset,
    /// Two-factor authentication was turned on.
    TwoFactorEnabled,
    /// The phone number was changed.
    PhoneChanged,
    /// Two-factor authentication was turned off.
    TwoFactorDisabled,
    /// A new set of recovery codes was made.
    RecoveryCodesRenewed,
    /// The account was locked by a "this was not me" link.
    NotMe,
    /// The operator locked the account.
    LockedByOperator,
    /// The operator unlocked the account.
    UnlockedByOperator,
    /// The operator turned two-factor authentication off.
    TwoFactorResetByOperator,
    /// The operator ended all sessions.
    SessionsEndedByOperator,
}

impl Event {
    /// Whether an attempt to log in or to confirm failed.
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

/// An event with its time and its client.
#[derive(Debug, Clone, FromRow)]
pub struct Activity {
    /// The event.
    #[sqlx(rename = "event", try_from = "&'a str")]
    pub what: Event,
    /// The address of the client; none for the operator.
    pub address: Option<String>,
    /// The user agent of the client.
    pub user_agent: Option<String>,
    /// Unix seconds.
    pub at: i64,
}

/// The events of an account that the page shows.
#[derive(Debug)]
pub struct Recent {
    /// Newest first.
    pub shown: Vec<Activity>,
    /// How many more there are.
    pub more: usize,
}

impl Activity {
    /// Records an event that happens now. `client` is none for the operator.
    pub async fn record(
        connection: &mut Connection,
        user: &UserId,
        what: Event,
        client: Option<&Client>,
        now: i64,
    ) -> Result<()> {
        Self::record_if_known(connection, Some(user), what, client, now).await
    }

    /// The same for a username that may be unknown. Then the same statements run and write
    /// nothing, so that the time does not reveal which usernames exist.
    pub(super) async fn record_if_known(
        connection: &mut Connection,
        user: Option<&UserId>,
        what: Event,
        client: Option<&Client>,
        now: i64,
    ) -> Result<()> {
        let user = user.map_or("", UserId::as_str);
        let category = what.category();
        // A number orders the events of one second. The condition names all categories,
        // since they come before the time in the index.
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
        // Events of the future were written by a wrong clock and push out no others.
        sqlx::query(
            "DELETE FROM activity
            WHERE user_id = $1 AND category = $2 AND (at, number) < (
                SELECT at, number FROM activity
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

    /// The latest events.
    pub async fn recent(connection: &mut Connection, user: &UserId) -> Result<Recent> {
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

/// The events that the page has room for: see [`Category::shown`].
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
