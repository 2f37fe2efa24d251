//! The form of "This was not me".

use serde::Deserialize;

/// `POST /not_me`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct NotMeForm {
    link: String,
}

impl NotMeForm {
    /// Whether the form's page was about this link.
    pub fn is_about(&self, link: &str) -> bool {
        self.link == link
    }
}
