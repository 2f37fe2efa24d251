//! The link's effect on the recovery codes: an intruder who made or used them must not keep
//! them.

use twostep::models::outbox::NoticeKind;

use super::{DAY, EVENTS, assert_done, press};
use crate::recovery_codes::codes_on;
use crate::support::{OTHER_PHONE, PHONE, TestApp};

const ENDED: &str = "The recovery codes no longer work.";

#[tokio::test]
async fn only_notices_about_recovery_codes_delete_them() {
    for event in EVENTS {
        let app = TestApp::keeping_mail().await;
        app.with_two_factor("alice", PHONE).await;
        app.with_two_factor("ron", OTHER_PHONE).await;
        let ends = [
            NoticeKind::TwoFactorEnabled,
            NoticeKind::RecoveryCodeUsed,
            NoticeKind::RecoveryCodesRenewed,
        ]
        .contains(&event);
        let link = app.not_me("alice", event).await;
        let browser = app.browser();
        browser.get(&link).await.redirects_to("/not_me");
        let page = browser.get("/not_me").await;
        let announced = page.text().contains("The recovery codes stop working.");
        assert_eq!(announced, ends, "{event:?}");
        let left = app.recovery_codes_left("alice").await;
        assert_eq!(left, 10, "looking ends nothing");
        let page = press(&browser, &link).await;
        assert_done(&page);
        assert_eq!(page.text().contains(ENDED), ends, "{event:?}");
        let left = app.recovery_codes_left("alice").await;
        assert_eq!(left, if ends { 0 } else { 10 }, "{event:?}");
        assert_eq!(app.recovery_codes_left("ron").await, 10);
        assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    }
}

#[tokio::test]
async fn a_harmless_link_used_first_does_not_save_an_intruders_codes() {
    for event in [NoticeKind::LoginAfterFailures, NoticeKind::PhoneChanged] {
        let app = TestApp::keeping_mail().await;
        let intruder = app.with_two_factor("alice", PHONE).await;
        intruder.post("/recovery_codes", &[]).await;
        app.not_me("alice", NoticeKind::RecoveryCodesRenewed).await;
        let link = app.not_me("alice", event).await;
        let page = press(&app.browser(), &link).await;
        assert_done(&page);
        assert!(page.text().contains(ENDED));
        assert_eq!(app.recovery_codes_left("alice").await, 0);
    }
}

#[tokio::test]
async fn an_expired_notice_about_codes_deletes_none() {
    let app = TestApp::keeping_mail().await;
    app.with_two_factor("alice", PHONE).await;
    app.not_me("alice", NoticeKind::RecoveryCodesRenewed).await;
    app.advance(DAY);
    let link = app.not_me("alice", NoticeKind::LoginAfterFailures).await;
    assert_done(&press(&app.browser(), &link).await);
    assert_eq!(app.recovery_codes_left("alice").await, 10);
}

#[tokio::test]
async fn a_code_that_an_intruder_made_does_not_work_afterwards() {
    let app = TestApp::keeping_mail().await;
    let intruder = app.with_two_factor("alice", PHONE).await;
    let codes = codes_on(&intruder.post("/recovery_codes", &[]).await);
    app.advance(31);
    let pending = app.log_in_until_code("alice").await;
    let link = app.not_me("alice", NoticeKind::RecoveryCodesRenewed).await;
    assert_done(&press(&app.browser(), &link).await);
    pending.recover(&codes[0]).await.redirects_to("/login");
    assert!(!pending.is_logged_in().await && !intruder.is_logged_in().await);
}

/// An intruder turned two-factor authentication off and on again with another number.
#[tokio::test]
async fn codes_that_came_with_an_intruders_number_are_deleted_with_it() {
    for pressed in [
        vec![NoticeKind::TwoFactorDisabled],
        vec![NoticeKind::TwoFactorEnabled, NoticeKind::TwoFactorDisabled],
    ] {
        let app = TestApp::keeping_mail().await;
        let intruder = app.with_two_factor("alice", PHONE).await;
        app.execute("UPDATE factors SET created_at = created_at - 172800")
            .await;
        app.empty_outbox().await;
        intruder.post("/disable_2fa", &[]).await;
        app.advance(31);
        let page = intruder.enable(OTHER_PHONE).await;
        page.redirects_to("/verify_2fa");
        let codes = codes_on(&intruder.verify(&app.last_code()).await);
        assert_eq!(codes.len(), 10);
        let mut links = Vec::new();
        for notice in app.notices("alice").await {
            let link = app.not_me_of("alice", &notice).await;
            links.push((notice.event, link));
        }
        for event in pressed {
            let link = links.iter().find(|(it, _)| *it == event).unwrap();
            assert_done(&press(&app.browser(), &link.1).await);
        }
        assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
        assert_eq!(app.recovery_codes_left("alice").await, 0);
    }
}

#[tokio::test]
async fn a_restored_number_has_no_codes_and_home_says_so() {
    let app = TestApp::keeping_mail().await;
    let intruder = app.with_two_factor("alice", PHONE).await;
    intruder.post("/disable_2fa", &[]).await;
    let event = NoticeKind::TwoFactorDisabled;
    let link = app.not_me("alice", event).await;
    assert_done(&press(&app.browser(), &link).await);
    assert_eq!(app.phone_of("alice").await.as_deref(), Some(PHONE));
    assert_eq!(app.recovery_codes_left("alice").await, 0);
    let alice = app.browser();
    let reset = app.reset_link("alice").await;
    alice.get(&reset).await;
    let new = "a yellow tram at dawn";
    let fields = [("password", new), ("confirm_password", new)];
    let page = alice.post("/reset_password", &fields).await;
    page.redirects_to("/login");
    app.advance(31);
    let page = alice.log_in("alice", new).await;
    page.redirects_to("/verify_2fa");
    alice.verify(&app.last_code()).await.redirects_to("/home");
    let home = alice.get("/home").await;
    assert!(home.text().contains("No recovery codes are left."));
}

#[tokio::test]
async fn denying_the_operators_reset_restores_no_number() {
    let app = TestApp::keeping_mail().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    alice.post("/disable_2fa", &[]).await;
    let event = NoticeKind::TwoFactorResetByOperator;
    let link = app.not_me("alice", event).await;
    let browser = app.browser();
    browser.get(&link).await;
    let page = browser.get("/not_me").await;
    assert!(page.text().contains("The operator turned off two-factor"));
    let page = press(&browser, &link).await;
    assert_done(&page);
    assert!(page.text().contains("why it was turned off"));
    assert_eq!(app.phone_of("alice").await, None);
    assert!(!alice.is_logged_in().await);
}
