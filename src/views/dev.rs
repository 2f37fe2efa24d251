//! The demo phone and the demo mailbox, in development only.

use askama::Template;
use askama_web::WebTemplate;

use super::Timestamp;
use super::layout::Layout;

/// `/dev/phone`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "dev/phone.html")]
pub struct DemoPhonePage {
    pub layout: Layout,
    pub messages: Vec<Entry>,
    pub apps: Vec<DemoCode>,
}

/// The present code of an authenticator app.
#[derive(Clone, Debug)]
pub struct DemoCode {
    pub name: String,
    pub code: String,
    /// Seconds until the next code.
    pub seconds: i64,
}

/// `/dev/phone/authenticator`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "dev/authenticator.html")]
pub struct DemoAuthenticatorPage {
    pub layout: Layout,
    pub code: DemoCode,
}

/// One message or call.
#[derive(Clone, Debug)]
pub struct Entry {
    /// E.164.
    pub to: String,
    /// `sms` or `call`.
    pub channel: String,
    pub code: String,
    pub sent: Timestamp,
}

/// `/dev/mailbox`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "dev/mailbox.html")]
pub struct DemoMailboxPage {
    pub layout: Layout,
    pub messages: Vec<MailEntry>,
}

/// `/dev/mailbox/{id}`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "dev/mail.html")]
pub struct DemoMailPage {
    pub layout: Layout,
    pub entry: MailEntry,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct MailEntry {
    pub id: String,
    pub to: String,
    pub subject: String,
    pub link: Option<String>,
    pub received: Timestamp,
}
