//! Emails, each as plain text and as HTML.

use askama::Template;
use time::OffsetDateTime;
use time::macros::format_description;

use super::browser;
use super::not_me::describe;
use super::recovery_codes::describe_left;
use super::two_factor::mask_phone;
use crate::models::outbox::{Notice, NoticeKind};

#[derive(Clone, Debug)]
pub struct Content {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// The email with a reset link.
#[derive(Clone, Debug)]
pub struct ResetPasswordEmail {
    pub username: String,
    pub link: String,
    /// How long the link works.
    pub minutes: i64,
}

impl ResetPasswordEmail {
    pub fn render(&self) -> Result<Content, askama::Error> {
        let mail = &Self {
            username: without_dots(&self.username),
            ..self.clone()
        };
        Ok(Content {
            subject: "Reset your Twostep password".to_owned(),
            text: ResetPasswordText { mail }.render()?,
            html: ResetPasswordHtml { mail }.render()?,
        })
    }
}

#[derive(Template)]
#[template(path = "email/reset_password.txt", escape = "none")]
struct ResetPasswordText<'a> {
    mail: &'a ResetPasswordEmail,
}

#[derive(Template)]
#[template(path = "email/reset_password.html")]
struct ResetPasswordHtml<'a> {
    mail: &'a ResetPasswordEmail,
}

/// The email of a notice.
#[derive(Clone, Debug)]
pub struct NoticeEmail {
    pub subject: &'static str,
    pub username: String,
    /// The event, in one or more sentences.
    pub sentence: String,
    /// Date and time in UTC.
    pub when: String,
    /// The client; none for the operator.
    pub origin: Option<Origin>,
    /// The effect of the link.
    pub remedy: &'static str,
    /// The "This wasn't me" link.
    pub link: String,
    /// How long the link works.
    pub hours: i64,
}

/// The client of an event.
#[derive(Clone, Debug)]
pub struct Origin {
    pub address: String,
    /// The browser and its system, such as "Firefox on Linux".
    pub browser: String,
}

impl NoticeEmail {
    /// The email of a notice, with the link to undo its event.
    pub fn new(username: String, notice: &Notice, link: String, hours: i64) -> Self {
        Self {
            subject: subject(notice.event),
            username: without_dots(&username),
            sentence: describe_with_detail(notice),
            when: format_time(notice.at),
            origin: notice.address.clone().map(|address| Origin {
                address,
                browser: browser::describe(notice.user_agent.as_deref().unwrap_or_default()),
            }),
            remedy: remedy(notice.event),
            link,
            hours,
        }
    }

    pub fn render(&self) -> Result<Content, askama::Error> {
        Ok(Content {
            subject: self.subject.to_owned(),
            text: NoticeText { mail: self }.render()?,
            html: NoticeHtml { mail: self }.render()?,
        })
    }
}

#[derive(Template)]
#[template(path = "email/notice.txt", escape = "none")]
struct NoticeText<'a> {
    mail: &'a NoticeEmail,
}

#[derive(Template)]
#[template(path = "email/notice.html")]
struct NoticeHtml<'a> {
    mail: &'a NoticeEmail,
}

