//! Satellite and personal numbers, to which calls are expensive.

use super::ATTACKER;
use crate::support::{PASSWORD, TestApp};

/// Satellite phones, international networks, and personal numbers.
const COSTLY: [&str; 8] = [
    "+870301234567",
    "+881612345678",
    "+8823421234",
    "+883510012345",
    "+979123456789",
    "+44 70 1234 5678",
    "+41 878 123 456",
    "+1 500 234 5678",
];

#[tokio::test]
async fn attack_12_satellite_and_personal_numbers_get_no_code() {
    let app = TestApp::with_users(&[]).await;
    let before = app.phone().counters().creates;
    let mallory = app.attacker("mallory", ATTACKER).await;
    for number in COSTLY {
        let page = mallory.enable(number).await;
        assert_eq!(page.status, 422, "{number}");
        let error = page.error_at("verification_phone");
        assert_eq!(error.as_deref(), Some("Invalid phone number"), "{number}");
    }
    assert_eq!(app.phone().counters().creates, before);
    app.users_log_in().await;
}

/// Otherwise its owner would be locked out.
#[tokio::test]
async fn a_stored_satellite_number_still_gets_codes() {
    let app = TestApp::with_users(&[]).await;
    app.set_phone("alice", "+881612345678").await;
    let alice = app.browser().at("198.51.100.8");
    let page = alice.log_in("alice", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    alice.verify(&app.last_code()).await.redirects_to("/home");
}
