//! Notices: emails about the events of an account.

use serde::{Deserialize, Serialize};

use crate::models::client::Client;
use crate::models::outbox::Mail;
use crate::models::rate_limit::{EMAILS_OF_KIND, NEW_DEVICE_NOTICES, try_take};
use crate::models::user::UserId;
use crate::models::{Connection, Result};

/// An event of an account, and its client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub event: NoticeKind,
    /// Unix seconds.
    pub at: i64,
    /// The address of the client; none for the operator.
    pub address: Option<String>,
    pub user_agent: Option<String>,
    /// The phone number before the event, in E.164.
    pub former_phone: Option<String>,
    /// Recovery codes that are left after one was used.
    pub recovery_codes_left: Option<i64>,
    pub former_username: Option<String>,
    /// The name of an authenticator app.
    #[serde(default)]
    pub app: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The password was changed by a user who knew it.
    PasswordChanged,
    /// The password was set by an emailed link.
    PasswordReset,
    TwoFactorEnabled,
    PhoneChanged,
    PhoneAdded,
    PhoneRemoved,
    AuthenticatorAdded,
    AuthenticatorRemoved,
    TwoFactorDisabled,
    Renamed,
    /// More wrong passwords in a day than a user mistypes.
    ManyWrongPasswords,
    /// A login after five or more failed ones.
    LoginAfterFailures,
    /// A login from a browser that the account does not know, while it knows another.
    NewDevice,
    /// A login with the right password that no right code followed.
    UnfinishedLogin,
    RecoveryCodeUsed,
    RecoveryCodesRenewed,
    /// The operator turned two-factor authentication off.
    TwoFactorResetByOperator,
}

impl NoticeKind {
    /// Whether anyone can cause the event at will and no other limit bounds it.
    const fn is_repeatable(self) -> bool {
        matches!(self, Self::LoginAfterFailures | Self::ManyWrongPasswords)
    }

    /// Whether "this wasn't me" undoes changes of factors. Turning two-factor authentication on
    /// is never undone: an intruder in the mailbox could turn it off.
    pub const fn changes_factors(self) -> bool {
        matches!(
            self,
            Self::PhoneChanged
                | Self::PhoneAdded
                | Self::PhoneRemoved
                | Self::AuthenticatorAdded
                | Self::AuthenticatorRemoved
                | Self::TwoFactorDisabled
        )
    }
}

impl Notice {
    pub fn new(event: NoticeKind, client: &Client, now: i64) -> Self {
        Self {
            address: Some(client.address.to_string()),
            user_agent: Some(client.user_agent.clone()),
            ..Self::by_operator(event, now)
        }
    }

    /// The notice of an operator's action, which has no client.
    pub const fn by_operator(event: NoticeKind, now: i64) -> Self {
        Self {
            event,
            at: now,
            address: None,
            user_agent: None,
            former_phone: None,
            recovery_codes_left: None,
            former_username: None,
            app: None,
        }
    }

    pub fn with_former_phone(mut self, phone: Option<&str>) -> Self {
        self.former_phone = phone.map(str::to_owned);
        self
    }

    pub fn with_app(mut self, name: &str) -> Self {
        self.app = Some(name.to_owned());
        self
    }

    pub fn with_recovery_codes_left(mut self, left: i64) -> Self {
        self.recovery_codes_left = Some(left);
        self
    }

    pub fn with_former_username(mut self, username: &str) -> Self {
        self.former_username = Some(username.to_owned());
        self
    }

    /// Queues the notice in the transaction of its event, unless there were too many of its
    /// kind. Returns whether it did.
    pub async fn enqueue(self, connection: &mut Connection, user: &UserId) -> Result<bool> {
        self.enqueue_for(connection, user, user.as_str()).await
    }

    /// The same for a username that may be unknown: then the same statements queue nothing.
    /// `account` is the subject of the limit.
    pub(in crate::models) async fn enqueue_if_known(
        self,
        connection: &mut Connection,
        user: Option<&UserId>,
        account: &str,
    ) -> Result<bool> {
        let unknown = UserId::from_column(String::new());
        let user = user.unwrap_or(&unknown);
        self.enqueue_for(connection, user, account).await
    }

    async fn enqueue_for(
        self,
        connection: &mut Connection,
        user: &UserId,
        account: &str,
    ) -> Result<bool> {
        let (event, now) = (self.event, self.at);
        let buckets = match event {
            NoticeKind::NewDevice => NEW_DEVICE_NOTICES.buckets(account),
            _ if event.is_repeatable() => EMAILS_OF_KIND.buckets(&format!("{account} {event:?}")),
            _ => Vec::new(),
        };
        if !buckets.is_empty() && try_take(connection, &buckets, now).await?.is_err() {
            return Ok(false);
        }
        Mail::Notice(self).enqueue(connection, user, now).await
    }
}
