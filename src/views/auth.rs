//! Registration, login, logout, reauthentication.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use crate::forms::Errors;

/// `/register`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "auth/register.html")]
pub struct RegisterPage {
    pub layout: Layout,
    pub username: String,
    pub email: String,
    pub errors: Errors,
}

/// `/login`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "auth/login.html")]
pub struct LoginPage {
    pub layout: Layout,
    pub username: String,
    pub next: Option<String>,
    /// The user enters a recovery code next.
    pub with_recovery_code: bool,
    /// A login in this browser waits for its code.
    pub has_pending_login: bool,
    pub remember_me: bool,
    pub errors: Errors,
}

/// `/logout`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "auth/logout.html")]
pub struct LogoutPage {
    pub layout: Layout,
}

/// `/reauth`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "auth/reauth.html")]
pub struct ReauthPage {
    pub layout: Layout,
    pub next: Option<String>,
    /// The user enters a recovery code next.
    pub with_recovery_code: bool,
    pub errors: Errors,
}
