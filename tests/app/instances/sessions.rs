//! Sessions and challenges are valid on every instance.

use super::Instances;
use crate::support::PASSWORD;

const NEW: &str = "nine purple clouds over Turin";

#[tokio::test]
async fn a_login_that_starts_on_one_instance_completes_on_the_other() {
    let instances = Instances::start().await;
    let alice = instances.at(&instances.with_two_factor("alice").await, 0);
    assert!(alice.get("/user/alice").await.text().contains("alice"));
    alice.post("/logout", &[]).await.redirects_to("/login");
    assert!(!instances.at(&alice, 1).is_logged_in().await);
    for (first, second) in [(0, 1), (1, 0)] {
        let challenged = instances.with_challenge("alice", first).await;
        assert!(!instances.at(&challenged, second).is_logged_in().await);
        let logged_in = instances.at(&challenged, second);
        let code = instances.last_code();
        logged_in.verify(&code).await.redirects_to("/home");
        assert!(instances.at(&logged_in, first).is_logged_in().await);
        // The first instance accepts neither the code nor the challenge again.
        let page = challenged.verify(&code).await;
        page.redirects_to("/login?next=%2Fhome");
    }
}

#[tokio::test]
async fn attack_18_a_session_that_one_instance_ends_is_dead_on_the_other_at_once() {
    let instances = Instances::start().await;
    let alice = instances.at(&instances.register_and_log_in("alice").await, 0);
    for end in ["/sessions/revoke_others", "/change_password"] {
        let other = instances.browser(1);
        other.complete_login("alice").await;
        assert!(other.is_logged_in().await);
        let fields = [
            ("current_password", PASSWORD),
            ("password", NEW),
            ("confirm_password", NEW),
        ];
        assert_eq!(alice.post(end, &fields).await.status, 303);
        let page = other.get("/home").await;
        page.redirects_to("/login?next=%2Fhome");
    }
    let copy = instances.at(&alice, 1);
    alice.post("/logout", &[]).await.redirects_to("/login");
    assert!(!copy.is_logged_in().await);
}
