//! If an attempt cannot be counted, it is refused.

use super::two_factor_login;
use crate::support::PHONE;

/// ASVS 16.5.3
#[tokio::test]
async fn without_rate_limits_no_code_is_accepted_or_sent() {
    let (app, alice) = two_factor_login("alice").await;
    app.advance(31);
    let pending = app.log_in_until_code("alice").await;
    let (code, before) = (app.last_code(), app.phone().counters());
    app.execute("ALTER TABLE rate_limits RENAME TO lost").await;
    assert_eq!(pending.verify(&code).await.status, 500);
    assert!(!pending.is_logged_in().await);
    app.advance(31);
    assert_eq!(pending.post("/verify_2fa/resend", &[]).await.status, 500);
    assert_eq!(alice.enable(PHONE).await.status, 500);
    assert_eq!(app.phone().counters(), before, "Twilio was asked");
    app.execute("ALTER TABLE lost RENAME TO rate_limits").await;
    pending.verify(&code).await.redirects_to("/home");
}
