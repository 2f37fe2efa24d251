//! Recovery codes: the count, a new set, entering one.

use askama::Template;
use askama_web::WebTemplate;
use secrecy::{ExposeSecret, SecretString};

use super::layout::Layout;
use crate::forms::Errors;
use crate::models::challenge::Purpose;

/// The flash message after a form that showed codes was sent a second time.
pub const SHOWN_ONCE: &str =
    "Recovery codes are shown only once. If you didn't save them, make a new set.";

/// This many or fewer codes show a warning.
const FEW: i64 = 3;

/// `/recovery_codes`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "recovery_codes/show.html")]
pub struct RecoveryCodesPage {
    pub layout: Layout,
    /// A sentence that says how many are left.
    pub left: String,
    pub few: bool,
    /// The present set, which the form replaces.
    pub set: String,
    pub errors: Errors,
}

impl RecoveryCodesPage {
    pub fn new(layout: Layout, count: i64, set: String, errors: Errors) -> Self {
        Self {
            layout,
            left: describe_left(count),
            few: count <= FEW,
            set,
            errors,
        }
    }
}

/// The answer to `POST /recovery_codes`: the only time that the codes are shown.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "recovery_codes/renewed.html")]
pub struct RenewedPage {
    pub layout: Layout,
    pub username: String,
    /// In groups of four.
    pub codes: Vec<SecretString>,
}

/// `/verify_2fa/recovery`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "recovery_codes/enter.html")]
pub struct EnterPage {
    pub layout: Layout,
    pub purpose: Purpose,
    pub errors: Errors,
}

pub fn describe_left(count: i64) -> String {
    match count {
        0 => "No recovery codes are left.".to_owned(),
        1 => "One recovery code is left.".to_owned(),
        more => format!("{more} recovery codes are left."),
    }
}

/// Warns if few codes are left.
pub fn warn_if_few(count: i64) -> Option<String> {
    (count <= FEW).then(|| describe_left(count))
}

/// The flash message after a recovery code was used.
pub fn describe_used(count: i64) -> String {
    let advice = match warn_if_few(count) {
        Some(_) => " Make a new set soon.",
        None => "",
    };
    format!(
        "You used a recovery code. It no longer works. {}{advice}",
        describe_left(count)
    )
}
