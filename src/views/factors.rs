//! The factors of an account, as the pages name them, and the pages after the first was added
//! and before all are removed.

use askama::Template;
use askama_web::WebTemplate;
use secrecy::{ExposeSecret, SecretString};

use super::layout::Layout;
use super::two_factor::mask_phone;
use super::{Timestamp, timestamp};
use crate::forms::Errors;
use crate::models::factor::{Factor, FactorKind};

/// A factor of an account.
#[derive(Clone, Debug)]
pub struct FactorItem {
    pub id: String,
    /// `phone` or `authenticator`.
    pub kind: &'static str,
    /// What the user knows it by.
    pub label: String,
    pub added: Timestamp,
    pub last_used: Option<Timestamp>,
}

impl FactorItem {
    pub fn new(factor: &Factor, now: i64) -> Self {
        let kind = match &factor.kind {
            FactorKind::Phone { .. } => "phone",
            FactorKind::Authenticator { .. } => "authenticator",
        };
        Self {
            id: factor.id.as_str().to_owned(),
            kind,
            label: label(factor),
            added: timestamp(factor.created_at, now),
            last_used: factor.last_used_at.map(|at| timestamp(at, now)),
        }
    }
}

/// The title of a factor in a list.
pub fn label(factor: &Factor) -> String {
    match &factor.kind {
        FactorKind::Phone { number } => format!("Phone {}", mask_phone(number)),
        FactorKind::Authenticator { name, .. } => name.clone(),
    }
}

/// A factor within a sentence.
pub fn describe(factor: &Factor) -> String {
    match &factor.kind {
        FactorKind::Phone { number } => format!("the phone {}", mask_phone(number)),
        FactorKind::Authenticator { name, .. } => {
            format!("the authenticator app \u{201c}{name}\u{201d}")
        }
    }
}

/// The answer to the correct code when enabling.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/enabled.html")]
pub struct EnabledPage {
    pub layout: Layout,
    pub username: String,
    /// Recovery codes in groups of four. No other page shows them.
    pub codes: Vec<SecretString>,
}

/// `/disable_2fa`
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "two_factor/disable.html")]
pub struct DisablePage {
    pub layout: Layout,
    /// What is removed, within a sentence.
    pub factors: Vec<String>,
    pub errors: Errors,
}
