//! The security page.

use std::cmp::Reverse;

use askama::Template;
use askama_web::WebTemplate;

use super::browser;
use super::factors::FactorItem;
use super::layout::Layout;
use super::recovery_codes::describe_left;
use super::{Timestamp, date_stamp, timestamp};
use crate::models::activity::{Activity, Event};
use crate::models::device::Device;
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
    pub devices: Devices,
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

/// The devices of an account, with their sessions.
#[derive(Clone, Debug)]
pub struct Devices {
    /// Devices that are logged in or trusted: the one of the request, then the last seen first.
    pub active: Vec<DeviceItem>,
    /// Known devices that are neither.
    pub inactive: Vec<DeviceItem>,
}

#[derive(Clone, Debug)]
pub struct DeviceItem {
    /// Identifies it in the path of its form. None for a session whose device is unknown.
    pub id: Option<String>,
    pub browser: String,
    pub address: String,
    pub last_seen: Timestamp,
    pub trusted_until: Option<Timestamp>,
    pub sessions: Vec<SessionItem>,
    pub is_this: bool,
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

impl Devices {
    /// Groups the sessions by their devices, for the user of the session `this`.
    pub fn new(devices: &[Device], sessions: &[Login], this: &SessionId, now: i64) -> Self {
        let known = devices.iter().map(|device| {
            let is_its = |it: &&Login| it.device_id.as_ref() == Some(&device.id);
            let sessions: Vec<_> = sessions.iter().filter(is_its).collect();
            let seen = sessions.iter().map(|it| it.last_active_at);
            let last_seen = seen.fold(device.last_seen_at, i64::max);
            let item = DeviceItem {
                id: Some(device.id.as_str().to_owned()),
                browser: browser::describe(&device.user_agent),
                address: describe_address(Some(&device.address)),
                last_seen: timestamp(last_seen, now),
                trusted_until: device.trusted_until.map(date_stamp),
                is_this: sessions.iter().any(|it| it.id == *this),
                sessions: sessions
                    .iter()
                    .map(|it| session_item(it, this, now))
                    .collect(),
            };
            (last_seen, item)
        });
        let has_known = |it: &Login| {
            devices
                .iter()
                .any(|device| it.device_id.as_ref() == Some(&device.id))
        };
        let unknown = sessions.iter().filter(|it| !has_known(it)).map(|it| {
            let session = session_item(it, this, now);
            let item = DeviceItem {
                id: None,
                browser: session.browser.clone(),
                address: session.address.clone(),
                last_seen: session.last_active.clone(),
                trusted_until: None,
                is_this: session.is_this,
                sessions: vec![session],
            };
            (it.last_active_at, item)
        });
        let mut all: Vec<(i64, DeviceItem)> = known.chain(unknown).collect();
        all.sort_by_key(|(last_seen, item)| Reverse((item.is_this, *last_seen)));
        let (active, inactive) =
            all.into_iter()
                .map(|(_, item)| item)
                .partition(|item: &DeviceItem| {
                    !item.sessions.is_empty() || item.trusted_until.is_some()
                });
        Self { active, inactive }
    }

    /// Whether another device is logged in or trusted.
    fn has_others(&self) -> bool {
        let mut sessions = self.active.iter().flat_map(|it| &it.sessions);
        let is_trusted = |it: &DeviceItem| !it.is_this && it.trusted_until.is_some();
        sessions.any(|it| !it.is_this) || self.active.iter().any(is_trusted)
    }
}

fn session_item(session: &Login, this: &SessionId, now: i64) -> SessionItem {
    SessionItem {
        id: session.id.as_str().to_owned(),
        browser: browser::describe(session.user_agent.as_deref().unwrap_or_default()),
        address: describe_address(session.address.as_deref()),
        started: timestamp(session.started_at, now),
        last_active: timestamp(session.last_active_at, now),
        is_this: session.id == *this,
    }
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
        Event::LoggedInOnTrustedDevice => "Logged in with the password on a trusted device",
        Event::TrustedDevice => "A device was trusted",
        Event::ForgotDevice => "The trust in a device was ended",
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