const fn subject(event: NoticeKind) -> &'static str {
    match event {
        NoticeKind::PasswordChanged => "Your Twostep password was changed",
        NoticeKind::PasswordReset => "Your Twostep password was reset",
        NoticeKind::TwoFactorEnabled => "Two-factor authentication is on for your Twostep account",
        NoticeKind::PhoneChanged => "The phone number of your Twostep account was changed",
        NoticeKind::TwoFactorDisabled => {
            "Two-factor authentication is off for your Twostep account"
        }
        NoticeKind::PhoneAdded => "A phone number was added to your Twostep account",
        NoticeKind::PhoneRemoved => "The phone number of your Twostep account was removed",
        NoticeKind::AuthenticatorAdded => "An authenticator app was added to your Twostep account",
        NoticeKind::AuthenticatorRemoved => {
            "An authenticator app was removed from your Twostep account"
        }
        NoticeKind::Renamed => "Your Twostep username was changed",
        NoticeKind::ManyWrongPasswords => "Many wrong passwords for your Twostep account",
        NoticeKind::LoginAfterFailures => "A login to your Twostep account after wrong passwords",
        NoticeKind::NewDevice => "New login to your account",
        NoticeKind::UnfinishedLogin => "An unfinished login to your Twostep account",
        NoticeKind::RecoveryCodeUsed => "A recovery code of your Twostep account was used",
        NoticeKind::RecoveryCodesRenewed => "New recovery codes for your Twostep account",
        NoticeKind::TwoFactorResetByOperator => {
            "The operator turned off two-factor authentication for your Twostep account"
        }
    }
}

fn describe_with_detail(notice: &Notice) -> String {
    let former_phone = notice.former_phone.as_deref().map(mask_phone);
    let former_username = notice.former_username.as_deref().map(without_dots);
    let detail = match notice.event {
        NoticeKind::PhoneChanged => former_phone.map(|it| format!("Codes no longer go to {it}.")),
        NoticeKind::TwoFactorDisabled | NoticeKind::PhoneRemoved => {
            former_phone.map(|it| format!("Codes went to {it}."))
        }
        NoticeKind::AuthenticatorAdded | NoticeKind::AuthenticatorRemoved => {
            let name = notice.app.as_deref().map(without_dots);
            name.map(|name| format!("Its name is {name}."))
        }
        NoticeKind::Renamed => former_username
            .map(|it| format!("Your old username, {it}, stays reserved for you for 30 days.")),
        NoticeKind::ManyWrongPasswords => Some(
            "None of them was accepted. If you use your password elsewhere too, change it."
                .to_owned(),
        ),
        NoticeKind::RecoveryCodeUsed => notice.recovery_codes_left.map(describe_left),
        NoticeKind::RecoveryCodesRenewed => Some("The old ones no longer work.".to_owned()),
        _ => None,
    };
    let sentence = describe(notice.event);
    match detail {
        Some(detail) => format!("{sentence} {detail}"),
        None => sentence.to_owned(),
    }
}

const fn remedy(event: NoticeKind) -> &'static str {
    match event {
        NoticeKind::TwoFactorDisabled => {
            "The link logs everyone out, turns two-factor authentication on again as it was, and \
             locks the password until you set a new one by email."
        }
        NoticeKind::PhoneAdded | NoticeKind::AuthenticatorAdded => {
            "The link logs everyone out, removes what was added within two days, and locks the \
             password until you set a new one by email."
        }
        NoticeKind::PhoneRemoved | NoticeKind::AuthenticatorRemoved => {
            "The link logs everyone out, restores what was removed, and locks the password until \
             you set a new one by email."
        }
        NoticeKind::PhoneChanged => {
            "The link logs everyone out, restores the former number, and locks the password \
             until you set a new one by email."
        }
        NoticeKind::TwoFactorEnabled => {
            "The link logs everyone out, deletes all recovery codes, and locks the password until \
             you set a new one by email. Two-factor authentication stays on."
        }
        NoticeKind::RecoveryCodeUsed | NoticeKind::RecoveryCodesRenewed => {
            "The link logs everyone out, deletes all recovery codes, and locks the password until \
             you set a new one by email. Codes still go to your phone."
        }
        _ => {
            "The link logs everyone out and locks the password until you set a new one by email. \
             Two-factor authentication stays as it is."
        }
    }
}

/// A time, in Unix seconds, for readers in any timezone.
fn format_time(at: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    moment.format(format).unwrap_or_default()
}

/// A username that no email program turns into a link. A stranger can register someone else's
/// address under any name, which our email then shows.
fn without_dots(username: &str) -> String {
    username.replace('.', " ")
}
