//! Where what is to be counted cannot be counted, nothing is let through.

use crate::support::{PHONE, TestApp};

/// ASVS 16.5.3
#[tokio::test]
async fn without_its_counters_the_app_takes_no_code_and_sends_none() {
    let app = TestApp::start().await;
    let alice = app.with_two_factor("alice", PHONE).await;
    app.advance(31);
    let half = app.half_logged_in("alice").await;
    let (code, before) = (app.last_code(), app.phone().counters());
    app.execute("ALTER TABLE rate_limits RENAME TO lost").await;
    assert_eq!(half.verify(&code).await.status, 500);
    assert!(!half.is_logged_in().await);
    app.advance(31);
    assert_eq!(half.post("/verify_2fa/resend", &[]).await.status, 500);
    assert_eq!(alice.enable(PHONE).await.status, 500);
    assert_eq!(app.phone().counters(), before, "Twilio was asked");
    app.execute("ALTER TABLE lost RENAME TO rate_limits").await;
    half.verify(&code).await.redirects_to("/home");
}
