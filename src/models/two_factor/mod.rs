//! Changing the factors of an account. Each change raises `auth_version`, ends all other sessions
//! and open challenges, and is recorded and emailed, in one transaction.

mod completing;

pub use completing::{Completed, CompletedResult, NotCompleted};

use crate::models::activity::{Activity, Event};
use crate::models::challenge::Challenge;
use crate::models::client::Client;
use crate::models::factor::{Factor, FactorKind, MAX_APPS, NewAuthenticator, RecoveryCode};
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::session::{Issued, SessionRow};
use crate::models::user::{User, UserId};
use crate::models::{Connection, Result};

/// A change, once its transaction is committed.
pub struct FactorChange {
    /// The new cookie of the session.
    pub issued: Issued,
    pub result: ChangeResult,
    /// Verifications of closed challenges, to end now.
    pub verifications: Vec<String>,
}

pub enum ChangeResult {
    /// The first factor was added. Its recovery codes are shown only now.
    Enabled(Vec<RecoveryCode>),
    /// Another factor was added.
    Added,
    PhoneChanged,
    /// One of several factors was removed.
    Removed,
    /// The last factor was removed, and the recovery codes with it.
    Disabled,
}

/// Why the factors were not changed. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotChanged {
    /// The account changed since the request began, or the login has ended.
    Outdated,
    TooManyApps,
    /// The site requires a second factor, and this is the last one.
    LastFactor,
}

impl FactorChange {
    /// Ends what the old factors allowed. The account's row is locked before anything else.
    async fn begin(
        connection: &mut Connection,
        session: &SessionRow,
        user: &UserId,
        auth_version: i64,
        now: i64,
    ) -> Result<Option<(Issued, Vec<String>)>> {
        if !User::raise_auth_version(connection, user, auth_version).await? {
            return Ok(None);
        }
        let Some(issued) = session.renew(connection, None, None, now).await? else {
            return Ok(None);
        };
        SessionRow::end_others(connection, user, &session.id).await?;
        let verifications = Challenge::close_all(connection, user, now).await?;
        Ok(Some((issued, verifications)))
    }

    /// Adds a phone, or changes its number, which keeps the recovery codes.
    async fn add_phone(
        connection: &mut Connection,
        user: &UserId,
        number: &str,
        client: &Client,
        now: i64,
    ) -> Result<ChangeResult> {
        let before = Factor::list(connection, user).await?;
        let former = before.iter().find_map(Factor::phone_number);
        Factor::add_phone(connection, user, number, now).await?;
        let (notice, event) = match (former, before.is_empty()) {
            (Some(_), _) => (NoticeKind::PhoneChanged, Event::PhoneChanged),
            (None, true) => (NoticeKind::TwoFactorEnabled, Event::TwoFactorEnabled),
            (None, false) => (NoticeKind::PhoneAdded, Event::PhoneAdded),
        };
        let notice = Notice::new(notice, client, now).with_former_phone(former);
        notice.enqueue(connection, user).await?;
        Activity::record(connection, user, event, Some(client), now).await?;
        Ok(match (former, before.is_empty()) {
            (Some(_), _) => ChangeResult::PhoneChanged,
            (None, true) => {
                ChangeResult::Enabled(RecoveryCode::create_set(connection, user, now).await?)
            }
            (None, false) => ChangeResult::Added,
        })
    }

    /// Adds an authenticator app.
    pub async fn add_authenticator(
        connection: &mut Connection,
        session: &SessionRow,
        user: &User,
        new: &NewAuthenticator<'_>,
        client: &Client,
        now: i64,
    ) -> Result<Result<Self, NotChanged>> {
        let (id, version) = (&user.id, user.auth_version);
        let Some((issued, verifications)) =
            Self::begin(connection, session, id, version, now).await?
        else {
            return Ok(Err(NotChanged::Outdated));
        };
        let before = Factor::list(connection, id).await?;
        let apps = before.iter().filter(|it| it.is_app()).count();
        if apps >= MAX_APPS {
            return Ok(Err(NotChanged::TooManyApps));
        }
        Factor::add_authenticator(connection, id, new, now).await?;
        let (notice, event) = match before.is_empty() {
            true => (NoticeKind::TwoFactorEnabled, Event::TwoFactorEnabled),
            false => (NoticeKind::AuthenticatorAdded, Event::AuthenticatorAdded),
        };
        let notice = Notice::new(notice, client, now).with_app(new.name);
        notice.enqueue(connection, id).await?;
        Activity::record(connection, id, event, Some(client), now).await?;
        let result = match before.is_empty() {
            true => ChangeResult::Enabled(RecoveryCode::create_set(connection, id, now).await?),
            false => ChangeResult::Added,
        };
        Ok(Ok(Self {
            issued,
            result,
            verifications,
        }))
    }

    /// Removes a factor, or all of them. With the last one, two-factor authentication is off, if
    /// that `may_be_last`.
    pub async fn remove(
        connection: &mut Connection,
        session: &SessionRow,
        user: &User,
        factor: Option<&Factor>,
        may_be_last: bool,
        client: &Client,
        now: i64,
    ) -> Result<Result<Self, NotChanged>> {
        let (id, version) = (&user.id, user.auth_version);
        let Some((issued, verifications)) =
            Self::begin(connection, session, id, version, now).await?
        else {
            return Ok(Err(NotChanged::Outdated));
        };
        let before = Factor::list(connection, id).await?;
        let removed = |it: &&Factor| factor.is_none_or(|factor| factor.id == it.id);
        let phone = before.iter().filter(removed).find_map(Factor::phone_number);
        let is_last = before.iter().all(|it| removed(&it));
        if is_last && !may_be_last {
            return Ok(Err(NotChanged::LastFactor));
        }
        let (notice, event, result) = match (is_last, phone) {
            (true, _) => {
                Factor::remove_all(connection, id, now).await?;
                RecoveryCode::delete_all(connection, id).await?;
                (
                    NoticeKind::TwoFactorDisabled,
                    Event::TwoFactorDisabled,
                    ChangeResult::Disabled,
                )
            }
            (false, Some(_)) => (
                NoticeKind::PhoneRemoved,
                Event::PhoneRemoved,
                ChangeResult::Removed,
            ),
            (false, None) => {
                let event = Event::AuthenticatorRemoved;
                (
                    NoticeKind::AuthenticatorRemoved,
                    event,
                    ChangeResult::Removed,
                )
            }
        };
        let mut notice = Notice::new(notice, client, now).with_former_phone(phone);
        if let (false, Some(factor)) = (is_last, factor) {
            factor.remove(connection, now).await?;
            if let FactorKind::Authenticator { name, .. } = &factor.kind {
                notice = notice.with_app(name);
            }
        }
        notice.enqueue(connection, id).await?;
        Activity::record(connection, id, event, Some(client), now).await?;
        Ok(Ok(Self {
            issued,
            result,
            verifications,
        }))
    }
}
