//! A tour of every page, in every state that looks different.

use data_encoding::BASE32_NOPAD;
use secrecy::ExposeSecret;
use twostep::models::outbox::NoticeKind;
use twostep::services::totp::TotpSecret;

use crate::chrome::Chrome;
use crate::support::{PASSWORD, PHONE, TestApp};

/// A number of the demo phone that only accepts calls.
const LANDLINE: &str = "+12025550110";

fn wrong_code(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

/// Visits every page and calls `look` with its name.
pub async fn every_page(app: &TestApp, chrome: &Chrome, look: impl AsyncFnMut(&str)) {
    let mut tour = Tour { app, chrome, look };
    tour.guest().await;
    tour.forgotten_password().await;
    tour.user().await;
    tour.two_factor().await;
    tour.authenticator().await;
    tour.log_in_with_code().await;
    tour.log_in_without_code().await;
    tour.not_me().await;
    tour.demo().await;
}

struct Tour<'a, L> {
    app: &'a TestApp,
    chrome: &'a Chrome,
    look: L,
}

impl<L: AsyncFnMut(&str)> Tour<'_, L> {
    /// Opens a page and waits for its text.
    async fn see(&mut self, name: &str, path: &str, words: &str) {
        self.chrome.goto(path).await;
        self.shows(name, words).await;
    }

    async fn shows(&mut self, name: &str, words: &str) {
        self.chrome.reads(words).await;
        (self.look)(name).await;
    }

    /// Opens a page, sends its form without the browser's validation, and waits for the text.
    async fn send(&mut self, name: &str, path: &str, fields: &[(&str, &str)], words: &str) {
        self.chrome.goto(path).await;
        self.chrome.one("main form").await;
        self.chrome
            .run::<()>("document.querySelector('main form').noValidate = true")
            .await;
        for (field, text) in fields {
            self.chrome.fill(field, text).await;
        }
        let button = self.chrome.one("main form button[type=submit]").await;
        button.click().await.unwrap();
        self.shows(name, words).await;
    }

    async fn guest(&mut self) {
        self.see("phone-empty", "/dev/phone", "No codes yet.").await;
        self.see("mailbox-empty", "/dev/mailbox", "No emails yet.")
            .await;
        self.see("login", "/login", "Forgot password?").await;
        self.see("login-asked", "/security", "Please log in to access")
            .await;
        let wrong = [("username", "nobody"), ("password", "x")];
        let words = "Invalid username or password";
        self.send("login-wrong", "/login", &wrong, words).await;
        for _ in 1..10 {
            self.app.browser().log_in("nobody", "x").await;
        }
        self.send("login-limited", "/login", &wrong, "Try again in")
            .await;
        self.see("register", "/register", "Create your account.")
            .await;
        let wrong = [("username", "-"), ("email", "x"), ("password", "x")];
        self.send("register-wrong", "/register", &wrong, "problems")
            .await;
        let right = [
            ("username", "harry"),
            ("email", "harry@example.com"),
            ("password", PASSWORD),
            ("confirm_password", PASSWORD),
        ];
        let words = "You have successfully registered.";
        self.send("registered", "/register", &right, words).await;
        self.see("logout-guest", "/logout", "You are not logged in.")
            .await;
        self.see("not-found", "/nowhere", "This page doesn't exist.")
            .await;
    }

    async fn forgotten_password(&mut self) {
        let page = "/reset_password_request";
        self.see("forgotten", page, "email you a link").await;
        self.send("forgotten-wrong", page, &[("email", "x")], "email")
            .await;
        let right = [("email", "harry@example.com")];
        self.send("forgotten-sent", page, &right, "Check your email")
            .await;
        self.see(
            "reset-expired",
            "/reset_password/x",
            "This link has expired.",
        )
        .await;
        let link = self.app.reset_link("harry").await;
        self.see("reset", &link, "Set a new password").await;
        let wrong = [("password", "x"), ("confirm_password", "y")];
        self.send("reset-wrong", "/reset_password", &wrong, "problems")
            .await;
        self.chrome.clear_cookies().await;
    }

    async fn user(&mut self) {
        self.app.register("alice").await;
        let harry = self.app.browser();
        harry.log_in("harry", "wrong").await;
        harry.log_in("harry", PASSWORD).await.redirects_to("/home");
        self.app.browser().log_in("harry", PASSWORD).await;
        self.chrome.take_session(&harry).await;
        self.see("home-off", "/home", "Turn on two-factor authentication")
            .await;
        self.see("edit", "/edit_profile", "At most 140 characters")
            .await;
        let long = "long ".repeat(30);
        let wrong = [("username", "-"), ("about_me", long.as_str())];
        self.send("edit-wrong", "/edit_profile", &wrong, "problems")
            .await;
        let right = [(
            "about_me",
            "I read https://example.com/a-rather-long-address-without-breaks, and fly. Often.",
        )];
        let words = "Your profile has been updated";
        self.send("edited", "/edit_profile", &right, words).await;
        self.see("profile-off", "/user/harry", "Edit Profile").await;
        self.see("profile-other", "/user/alice", "alice").await;
        self.see("security-off", "/security", "Log out all other devices")
            .await;
        let page = "/change_password";
        self.see("change-password", page, "You stay logged in here")
            .await;
        let short = [("current_password", "x"), ("password", "x")];
        let problem = "Use at least 8 characters";
        self.send("change-password-short", page, &short, problem)
            .await;
        let new = "nine purple clouds over Turin";
        let wrong = [
            ("current_password", "x"),
            ("password", new),
            ("confirm_password", new),
        ];
        self.send("change-password-wrong", page, &wrong, "Invalid password")
            .await;
        self.see("reauth", "/reauth", "Confirm it's you").await;
        let wrong = [("password", "x")];
        self.send("reauth-wrong", "/reauth", &wrong, "Invalid password")
            .await;
        self.see("logout", "/logout", "You are logged in as").await;
    }

    async fn two_factor(&mut self) {
        let page = "/enable_2fa";
        self.see("enable", page, "In international form").await;
        let phone = |number| [("verification_phone", number)];
        self.send("enable-wrong", page, &phone("1"), "Invalid phone number")
            .await;
        let blocked = phone("+12025550111");
        self.send("enable-blocked", page, &blocked, "We cannot")
            .await;
        let words = "We can't send codes right now.";
        self.send("enable-down", page, &phone("+12025550113"), words)
            .await;
        let words = "We are calling";
        self.send("verify-called", page, &phone(LANDLINE), words)
            .await;
        self.app.advance(60);
        self.send(
            "verify-enable",
            page,
            &phone(PHONE),
            "Enter the code to confirm that",
        )
        .await;
        let wrong = [("token", "12345")];
        self.send(
            "verify-wrong",
            "/verify_2fa",
            &wrong,
            "You have 4 tries left.",
        )
        .await;
        self.see("enable-correct", page, "In international form")
            .await;
        self.chrome.goto("/verify_2fa").await;
        self.chrome.fill("token", &self.app.last_code()).await;
        self.shows("enabled", "You have enabled two-factor").await;
        self.see("home-on", "/home", "Your account is protected")
            .await;
        self.see("profile-on", "/user/harry", "Change phone number")
            .await;
        self.see("security-on", "/security", "recovery codes are left")
            .await;
        let page = "/recovery_codes";
        self.see("recovery-codes", page, "10 recovery codes").await;
        self.send("recovery-codes-new", page, &[], "New recovery codes")
            .await;
        self.see("disable", "/disable_2fa", "We remove the phone")
            .await;
        self.see("change-phone", "/enable_2fa", "Change your phone number")
            .await;
        self.app.execute("DELETE FROM recovery_codes").await;
        self.see("home-few-codes", "/home", "No recovery codes")
            .await;
        self.see("recovery-codes-none", page, "No recovery codes")
            .await;
    }

    /// A second factor, and a login with a choice of factors.
    async fn authenticator(&mut self) {
        let page = "/authenticator";
        self.see("authenticator", page, "1. Scan the code").await;
        let wrong = [("token", "12345")];
        self.send("authenticator-wrong", page, &wrong, "Check that the clock")
            .await;
        let secret = self.chrome.one("[data-secret]").await;
        let secret = secret.attr("data-secret").await.unwrap().unwrap();
        let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
        let secret = TotpSecret::from_bytes(&secret).unwrap();
        let code = secret.code(self.app.state.clock.now());
        self.chrome.fill("token", code.expose_secret()).await;
        self.shows("security-factors", "You have added an authenticator app")
            .await;
        let half = self.app.log_in_until_code("harry").await;
        self.chrome.take_session(&half).await;
        self.see("verify-app", "/verify_2fa", "Use Phone").await;
        self.chrome.fill("token", "000000").await;
        self.shows("verify-app-wrong", "Check that the clock of your phone")
            .await;
        self.app
            .execute("DELETE FROM factors WHERE kind = 'authenticator'")
            .await;
    }

    async fn log_in_with_code(&mut self) {
        self.app.advance(60);
        let half = self.app.log_in_until_code("harry").await;
        self.chrome.take_session(&half).await;
        self.see("verify", "/verify_2fa", "You can ask for another in")
            .await;
        self.app.advance(60);
        self.see("verify-again", "/verify_2fa", "Send again").await;
        let page = "/verify_2fa/recovery";
        self.see("recover", page, "Log in without your phone").await;
        let wrong = [("recovery_code", "x")];
        self.send("recover-wrong", page, &wrong, "Invalid").await;
        let well_formed = "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA";
        for _ in 0..6 {
            half.recover(well_formed).await;
        }
        let wrong = [("recovery_code", well_formed)];
        self.send("recover-limited", page, &wrong, "Too many wrong")
            .await;
        let code = self.app.last_code();
        let wrong = wrong_code(&code);
        for _ in 1..5 {
            half.verify(wrong).await;
        }
        self.chrome.goto("/verify_2fa").await;
        self.chrome.fill("token", wrong).await;
        self.shows("verify-last", "That was your last try").await;
    }

    /// Twilio is unavailable during the login.
    async fn log_in_without_code(&mut self) {
        self.app.advance(3600);
        self.app.set_phone("harry", "+12025550113").await;
        let half = self.app.log_in_until_code("harry").await;
        self.chrome.take_session(&half).await;
        let words = "We can't send codes right now.";
        self.see("verify-unsent", "/verify_2fa", words).await;
        self.app.set_phone("harry", "+12025550111").await;
        let half = self.app.log_in_until_code("harry").await;
        self.chrome.take_session(&half).await;
        self.see("verify-blocked", "/verify_2fa", "Send it anyway")
            .await;
        self.app.set_phone("harry", "+254720227267").await;
    }

    async fn not_me(&mut self) {
        self.see("not-me-expired", "/not_me/x", "This link has expired.")
            .await;
        let event = NoticeKind::PhoneChanged;
        let link = self.app.not_me("harry", event).await;
        self.see("not-me", &link, "locks others out").await;
        let button = self.chrome.one("main form button").await;
        button.click().await.unwrap();
        self.shows("not-me-done", "Your account is locked").await;
    }

    async fn demo(&mut self) {
        self.see("phone", "/dev/phone", "SMS to").await;
        let mail = self.app.next_mail().await;
        self.see("mailbox", "/dev/mailbox", "To harry@example.com")
            .await;
        let mail = format!("/dev/mailbox/{}", mail.id);
        self.see("mail", &mail, "Open the HTML alone").await;
        let page = format!("{mail}/html");
        self.chrome.goto(&page).await;
        self.shows("mail-page", "Hello harry").await;
    }
}
