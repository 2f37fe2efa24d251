//! Trust: a login with a code may spare later ones the code.

use twostep::models::device;
use twostep::models::login::{LoginProof, ProvenLogin};
use twostep::models::outbox::NoticeKind;
use twostep::models::token::Token;

use super::{
    COOKIE, DAY, TRUSTED, assert_needs_code, log_in_with_code, log_out, trusted, with_device_of,
};
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, TestApp, a_client};

const DAYS: &str = "TRUST_DEVICE_DAYS";

#[tokio::test]
async fn a_trusted_device_needs_only_the_password_until_the_second_the_trust_ends() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let browser = app.browser();
    log_in_with_code(&app, &browser, "alice", "1").await;
    let sent = app.messages_sent();
    let challenges = app.count("SELECT COUNT(*) FROM challenges").await;
    // The third login shows that the second one does not lengthen the trust.
    for pause in [0, 29 * DAY, DAY - 1] {
        log_out(&browser).await;
        app.advance(pause);
        browser.complete_login("alice").await;
        assert!(browser.is_logged_in().await);
    }
    assert_eq!(app.messages_sent(), sent, "no SMS");
    assert_eq!(
        app.count("SELECT COUNT(*) FROM challenges").await,
        challenges
    );
    log_out(&browser).await;
    app.advance(1);
    assert_needs_code(&browser, "alice").await;
    assert_eq!(app.messages_sent(), sent + 1);
}

#[tokio::test]
async fn the_setting_is_the_number_of_days() {
    for (days, seconds) in [("1", DAY), ("400", 400 * DAY)] {
        let app = TestApp::with(&[(DAYS, days)]).await;
        let browser = trusted(&app, "alice", PHONE).await;
        app.advance(seconds - 1);
        browser.complete_login("alice").await;
        log_out(&browser).await;
        app.advance(1);
        assert_needs_code(&browser, "alice").await;
    }
}

#[tokio::test]
async fn the_field_is_on_for_any_value_but_those_that_mean_no() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    for (value, is_on) in [
        ("", false),
        ("0", false),
        ("False", false),
        ("n", false),
        (" OFF ", false),
        ("1", true),
        ("on", true),
        ("no", true),
    ] {
        let browser = app.browser();
        log_in_with_code(&app, &browser, "alice", value).await;
        log_out(&browser).await;
        app.advance(31);
        let place = if is_on { "/home" } else { "/verify_2fa" };
        browser.log_in("alice", PASSWORD).await.redirects_to(place);
        app.advance(3_600);
    }
}

#[tokio::test]
async fn only_a_login_offers_trust() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let offers = async |browser: &Browser| {
        let page = browser.get("/verify_2fa").await;
        assert_eq!(page.status, 200);
        page.all("label[for=trust_device]")
    };
    alice.enable(PHONE).await.redirects_to("/verify_2fa");
    assert!(offers(&alice).await.is_empty(), "while adding a phone");
    let fields = |code| [("token", code), ("trust_device", "1")];
    let code = app.last_code();
    alice.post("/verify_2fa", &fields(&code)).await;
    app.advance(31);
    alice.reauth(PASSWORD).await.redirects_to("/verify_2fa");
    assert!(offers(&alice).await.is_empty(), "while reauthenticating");
    let code = app.last_code();
    let page = alice.post("/verify_2fa", &fields(&code)).await;
    page.redirects_to("/home");
    assert_eq!(app.count(TRUSTED).await, 0);

    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    assert_eq!(offers(&browser).await, ["Trust this device for 30 days"]);
    assert!(
        app.browser()
            .get("/login")
            .await
            .all("#trust_device")
            .is_empty()
    );
}

#[tokio::test]
async fn a_wrong_code_grants_no_trust_and_keeps_the_box_checked() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    for (value, checked) in [("1", 1), ("0", 0)] {
        let fields = [("token", "000000"), ("trust_device", value)];
        let page = browser.post("/verify_2fa", &fields).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.all("#trust_device[checked]").len(), checked);
    }
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/home");
    assert_eq!(app.count(TRUSTED).await, 0, "the last form counts");
}

