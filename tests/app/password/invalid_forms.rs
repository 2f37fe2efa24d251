//! Forms that are invalid for a cheap reason: they cost no hash, no strength check and no
//! attempt.

use super::{NEW, assert_errors, change, reset, with_link};
use crate::support::hashing::QUEUE;
use crate::support::{PASSWORD, TestApp};

const SHORT: (&str, &str) = ("password", "8 characters");
const MISMATCH: (&str, &str) = ("confirm_password", "do not match");

/// ASVS 15.2.2
#[tokio::test]
async fn an_invalid_form_is_answered_while_no_hash_and_no_strength_check_can_run() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let linked = with_link(&app, "alice").await;
    let blocked = app.block_hashing(None, QUEUE).await;

    let guest = app.browser();
    for (name, email, password, confirmed, error) in [
        ("a", "b@example.com", NEW, NEW, ("username", "2 to 32")),
        (
            "admin",
            "b@example.com",
            NEW,
            NEW,
            ("username", "different"),
        ),
        ("bob", "nothing", NEW, NEW, ("email", "valid email")),
        ("bob", "b@example.com", "short", "short", SHORT),
        ("bob", "b@example.com", NEW, "other", MISMATCH),
        ("bob", "b@example.com", "password1", "other", MISMATCH),
    ] {
        let fields = [
            ("username", name),
            ("email", email),
            ("password", password),
            ("confirm_password", confirmed),
        ];
        assert_errors(&guest.post("/register", &fields).await, &[error]);
    }
    for (password, confirmed, error) in [
        ("short", "short", SHORT),
        (NEW, "other", MISMATCH),
        (PASSWORD, PASSWORD, ("password", "your current password")),
    ] {
        let fields = [
            ("current_password", PASSWORD),
            ("password", password),
            ("confirm_password", confirmed),
        ];
        let page = alice.post("/change_password", &fields).await;
        assert_errors(&page, &[error]);
    }
    assert_errors(&reset(&linked, "short").await, &[SHORT]);
    let fields = [("password", NEW), ("confirm_password", "other")];
    let page = linked.post("/reset_password", &fields).await;
    assert_errors(&page, &[MISMATCH]);

    // Valid forms need a thread.
    let registered = guest.register("bob", "b@example.com", NEW).await;
    let changed = change(&alice, PASSWORD, NEW).await;
    let was_reset = reset(&linked, NEW).await;
    for page in [registered, changed, was_reset] {
        assert_eq!(page.status, 503, "{}", page.text());
    }
    blocked.release().await;
}

/// ASVS 6.3.1
#[tokio::test]
async fn an_invalid_new_password_hides_whether_the_current_one_is_right_and_counts_nothing() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let before = app.dump().await;
    for current in ["wrong", PASSWORD] {
        for (password, error) in [
            ("short", SHORT),
            ("password1", ("password", "easy to guess")),
            ("alice123", ("password", "too close to your name")),
        ] {
            let page = change(&alice, current, password).await;
            assert_errors(&page, &[error]);
        }
    }
    assert_eq!(app.dump().await, before);
    let page = change(&alice, "wrong", NEW).await;
    assert_errors(&page, &[("current_password", "Invalid password")]);
    assert_ne!(app.dump().await, before);
}
