//! The form of "This wasn't me".

use serde::Deserialize;

/// `POST /not_me`
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct NotMeForm {
    pub link: String,
}