#[tokio::test]
async fn a_recovery_code_never_grants_trust() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let codes = app.recovery_codes("alice").await;
    app.advance(31);
    let browser = app.log_in_until_code("alice").await;
    let fields = [("recovery_code", &*codes[0]), ("trust_device", "1")];
    let page = browser.post("/verify_2fa/recovery", &fields).await;
    page.redirects_to("/home");
    log_out(&browser).await;
    app.advance(31);
    assert_needs_code(&browser, "alice").await;
}

#[tokio::test]
async fn without_days_there_is_no_trust() {
    let app = TestApp::start().await;
    let before = trusted(&app, "alice", PHONE).await;
    let cookie = before.cookie(COOKIE).unwrap();
    let now = app.state.clock.now() + 31;
    let app = app.restarted_at(now, &[(DAYS, "0")]).await;
    let browser = app.browser();
    browser.set_cookie(COOKIE, &cookie);
    assert_needs_code(&browser, "alice").await;
    assert!(
        browser
            .get("/verify_2fa")
            .await
            .all("#trust_device")
            .is_empty()
    );
    let fields = [("token", &*app.last_code()), ("trust_device", "1")];
    let page = browser.post("/verify_2fa", &fields).await;
    page.redirects_to("/home");
    let page = browser.get("/security").await;
    assert!(!page.text().contains("trusted until"), "{}", page.text());
    assert!(page.all("form[action$='/forget']").is_empty());
    log_out(&browser).await;
    app.advance(31);
    assert_needs_code(&browser, "alice").await;
}

/// ASVS 7.5.1
#[tokio::test]
async fn a_login_by_trust_is_not_recently_authenticated() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    app.advance(31);
    browser.complete_login("alice").await;
    for path in ["/home", "/user/alice", "/edit_profile", "/security"] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    for path in [
        "/change_password",
        "/enable_2fa",
        "/disable_2fa",
        "/recovery_codes",
    ] {
        let page = browser.get(path).await;
        let next = path.replace('/', "%2F");
        page.redirects_to(&format!("/reauth?next={next}"));
    }
    // The trust does not replace the code there.
    let fields = [("password", PASSWORD), ("next", "/change_password")];
    browser
        .post("/reauth", &fields)
        .await
        .redirects_to("/verify_2fa");
    assert_ne!(browser.get("/change_password").await.status, 200);
    let page = browser.verify(&app.last_code()).await;
    page.redirects_to("/change_password");
    assert_eq!(browser.get("/change_password").await.status, 200);
    app.advance(600);
    assert_ne!(browser.get("/change_password").await.status, 200);
}

#[tokio::test]
async fn a_login_by_trust_is_recorded() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    browser.complete_login("alice").await;
    let page = browser.get("/security").await;
    let events = page.all("[aria-labelledby=activity] .entry-title");
    assert_eq!(
        events[..4],
        [
            "Logged in with the password on a trusted device",
            "Logged out",
            "A device was trusted",
            "Logged in with the password and a code",
        ]
    );
}

/// What ends the trust in a device, done in another browser that is logged in.
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

#[tokio::test]
async fn each_account_of_a_browser_trusts_it_separately() {
    let app = TestApp::start().await;
    let browser = trusted(&app, "alice", PHONE).await;
    app.with_two_factor("bella", OTHER_PHONE).await;
    log_in_with_code(&app, &browser, "bella", "0").await;
    log_out(&browser).await;
    browser.complete_login("alice").await;
    log_out(&browser).await;
    app.advance(31);
    assert_needs_code(&browser, "bella").await;
    // In a copy of the browser the same holds.
    with_device_of(&app, &browser).complete_login("alice").await;
}
