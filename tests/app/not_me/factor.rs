//! What becomes of the second step: it is only ever strengthened. Tried by who
//! reads alice's mail and holds none of her phones.

use twostep::models::outbox::NoticeKind;

use super::{DAY, is_done, is_expired, press, press_again};
use crate::support::{Browser, OTHER_PHONE, PHONE, THIRD_PHONE, TestApp};

/// The intruder's number.
const INTRUDERS: &str = OTHER_PHONE;

/// Alice, whose number has stood for two days, in a session that is fresh.
async fn alice_with(phone: &str) -> (TestApp, Browser) {
    let app = TestApp::keeping_mail().await;
    let alice = app.with_two_factor("alice", phone).await;
    established(&app).await;
    (app, alice)
}

async fn established(app: &TestApp) {
    app.advance(2 * DAY);
    app.empty_outbox().await;
    refresh(app).await;
}

/// Spares the tests the codes to the old number.
async fn refresh(app: &TestApp) {
    app.execute(
        "UPDATE sessions SET authenticated_at = authenticated_at + 172800, \
         expires_at = expires_at + 172800, idle_expires_at = idle_expires_at + 172800",
    )
    .await;
}

/// Changes the number in a session that is fresh. Returns the notice's link.
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
    let former = notice.former_phone.as_deref();
    app.not_me("alice", notice.event, former).await
}

/// Whoever reads the mail presses the button of a link.
async fn after(app: &TestApp, link: &str) -> Option<String> {
    is_done(&press(&app.browser(), link).await);
    app.phone_of("alice").await
}

#[tokio::test]
async fn what_was_switched_off_is_on_again() {
    let (app, alice) = alice_with(PHONE).await;
    let link = disable(&app, &alice).await;
    let browser = app.browser();
    browser.get(&link).await;
    let told = "Codes go to •••• 267 again.";
    let page = browser.get("/not_me").await;
    assert!(page.text().contains(told), "{}", page.text());
    let page = press_again(&browser).await;
    assert!(page.text().contains(told), "{}", page.text());
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn a_number_that_was_changed_is_back() {
    let (app, alice) = alice_with(PHONE).await;
    let link = change(&app, &alice, INTRUDERS).await;
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));
}

/// ASVS 6.4.4
#[tokio::test]
async fn the_mailbox_cannot_switch_it_off() {
    let (app, alice) = (TestApp::keeping_mail().await, "alice");
    let browser = app.signed_in(alice).await;
    app.enable(&browser, PHONE).await;
    let link = link_of_notice(&app).await;
    let reader = app.browser();
    reader.get(&link).await;
    let page = reader.get("/not_me").await;
    assert!(page.text().contains("contact support"));
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn no_other_notice_touches_it() {
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
        // Even where a link said a number that it never has.
        for former in [None, Some(INTRUDERS)] {
            let link = app.not_me("alice", event, former).await;
            let phone = after(&app, &link).await;
            assert_eq!(phone.as_deref(), Some(THIRD_PHONE), "{event:?}");
        }
    }
}

#[tokio::test]
async fn an_intruders_number_that_was_thrown_out_does_not_come_back() {
    // It came in place of none, and went before alice set hers.
    let app = TestApp::keeping_mail().await;
    let alice = app.signed_in("alice").await;
    app.enable(&alice, INTRUDERS).await;
    let changed = change(&app, &alice, THIRD_PHONE).await;
    let off = disable(&app, &alice).await;
    change(&app, &alice, PHONE).await;
    for link in [changed, off] {
        let done = press(&app.browser(), &link).await;
        assert!(done.status < 400, "{}", done.text());
        assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    }

    // It came in place of alice's, and alice put hers back.
    let (app, alice) = alice_with(PHONE).await;
    change(&app, &alice, INTRUDERS).await;
    app.advance(300);
    let link = change(&app, &alice, PHONE).await;
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));

    // She switched it off, and on again with hers.
    let (app, alice) = alice_with(PHONE).await;
    change(&app, &alice, INTRUDERS).await;
    let off = disable(&app, &alice).await;
    change(&app, &alice, PHONE).await;
    assert_eq!(after(&app, &off).await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn two_changes_in_a_row_lead_back_to_the_beginning() {
    for used in ["last", "first"] {
        let (app, alice) = alice_with(PHONE).await;
        let first = change(&app, &alice, INTRUDERS).await;
        app.advance(300);
        let last = change(&app, &alice, THIRD_PHONE).await;
        let (link, other) = match used {
            "first" => (first, last),
            _ => (last, first),
        };
        assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE), "{used}");
        is_expired(&app, &other).await;
    }
}

