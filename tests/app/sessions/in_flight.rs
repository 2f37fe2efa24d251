//! A session that ends while a request is running stays ended.

use std::future::Future;
use std::time::{Duration, Instant};

use twostep::dev::simulator::Failure;

use super::{ROWS, assert_dead};
use crate::support::database::on_postgresql;
use crate::support::{Browser, OTHER_PHONE, PASSWORD, PHONE, Page, TestApp, until};

/// Sends `request`, in which the app waits in vain for Twilio, and does `meanwhile` then.
pub async fn while_waiting<T>(
    app: &TestApp,
    request: impl Future<Output = Page>,
    meanwhile: impl Future<Output = T>,
) -> (Page, T) {
    let asked = || {
        let counters = app.phone().counters();
        counters.creates + counters.checks
    };
    let before = asked();
    app.phone().fail_with(Some(Failure::Silence));
    let result = tokio::join!(request, async {
        until(|| asked() > before).await;
        meanwhile.await
    });
    app.phone().fail_with(None);
    result
}

/// Sends `request`, which blocks at its first write to the database (on PostgreSQL: to an
/// account), and commits `sql` before the request goes on.
pub async fn while_writing(
    app: &TestApp,
    request: impl Future<Output = Page>,
    sql: &'static str,
) -> Page {
    let database = &app.pool;
    let mut transaction = database.begin().await.unwrap();
    let lock = "UPDATE users SET auth_version = auth_version";
    sqlx::query(lock).execute(&mut *transaction).await.unwrap();
    let done = sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    let (page, ()) = tokio::join!(request, async {
        until_a_request_waits(app).await;
        transaction.commit().await.unwrap();
    });
    page
}

/// Waits until a request waits for a lock of the test's transaction: it keeps a connection
/// for longer than a query takes.
pub async fn until_a_request_waits(app: &TestApp) {
    let database = &app.state.database;
    // On PostgreSQL the test's own connection is of the same pool.
    let own = usize::from(on_postgresql());
    let in_use = || usize::try_from(database.size()).unwrap() - database.num_idle();
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(300) {
        if in_use() <= own {
            since = Instant::now();
        }
        tokio::task::yield_now().await;
    }
}

/// Runs `sql` each time a password was right, before the login: when its attempt is refunded.
pub async fn once_right(app: &TestApp, sql: &str) {
    let refunded = "NEW.count < OLD.count";
    app.trigger("once_right", "AFTER UPDATE ON rate_limits", refunded, sql)
        .await;
}

/// Leaves a flash message and an open challenge. The page that reports an unchecked code then
/// shows the message and changes the session's data.
pub async fn prepare(app: &TestApp, browser: &Browser, phone: &str) {
    browser.enable(phone).await.redirects_to("/verify_2fa");
    assert_eq!(app.last_message().to, phone);
    let fields = [("username", "alice"), ("about_me", "Hello.")];
    let page = browser.post("/edit_profile", &fields).await;
    page.redirects_to("/user/alice");
}

/// Asserts that this is that page.
pub fn assert_data_changed(page: &Page) {
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.says("Your profile has been updated"));
    assert_eq!(page.set_cookie(), None);
}

/// ASVS 7.4.1
#[tokio::test]
async fn attack_18_a_session_that_was_logged_out_is_not_saved_again() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    prepare(&app, &browser, PHONE).await;
    let (stolen, rows) = (browser.copy(), app.count(ROWS).await);
    let (late, out) =
        while_waiting(&app, stolen.verify("123456"), browser.post("/logout", &[])).await;
    out.redirects_to("/login");
    assert_data_changed(&late);
    assert_dead(&app, &stolen.session_cookie().unwrap()).await;
    assert_eq!(app.count(ROWS).await, rows - 1);
}

#[tokio::test]
async fn attack_18_a_session_that_another_browser_ended_is_not_saved_again() {
    let app = TestApp::start().await;
    let first = app.with_two_factor("alice", PHONE).await;
    let second = app.log_in_until_code("alice").await;
    second.verify(&app.last_code()).await.redirects_to("/home");
    prepare(&app, &second, OTHER_PHONE).await;
    let rows = app.count(ROWS).await;
    let (late, disabled) = while_waiting(
        &app,
        second.verify("123456"),
        first.post("/disable_2fa", &[]),
    )
    .await;
    disabled.redirects_to("/user/alice");
    assert_data_changed(&late);
    assert_dead(&app, &second.session_cookie().unwrap()).await;
    assert!(first.is_logged_in().await);
    assert_eq!(app.logins().await, 1);
    assert_eq!(app.count(ROWS).await, rows - 1);
    assert_eq!(app.phone_of("alice").await, None);
}

#[tokio::test]
async fn attack_18_renewing_does_not_bring_an_ended_session_back() {
    let app = TestApp::start().await;
    let browser = app.with_two_factor("alice", PHONE).await;
    let stolen = browser.copy();
    let rows = app.count(ROWS).await;
    let reauth = [("password", PASSWORD)];
    let (late, _) = while_waiting(
        &app,
        stolen.post("/reauth", &reauth),
        browser.post("/logout", &[]),
    )
    .await;
    late.redirects_to("/login?next=%2Fhome");
    assert_eq!(late.set_cookie(), None);
    assert_dead(&app, &stolen.session_cookie().unwrap()).await;
    assert_eq!(app.count(ROWS).await, rows - 1);
}

#[tokio::test]
async fn attack_18_reauthentication_does_not_bring_an_ended_session_back() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    once_right(&app, "DELETE FROM sessions WHERE user_id IS NOT NULL").await;
    let late = browser.post("/reauth", &[("password", PASSWORD)]).await;
    late.redirects_to("/login?next=%2Fhome");
    assert_eq!(late.set_cookie(), None);
    assert!(!browser.is_logged_in().await);
    assert_eq!(app.logins().await, 0);
}

