//! What stands on every page, around its own content.

use serde::{Deserialize, Serialize};

/// The frame of a page: a field `layout` of every page's struct.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Shown as `{title} | Twostep`.
    pub title: String,
    /// Who is signed in, if anybody is.
    pub username: Option<String>,
    /// What just happened, above the content.
    pub messages: Vec<Message>,
    /// Whether codes go to the demo phone: every page says so.
    pub demo_phone: bool,
    /// Whether mail goes to the demo mailbox: every page says so too.
    pub demo_mailbox: bool,
}

/// One sentence about what just happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// How it looks.
    pub kind: Kind,
    /// The sentence.
    pub text: String,
}

/// The kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Something worked.
    Success,
    /// Good to know.
    Info,
}

impl Kind {
    /// Bootstrap's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Info => "info",
        }
    }
}
