//! The demo phone's page, in development only.

use askama::Template;
use askama_web::WebTemplate;

use super::Timestamp;
use super::layout::Layout;

/// `/dev/phone`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "dev/phone.html")]
pub struct DemoPhonePage {
    /// The frame.
    pub layout: Layout,
    /// What arrived, newest first.
    pub messages: Vec<Entry>,
}

/// One message or call.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The number it went to, E.164.
    pub to: String,
    /// `sms` or `call`.
    pub channel: String,
    /// The code.
    pub code: String,
    /// When it arrived.
    pub sent: Timestamp,
}

/// `/dev/mailbox`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "dev/mailbox.html")]
pub struct DemoMailboxPage {
    /// The frame.
    pub layout: Layout,
    /// What arrived, newest first.
    pub messages: Vec<MailEntry>,
}

/// `/dev/mailbox/{id}`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "dev/mail.html")]
pub struct DemoMailPage {
    /// The frame.
    pub layout: Layout,
    /// The mail.
    pub entry: MailEntry,
    /// The mail as plain text.
    pub text: String,
}

/// One mail.
#[derive(Clone, Debug)]
pub struct MailEntry {
    /// What names it in its address.
    pub id: String,
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The link in it.
    pub link: Option<String>,
    /// When it arrived.
    pub received: Timestamp,
}
