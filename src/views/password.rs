//! Changing the password, and setting a new one by a mailed link.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;
use crate::forms::Errors;

/// `/change_password`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "password/change.html")]
pub struct ChangePage {
    /// The frame.
    pub layout: Layout,
    /// What is wrong, by field.
    pub errors: Errors,
}

/// `/reset_password_request`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "password/request.html")]
pub struct ResetRequestPage {
    /// The frame.
    pub layout: Layout,
    /// As typed.
    pub email: String,
    /// What is wrong, by field.
    pub errors: Errors,
}

/// `/reset_password`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "password/reset.html")]
pub struct ResetPage {
    /// The frame.
    pub layout: Layout,
    /// Whose password it is: the link's owner, whoever is signed in.
    pub username: String,
    /// Which link the page is about; opens nothing.
    pub link: String,
    /// What is wrong, by field.
    pub errors: Errors,
}
