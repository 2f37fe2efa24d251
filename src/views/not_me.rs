//! What the link "This was not me" leads to.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use super::two_factor::masked;
use crate::models::outbox::Event;

/// `/not_me`, while the link stands.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "not_me/show.html")]
pub struct NotMePage {
    /// The frame.
    pub layout: Layout,
    /// Whose account it is.
    pub username: String,
    /// What the notice told of: one sentence.
    pub what: &'static str,
    /// Which link the page is about; opens nothing.
    pub link: String,
    /// What becomes of the second step.
    pub factor: Factor,
    /// Whether the recovery codes end.
    pub recovery_codes_end: bool,
}

/// `/not_me`, after the button.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "not_me/done.html")]
pub struct DonePage {
    /// The frame.
    pub layout: Layout,
    /// What became of the second step.
    pub factor: Factor,
    /// Whether the recovery codes ended.
    pub recovery_codes_ended: bool,
}

/// `/not_me`, where no link stands.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "not_me/expired.html")]
pub struct ExpiredPage {
    /// The frame.
    pub layout: Layout,
}

/// What becomes of the second step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Factor {
    /// It is not what the notice was about.
    Untouched,
    /// Codes go to this number again, `•••• 267`.
    Restored(String),
    /// It stays as it is, though the notice was about it.
    Kept,
    /// It stays as the operator left it.
    ResetByOperator,
}

impl Factor {
    /// For a notice of `event`, where `restored` is the number that comes back.
    #[must_use]
    pub fn new(event: Event, restored: Option<&str>) -> Self {
        match (event, restored) {
            (_, Some(phone)) => Self::Restored(masked(phone)),
            (Event::TwoFactorResetByOperator, None) => Self::ResetByOperator,
            (Event::TwoFactorEnabled | Event::PhoneChanged | Event::TwoFactorDisabled, None) => {
                Self::Kept
            }
            _ => Self::Untouched,
        }
    }
}

/// What a notice told of.
#[must_use]
pub fn what(event: Event) -> &'static str {
    match event {
        Event::PasswordChanged => "The password was changed.",
        Event::PasswordReset => "The password was set anew through a link in a mail.",
        Event::TwoFactorEnabled => "Two-factor authentication was switched on.",
        Event::PhoneChanged => "The phone that gets the codes was changed.",
        Event::TwoFactorDisabled => "Two-factor authentication was switched off.",
        Event::Renamed => "The username was changed.",
        Event::ManyWrongPasswords => "Many wrong passwords were entered for the account.",
        Event::LoginAfterFailures => "Somebody logged in after several wrong passwords.",
        Event::UnfinishedLogin => "Somebody knew the password, but did not enter the code.",
        Event::RecoveryCodeUsed => "A recovery code was entered in place of the phone's code.",
        Event::RecoveryCodesRenewed => "New recovery codes were made.",
        Event::TwoFactorResetByOperator => {
            "Two-factor authentication was switched off by the operator."
        }
    }
}
