//! Recovery codes: how they are created, shown once, and deleted.

mod attacks;
mod entering;
mod format;
mod limits;
mod shown_once;

use std::collections::BTreeSet;

use reqwest::Method;
use twostep::models::factor::RecoveryCode;
use twostep::models::outbox::NoticeKind;

use crate::notices::only_notice;
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp};

/// A code of no account.
pub const WRONG: &str = "0000-0000-0000-0000-0000-0000";

const INVALID: &str = "Invalid recovery code";
const LEFT: &str = "SELECT COUNT(*) FROM recovery_codes WHERE used_at IS NULL";

/// Returns the codes that a page shows.
pub fn codes_on(page: &Page) -> Vec<String> {
    page.all("ol.recovery-codes > li > code")
}

/// Asserts that a code was refused, with the error at its field.
#[track_caller]
pub fn assert_invalid(page: &Page) {
    assert_eq!(page.status, 422, "{}", page.text());
    assert_eq!(page.error_at("recovery_code").as_deref(), Some(INVALID));
    assert_eq!(page.value_of("recovery_code"), None, "never shown again");
}

/// Creates alice with two-factor authentication. Returns her browser and recovery codes.
pub async fn alice_of(app: &TestApp) -> (Browser, Vec<String>) {
    let alice = app.register_and_log_in("alice").await;
    alice.enable(PHONE).await.redirects_to("/verify_2fa");
    let page = alice.verify(&app.last_code()).await;
    (alice, codes_on(&page))
}

#[track_caller]
fn assert_set(codes: &[String]) {
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
    assert!(codes.iter().all(|it| RecoveryCode::parse(it).is_some()));
}

/// ASVS 6.5.4
#[tokio::test]
async fn enabling_shows_ten_codes_with_the_username() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    alice.enable(PHONE).await.redirects_to("/verify_2fa");
    assert_eq!(app.count(LEFT).await, 0, "none before it is on");
    let page = alice.verify(&app.last_code()).await;
    assert_eq!(page.status, 200);
    assert!(page.says("You have enabled two-factor authentication"));
    assert_set(&codes_on(&page));
    assert!(page.text().contains("Recovery codes for alice"));
    assert!(page.text().contains("show these codes again"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(app.count(LEFT).await, 10);
    assert!(
        !alice.get("/home").await.body.contains("recovery code"),
        "ten are enough"
    );
}

/// ASVS 2.3.3
#[tokio::test]
async fn the_phone_and_the_codes_are_stored_in_one_transaction() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    alice.enable(PHONE).await.redirects_to("/verify_2fa");
    let nine_are_made = "(SELECT COUNT(*) FROM recovery_codes) = 9";
    app.break_when("broken", "BEFORE INSERT ON recovery_codes", nine_are_made)
        .await;
    assert_eq!(alice.verify(&app.last_code()).await.status, 500);
    assert_eq!(app.phone_of("alice").await, None);
    assert_eq!(app.count(LEFT).await, 0);
}

#[tokio::test]
async fn a_change_of_number_keeps_the_codes_and_shows_none() {
    let app = TestApp::start().await;
    let (alice, codes) = alice_of(&app).await;
    alice.enable(OTHER_PHONE).await.redirects_to("/verify_2fa");
    let page = alice.verify(&app.last_code()).await;
    page.redirects_to("/user/alice");
    assert!(codes_on(&alice.follow(&page).await).is_empty());
    app.advance(31);
    let pending = app.log_in_until_code("alice").await;
    pending.recover(&codes[3]).await.redirects_to("/home");
}

/// ASVS 6.5.6
#[tokio::test]
async fn disabling_deletes_the_codes_and_enabling_again_creates_others() {
    let app = TestApp::start().await;
    let (alice, old) = alice_of(&app).await;
    alice.post("/disable_2fa", &[]).await;
    assert_eq!(app.count("SELECT COUNT(*) FROM recovery_codes").await, 0);
    app.advance(31);
    alice.enable(PHONE).await.redirects_to("/verify_2fa");
    let new = codes_on(&alice.verify(&app.last_code()).await);
    assert_set(&new);
    app.advance(31);
    let pending = app.log_in_until_code("alice").await;
    assert_invalid(&pending.recover(&old[0]).await);
    pending.recover(&new[0]).await.redirects_to("/home");
}

