//! Notices: emails about what happened to an account.

use serde::{Deserialize, Serialize};

use crate::models::client::Client;
use crate::models::outbox::Mail;
use crate::models::rate_limit::{EMAILS_OF_KIND, try_take};
use crate::models::user::UserId;
use crate::models::{Connection, Error};

/// What happened to an account, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What.
    pub event: Event,
    /// When, in Unix seconds.
    pub at: i64,
    /// The address that the request came from; none for what the operator did.
    pub address: Option<String>,
    /// What the browser calls itself.
    pub user_agent: Option<String>,
    /// The number of the second step before it happened, in E.164.
    pub former_phone: Option<String>,
    /// Recovery codes that are left, where one was used.
    pub recovery_codes_left: Option<i64>,
    /// The username before it happened.
    pub former_username: Option<String>,
}

/// What a notice tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The password was changed by somebody who knew it.
    PasswordChanged,
    /// The password was set anew through a mailed link.
    PasswordReset,
    /// Two-factor authentication was switched on.
    TwoFactorEnabled,
    /// The number of the second step was changed.
    PhoneChanged,
    /// Two-factor authentication was switched off.
    TwoFactorDisabled,
    /// The username was changed.
    Renamed,
    /// More wrong passwords in a day than anybody mistypes.
    ManyWrongPasswords,
    /// A log-in after five or more that failed.
    LoginAfterFailures,
    /// The password was right, but no right code followed.
    UnfinishedLogin,
    /// A recovery code was entered in place of the phone's.
    RecoveryCodeUsed,
    /// A new set of recovery codes was made.
    RecoveryCodesRenewed,
    /// The operator switched two-factor authentication off.
    TwoFactorResetByOperator,
}

impl Event {
    /// Whether somebody can cause the notice at will, by something that no other limit
    /// bounds: then an account gets one in a while.
    const fn is_repeatable(self) -> bool {
        matches!(self, Self::LoginAfterFailures | Self::ManyWrongPasswords)
    }

    /// Whether to say "this was not me" brings the former number back. That two-
    /// factor authentication was switched on is never undone: who holds nothing
    /// but the mailbox would switch it off.
    #[must_use]
    pub const fn restores_phone(self) -> bool {
        matches!(self, Self::PhoneChanged | Self::TwoFactorDisabled)
    }

    /// Whether to say "this was not me" ends the recovery codes: somebody else has
    /// one, or made them. A set comes with switching it on, too.
    #[must_use]
    pub const fn doubts_recovery_codes(self) -> bool {
        matches!(
            self,
            Self::TwoFactorEnabled | Self::RecoveryCodeUsed | Self::RecoveryCodesRenewed
        )
    }
}

impl Notice {
    /// What is told of something that happens now.
    #[must_use]
    pub fn new(event: Event, client: &Client, now: i64) -> Self {
        Self {
            address: Some(client.address.to_string()),
            user_agent: Some(client.user_agent.clone()),
            ..Self::by_operator(event, now)
        }
    }

    /// What is told of something that the operator does now: there is no address
    /// and no browser to tell.
    #[must_use]
    pub const fn by_operator(event: Event, now: i64) -> Self {
        Self {
            event,
            at: now,
            address: None,
            user_agent: None,
            former_phone: None,
            recovery_codes_left: None,
            former_username: None,
        }
    }

    /// The same, with the number before it happened.
    #[must_use]
    pub fn with_former_phone(self, phone: Option<&str>) -> Self {
        Self {
            former_phone: phone.map(str::to_owned),
            ..self
        }
    }

    /// The same, with the recovery codes that are left.
    #[must_use]
    pub fn with_recovery_codes_left(self, left: i64) -> Self {
        Self {
            recovery_codes_left: Some(left),
            ..self
        }
    }

    /// The same, with the username before it happened.
    #[must_use]
    pub fn with_former_username(self, username: &str) -> Self {
        Self {
            former_username: Some(username.to_owned()),
            ..self
        }
    }

    /// Queues the notice, in the transaction of what it tells of. Of those that can be
    /// caused at will, one in an hour.
    pub async fn enqueue(self, connection: &mut Connection, user: &UserId) -> Result<(), Error> {
        let (event, now) = (self.event, self.at);
        if event.is_repeatable() {
            let subject = format!("{} {event:?}", user.as_str());
            let buckets = EMAILS_OF_KIND.buckets(&subject);
            if try_take(connection, &buckets, now).await?.is_err() {
                return Ok(());
            }
        }
        Mail::Notice(self).enqueue(connection, user, now).await?;
        Ok(())
    }

    /// The same for an account that may not exist: then nothing is queued, by the same
    /// statements.
    pub(in crate::models) async fn enqueue_if_known(
        self,
        connection: &mut Connection,
        user: Option<&UserId>,
    ) -> Result<(), Error> {
        let nobody = UserId::from_column(String::new());
        self.enqueue(connection, user.unwrap_or(&nobody)).await
    }
}