#[tokio::test]
async fn a_login_is_refused_if_the_account_changes_or_goes_after_the_password_check() {
    for (name, sql) in [
        ("alice", "UPDATE users SET auth_version = auth_version + 1"),
        ("bob", "UPDATE users SET auth_version = auth_version + 1"),
        ("alice", "UPDATE users SET locked_at = 1"),
        ("alice", "DELETE FROM users WHERE username = 'alice'"),
    ] {
        let app = TestApp::start().await;
        app.register("alice").await;
        app.with_two_factor("bob", PHONE).await;
        let (browser, rows) = (app.browser(), app.count(ROWS).await);
        once_right(&app, sql).await;
        let late = browser.log_in(name, PASSWORD).await;
        assert_eq!(late.status, 422, "{name} {sql}: {}", late.text());
        assert!(late.says("Invalid username or password"), "{name} {sql}");
        assert_eq!(late.set_cookie(), None, "{name} {sql}");
        assert_eq!(app.messages_sent(), 1, "{name} {sql}: only of enabling");
        assert_eq!(app.count(ROWS).await, rows, "{name} {sql}");
    }
}

#[tokio::test]
async fn a_code_does_not_change_an_account_whose_session_ended_meanwhile() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    browser.enable(PHONE).await.redirects_to("/verify_2fa");
    let code = app.last_code();
    let late = while_writing(
        &app,
        browser.verify(&code),
        "DELETE FROM sessions WHERE user_id IS NOT NULL",
    )
    .await;
    late.redirects_to("/login?next=%2Fhome");
    assert_eq!(late.set_cookie(), None);
    assert_eq!(app.phone_of("alice").await, None);
    assert_eq!(app.logins().await, 0);
}

#[tokio::test]
async fn attack_18_a_pending_login_that_ended_meanwhile_is_not_completed() {
    let app = TestApp::start().await;
    app.with_two_factor("alice", PHONE).await;
    let browser = app.log_in_until_code("alice").await;
    let (code, logins) = (app.last_code(), app.logins().await);
    let late = while_writing(
        &app,
        browser.verify(&code),
        "DELETE FROM sessions WHERE challenge_id IS NOT NULL",
    )
    .await;
    late.redirects_to("/login");
    assert_eq!(late.set_cookie(), None);
    assert!(!browser.is_logged_in().await);
    assert_eq!(app.logins().await, logins);
}

#[tokio::test]
async fn a_request_that_began_before_a_renewal_does_not_disturb_the_new_cookie() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    prepare(&app, &browser, PHONE).await;
    let early = browser.copy();
    let (late, renewed) = while_waiting(
        &app,
        early.verify("123456"),
        browser.post("/reauth", &[("password", PASSWORD)]),
    )
    .await;
    renewed.redirects_to("/home");
    assert_data_changed(&late);
    assert!(browser.is_logged_in().await);
    assert_dead(&app, &early.session_cookie().unwrap()).await;
    let home = browser.get("/home").await;
    assert!(home.alerts().is_empty(), "the data was written");
}

/// On PostgreSQL, transactions that lock the account and the session in different orders
/// would wait for each other.
#[tokio::test]
async fn a_logout_waits_for_the_account_before_it_ends_the_session() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    assert!(browser.is_logged_in().await); // records the visit, so the logout doesn't
    let cookie = browser.session_cookie().unwrap();
    let mut transaction = app.pool.begin().await.unwrap();
    // Another request changes the account, and then ends its sessions.
    for sql in [
        "UPDATE users SET auth_version = auth_version + 1",
        "UPDATE users SET locked_at = 1",
    ] {
        sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    }
    let (page, ended) = tokio::join!(browser.post("/logout", &[]), async {
        until_a_request_waits(&app).await;
        let end = "DELETE FROM sessions WHERE user_id IS NOT NULL";
        let ended = sqlx::query(end).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        ended.rows_affected()
    });
    assert_eq!(ended, 1, "the logout didn't wait");
    page.redirects_to("/login");
    assert_dead(&app, &cookie).await;
    let noted = "SELECT COUNT(*) FROM activity WHERE event = 'logged_out'";
    assert_eq!(app.count(noted).await, 1);
}

#[tokio::test]
async fn attack_05_a_request_whose_cookie_becomes_invalid_meanwhile_gets_no_new_one() {
    // The timeout of Twilio is longer than a busy machine needs for a password.
    let app = TestApp::with_timeout(&[], Duration::from_secs(3)).await;
    let alice = app.register_and_log_in("alice").await;
    let thief = alice.copy();
    // Her cookie changes, so the thief's is invalid from then on.
    let (stolen, renewed) = while_waiting(&app, thief.enable(PHONE), alice.reauth(PASSWORD)).await;
    renewed.redirects_to("/home");
    stolen.redirects_to("/login?next=%2Fhome");
    assert_eq!(stolen.set_cookie(), None);
    assert!(alice.is_logged_in().await);
    assert!(!thief.is_logged_in().await);
}

#[tokio::test]
async fn the_result_of_a_send_is_stored_even_if_the_client_hangs_up() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let before = app.phone().counters().creates;
    app.phone().fail_with(Some(Failure::Silence));
    let hung_up = tokio::time::timeout(Duration::from_millis(200), alice.enable(PHONE)).await;
    assert!(hung_up.is_err(), "Twilio answered");
    until(|| app.phone().counters().creates > before).await;
    // The app still waits for Twilio, and stores the result.
    let unknown = "SELECT COUNT(*) FROM verifications WHERE delivery = 'unknown'";
    while app.count(unknown).await == 0 {
        tokio::task::yield_now().await;
    }
}
