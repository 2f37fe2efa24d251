//! The limits on wrong recovery codes and on new sets.

use twostep::models::rate_limit::{SENDS_OF_ACCOUNT, WRONG_CODES, WRONG_RECOVERY_CODES, exceeded};

use super::{WRONG, alice_of, assert_invalid, codes_on};
use crate::support::{OTHER_PHONE, Page, TestApp};

const SENTENCE: &str = "Too many wrong recovery codes. Try again in 15 minutes.";

/// Counts an account's wrong recovery codes from this machine.
pub async fn counted(app: &TestApp, username: &str) -> i64 {
    let id = app.user(username).await.id;
    let subject = format!("{} 127.0.0.1", id.as_str());
    app.used(&WRONG_RECOVERY_CODES, &subject).await
}

#[track_caller]
fn assert_refused(page: &Page, retry_after: &str) {
    let found = (page.status, page.header("retry-after"));
    assert_eq!(found, (429, Some(retry_after)), "{}", page.text());
    assert!(!page.all("input[name=recovery_code]").is_empty());
}

/// ASVS 2.3.2
#[tokio::test]
async fn attack_19_after_five_wrong_codes_even_a_right_one_is_refused_for_15_minutes() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    let long = "A".repeat(10_000);
    for typed in [
        WRONG,
        "-",
        &codes[0][..28],
        &format!("{}\0", codes[0]),
        &long,
    ] {
        assert_invalid(&pending.recover(typed).await);
    }
    let before = app.dump().await;
    for typed in [WRONG, &codes[0]] {
        let page = pending.recover(typed).await;
        assert_refused(&page, "900");
        assert!(page.says(SENTENCE), "{}", page.text());
        assert_eq!(page.error_at("recovery_code"), None);
    }
    assert_eq!(app.dump().await, before, "no side effect");
    assert!(!pending.is_logged_in().await);
    // The limit covers all pending logins of the account.
    app.advance(899);
    let pending = app.log_in_until_code("alice").await;
    assert_refused(&pending.recover(&codes[0]).await, "1");
    let recorded = "SELECT COUNT(*) FROM activity WHERE event = 'wrong_recovery_code'";
    assert_eq!(app.count(recorded).await, 5);
    // The challenge is still open for the code from the phone.
    pending.verify(&app.last_code()).await.redirects_to("/home");
    app.advance(1);
    let pending = app.log_in_until_code("alice").await;
    pending.recover(&codes[0]).await.redirects_to("/home");
}

#[tokio::test]
async fn attack_19_a_right_code_after_four_wrong_ones_is_accepted_and_does_not_count() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    let pending = app.log_in_until_code("alice").await;
    for _ in 0..4 {
        assert_invalid(&pending.recover(WRONG).await);
    }
    pending.recover(&codes[0]).await.redirects_to("/home");
    assert_eq!(counted(&app, "alice").await, 4);
    let pending = app.log_in_until_code("alice").await;
    assert_invalid(&pending.recover(WRONG).await);
    assert_refused(&pending.recover(WRONG).await, "900");
}

#[tokio::test]
async fn attack_21_wrong_codes_count_only_for_their_account_and_network() {
    let app = TestApp::behind_proxy().await;
    let (_, codes) = alice_of(&app).await;
    app.with_two_factor("bob", OTHER_PHONE).await;
    let bobs = app.recovery_codes("bob").await;
    let pending = app.log_in_until_code("alice").await;
    for last in 1..=5 {
        let there = pending.copy().at(&format!("2001:db8:1:1::{last}"));
        assert_invalid(&there.recover(WRONG).await);
    }
    let there = pending.copy().at("2001:db8:1:1::9");
    assert_refused(&there.recover(&codes[0]).await, "900");
    let bob = app.log_in_until_code("bob").await.at("2001:db8:1:1::1");
    bob.recover(&bobs[0]).await.redirects_to("/home");
    let elsewhere = pending.copy().at("2001:db8:1:2::1");
    elsewhere.recover(&codes[0]).await.redirects_to("/home");
}

#[tokio::test]
async fn only_a_right_recovery_code_resets_the_accounts_limits() {
    let app = TestApp::start().await;
    let (_, codes) = alice_of(&app).await;
    app.with_two_factor("bob", OTHER_PHONE).await;
    app.log_in_until_code("alice").await;
    app.log_in_until_code("bob").await;
    app.exhaust("alice").await;
    app.exhaust("bob").await;
    app.advance(31);
    // The codes were sent for an earlier login.
    let pending = app.log_in_until_code("alice").await;
    assert_invalid(&pending.recover(WRONG).await);
    assert_eq!(app.exhausted("alice").await, (true, true));
    pending.recover(&codes[0]).await.redirects_to("/home");
    assert_eq!(app.exhausted("alice").await, (false, false));
    assert_eq!(app.exhausted("bob").await, (true, true));
}

impl TestApp {
    /// Exhausts an account's sends and wrong codes.
    async fn exhaust(&self, username: &str) {
        let user = self.user(username).await.id;
        for (limit, most) in [(SENDS_OF_ACCOUNT, 6), (WRONG_CODES, 10)] {
            let used = self.used(&limit, user.as_str()).await;
            let left = usize::try_from(most - used).unwrap();
            self.fill(&limit, user.as_str(), left).await;
        }
        assert_eq!(self.exhausted(username).await, (true, true));
    }

    /// Whether an account's sends and its wrong codes are exhausted.
    async fn exhausted(&self, username: &str) -> (bool, bool) {
        let (user, now) = (self.user(username).await.id, self.state.clock.now());
        let mut connection = self.pool.acquire().await.unwrap();
        let mut refused = [false; 2];
        for (limit, refused) in [SENDS_OF_ACCOUNT, WRONG_CODES].iter().zip(&mut refused) {
            let buckets = limit.buckets(user.as_str());
            let found = exceeded(&mut connection, &buckets, now).await;
            *refused = found.unwrap().is_some();
        }
        (refused[0], refused[1])
    }
}

/// Each set is emailed, and anyone may register with another person's email address.
///
/// ASVS 2.4.1
#[tokio::test]
async fn ten_new_sets_an_hour_are_created_and_emailed() {
    let app = TestApp::keeping_mail().await;
    let (alice, _) = alice_of(&app).await;
    let bob = app.with_two_factor("bob", OTHER_PHONE).await;
    app.empty_outbox().await;
    let mut last = Vec::new();
    for _ in 0..10 {
        last = codes_on(&alice.post("/recovery_codes", &[]).await);
        assert_eq!(last.len(), 10);
    }
    let before = app.dump().await;
    let page = alice.post("/recovery_codes", &[]).await;
    let found = (page.status, page.header("retry-after"));
    assert_eq!(found, (429, Some("3600")), "{}", page.text());
    assert!(page.says("Too many new recovery codes. Try again in 60 minutes."));
    assert!(codes_on(&page).is_empty());
    assert_eq!(app.dump().await, before, "no side effect");
    assert_eq!(app.notices("alice").await.len(), 10);
    assert_eq!(bob.post("/recovery_codes", &[]).await.status, 200);

    let pending = app.log_in_until_code("alice").await;
    pending.recover(&last[0]).await.redirects_to("/home");
    app.execute("UPDATE sessions SET authenticated_at = authenticated_at + 3600")
        .await;
    app.advance(3600);
    assert_eq!(alice.post("/recovery_codes", &[]).await.status, 200);
}
