//! The pages of the "This wasn't me" link.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use super::two_factor::mask_phone;
use crate::models::factor::{FactorKind, Undo};
use crate::models::outbox::NoticeKind;

/// `/not_me` with a valid link.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "not_me/show.html")]
pub struct NotMePage {
    pub layout: Layout,
    /// The account of the link.
    pub username: String,
    /// The event of the notice, in one sentence.
    pub sentence: &'static str,
    /// Identifies the link in the form. It grants nothing.
    pub link: String,
    pub factor: Factor,
    pub recovery_codes_end: bool,
}

/// `/not_me` after the button.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "not_me/done.html")]
pub struct DonePage {
    pub layout: Layout,
    pub factor: Factor,
    pub recovery_codes_ended: bool,
}

/// `/not_me` without a valid link.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "not_me/expired.html")]
pub struct ExpiredPage {
    pub layout: Layout,
}

/// The effect on two-factor authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Factor {
    /// No change: the notice was about something else.
    Untouched,
    /// Codes go to this masked number again.
    Restored(String),
    /// No change, although the notice was about it.
    Kept,
    /// It stays off: the operator turned it off.
    ResetByOperator,
}

impl Factor {
    /// The effect of a notice's link.
    pub fn new(event: NoticeKind, undo: &Undo) -> Self {
        let phone = undo.restored.first().map(|factor| match &factor.kind {
            FactorKind::Phone { number } => mask_phone(number),
        });
        match (event, phone) {
            (_, Some(phone)) => Self::Restored(phone),
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

/// The event of a notice, in one sentence.
pub const fn describe(event: NoticeKind) -> &'static str {
    match event {
        NoticeKind::PasswordChanged => "Your password was changed.",
        NoticeKind::PasswordReset => "Your password was reset by an emailed link.",
        NoticeKind::TwoFactorEnabled => "Two-factor authentication was turned on.",
        NoticeKind::PhoneChanged => "The phone number for your codes was changed.",
        NoticeKind::TwoFactorDisabled => "Two-factor authentication was turned off.",
        NoticeKind::Renamed => "Your username was changed.",
        NoticeKind::ManyWrongPasswords => {
            "More than 100 wrong passwords were entered for your account within a day."
        }
        NoticeKind::LoginAfterFailures => "Someone logged in after several wrong passwords.",
        NoticeKind::UnfinishedLogin => "Someone entered your password, but not the code.",
        NoticeKind::RecoveryCodeUsed => "A recovery code was used instead of your phone's code.",
        NoticeKind::RecoveryCodesRenewed => "New recovery codes were made.",
        NoticeKind::TwoFactorResetByOperator => {
            "The operator turned off two-factor authentication."
        }
    }
}
