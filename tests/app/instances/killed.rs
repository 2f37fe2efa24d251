//! An instance that is killed loses no confirmed change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, RequestBuilder};
use twostep::dev::simulator::Failure;

use super::Instances;
use crate::support::smtp::Fault;
use crate::support::{Browser, PASSWORD, until};
use crate::two_factor::wrong;

/// A request with a form, which may fail when the instance is killed.
fn form(browser: &Browser, path: &str, body: String) -> RequestBuilder {
    browser
        .request(Method::POST, path)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

/// Changes the profile until the instance is killed. Returns the number of the last confirmed
/// change; the next one may have been made as well.
async fn change_profile(browser: Browser, username: String, total: Arc<AtomicUsize>) -> usize {
    for number in 1.. {
        let body = format!("username={username}&about_me=change+{number}.");
        match form(&browser, "/edit_profile", body).send().await {
            Ok(response) => assert_eq!(response.status(), 303),
            Err(_) => return number - 1,
        }
        total.fetch_add(1, Ordering::SeqCst);
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmed_changes_and_sessions_survive_on_the_other_instance() {
    let mut instances = Instances::start().await;
    let mut browsers = Vec::new();
    for number in 0..4 {
        let username = format!("user{number}");
        browsers.push((instances.register_and_log_in(&username).await, username));
    }
    for victim in [0, 1, 0] {
        let (total, mut writers) = (Arc::<AtomicUsize>::default(), Vec::new());
        for (browser, username) in &browsers {
            let browser = instances.at(browser, victim);
            let writer = change_profile(browser, username.clone(), Arc::clone(&total));
            writers.push(tokio::spawn(writer));
        }
        until(|| total.load(Ordering::SeqCst) >= 20).await;
        instances.kill(victim);
        for (writer, (browser, username)) in writers.into_iter().zip(&browsers) {
            let last = writer.await.unwrap();
            let survivor = instances.at(browser, 1 - victim);
            let page = survivor.get(&format!("/user/{username}")).await;
            assert_eq!(page.status, 200, "the session is lost");
            let text = page.text();
            let shows = |number: usize| text.contains(&format!("change {number}."));
            assert!(
                last == 0 || shows(last) || shows(last + 1),
                "{last}: {text}"
            );
            let body = format!("username={username}&about_me=");
            let page = survivor.send(form(&survivor, "/edit_profile", body)).await;
            assert_eq!(page.status, 303, "{}", page.text());
        }
        instances.replace(victim);
    }
}

/// A try is counted before the request to Twilio, so that a crash cannot undo it.
#[tokio::test]
async fn attack_06_a_try_stays_counted_if_its_instance_is_killed() {
    let mut instances = Instances::start().await;
    instances.with_two_factor("alice").await;
    let challenged = instances.with_challenge("alice", 0).await;
    let (guess, before) = (
        wrong(&instances.last_code()),
        instances.phone.counters().checks,
    );
    let checks = |instances: &Instances| instances.phone.counters().checks - before;
    instances.phone.fail_with(Some(Failure::Silence));
    let request = form(&challenged, "/verify_2fa", format!("token={guess}"));
    let running = tokio::spawn(request.send());
    until(|| checks(&instances) == 1).await;
    instances.kill(0);
    assert!(running.await.unwrap().is_err(), "the client has a response");
    instances.phone.fail_with(None);

    let survivor = instances.at(&challenged, 1);
    for _ in 0..6 {
        survivor.verify(&guess).await;
    }
    assert_eq!(checks(&instances), 5, "five tries in total");
}

#[tokio::test]
async fn a_queued_email_is_sent_by_the_other_instance() {
    let mut instances = Instances::start().await;
    let alice = instances.at(&instances.register_and_log_in("alice").await, 0);
    // The worker of the first instance is sending the email when it is killed.
    instances.smtp.misbehave("MAIL", Fault::Silence);
    let fields = [
        ("current_password", PASSWORD),
        ("password", "nine purple clouds over Turin"),
        ("confirm_password", "nine purple clouds over Turin"),
    ];
    let page = alice.post("/change_password", &fields).await;
    assert_eq!(page.status, 303, "{}", page.text());
    until(|| instances.smtp.times_heard("MAIL") > 0).await;
    instances.kill(0);
    instances.smtp.behave();
    assert_eq!(instances.count("SELECT COUNT(*) FROM outbox").await, 1);
    // The lease of five minutes ends.
    sqlx::query("UPDATE outbox SET next_attempt_at = next_attempt_at - 300")
        .execute(&instances.rows)
        .await
        .unwrap();
    instances.wake_workers(&[1]).await;
    instances.until_none("SELECT COUNT(*) FROM outbox").await;
    let received = instances.smtp.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].to, ["TO:<alice@example.com>"]);
}
