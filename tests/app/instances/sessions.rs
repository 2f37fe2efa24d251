//! What was begun on one instance goes on, and ends, on the other.

use super::Instances;
use crate::support::{PASSWORD, PHONE};

const NEW: &str = "nine purple clouds over Turin";

#[tokio::test]
async fn a_person_notices_nothing_of_the_instances() {
    let instances = Instances::start().await;
    let alice = instances.with_two_factor("alice", PHONE).await;
    assert!(alice.get("/user/alice").await.text().contains("alice"));
    alice.post("/logout", &[]).await.redirects_to("/login");
    alice
        .log_in("alice", PASSWORD)
        .await
        .redirects_to("/verify_2fa");
    let page = alice.verify(&instances.last_code()).await;
    page.redirects_to("/home");
    assert!(alice.is_logged_in().await && alice.is_logged_in().await);
}

#[tokio::test]
async fn half_a_log_in_on_one_instance_takes_its_code_on_the_other() {
    let instances = Instances::start().await;
    instances.with_two_factor("alice", PHONE).await;
    for (first, second) in [(0, 1), (1, 0)] {
        let half = instances.at(&instances.browser(), first);
        let page = half.log_in("alice", PASSWORD).await;
        page.redirects_to("/verify_2fa");
        assert!(!instances.at(&half, second).is_logged_in().await);
        let whole = instances.at(&half, second);
        let code = instances.last_code();
        whole.verify(&code).await.redirects_to("/home");
        assert!(instances.at(&whole, first).is_logged_in().await);
        // The code and the half log-in are used up on the first one, too.
        let page = half.verify(&code).await;
        page.redirects_to("/login?next=%2Fhome");
    }
}

#[tokio::test]
async fn attack_18_what_one_instance_has_ended_is_dead_on_the_other_at_the_next_request() {
    let instances = Instances::start().await;
    let alice = instances.at(&instances.signed_in("alice").await, 0);
    for end in ["/sessions/revoke_others", "/change_password"] {
        let other = instances.at(&instances.browser(), 1);
        other.log_in("alice", PASSWORD).await.redirects_to("/home");
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
