//! The home page and profiles.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use super::two_factor::mask_phone;
use super::{Timestamp, timestamp};
use crate::forms::Errors;
use crate::models::user::User;

/// `/home`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "profile/home.html")]
pub struct HomePage {
    pub layout: Layout,
    pub two_factor_enabled: bool,
    /// A sentence, if few are left.
    pub few_recovery_codes: Option<String>,
}

/// `/user/{username}`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "profile/show.html")]
pub struct ProfilePage {
    pub layout: Layout,
    pub username: String,
    /// The initial of the name shows where the picture is transparent or missing.
    pub avatar_url: String,
    pub about_me: Option<String>,
    pub last_seen: Option<Timestamp>,
    pub own: Option<OwnProfile>,
}

/// In pixels: twice the size on the page, for screens with a high resolution.
const AVATAR_SIZE: u32 = 256;

impl ProfilePage {
    /// `offers_apps` is for the user's own profile.
    pub fn new(layout: Layout, user: &User, offers_apps: Option<bool>, now: i64) -> Self {
        Self {
            layout,
            username: user.username.clone(),
            avatar_url: avatar_url(&user.email),
            about_me: Some(user.about_me.clone()).filter(|text| !text.is_empty()),
            last_seen: user.last_seen_at.map(|at| timestamp(at, now)),
            own: offers_apps.map(|offers_apps| OwnProfile {
                has_two_factor: user.has_two_factor(),
                offers_apps,
                masked_phone: user.phone.as_deref().map(mask_phone),
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

/// Gravatar names a picture by the MD5 of the email address. The hash is not for secrecy.
fn avatar_url(email: &str) -> String {
    let digest = md5::compute(email.trim().to_lowercase());
    format!("https://www.gravatar.com/avatar/{digest:x}?d=identicon&s={AVATAR_SIZE}")
}

/// The part of a profile that only its user sees.
#[derive(Clone, Debug)]
pub struct OwnProfile {
    pub has_two_factor: bool,
    /// `•••• 267`, if a phone is a factor.
    pub masked_phone: Option<String>,
    /// Whether authenticator apps can be added.
    pub offers_apps: bool,
}

/// `/edit_profile`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "profile/edit.html")]
pub struct EditProfilePage {
    pub layout: Layout,
    pub username: String,
    pub about_me: String,
    pub errors: Errors,
}
