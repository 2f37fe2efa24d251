//! The end of the trust in a device.

use twostep::models::device;
use twostep::models::login::{LoginProof, ProvenLogin};
use twostep::models::outbox::NoticeKind;
use twostep::models::token::Token;

use super::{COOKIE, assert_needs_code, log_in_with_code, log_out, trusted};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, TestApp, a_client};

/// An action in another logged-in browser that ends the trust in a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    PasswordChange,
    PasswordReset,
    NumberChange,
    SecondFactor,
    Disabling,
    NotMe,
    OperatorLock,
    OperatorLogout,
    RevokeOthers,
}

async fn end(app: &TestApp, other: &Browser, end: End) {
    const NEW: &str = "nine purple clouds over Turin";
    match end {
        End::PasswordChange => {
            let fields = [
                ("current_password", PASSWORD),
                ("password", NEW),
                ("confirm_password", NEW),
            ];
            let page = other.post("/change_password", &fields).await;
            page.redirects_to("/user/alice");
        }
        End::PasswordReset => {
            let guest = app.browser();
            guest.get(&app.reset_link("alice").await).await;
            let fields = [("password", NEW), ("confirm_password", NEW)];
            let page = guest.post("/reset_password", &fields).await;
            page.redirects_to("/login");
        }
        End::NumberChange => app.enable(other, OTHER_PHONE).await,
        End::SecondFactor => {
            app.execute(
                "INSERT INTO factors (id, user_id, kind, name, secret, last_step, created_at) \
                 SELECT 'app', id, 'authenticator', '', '', 0, 0 FROM users",
            )
            .await;
            let page = other.post("/factors/app/remove", &[]).await;
            page.redirects_to("/security");
        }
        End::Disabling => {
            other.post("/disable_2fa", &[]).await;
            app.advance(31);
            app.enable(other, PHONE).await;
        }
        End::NotMe => {
            let guest = app.browser();
            let link = app.not_me("alice", NoticeKind::NewDevice).await;
            guest.get(&link).await.redirects_to("/not_me");
            let link = guest.get("/not_me").await.value_of("link").unwrap();
            assert_eq!(guest.post("/not_me", &[("link", &link)]).await.status, 200);
        }
        End::OperatorLock => {
            for command in ["lock", "unlock"] {
                crate::operator::run(app, &["user", command, "alice"])
                    .await
                    .output();
            }
        }
        End::OperatorLogout => {
            crate::operator::run(app, &["user", "end-sessions", "alice"])
                .await
                .output();
        }
        End::RevokeOthers => {
            let page = other.post("/sessions/revoke_others", &[]).await;
            page.redirects_to("/security");
            let page = other.get("/security").await;
            assert!(page.says("All other devices are logged out."));
        }
    }
}

/// ASVS 7.4.3
#[tokio::test]
async fn trust_ends_with_each_change_of_the_accounts_protection() {
    for (how, password) in [
        (End::PasswordChange, "nine purple clouds over Turin"),
        (End::PasswordReset, "nine purple clouds over Turin"),
        (End::NumberChange, PASSWORD),
        (End::SecondFactor, PASSWORD),
        (End::Disabling, PASSWORD),
        (End::NotMe, "nine purple clouds over Turin"),
        (End::OperatorLock, PASSWORD),
        (End::OperatorLogout, PASSWORD),
        (End::RevokeOthers, PASSWORD),
    ] {
        let app = TestApp::start().await;
        let browser = trusted(&app, "alice", PHONE).await;
        let other = app.browser();
        log_in_with_code(&app, &other, "alice", "0").await;
        browser.complete_login("alice").await;
        log_out(&browser).await;
        end(&app, &other, how).await;
        if how == End::NotMe {
            // The way back in is a new password.
            end(&app, &other, End::PasswordReset).await;
        }
        app.advance(31);
        let page = browser.log_in("alice", password).await;
        assert_eq!(page.location(), Some("/verify_2fa"), "{how:?}");
    }
}

#[tokio::test]
async fn trust_survives_what_does_not_concern_it() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    let other = app.browser();
    log_in_with_code(&app, &other, "alice", "0").await;
    other.post("/recovery_codes", &[]).await;
    let fields = [("username", "alicia"), ("about_me", "x")];
    other.post("/edit_profile", &fields).await;
    log_out(&other).await;
    app.browser().log_in("alicia", "a wrong one").await;
    browser.complete_login("alicia").await;
}

#[tokio::test]
async fn ending_other_sessions_keeps_the_trust_in_this_device() {
    let app = TestApp::start().await;
    let other = trusted(&app, "alice", PHONE).await;
    let browser = app.browser();
    log_in_with_code(&app, &browser, "alice", "1").await;
    // No other session, but another device that needs no code.
    app.execute(
        "DELETE FROM sessions WHERE device_id NOT IN (SELECT id FROM devices WHERE \
         last_seen_at = (SELECT MAX(last_seen_at) FROM devices))",
    )
    .await;
    let form = "form[action='/sessions/revoke_others']";
    assert_eq!(browser.get("/security").await.all(form).len(), 1);
    let page = browser.post("/sessions/revoke_others", &[]).await;
    page.redirects_to("/security");
    let page = browser.get("/security").await;
    assert!(page.says("All other devices are logged out."));
    assert!(page.all(form).is_empty());
    browser.post("/sessions/revoke_others", &[]).await;
    let page = browser.get("/security").await;
    assert!(page.says("No other device was logged in."));
    log_out(&browser).await;
    browser.complete_login("alice").await;
    app.advance(31);
    assert_needs_code(&other, "alice").await;
}

/// The trust ends after the password was checked and before the login is complete.
#[tokio::test]
async fn a_login_by_trust_that_has_just_ended_does_not_complete() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    let (user, client) = (app.user("alice").await, a_client());
    let token = Token::received(&browser.cookie(COOKIE).unwrap());
    let complete = async |proof| {
        let login = ProvenLogin {
            user: &user.id,
            auth_version: user.auth_version,
            proof,
            remember: false,
            browser: device::Browser {
                client: &client,
                device: Some(&token),
            },
        };
        let mut connection = app.pool.acquire().await.unwrap();
        let begun = login.complete(&mut connection, app.state.clock.now()).await;
        begun.unwrap().is_some()
    };
    assert!(complete(LoginProof::TrustedDevice).await);
    app.execute("UPDATE devices SET trusted_until = NULL").await;
    assert!(!complete(LoginProof::TrustedDevice).await);
    assert!(
        complete(LoginProof::Password).await,
        "the test would see it"
    );
}
