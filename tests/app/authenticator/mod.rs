//! Authenticator apps (TOTP): adding, logging in, choosing among factors, removing.

mod adding;
mod choosing;
mod logging_in;
mod removing;
mod required;
mod sealing;

use data_encoding::BASE32_NOPAD;
use secrecy::ExposeSecret;
use twostep::services::totp::TotpSecret;

use crate::support::{Browser, Page, TestApp};

/// An authenticator app that a test holds.
pub struct Authenticator(TotpSecret);

impl Authenticator {
    /// The app that scans the page.
    pub fn scan(page: &Page) -> Self {
        let secret = page.attributes("[data-secret]", "data-secret").remove(0);
        let bytes = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        Self(TotpSecret::from_bytes(&bytes).unwrap())
    }

    /// The code that it shows when its clock is this many seconds ahead.
    pub fn code_at(&self, app: &TestApp, ahead: i64) -> String {
        let code = self.0.code(app.state.clock.now() + ahead);
        code.expose_secret().to_owned()
    }

    pub fn code(&self, app: &TestApp) -> String {
        self.code_at(app, 0)
    }
}

impl TestApp {
    /// Adds an authenticator app to the account of a fresh login. Waits for the next code, since
    /// the one that added it is used.
    pub async fn add_app(&self, browser: &Browser, name: &str) -> Authenticator {
        let page = browser.get("/authenticator").await;
        let app = Authenticator::scan(&page);
        let setup = page.value_of("setup").unwrap();
        let fields = [
            ("token", &*app.code(self)),
            ("name", name),
            ("setup", &setup),
        ];
        let added = browser.post("/authenticator", &fields).await;
        assert!(matches!(added.status, 200 | 303), "{}", added.text());
        self.advance(30);
        app
    }

    /// A logged-in user whose only factor is an app.
    pub async fn with_app(&self, username: &str) -> (Browser, Authenticator) {
        let browser = self.register_and_log_in(username).await;
        let app = self.add_app(&browser, "").await;
        (browser, app)
    }

    /// The kinds of a user's factors on the security page.
    async fn factor_kinds(&self, browser: &Browser) -> Vec<String> {
        let page = browser.get("/security").await;
        page.attributes("[data-factor]", "data-kind")
    }
}

/// The ids of a user's factors on the security page.
pub async fn factor_ids(browser: &Browser) -> Vec<String> {
    let page = browser.get("/security").await;
    page.attributes("[data-factor]", "data-factor")
}
