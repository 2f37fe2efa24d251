//! The pages of the "This wasn't me" link.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use super::two_factor::mask_phone;
use crate::models::factor::{self, FactorKind, Undo};
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
    /// These factors work again, in sentences.
    Restored(String),
    /// The factors that were added are removed.
    Removed,
    /// No change, although the notice was about it.
    Kept,
    /// It stays off: the operator turned it off.
    ResetByOperator,
}

impl Factor {
    /// The effect of a notice's link.
    pub fn new(event: NoticeKind, undo: &Undo) -> Self {
        let restored: Vec<String> = undo.restored.iter().map(Self::describe_restored).collect();
        match (event, restored.is_empty()) {
            (_, false) => Self::Restored(restored.join(" ")),
            (_, true) if !undo.removed.is_empty() => Self::Removed,
            (NoticeKind::TwoFactorResetByOperator, true) => Self::ResetByOperator,
            (
                NoticeKind::TwoFactorEnabled
                | NoticeKind::PhoneChanged
                | NoticeKind::PhoneAdded
                | NoticeKind::PhoneRemoved
                | NoticeKind::AuthenticatorAdded
                | NoticeKind::AuthenticatorRemoved
                | NoticeKind::TwoFactorDisabled,
                true,
            ) => Self::Kept,
            _ => Self::Untouched,
        }
    }

    fn describe_restored(factor: &factor::Factor) -> String {
        match &factor.kind {
            FactorKind::Phone { number } => format!("Codes go to {} again.", mask_phone(number)),
            FactorKind::Authenticator { name, .. } => {
                format!("The authenticator app \u{201c}{name}\u{201d} works again.")
            }
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
        NoticeKind::PhoneAdded => "A phone number was added for your codes.",
        NoticeKind::PhoneRemoved => "The phone number for your codes was removed.",
        NoticeKind::AuthenticatorAdded => "An authenticator app was added.",
        NoticeKind::AuthenticatorRemoved => "An authenticator app was removed.",
        NoticeKind::TwoFactorDisabled => "Two-factor authentication was turned off.",
        NoticeKind::Renamed => "Your username was changed.",
        NoticeKind::ManyWrongPasswords => {
            "More than 100 wrong passwords were entered for your account within a day."
        }
        NoticeKind::LoginAfterFailures => "Someone logged in after several wrong passwords.",
        NoticeKind::NewDevice => {
            "Someone logged in from a browser that had not logged in to your account before."
        }
        NoticeKind::UnfinishedLogin => "Someone entered your password, but not the code.",
        NoticeKind::RecoveryCodeUsed => "A recovery code was used instead of your phone's code.",
        NoticeKind::RecoveryCodesRenewed => "New recovery codes were made.",
        NoticeKind::TwoFactorResetByOperator => {
            "The operator turned off two-factor authentication."
        }
    }
}
