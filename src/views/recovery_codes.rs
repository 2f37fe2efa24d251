//! Recovery codes: how many are left, a new set, entering one.

use askama::Template;
use askama_web::WebTemplate;
use secrecy::{ExposeSecret, SecretString};

use super::layout::Layout;
use crate::forms::Errors;
use crate::models::challenge::Purpose;

/// So many or fewer are worth a warning.
const FEW: i64 = 3;

/// `/recovery_codes`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "recovery_codes/show.html")]
pub struct RecoveryCodesPage {
    /// The frame.
    pub layout: Layout,
    /// How many are left: one sentence.
    pub left: String,
    /// Whether these are few.
    pub few: bool,
    /// Why no new ones were made.
    pub errors: Errors,
}

impl RecoveryCodesPage {
    /// The page where `count` codes are left.
    pub fn new(layout: Layout, count: i64, errors: Errors) -> Self {
        Self {
            layout,
            left: left(count),
            few: count <= FEW,
            errors,
        }
    }
}

/// The answer to the button there: the only time that the codes are shown.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "recovery_codes/renewed.html")]
pub struct RenewedPage {
    /// The frame.
    pub layout: Layout,
    /// Whose codes they are.
    pub username: String,
    /// The codes in groups of four.
    pub codes: Vec<SecretString>,
}

/// `/verify_2fa/recovery`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "recovery_codes/enter.html")]
pub struct EnterPage {
    /// The frame.
    pub layout: Layout,
    /// What it finishes.
    pub purpose: Purpose,
    /// What is wrong, by field.
    pub errors: Errors,
}

/// How many codes are left: one sentence.
pub fn left(count: i64) -> String {
    match count {
        0 => "No recovery codes are left.".to_owned(),
        1 => "One recovery code is left.".to_owned(),
        more => format!("{more} recovery codes are left."),
    }
}

/// The same where these are few: none where there is nothing to warn of.
pub fn few(count: i64) -> Option<String> {
    (count <= FEW).then(|| left(count))
}

/// What the next page says once a code was used, and `count` are left.
pub fn used(count: i64) -> String {
    let advice = match few(count) {
        Some(_) => " Make a new set soon.",
        None => "",
    };
    format!(
        "You used a recovery code, which works no more. {}{advice}",
        left(count)
    )
}
