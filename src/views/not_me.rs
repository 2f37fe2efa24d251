//! What the link "This was not me" leads to.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use super::two_factor::masked;
use crate::models::outbox::NoticeKind;

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
    pub fn new(event: NoticeKind, restored: Option<&str>) -> Self {
        match (event, restored) {
            (_, Some(phone)) => Self::Restored(masked(phone)),
            (NoticeKind::TwoFactorResetByOperator, None) => Self::ResetByOperator,
            (
                NoticeKind::TwoFactorEnabled
                | NoticeKind::PhoneChanged
                | NoticeKind::TwoFactorDisabled,
                None,
            ) => Self::Kept,
            _ => Self::Untouched,
        }
    }
}

/// What a notice told of.
pub fn what(event: NoticeKind) -> &'static str {
    match event {
        NoticeKind::PasswordChanged => "The password was changed.",
        NoticeKind::PasswordReset => "The password was set anew through a link in a mail.",
        NoticeKind::TwoFactorEnabled => "Two-factor authentication was switched on.",
        NoticeKind::PhoneChanged => "The phone that gets the codes was changed.",
        NoticeKind::TwoFactorDisabled => "Two-factor authentication was switched off.",
        NoticeKind::Renamed => "The username was changed.",
        NoticeKind::ManyWrongPasswords => "Many wrong passwords were entered for the account.",
        NoticeKind::LoginAfterFailures => "Somebody logged in after several wrong passwords.",
        NoticeKind::UnfinishedLogin => "Somebody knew the password, but did not enter the code.",
        NoticeKind::RecoveryCodeUsed => "A recovery code was entered in place of the phone's code.",
        NoticeKind::RecoveryCodesRenewed => "New recovery codes were made.",
        NoticeKind::TwoFactorResetByOperator => {
            "Two-factor authentication was switched off by the operator."
        }
    }
}
