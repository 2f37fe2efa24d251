//! An instance that is killed in the middle of its work loses nothing that was
//! confirmed to anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;
use twostep::dev::simulator::Failure;

use super::Instances;
use crate::support::smtp::Fault;
use crate::support::{Browser, PASSWORD, PHONE, until};
use crate::two_factor::wrong;

/// Somebody who changes their profile as fast as they can, and what they were told.
struct Journey {
    browser: Browser,
    username: String,
    /// The last change that was confirmed; the next may have been made, too.
    confirmed: usize,
}

impl Journey {
    async fn go(mut self, stop: Arc<AtomicBool>, confirmed: Arc<AtomicUsize>) -> Self {
        while !stop.load(Ordering::SeqCst) {
            let about = format!("change {}.", self.confirmed + 1);
            let fields = [("username", self.username.as_str()), ("about_me", &about)];
            let page = self.browser.post("/edit_profile", &fields).await;
            match page.status {
                303 => {
                    self.confirmed += 1;
                    confirmed.fetch_add(1, Ordering::SeqCst);
                }
                // The proxy lost it: nobody was told anything.
                502 => {}
                other => panic!("{other}: {}", page.text()),
            }
        }
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_is_there_on_the_other() {
    let mut instances = Instances::start().await;
    let mut journeys = Vec::new();
    for number in 0..4 {
        let username = format!("person{number}");
        journeys.push(Journey {
            browser: instances.signed_in(&username).await,
            username,
            confirmed: 0,
        });
    }
    for victim in [0, 1, 0] {
        let (stop, confirmed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut under_way = JoinSet::new();
        for journey in journeys {
            under_way.spawn(journey.go(Arc::clone(&stop), Arc::clone(&confirmed)));
        }
        until(|| confirmed.load(Ordering::SeqCst) >= 20).await;
        instances.kill(victim);
        let before = confirmed.load(Ordering::SeqCst);
        until(|| confirmed.load(Ordering::SeqCst) >= before + 10).await;
        stop.store(true, Ordering::SeqCst);
        journeys = under_way.join_all().await;
        for journey in &journeys {
            let survivor = instances.at(&journey.browser, 1 - victim);
            let page = survivor.get(&format!("/user/{}", journey.username)).await;
            assert_eq!(page.status, 200, "the session is lost");
            let text = page.text();
            let stands = |number: usize| text.contains(&format!("change {number}."));
            let last = journey.confirmed;
            assert!(
                last == 0 || stands(last) || stands(last + 1),
                "{last}: {text}"
            );
        }
        instances.replace(victim);
    }
}

#[tokio::test]
async fn an_account_that_was_confirmed_is_there_on_the_other() {
    let mut instances = Instances::start().await;
    for victim in [0, 1] {
        let name = ["alice", "bob"][victim];
        let browser = instances.at(&instances.browser(), victim);
        let email = format!("{name}@example.com");
        let page = browser.register(name, &email, PASSWORD).await;
        page.redirects_to("/login");
        instances.kill(victim);
        let page = instances.browser().log_in(name, PASSWORD).await;
        page.redirects_to("/home");
        instances.replace(victim);
    }
}

/// The attempt is counted before Twilio is asked, so that its end cannot undo that.
#[tokio::test]
async fn attack_06_a_guess_under_way_stays_counted() {
    let mut instances = Instances::start().await;
    instances.with_two_factor("alice", PHONE).await;
    let half = instances.half_logged_in("alice").await;
    let (guess, before) = (
        wrong(&instances.last_code()),
        instances.phone.counters().checks,
    );
    let asked = |instances: &Instances| instances.phone.counters().checks - before;
    instances.phone.fail_with(Some(Failure::Silence));
    let doomed = instances.at(&half, 0);
    let body = format!("token={guess}");
    let request = doomed
        .request(reqwest::Method::POST, "/verify_2fa")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    let under_way = tokio::spawn(request.send());
    until(|| asked(&instances) == 1).await;
    instances.kill(0);
    assert!(
        under_way.await.unwrap().is_err(),
        "nobody was told anything"
    );
    instances.phone.fail_with(None);

    let survivor = instances.at(&half, 1);
    for _ in 0..6 {
        survivor.verify(&guess).await;
    }
    assert_eq!(asked(&instances), 5, "four were left");
}

#[tokio::test]
async fn a_mail_that_was_promised_is_sent_by_the_other() {
    let mut instances = Instances::start().await;
    let alice = instances.at(&instances.signed_in("alice").await, 0);
    // The worker of the first instance has the mail in hand when it dies.
    instances.smtp.misbehave("MAIL", Fault::Silence);
    let fields = [
        ("current_password", PASSWORD),
        ("password", "nine purple clouds over Turin"),
        ("confirm_password", "nine purple clouds over Turin"),
    ];
    let page = alice.post("/change_password", &fields).await;
    assert_eq!(page.status, 303, "{}", page.text());
    until(|| instances.smtp.commands().contains(&"MAIL".to_owned())).await;
    instances.kill(0);
    instances.smtp.behave();
    assert_eq!(instances.count("SELECT COUNT(*) FROM outbox").await, 1);
    // The five minutes for which it was taken are over.
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
