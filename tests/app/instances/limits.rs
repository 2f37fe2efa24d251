//! Limits hold across all instances under parallel requests, and what may happen once happens
//! once.

use std::collections::BTreeMap;
use std::future::Future;

use tokio::task::JoinSet;
use twostep::models::outbox::{Notice, NoticeKind};
use twostep::models::user::User;
use twostep::services::clock::Clock;

use super::Instances;
use crate::support::{PASSWORD, Page, a_client, until};
use crate::two_factor::wrong;

/// Sends requests in parallel. Counts the responses by status and `Location`.
async fn count_responses(
    requests: impl Iterator<Item = impl Future<Output = Page> + Send + 'static>,
) -> BTreeMap<(u16, Option<String>), usize> {
    let requests: JoinSet<Page> = requests.collect();
    let mut responses = BTreeMap::new();
    for page in requests.join_all().await {
        let location = page.location().map(str::to_owned);
        *responses.entry((page.status, location)).or_default() += 1;
    }
    responses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_05_the_limit_of_wrong_passwords_is_shared() {
    let instances = Instances::start().await;
    instances.register_and_log_in("alice").await;
    let guess = |number: usize| {
        let browser = instances.browser(number % 2).at("203.0.113.9");
        async move { browser.log_in("Alice", "not her password").await }
    };
    let responses = count_responses((0..30).map(guess)).await;
    assert_eq!(
        responses,
        BTreeMap::from([((422, None), 10), ((429, None), 20)])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_06_the_limit_of_wrong_codes_is_shared() {
    let instances = Instances::start().await;
    instances.with_two_factor("alice").await;
    let challenged = instances.with_challenge("alice", 0).await;
    let (code, before) = (instances.last_code(), instances.phone.counters().checks);
    let guess = |number: usize| {
        let (browser, code) = (instances.at(&challenged, number % 2), wrong(&code));
        async move { browser.verify(&code).await }
    };
    let responses = count_responses((0..20).map(guess)).await;
    assert_eq!(responses.get(&(422, None)), Some(&5), "{responses:?}");
    assert_eq!(instances.phone.counters().checks - before, 5);
    for number in [0, 1] {
        let late = instances.at(&challenged, number);
        late.verify(&code).await;
        assert!(!late.is_logged_in().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_07_parallel_requests_to_all_instances_use_a_code_or_a_name_once() {
    let instances = Instances::start().await;
    instances.with_two_factor("alice").await;
    let challenged = instances.with_challenge("alice", 0).await;
    let code = instances.last_code();
    let enter = |number: usize| {
        let (browser, code) = (instances.at(&challenged, number % 2), code.clone());
        async move { browser.verify(&code).await }
    };
    let responses = count_responses((0..20).map(enter)).await;
    let home = (303, Some("/home".to_owned()));
    assert_eq!(responses.get(&home), Some(&1), "{responses:?}");

    let register = |number: usize| {
        let (browser, email) = (
            instances.browser(number % 2),
            format!("{number}@example.com"),
        );
        let name = ["carol", "CAROL"][number / 2 % 2];
        async move { browser.register(name, &email, PASSWORD).await }
    };
    let responses = count_responses((0..12).map(register)).await;
    let done = (303, Some("/login".to_owned()));
    assert_eq!(responses, BTreeMap::from([(done, 1), ((422, None), 11)]));
}

#[tokio::test]
async fn each_email_is_sent_once() {
    const EMAILS: usize = 40;
    let instances = Instances::start().await;
    instances.register_and_log_in("alice").await;
    let alice = User::find_by_username(&instances.rows, "alice").await;
    let (alice, mut transaction) = (
        alice.unwrap().unwrap().id,
        instances.rows.begin().await.unwrap(),
    );
    let now = Clock::system().now();
    for _ in 0..EMAILS {
        let notice = Notice::new(NoticeKind::PasswordChanged, &a_client(), now);
        notice.enqueue(&mut transaction, &alice).await.unwrap();
    }
    transaction.commit().await.unwrap();
    instances.wake_workers(&[0, 1]).await;
    until(|| instances.smtp.received().len() >= EMAILS).await;
    // A worker deletes each email after sending it.
    instances.until_none("SELECT COUNT(*) FROM outbox").await;
    let mut ids: Vec<String> = Vec::new();
    for mail in instances.smtp.received() {
        ids.extend(mail.headers("Message-ID"));
    }
    assert_eq!(ids.len(), EMAILS);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), EMAILS, "each has its own Message-ID");
}