#[tokio::test]
async fn a_harmless_link_does_not_use_up_the_one_that_brings_the_number_back() {
    let (app, alice) = alice_with(PHONE).await;
    let owners = change(&app, &alice, INTRUDERS).await;
    for event in [NoticeKind::LoginAfterFailures, NoticeKind::TwoFactorEnabled] {
        let harmless = app.not_me("alice", event, None).await;
        assert_eq!(after(&app, &harmless).await.as_deref(), Some(INTRUDERS));
    }
    assert_eq!(after(&app, &owners).await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn off_and_on_with_another_number_is_a_change() {
    let (app, alice) = alice_with(PHONE).await;
    let off = disable(&app, &alice).await;
    let on = change(&app, &alice, INTRUDERS).await;
    assert_eq!(after(&app, &on).await.as_deref(), Some(INTRUDERS));
    assert_eq!(after(&app, &off).await.as_deref(), Some(PHONE));
}

#[tokio::test]
async fn a_young_number_comes_back_rather_than_none() {
    let app = TestApp::keeping_mail().await;
    let alice = app.signed_in("alice").await;
    app.enable(&alice, PHONE).await;
    let link = disable(&app, &alice).await;
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));
    // And in place of another, where nothing changed since.
    let app = TestApp::keeping_mail().await;
    let alice = app.signed_in("alice").await;
    app.enable(&alice, PHONE).await;
    let link = change(&app, &alice, INTRUDERS).await;
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));
}

/// How long a number must have stood to come back in place of another that was
/// set since.
#[tokio::test]
async fn a_number_is_established_after_two_days_and_not_before() {
    for (age, back) in [(2 * DAY - 1, THIRD_PHONE), (2 * DAY, INTRUDERS)] {
        let app = TestApp::keeping_mail().await;
        let alice = app.signed_in("alice").await;
        app.enable(&alice, INTRUDERS).await;
        app.advance(age - 31);
        refresh(&app).await;
        let link = change(&app, &alice, PHONE).await;
        change(&app, &alice, THIRD_PHONE).await;
        assert_eq!(after(&app, &link).await.as_deref(), Some(back), "{age}");
    }
}

#[tokio::test]
async fn after_it_was_brought_back_the_next_change_leads_back_there_too() {
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
    let alice = app.half_logged_in("alice").await;
    alice.verify(&app.last_code()).await.redirects_to("/home");
    let link = change(&app, &alice, INTRUDERS).await;
    assert_eq!(after(&app, &link).await.as_deref(), Some(PHONE));
}

/// Every order of links that a mailbox can get, with alice's own changes between.
#[tokio::test]
async fn no_chain_of_links_ends_with_less_or_with_a_number_of_the_intruders() {
    for order in 0..6 {
        let (app, alice) = alice_with(PHONE).await;
        // Alice moves to a new number, by way of none.
        let mut links = vec![disable(&app, &alice).await];
        app.advance(60);
        links.push(change(&app, &alice, THIRD_PHONE).await);
        links.push(app.not_me("alice", NoticeKind::UnfinishedLogin, None).await);
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
async fn of_two_links_in_two_tabs_each_button_does_what_its_page_says_or_nothing() {
    let (app, alice) = alice_with(PHONE).await;
    let off = disable(&app, &alice).await;
    let other = app.not_me("alice", NoticeKind::PasswordChanged, None).await;
    let owner = app.browser();
    owner.get(&off).await.redirects_to("/not_me");
    let first_tab = owner.get("/not_me").await.value_of("link").unwrap();
    owner.get(&other).await.redirects_to("/not_me");
    let page = owner.post("/not_me", &[("link", &first_tab)]).await;
    page.redirects_to("/not_me");
    assert!(alice.is_logged_in().await, "nothing was done");
    assert_eq!(after(&app, &off).await.as_deref(), Some(PHONE));
}
