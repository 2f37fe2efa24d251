//! Completing a login, once its proofs were checked: the session, the device, the record of the
//! event and the notices change in one transaction.

use crate::models::activity::{Activity, Event};
use crate::models::device::{Browser, Device};
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::session::{Issued, NewSession, SessionRow};
use crate::models::user::{User, UserId};
use crate::models::{Connection, Result};

/// The proof that a user gave besides the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginProof {
    /// Nothing: two-factor authentication is off.
    Password,
    /// The browser was trusted by an earlier login with a code.
    TrustedDevice,
    Code {
        /// Trusts the browser until then.
        trust_until: Option<i64>,
    },
    RecoveryCode,
}

impl LoginProof {
    const fn event(self) -> Event {
        match self {
            Self::Password => Event::LoggedIn,
            Self::TrustedDevice => Event::LoggedInOnTrustedDevice,
            Self::Code { .. } => Event::LoggedInWithCode,
            Self::RecoveryCode => Event::LoggedInWithRecoveryCode,
        }
    }
}

/// A login whose proofs were checked.
#[derive(Clone, Copy)]
pub struct ProvenLogin<'a> {
    pub user: &'a UserId,
    /// The account's version when the password was checked.
    pub auth_version: i64,
    pub proof: LoginProof,
    /// Whether the login outlives the browser.
    pub remember: bool,
    pub browser: Browser<'a>,
}

/// A login that has begun, once its transaction is committed.
pub struct BegunLogin {
    pub issued: Issued,
    /// Whether an email to the user is queued.
    pub has_mail: bool,
}

impl ProvenLogin<'_> {
    /// Begins the login. The user gets an email if many logins failed before, or if the account
    /// knows other devices and not this one. `None` if the account changed since the password
    /// was checked, or no longer trusts the device.
    pub async fn complete(
        &self,
        connection: &mut Connection,
        now: i64,
    ) -> Result<Option<BegunLogin>> {
        let (user, client) = (self.user, self.browser.client);
        // Otherwise, on PostgreSQL, a parallel change would not be seen here and would not end
        // this session.
        if !User::lock_for_update(connection, user, self.auth_version).await? {
            return Ok(None);
        }
        if self.proof == LoginProof::TrustedDevice && !self.is_trusted(connection, now).await? {
            return Ok(None);
        }
        let device = Device::record_login(connection, user, self.browser, now).await?;
        let new = NewSession {
            user,
            device: &device.id,
            is_authenticated: self.proof != LoginProof::TrustedDevice,
            remember: self.remember,
            client,
        };
        let mut issued = SessionRow::begin_login(connection, new, now).await?;
        issued.device = device.issued;
        let mut has_mail = User::clear_failed_logins(connection, user, client, now).await?;
        let event = self.proof.event();
        Activity::record(connection, user, event, Some(client), now).await?;
        if let LoginProof::Code {
            trust_until: Some(until),
        } = self.proof
        {
            Device::trust(connection, &device.id, self.auth_version, until).await?;
            let event = Event::TrustedDevice;
            Activity::record(connection, user, event, Some(client), now).await?;
        }
        if device.is_unfamiliar {
            let notice = Notice::new(NoticeKind::NewDevice, client, now);
            has_mail |= notice.enqueue(connection, user).await?;
        }
        Ok(Some(BegunLogin { issued, has_mail }))
    }

    async fn is_trusted(&self, connection: &mut Connection, now: i64) -> Result<bool> {
        let (user, version) = (self.user, self.auth_version);
        Device::is_trusted(connection, user, version, self.browser.device, now).await
    }
}
