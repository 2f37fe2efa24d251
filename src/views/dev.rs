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
