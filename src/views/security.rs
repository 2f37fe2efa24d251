//! The security page.

use askama::Template;
use askama_web::WebTemplate;

use super::browser;
use super::layout::Layout;
use super::recovery_codes::left;
use super::two_factor::masked;
use super::{Timestamp, timestamp};
use crate::models::activity::{Activity, Event};
use crate::models::session::{LogIn, SessionId};
use crate::models::user::User;

/// `/security`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "security/show.html")]
pub struct SecurityPage {
    /// The frame.
    pub layout: Layout,
    /// The second step; none while that is off.
    pub second_step: Option<SecondStep>,
    /// The sessions, the last active first.
    pub sessions: Vec<SessionItem>,
    /// How many more there are.
    pub more_sessions: usize,
    /// What happened, newest first.
    pub activity: Vec<ActivityItem>,
    /// How many more there are.
    pub more_activity: usize,
}

/// Two-factor authentication that is on.
#[derive(Clone, Debug)]
pub struct SecondStep {
    /// The phone, `•••• 267`.
    pub masked_phone: String,
    /// How many recovery codes are left: one sentence.
    pub recovery_codes: String,
}

impl SecondStep {
    /// That of `user`, of whose recovery codes so many are left.
    pub fn of(user: &User, recovery_codes: i64) -> Option<Self> {
        let phone = user.verification_phone.as_deref()?;
        Some(Self {
            masked_phone: masked(phone),
            recovery_codes: left(recovery_codes),
        })
    }
}

/// A session.
#[derive(Clone, Debug)]
pub struct SessionItem {
    /// What names it in the address of its button.
    pub id: String,
    /// Browser and system.
    pub browser: String,
    /// Where it came from.
    pub address: String,
    /// When it began.
    pub started: Timestamp,
    /// When it was last used.
    pub last_active: Timestamp,
    /// Whether it is the one that shows the page.
    pub is_this: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct ActivityItem {
    /// What.
    pub what: &'static str,
    /// Whether somebody failed to get in.
    pub is_failure: bool,
    /// Who, by browser and address; none where the operator did it.
    pub by: Option<(String, String)>,
    /// When.
    pub at: Timestamp,
}

impl SecurityPage {
    fn has_others(&self) -> bool {
        self.sessions.iter().any(|session| !session.is_this)
    }
}

/// The sessions as they are at `now` (Unix seconds), seen from `this`.
pub fn session_items(sessions: &[LogIn], this: &SessionId, now: i64) -> Vec<SessionItem> {
    let session = |it: &LogIn| SessionItem {
        id: it.id.as_str().to_owned(),
        browser: browser::in_words(it.user_agent.as_deref().unwrap_or_default()),
        address: address(it.address.as_deref()),
        started: timestamp(it.started_at, now),
        last_active: timestamp(it.last_active_at, now),
        is_this: it.id == *this,
    };
    sessions.iter().map(session).collect()
}

/// What happened, as it is told at `now` (Unix seconds).
pub fn activity_items(activity: &[Activity], now: i64) -> Vec<ActivityItem> {
    activity.iter().map(|it| item(it, now)).collect()
}

fn item(activity: &Activity, now: i64) -> ActivityItem {
    let by = activity.address.as_deref().map(|from| {
        let user_agent = activity.user_agent.as_deref().unwrap_or_default();
        (browser::in_words(user_agent), address(Some(from)))
    });
    ActivityItem {
        what: what(activity.event),
        is_failure: activity.event.is_failure(),
        by,
        at: timestamp(activity.at, now),
    }
}

/// Sessions that began before addresses were kept have none.
fn address(address: Option<&str>) -> String {
    match address {
        Some(address) => format!("address {address}"),
        None => "address unknown".to_owned(),
    }
}

const fn what(happening: Event) -> &'static str {
    match happening {
        Event::LoggedIn => "Logged in with the password",
        Event::LoggedInWithCode => "Logged in with the password and a code",
        Event::LoggedInWithRecoveryCode => "Logged in with the password and a recovery code",
        Event::WrongPassword => "A wrong password was entered",
        Event::WrongCode => "A wrong code was entered",
        Event::WrongRecoveryCode => "A wrong recovery code was entered",
        Event::Reauthenticated => "Confirmed again who it is",
        Event::LoggedOut => "Logged out",
        Event::EndedSession => "Ended another session",
        Event::EndedOtherSessions => "Ended all other sessions",
        Event::Renamed => "The name was changed",
        Event::PasswordChanged => "The password was changed",
        Event::PasswordReset => "A new password was set through a mailed link",
        Event::TwoFactorEnabled => "Two-factor authentication was switched on",
        Event::PhoneChanged => "The phone number was changed",
        Event::TwoFactorDisabled | Event::TwoFactorResetByOperator => {
            "Two-factor authentication was switched off"
        }
        Event::RecoveryCodesRenewed => "New recovery codes were made",
        Event::NotMe => "The account was locked with \u{201c}This was not me\u{201d}",
        Event::LockedByOperator => "The account was locked",
        Event::UnlockedByOperator => "The account was unlocked",
        Event::SessionsEndedByOperator => "All sessions were ended",
    }
}
