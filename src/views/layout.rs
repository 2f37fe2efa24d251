//! The parts that every page shares.

use serde::{Deserialize, Serialize};

/// The field `layout` of every page's struct.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Shown as `{title} | Twostep`.
    pub title: String,
    pub username: Option<String>,
    pub messages: Vec<FlashMessage>,
    /// Codes go to the demo phone, and every page says so.
    pub demo_phone: bool,
    /// Emails go to the demo mailbox, and every page says so.
    pub demo_mailbox: bool,
}

/// A flash message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashMessage {
    pub kind: MessageKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageKind {
    Success,
    Info,
}

impl MessageKind {
    /// The suffix of Bootstrap's class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Info => "info",
        }
    }
}
