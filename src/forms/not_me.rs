//! "This was not me".

use serde::Deserialize;

/// `POST /not_me`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct NotMeForm {
    link: String,
}

impl NotMeForm {
    /// Whether the page that the form came from was about the link of that name.
    pub fn is_about(&self, link: &str) -> bool {
        self.link == link
    }
}
