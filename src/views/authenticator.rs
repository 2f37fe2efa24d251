//! Adding an authenticator app.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use askama_web::WebTemplate;
use secrecy::{ExposeSecret, SecretString};

use super::layout::Layout;
use super::two_factor::CHECK_CLOCK;
use crate::forms::Errors;
use crate::forms::authenticator::AuthenticatorForm;
use crate::models::user::User;
use crate::services::totp::{self, TotpSecret, qr_code_svg};

/// The name that apps show beside the username.
const ISSUER: &str = "Twostep";

/// `/authenticator`
#[derive(Template, WebTemplate)]
#[template(path = "two_factor/authenticator.html")]
pub struct AuthenticatorPage {
    pub layout: Layout,
    /// Whether this is the account's first factor.
    pub is_first: bool,
    qr_code: Svg,
    /// `otpauth://…`, which opens the app on a phone.
    url: SecretString,
    secret: SecretString,
    grouped_secret: SecretString,
    setup: SecretString,
    app_name: String,
    errors: Errors,
}

/// An image that the program has drawn.
struct Svg(SecretString);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.expose_secret())
    }
}

impl HtmlSafe for Svg {}

impl AuthenticatorPage {
    pub fn new(
        layout: Layout,
        user: &User,
        secret: &TotpSecret,
        form: AuthenticatorForm,
        errors: Errors,
    ) -> Result<Self, totp::Error> {
        let url = secret.otpauth_url(ISSUER, &user.username)?;
        Ok(Self {
            layout,
            is_first: !user.has_two_factor(),
            qr_code: Svg(qr_code_svg(url.expose_secret())?),
            url,
            secret: secret.base32(),
            grouped_secret: secret.grouped_base32(),
            setup: form.setup,
            // HTML can't hold control characters.
            app_name: form.name.replace(char::is_control, ""),
            errors,
        })
    }

    /// What to check after a wrong code.
    fn advice(&self) -> &'static str {
        match self.errors.get("token") {
            Some(_) => CHECK_CLOCK,
            None => "",
        }
    }
}
