//! The security page.

use askama::Template;
use askama_web::WebTemplate;

use super::browser;
use super::factors::FactorItem;
use super::layout::Layout;
use super::recovery_codes::describe_left;
use super::{Timestamp, timestamp};
use crate::models::activity::{Activity, Event};
use crate::models::factor::Factor;
use crate::models::session::{Login, SessionId};

/// `/security`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "security/show.html")]
pub struct SecurityPage {
    pub layout: Layout,
    /// None if two-factor authentication is off.
    pub two_factor: Option<TwoFactor>,
    /// Whether authenticator apps can be added.
    pub offers_apps: bool,
    pub sessions: Vec<SessionItem>,
    pub more_sessions: usize,
    pub activity: Vec<ActivityItem>,
    pub more_activity: usize,
}

/// The state of two-factor authentication that is on.
#[derive(Clone, Debug)]
pub struct TwoFactor {
    pub factors: Vec<FactorItem>,
    /// A sentence that says how many are left.
    pub recovery_codes: String,
}

impl TwoFactor {
    /// `None` if it is off.
    pub fn new(factors: &[Factor], recovery_codes: i64, now: i64) -> Option<Self> {
        let items: Vec<_> = factors.iter().map(|it| FactorItem::new(it, now)).collect();
        (!items.is_empty()).then(|| Self {
            factors: items,
            recovery_codes: describe_left(recovery_codes),
        })
    }

    fn has_phone(&self) -> bool {
        self.factors.iter().any(|it| it.kind == "phone")
    }
}

#[derive(Clone, Debug)]
pub struct SessionItem {
    /// Identifies it in the path of its form.
    pub id: String,
    pub browser: String,
    pub address: String,
    pub started: Timestamp,
    pub last_active: Timestamp,
    pub is_this: bool,
}

#[derive(Clone, Debug)]
pub struct ActivityItem {
    pub title: &'static str,
    /// A failed attempt to authenticate.
    pub is_failure: bool,
    /// Browser and address. None if the operator did it.
    pub by: Option<(String, String)>,
    pub at: Timestamp,
}

impl SecurityPage {
    fn has_others(&self) -> bool {
        self.sessions.iter().any(|session| !session.is_this)
    }
}

/// Lists sessions for the user of the session `this`.
pub fn session_items(sessions: &[Login], this: &SessionId, now: i64) -> Vec<SessionItem> {
    let item = |it: &Login| SessionItem {
        id: it.id.as_str().to_owned(),
        browser: browser::describe(it.user_agent.as_deref().unwrap_or_default()),
        address: describe_address(it.address.as_deref()),
        started: timestamp(it.started_at, now),
        last_active: timestamp(it.last_active_at, now),
        is_this: it.id == *this,
    };
    sessions.iter().map(item).collect()
}

pub fn activity_items(activity: &[Activity], now: i64) -> Vec<ActivityItem> {
    let item = |it: &Activity| ActivityItem {
        title: title(it.event),
        is_failure: it.event.is_failure(),
        by: it.address.as_deref().map(|from| {
            let user_agent = it.user_agent.as_deref().unwrap_or_default();
            (browser::describe(user_agent), describe_address(Some(from)))
        }),
        at: timestamp(it.at, now),
    };
    activity.iter().map(item).collect()
}

/// Sessions from the first versions have no address.
fn describe_address(address: Option<&str>) -> String {
    match address {
        Some(address) => format!("address {address}"),
        None => "address unknown".to_owned(),
    }
}

const fn title(event: Event) -> &'static str {
    match event {
        Event::LoggedIn => "Logged in with the password",
        Event::LoggedInWithCode => "Logged in with the password and a code",
        Event::LoggedInWithRecoveryCode => "Logged in with the password and a recovery code",
        Event::WrongPassword => "A wrong password was entered",
        Event::WrongCode => "A wrong code was entered",
        Event::WrongRecoveryCode => "A wrong recovery code was entered",
        Event::Reauthenticated => "Confirmed the password again",
        Event::LoggedOut => "Logged out",
        Event::EndedSession => "Logged out another device",
        Event::EndedOtherSessions => "Logged out all other devices",
        Event::Renamed => "The username was changed",
        Event::PasswordChanged => "The password was changed",
        Event::PasswordReset => "The password was reset with an emailed link",
        Event::TwoFactorEnabled => "Two-factor authentication was turned on",
        Event::PhoneChanged => "The phone number was changed",
        Event::PhoneAdded => "A phone number was added",
        Event::PhoneRemoved => "The phone number was removed",
        Event::AuthenticatorAdded => "An authenticator app was added",
        Event::AuthenticatorRemoved => "An authenticator app was removed",
        Event::TwoFactorDisabled | Event::TwoFactorResetByOperator => {
            "Two-factor authentication was turned off"
        }
        Event::RecoveryCodesRenewed => "New recovery codes were made",
        Event::NotMe => "The account was locked with \u{201c}This wasn\u{2019}t me\u{201d}",
        Event::LockedByOperator => "The account was locked",
        Event::UnlockedByOperator => "The account was unlocked",
        Event::SessionsEndedByOperator => "All devices were logged out",
    }
}
