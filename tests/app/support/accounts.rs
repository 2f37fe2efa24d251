//! Accounts and their browsers.

use secrecy::ExposeSecret;
use twostep::models::authentication::Credentials;
use twostep::models::device;
use twostep::models::factor::RecoveryCode;
use twostep::models::login::{LoginProof, ProvenLogin};
use twostep::models::mail_token::{LinkPurpose, MailToken};
use twostep::models::outbox::{Notice, NoticeKind};
use twostep::models::user::User;

use super::{Browser, PASSWORD, TestApp, a_client};

impl TestApp {
    pub async fn register(&self, username: &str) {
        let email = format!("{username}@example.com");
        let page = self.browser().register(username, &email, PASSWORD).await;
        page.redirects_to("/login");
    }

    /// Creates an account and logs it in.
    pub async fn register_and_log_in(&self, username: &str) -> Browser {
        self.register(username).await;
        self.log_in(username).await
    }

    /// Logs in to an account without two-factor authentication.
    pub async fn log_in(&self, username: &str) -> Browser {
        let browser = self.browser();
        browser.complete_login(username).await;
        browser
    }

    /// Creates an account with two-factor authentication, and logs it in.
    pub async fn with_two_factor(&self, username: &str, phone: &str) -> Browser {
        let browser = self.register_and_log_in(username).await;
        self.enable(&browser, phone).await;
        browser
    }

    pub async fn enable(&self, browser: &Browser, phone: &str) {
        browser.enable(phone).await.redirects_to("/verify_2fa");
        let page = browser.verify(&self.last_code()).await;
        assert!(page.status == 200 || page.status == 303, "{}", page.text());
    }

    /// Loads an account by checking its password.
    pub async fn authenticated(&self, username: &str) -> User {
        let (state, client) = (&self.state, a_client());
        let credentials = Credentials {
            typed: username,
            username,
            current_user: None,
            password: PASSWORD.into(),
            browser: device::Browser {
                client: &client,
                device: None,
            },
            limited_client: None,
            limits: &[],
        };
        let now = state.clock.now();
        let user = User::authenticate(&state.database, &state.passwords, credentials, now).await;
        user.unwrap().expect("refused")
    }

    /// Whether a login begins whose password was checked when the account was `checked`.
    pub async fn begins_login(&self, checked: &User) -> bool {
        let client = a_client();
        let login = ProvenLogin {
            user: &checked.id,
            auth_version: checked.auth_version,
            proof: LoginProof::Password,
            remember: false,
            browser: device::Browser {
                client: &client,
                device: None,
            },
        };
        let mut connection = self.pool.acquire().await.unwrap();
        let begun = login.complete(&mut connection, self.state.clock.now());
        begun.await.unwrap().is_some()
    }

    /// A browser with a pending login, which needs the code.
    pub async fn log_in_until_code(&self, username: &str) -> Browser {
        let browser = self.browser();
        let page = browser.log_in(username, PASSWORD).await;
        page.redirects_to("/verify_2fa");
        browser
    }

    pub async fn user(&self, username: &str) -> User {
        let user = User::find_by_username(&self.pool, username).await;
        user.unwrap().unwrap()
    }

    /// Creates a new set of recovery codes directly in the database.
    pub async fn recovery_codes(&self, username: &str) -> Vec<String> {
        let (id, now) = (self.user(username).await.id, self.state.clock.now());
        let mut connection = self.pool.acquire().await.unwrap();
        let set = RecoveryCode::create_set(&mut connection, &id, now).await;
        let grouped = |code: &RecoveryCode| code.grouped().expose_secret().to_owned();
        set.unwrap().iter().map(grouped).collect()
    }

    pub async fn recovery_codes_left(&self, username: &str) -> i64 {
        let id = self.user(username).await.id;
        let mut connection = self.pool.acquire().await.unwrap();
        RecoveryCode::count_unused(&mut connection, &id)
            .await
            .unwrap()
    }

    /// Creates a password reset link, and returns its path.
    pub async fn reset_link(&self, username: &str) -> String {
        let token = self.mailed(username, &LinkPurpose::ResetPassword).await;
        format!("/reset_password/{token}")
    }

    pub async fn phone_of(&self, username: &str) -> Option<String> {
        self.user(username).await.phone
    }

    /// Replaces the number of an account's phone directly in the database.
    pub async fn set_phone(&self, username: &str, phone: &str) {
        let user = self.user(username).await.id;
        sqlx::query("UPDATE factors SET phone = $1 WHERE user_id = $2 AND removed_at IS NULL")
            .bind(phone)
            .bind(user.as_str())
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Creates a "this wasn't me" link about an event that happens now, and returns its path.
    pub async fn not_me(&self, username: &str, event: NoticeKind) -> String {
        let purpose = LinkPurpose::NotMe { event };
        let token = self.mailed(username, &purpose).await;
        format!("/not_me/{token}")
    }

    /// Creates the link of a notice, and returns its path.
    pub async fn not_me_of(&self, username: &str, notice: &Notice) -> String {
        let purpose = LinkPurpose::NotMe {
            event: notice.event,
        };
        let token = self.mailed_about(username, &purpose, notice.at).await;
        format!("/not_me/{token}")
    }

    /// Creates the token of an emailed link.
    pub async fn mailed(&self, username: &str, purpose: &LinkPurpose) -> String {
        self.mailed_about(username, purpose, self.state.clock.now())
            .await
    }

    /// Creates the token of an emailed link about an event at a time.
    pub async fn mailed_about(&self, username: &str, purpose: &LinkPurpose, at: i64) -> String {
        let (user, now) = (self.user(username).await.id, self.state.clock.now());
        let token = MailToken::issue(&self.pool, &user, purpose, at, now).await;
        token.unwrap().expose().to_owned()
    }
}
