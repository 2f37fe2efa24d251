//! Numbers of no country, and personal ones: a call to them costs a fortune.

use std::collections::HashMap;

use twostep::config::Config;

use super::ATTACKER;
use crate::support::{BEHIND_PROXY, PASSWORD, TestApp};

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
async fn attack_12_satellite_and_personal_numbers_are_sent_no_code() {
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

/// Its owner would be locked out otherwise.
#[tokio::test]
async fn a_satellite_number_that_is_stored_still_gets_its_codes() {
    let app = TestApp::with_users(&[]).await;
    app.execute("UPDATE users SET verification_phone = '+881612345678' WHERE username = 'alice'")
        .await;
    let alice = app.browser().at("198.51.100.8");
    let page = alice.log_in("alice", PASSWORD).await;
    page.redirects_to("/verify_2fa");
    alice.verify(&app.last_code()).await.redirects_to("/home");
}

/// Production cannot start without a decision where codes may go.
#[test]
fn attack_12_production_demands_a_list_of_countries() {
    let (account, service) = (
        format!("AC{}", "a".repeat(32)),
        format!("VA{}", "b".repeat(32)),
    );
    let settings = [
        ("APP_ENV", "production"),
        ("BASE_URL", "https://login.example"),
        ("TWILIO_ACCOUNT_SID", &account),
        ("TWILIO_AUTH_TOKEN", "a-twilio-token"),
        ("TWILIO_VERIFY_SERVICE_ID", &service),
        ("SMTP_URL", "smtps://mail.example:465"),
        BEHIND_PROXY,
    ];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut variables: HashMap<_, _> = settings.into_iter().map(own).collect();
    let error = Config::from_variables(&variables).unwrap_err().to_string();
    assert!(error.contains("SMS_COUNTRIES must be set"), "{error}");
    variables.extend([own(("SMS_COUNTRIES", "KE,DE"))]);
    let config = Config::from_variables(&variables);
    assert!(config.is_ok());
}
