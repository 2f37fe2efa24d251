//! The link's effect on the phone number, used by an intruder who reads alice's email but has
//! none of her phones. It never weakens two-factor authentication.

use twostep::models::outbox::NoticeKind;

use super::{DAY, assert_done, press, press_again};
use crate::support::{Browser, OTHER_PHONE, PHONE, THIRD_PHONE, TestApp};

/// The intruder's number.
const INTRUDERS: &str = OTHER_PHONE;

/// Alice, recently authenticated, with a number that is two days old.
async fn alice_with(phone: &str) -> (TestApp, Browser) {
    let app = TestApp::keeping_mail().await;
    let alice = app.with_two_factor("alice", phone).await;
    establish(&app).await;
    (app, alice)
}

async fn establish(app: &TestApp) {
    app.advance(2 * DAY);
    app.empty_outbox().await;
    refresh(app).await;
}

/// Moves the sessions to the present, so that no code to the old number is needed.
async fn refresh(app: &TestApp) {
    app.execute(
        "UPDATE sessions SET authenticated_at = authenticated_at + 172800, \
         expires_at = expires_at + 172800, idle_expires_at = idle_expires_at + 172800",
    )
    .await;
}

/// Changes the number and returns the notice's link.
async fn change(app: &TestApp, browser: &Browser, phone: &str) -> String {
    app.advance(31);
    app.empty_outbox().await;
    app.enable(browser, phone).await;
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(phone));
    link_of_notice(app).await
}

async fn disable(app: &TestApp, browser: &Browser) -> String {
    app.empty_outbox().await;
    browser.post("/disable_2fa", &[]).await;
    assert_eq!(app.phone_of("alice").await, None);
    link_of_notice(app).await
}

async fn link_of_notice(app: &TestApp) -> String {
    let notice = app.notices("alice").await.remove(0);
    app.not_me_of("alice", &notice).await
}

/// Uses a link and returns the number after it.
async fn after(app: &TestApp, link: &str) -> Option<String> {
    assert_done(&press(&app.browser(), link).await);
    app.phone_of("alice").await
}

