//! The home page and profiles.

use askama::Template;
use askama_web::WebTemplate;

use super::Timestamp;
use super::layout::Layout;
use crate::forms::Errors;

/// `/home`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "profile/home.html")]
pub struct HomePage {
    /// The frame.
    pub layout: Layout,
    /// Whether the account has a second step.
    pub two_factor_enabled: bool,
}

/// `/user/{username}`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "profile/show.html")]
pub struct ProfilePage {
    /// The frame.
    pub layout: Layout,
    /// Whose profile it is.
    pub username: String,
    /// The address of the picture; where it is see-through or missing, the
    /// name's initial shows.
    pub avatar_url: String,
    /// Their own words, line breaks kept.
    pub about_me: Option<String>,
    /// When they were last here.
    pub last_seen: Option<Timestamp>,
    /// Set on one's own page only.
    pub own: Option<OwnProfile>,
}

impl ProfilePage {
    fn initial(&self) -> String {
        self.username
            .chars()
            .next()
            .map(|first| first.to_uppercase().to_string())
            .unwrap_or_default()
    }
}

/// What only the owner of a profile sees.
#[derive(Clone, Debug)]
pub struct OwnProfile {
    /// The phone of the second step, `•••• 267`; none while that is off.
    pub masked_phone: Option<String>,
}

/// `/edit_profile`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "profile/edit.html")]
pub struct EditProfilePage {
    /// The frame.
    pub layout: Layout,
    /// As typed.
    pub username: String,
    /// As typed.
    pub about_me: String,
    /// What is wrong, by field.
    pub errors: Errors,
}
