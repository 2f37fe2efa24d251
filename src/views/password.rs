//! The pages that change or reset a password.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use crate::forms::Errors;

/// `/change_password`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "password/change.html")]
pub struct ChangePage {
    pub layout: Layout,
    pub errors: Errors,
}

/// `/reset_password_request`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "password/request.html")]
pub struct ResetRequestPage {
    pub layout: Layout,
    pub email: String,
    pub errors: Errors,
}

/// `/reset_password`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "password/reset.html")]
pub struct ResetPage {
    pub layout: Layout,
    /// The account of the link, which may not be the logged-in one.
    pub username: String,
    /// Identifies the link in the form. It grants nothing.
    pub link: String,
    pub errors: Errors,
}
