//! Mails, each as text and as a page.

use askama::Template;
use time::OffsetDateTime;
use time::macros::format_description;

use super::browser;
use super::recovery_codes::left;
use super::two_factor::masked;
use crate::models::outbox::{Notice, NoticeKind};

/// A mail's subject and its two parts.
#[derive(Clone, Debug)]
pub struct Content {
    /// The subject.
    pub subject: String,
    /// The mail as plain text.
    pub text: String,
    /// The mail as a page.
    pub html: String,
}

/// The link to a new password.
#[derive(Clone, Debug)]
pub struct ResetPasswordEmail {
    /// Whose account it is.
    pub username: String,
    /// Where a new password is set.
    pub link: String,
    /// How long the link works.
    pub minutes: i64,
}

impl ResetPasswordEmail {
    /// Writes the mail.
    pub fn render(&self) -> Result<Content, askama::Error> {
        let mail = &Self {
            username: plain(&self.username),
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

/// What happened to an account.
#[derive(Clone, Debug)]
pub struct NoticeEmail {
    /// The subject.
    pub subject: &'static str,
    /// Whose account it is.
    pub username: String,
    /// What happened: one sentence.
    pub what: String,
    /// When: date and time in UTC.
    pub when: String,
    /// From where; none for what the operator did.
    pub origin: Option<Origin>,
    /// What the link does, and what it does not.
    pub remedy: &'static str,
    /// Where to say "this was not me".
    pub link: String,
    /// How long the link works.
    pub hours: i64,
}

/// Where a request came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The address.
    pub address: String,
    /// The browser and its system, in words.
    pub browser: String,
}

impl NoticeEmail {
    /// The mail of a notice, with the link to undo what it tells of.
    pub fn new(username: String, notice: &Notice, link: String, hours: i64) -> Self {
        Self {
            subject: subject(notice.event),
            username: plain(&username),
            what: what(notice),
            when: when(notice.at),
            origin: notice.address.clone().map(|address| Origin {
                address,
                browser: browser::describe(notice.user_agent.as_deref().unwrap_or_default()),
            }),
            remedy: remedy(notice.event),
            link,
            hours,
        }
    }

    /// Writes the mail.
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
        NoticeKind::Renamed => "Your Twostep username was changed",
        NoticeKind::ManyWrongPasswords => "Many wrong passwords for your Twostep account",
        NoticeKind::LoginAfterFailures => "A log-in to your Twostep account after wrong passwords",
        NoticeKind::UnfinishedLogin => "An unfinished log-in to your Twostep account",
        NoticeKind::RecoveryCodeUsed => "A recovery code of your Twostep account was used",
        NoticeKind::RecoveryCodesRenewed => "New recovery codes for your Twostep account",
        NoticeKind::TwoFactorResetByOperator => {
            "The operator switched two-factor authentication off for your Twostep account"
        }
    }
}

fn what(notice: &Notice) -> String {
    let former = notice.former_phone.as_deref().map(masked);
    let sentence = match (notice.event, former) {
        (NoticeKind::PasswordChanged, _) => "The password was changed.",
        (NoticeKind::PasswordReset, _) => {
            "A new password was set through a link that we mailed you."
        }
        (NoticeKind::TwoFactorEnabled, _) => "Two-factor authentication was switched on.",
        (NoticeKind::PhoneChanged, Some(phone)) => {
            return format!("Codes no longer go to {phone}, but to another number.");
        }
        (NoticeKind::PhoneChanged, None) => "The number to which codes go was changed.",
        (NoticeKind::TwoFactorDisabled, Some(phone)) => {
            return format!(
                "Two-factor authentication was switched off. Codes went to {phone} before."
            );
        }
        (NoticeKind::TwoFactorDisabled, None) => "Two-factor authentication was switched off.",
        (NoticeKind::Renamed, _) => {
            let former = notice
                .former_username
                .as_deref()
                .map(plain)
                .unwrap_or_default();
            return format!(
                "The username was changed. It was {former} before, and that name stays \
                 reserved for you for 30 days."
            );
        }
        (NoticeKind::ManyWrongPasswords, _) => {
            "More than 100 wrong passwords were entered for your account within a day. \
             Nobody got in by them. If your password is one that you use elsewhere, change it."
        }
        (NoticeKind::LoginAfterFailures, _) => {
            "Somebody logged in after several attempts with a wrong password."
        }
        (NoticeKind::UnfinishedLogin, _) => {
            "Somebody entered the right password, but not the code that we sent."
        }
        (NoticeKind::RecoveryCodeUsed, _) => {
            let left = notice.recovery_codes_left.map(left).unwrap_or_default();
            let what = "A recovery code was entered in place of the code to your phone.";
            return format!("{what} {left}").trim_end().to_owned();
        }
        (NoticeKind::RecoveryCodesRenewed, _) => {
            "New recovery codes were made. The old ones work no more."
        }
        (NoticeKind::TwoFactorResetByOperator, _) => {
            "Two-factor authentication was switched off by the operator."
        }
    };
    sentence.to_owned()
}

const fn remedy(event: NoticeKind) -> &'static str {
    match event {
        NoticeKind::TwoFactorDisabled => {
            "The link logs everybody out, switches two-factor authentication on again with the \
             former number, and locks the password until you set a new one by mail."
        }
        NoticeKind::PhoneChanged => {
            "The link logs everybody out, puts the former number back, and locks the password \
             until you set a new one by mail."
        }
        NoticeKind::RecoveryCodeUsed | NoticeKind::RecoveryCodesRenewed => {
            "The link logs everybody out, ends all recovery codes, and locks the password until \
             you set a new one by mail. Codes still go to your phone."
        }
        _ => {
            "The link logs everybody out and locks the password until you set a new one by mail. \
             Two-factor authentication stays as it is."
        }
    }
}

/// A moment (Unix seconds) for somebody who reads it at any time, anywhere.
fn when(at: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format =
        format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    moment.format(format).unwrap_or_default()
}

/// A user name as plain text of which no mail program makes a link: whoever
/// registers with somebody's address chooses a name that stands in our mail.
fn plain(username: &str) -> String {
    username.replace('.', " ")
}