/// One of alice's changes, or of an intruder's.
#[derive(Clone, Copy, Debug)]
enum Change {
    Number(&'static str),
    Disable,
}

/// Makes the changes and returns their links.
async fn make(app: &TestApp, browser: &Browser, changes: &[Change]) -> Vec<String> {
    let mut links = Vec::new();
    for made in changes {
        app.advance(60);
        links.push(match made {
            Change::Number(phone) => change(app, browser, phone).await,
            Change::Disable => disable(app, browser).await,
        });
    }
    links
}

#[tokio::test]
async fn a_link_restores_the_owners_number_and_never_an_intruders() {
    use Change::{Disable, Number};
    for (established, changes, used, expected) in [
        // The number was turned off, changed, or changed twice.
        (Some(PHONE), &[Disable][..], &[0][..], PHONE),
        (Some(PHONE), &[Number(INTRUDERS)], &[0], PHONE),
        (
            Some(PHONE),
            &[Number(INTRUDERS), Number(THIRD_PHONE)],
            &[0],
            PHONE,
        ),
        (
            Some(PHONE),
            &[Number(INTRUDERS), Number(THIRD_PHONE)],
            &[1],
            PHONE,
        ),
        // Turning it on again is undone by the link of turning it off.
        (Some(PHONE), &[Disable, Number(INTRUDERS)], &[1, 0], PHONE),
        // Alice has replaced the intruder's number herself.
        (
            Some(PHONE),
            &[Number(INTRUDERS), Number(PHONE)],
            &[1],
            PHONE,
        ),
        (
            Some(PHONE),
            &[Number(INTRUDERS), Disable, Number(PHONE)],
            &[1],
            PHONE,
        ),
        // A new number comes back rather than none, or in place of a newer one.
        (None, &[Number(PHONE), Disable], &[1], PHONE),
        (None, &[Number(PHONE), Number(INTRUDERS)], &[1], PHONE),
    ] {
        let case = format!("{established:?} {changes:?} {used:?}");
        let app = TestApp::keeping_mail().await;
        let alice = app.register_and_log_in("alice").await;
        if let Some(phone) = established {
            app.enable(&alice, phone).await;
            establish(&app).await;
        }
        let links = make(&app, &alice, changes).await;
        let mut phone = None;
        for index in used {
            phone = after(&app, &links[*index]).await;
        }
        assert_eq!(phone.as_deref(), Some(expected), "{case}");
        // The other links change nothing afterwards.
        for link in &links {
            press(&app.browser(), link).await;
        }
        let phone = app.phone_of("alice").await;
        assert_eq!(phone.as_deref(), Some(expected), "{case}");
    }
}

#[tokio::test]
async fn the_pages_name_the_number_that_is_restored() {
    let (app, alice) = alice_with(PHONE).await;
    let link = disable(&app, &alice).await;
    let browser = app.browser();
    browser.get(&link).await;
    let pages = [browser.get("/not_me").await, press_again(&browser).await];
    for page in pages {
        let sentence = "Codes go to •••• 267 again.";
        assert!(page.text().contains(sentence), "{}", page.text());
    }
}

/// The intruder's number came in place of none, and went before alice set hers.
#[tokio::test]
async fn a_number_of_an_intruder_that_alice_removed_is_not_restored() {
    let app = TestApp::keeping_mail().await;
    let alice = app.register_and_log_in("alice").await;
    app.enable(&alice, INTRUDERS).await;
    let changes = [
        Change::Number(THIRD_PHONE),
        Change::Disable,
        Change::Number(PHONE),
    ];
    let links = make(&app, &alice, &changes).await;
    for link in &links[..2] {
        press(&app.browser(), link).await;
        assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    }
}

/// ASVS 6.4.4
#[tokio::test]
async fn a_link_alone_cannot_turn_two_factor_authentication_off() {
    let (app, alice) = (TestApp::keeping_mail().await, "alice");
    let browser = app.register_and_log_in(alice).await;
    app.enable(&browser, PHONE).await;
    let link = link_of_notice(&app).await;
    let reader = app.browser();
    reader.get(&link).await;
    let page = reader.get("/not_me").await;
    assert!(page.text().contains("contact support"));
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn no_other_notice_changes_the_number() {
    let (app, alice) = alice_with(PHONE).await;
    change(&app, &alice, THIRD_PHONE).await;
    for event in [
        NoticeKind::PasswordChanged,
        NoticeKind::PasswordReset,
        NoticeKind::LoginAfterFailures,
        NoticeKind::UnfinishedLogin,
        NoticeKind::TwoFactorEnabled,
        NoticeKind::RecoveryCodeUsed,
        NoticeKind::RecoveryCodesRenewed,
        NoticeKind::TwoFactorResetByOperator,
    ] {
        let link = app.not_me("alice", event).await;
        let phone = after(&app, &link).await;
        assert_eq!(phone.as_deref(), Some(THIRD_PHONE), "{event:?}");
    }
}

#[tokio::test]
async fn a_harmless_link_does_not_use_up_the_one_that_restores_the_number() {
    let (app, alice) = alice_with(PHONE).await;
    let owners = change(&app, &alice, INTRUDERS).await;
    for event in [NoticeKind::LoginAfterFailures, NoticeKind::TwoFactorEnabled] {
        let harmless = app.not_me("alice", event).await;
        assert_eq!(after(&app, &harmless).await.as_deref(), Some(INTRUDERS));
    }
    assert_eq!(after(&app, &owners).await.as_deref(), Some(PHONE));
}

/// Only an established number is restored in place of one that was set later.
#[tokio::test]
async fn a_number_is_established_after_two_days_and_not_before() {
    for (age, back) in [(2 * DAY - 1, THIRD_PHONE), (2 * DAY, INTRUDERS)] {
        let app = TestApp::keeping_mail().await;
        let alice = app.register_and_log_in("alice").await;
        app.enable(&alice, INTRUDERS).await;
        app.advance(age - 31);
        refresh(&app).await;
        let link = change(&app, &alice, PHONE).await;
        change(&app, &alice, THIRD_PHONE).await;
        assert_eq!(after(&app, &link).await.as_deref(), Some(back), "{age}");
    }
}

#[tokio::test]
async fn a_restored_number_can_be_restored_again() {
    let (app, alice) = alice_with(PHONE).await;
    let link = change(&app, &alice, INTRUDERS).await;
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));
    assert!(!alice.is_logged_in().await);
    // Alice sets a password and logs in, and it happens again.
    app.register("ron").await;
    app.execute(
        "UPDATE users SET password_hash = (SELECT password_hash FROM users \
         WHERE username_key = 'ron') WHERE username_key = 'alice'",
    )
    .await;
    app.advance(31);
    let alice = app.log_in_until_code("alice").await;
    alice.verify(&app.last_code()).await.redirects_to("/home");
    let link = change(&app, &alice, INTRUDERS).await;
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));
}

/// Every order of the links in a mailbox.
#[tokio::test]
async fn no_order_of_links_ends_without_a_number_of_alice() {
    for order in 0..6 {
        let (app, alice) = alice_with(PHONE).await;
        let mut links = vec![disable(&app, &alice).await];
        app.advance(60);
        links.push(change(&app, &alice, THIRD_PHONE).await);
        links.push(app.not_me("alice", NoticeKind::UnfinishedLogin).await);
        links.rotate_left(order % 3);
        if order >= 3 {
            links.swap(0, 1);
        }
        for link in links {
            let browser = app.browser();
            press(&browser, &link).await;
            let phone = app.phone_of("alice").await.unwrap();
            assert!([PHONE, THIRD_PHONE].contains(&phone.as_str()), "{phone}");
        }
    }
}

#[tokio::test]
async fn with_two_links_in_two_tabs_a_button_never_uses_the_other_link() {
    let (app, alice) = alice_with(PHONE).await;
    let off = disable(&app, &alice).await;
    let other = app.not_me("alice", NoticeKind::PasswordChanged).await;
    let owner = app.browser();
    owner.get(&off).await.redirects_to("/not_me");
    let first_tab = owner.get("/not_me").await.value_of("link").unwrap();
    owner.get(&other).await.redirects_to("/not_me");
    let page = owner.post("/not_me", &[("link", &first_tab)]).await;
    page.redirects_to("/not_me");
    assert!(alice.is_logged_in().await, "nothing was done");
    assert_eq!(after(&app, &off).await.as_deref(), Some(PHONE));
}