/// ASVS 6.5.6, 14.2.6
#[tokio::test]
async fn a_new_set_is_shown_once_and_replaces_the_old_one() {
    let app = TestApp::keeping_mail().await;
    let (alice, old) = alice_of(&app).await;
    let other = app.log_in_until_code("alice").await;
    other.recover(&old[9]).await.redirects_to("/home");
    app.empty_outbox().await;

    let before = app.dump().await;
    let page = alice.get("/recovery_codes").await;
    assert!(page.says("9 recovery codes are left."), "{}", page.text());
    assert!(codes_on(&page).is_empty());
    alice.head("/recovery_codes").await;
    assert_eq!(app.dump().await, before, "a GET creates nothing");

    let page = alice.post("/recovery_codes", &[]).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.set_cookie(), None);
    let new = codes_on(&page);
    assert_set(&new);
    assert!(old.iter().all(|code| !new.contains(code)));
    assert!(other.is_logged_in().await, "the other sessions stay");

    let notice = only_notice(&app, "alice").await;
    assert_eq!(notice.event, NoticeKind::RecoveryCodesRenewed);
    assert_eq!(notice.address.as_deref(), Some("127.0.0.1"));
    let recorded = "SELECT COUNT(*) FROM activity WHERE event = 'recovery_codes_renewed' \
                    AND address = '127.0.0.1'";
    assert_eq!(app.count(recorded).await, 1);

    for path in ["/recovery_codes", "/home", "/user/alice", "/verify_2fa"] {
        let page = alice.get(path).await;
        assert!(codes_on(&page).is_empty(), "{path}");
        for code in &new {
            assert!(!page.body.contains(code), "{path}");
        }
    }
    let page = alice.get("/recovery_codes").await;
    assert!(page.says("10 recovery codes are left."));

    app.advance(31);
    let pending = app.log_in_until_code("alice").await;
    assert_invalid(&pending.recover(&old[0]).await);
    pending.recover(&new[9]).await.redirects_to("/home");
}

/// ASVS 6.3.7
#[tokio::test]
async fn a_new_set_that_cannot_be_emailed_is_not_created() {
    let app = TestApp::keeping_mail().await;
    let (alice, old) = alice_of(&app).await;
    app.execute("ALTER TABLE outbox RENAME TO lost").await;
    let page = alice.post("/recovery_codes", &[]).await;
    assert_eq!(page.status, 500);
    assert!(codes_on(&page).is_empty());
    app.execute("ALTER TABLE lost RENAME TO outbox").await;
    let pending = app.log_in_until_code("alice").await;
    pending.recover(&old[0]).await.redirects_to("/home");
}

#[tokio::test]
async fn without_two_factor_authentication_there_are_no_recovery_codes() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    assert!(!harry.get("/home").await.text().contains("ecovery code"));
    for method in [Method::GET, Method::POST] {
        let page = match method {
            Method::GET => harry.get("/recovery_codes").await,
            _ => harry.post("/recovery_codes", &[]).await,
        };
        page.redirects_to("/user/harry");
        let profile = harry.follow(&page).await;
        assert!(profile.says("Turn on two-factor authentication to get recovery codes."));
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM recovery_codes").await, 0);
}

/// ASVS 7.5.3
#[tokio::test]
async fn a_session_that_is_not_recently_authenticated_creates_no_codes() {
    let app = TestApp::start().await;
    let (alice, _) = alice_of(&app).await;
    app.advance(600);
    let before = app.dump().await;
    for page in [
        alice.get("/recovery_codes").await,
        alice.post("/recovery_codes", &[]).await,
    ] {
        page.redirects_to("/reauth?next=%2Frecovery_codes");
    }
    assert_eq!(app.dump().await, before);
}

#[tokio::test]
async fn home_warns_of_three_or_fewer_codes_and_not_of_four() {
    let app = TestApp::start().await;
    let (alice, codes) = alice_of(&app).await;
    for (used, code) in codes.iter().enumerate() {
        let home = alice.get("/home").await;
        let links = home.attributes("main a", "href");
        let warns = links.contains(&"/recovery_codes".to_owned());
        assert_eq!(warns, used >= 7, "{used}");
        if used == 7 {
            assert!(home.text().contains("3 recovery codes are left."));
        }
        let browser = app.log_in_until_code("alice").await;
        let page = browser.recover(code).await;
        page.redirects_to("/home");
        let home = browser.follow(&page).await;
        let left = match 9 - used {
            0 => "No recovery codes are left. Make a new set soon.".to_owned(),
            1 => "One recovery code is left. Make a new set soon.".to_owned(),
            left @ 2..4 => format!("{left} recovery codes are left. Make a new set soon."),
            left => format!("{left} recovery codes are left."),
        };
        let sentence = format!("You used a recovery code. It no longer works. {left}");
        assert_eq!(home.alerts(), [sentence]);
        assert!(browser.get("/home").await.alerts().is_empty(), "shown once");
    }
    let home = alice.get("/home").await;
    assert!(home.text().contains("No recovery codes are left."));
    let page = alice.get("/recovery_codes").await;
    assert!(page.says("No recovery codes are left."));
    let pending = app.log_in_until_code("alice").await;
    assert_invalid(&pending.recover(&codes[0]).await);
}

/// ASVS 6.5.2
#[tokio::test]
async fn the_database_contains_only_hashes() {
    let app = TestApp::start().await;
    let (alice, mut codes) = alice_of(&app).await;
    codes.extend(codes_on(&alice.post("/recovery_codes", &[]).await));
    let pending = app.log_in_until_code("alice").await;
    pending.recover(&codes[12]).await.redirects_to("/home");
    pending.post("/reauth", &[("password", PASSWORD)]).await;
    pending.recover(&codes[0]).await;
    let bytes = app.database_bytes().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(holds("alice@example.com"), "it is the database");
    for code in &codes {
        let bare = code.replace('-', "");
        assert!(!holds(code) && !holds(&bare) && !holds(&bare.to_lowercase()));
    }
    let hashes = "SELECT COUNT(*) FROM recovery_codes WHERE length(code_hash) = 64";
    assert_eq!(app.count(hashes).await, 10);
}
