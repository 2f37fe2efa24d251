//! The home page and profiles.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use super::two_factor::masked;
use super::{Timestamp, timestamp};
use crate::forms::Errors;
use crate::models::user::User;

/// `/home`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "profile/home.html")]
pub struct HomePage {
    /// The frame.
    pub layout: Layout,
    /// Whether the account has a second step.
    pub two_factor_enabled: bool,
    /// How many recovery codes are left, where these are few: one sentence.
    pub few_recovery_codes: Option<String>,
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

/// The width of the picture in pixels, twice what the page shows, for screens
/// with more than one dot a pixel.
const AVATAR_SIZE: u32 = 256;

impl ProfilePage {
    /// The profile of `user` as it is at `now` (Unix seconds).
    pub fn new(layout: Layout, user: &User, is_own: bool, now: i64) -> Self {
        Self {
            layout,
            username: user.username.clone(),
            avatar_url: avatar_url(&user.email),
            about_me: Some(user.about_me.clone()).filter(|text| !text.is_empty()),
            last_seen: user.last_seen_at.map(|at| timestamp(at, now)),
            own: is_own.then(|| OwnProfile {
                masked_phone: user.verification_phone.as_deref().map(masked),
            }),
        }
    }

    fn initial(&self) -> String {
        self.username
            .chars()
            .next()
            .map(|first| first.to_uppercase().to_string())
            .unwrap_or_default()
    }
}

/// Gravatar's address of a picture: the MD5 of the trimmed address in lower
/// case, which protects nothing and is not meant to.
fn avatar_url(email: &str) -> String {
    let digest = md5::compute(email.trim().to_lowercase());
    format!("https://www.gravatar.com/avatar/{digest:x}?d=identicon&s={AVATAR_SIZE}")
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
