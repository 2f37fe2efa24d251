//! Limits hold over all instances, however many requests come at once; and what is
//! to happen once happens once.

use std::collections::BTreeMap;
use std::future::Future;

use tokio::task::JoinSet;
use twostep::models::outbox::{Notice, NoticeKind};
use twostep::models::user::User;
use twostep::services::clock::Clock;

use super::Instances;
use crate::support::{PASSWORD, PHONE, Page, a_client, until};
use crate::two_factor::wrong;

/// How often each status and place to go to came.
async fn answers(
    requests: impl Iterator<Item = impl Future<Output = Page> + Send + 'static>,
) -> BTreeMap<(u16, Option<String>), usize> {
    let requests: JoinSet<Page> = requests.collect();
    let mut answers = BTreeMap::new();
    for page in requests.join_all().await {
        let to = page.location().map(str::to_owned);
        *answers.entry((page.status, to)).or_default() += 1;
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_05_no_more_passwords_are_compared_than_one_instance_would() {
    let instances = Instances::start().await;
    instances.signed_in("alice").await;
    let guess = |_| {
        let browser = instances.browser_at("203.0.113.9");
        async move { browser.log_in("Alice", "not her password").await }
    };
    let came = answers((0..30).map(guess)).await;
    assert_eq!(came, BTreeMap::from([((422, None), 10), ((429, None), 20)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_06_no_more_codes_are_checked_than_one_instance_would() {
    let instances = Instances::start().await;
    instances.with_two_factor("alice", PHONE).await;
    let half = instances.half_logged_in("alice").await;
    let (code, before) = (instances.last_code(), instances.phone.counters().checks);
    let guess = |_| {
        let (browser, code) = (half.copy(), wrong(&code));
        async move { browser.verify(&code).await }
    };
    let came = answers((0..20).map(guess)).await;
    assert_eq!(came.get(&(422, None)), Some(&5), "{came:?}");
    assert_eq!(instances.phone.counters().checks - before, 5);
    for number in [0, 1] {
        let late = instances.at(&half, number);
        late.verify(&code).await;
        assert!(!late.is_logged_in().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_07_a_code_and_a_name_are_good_for_one_over_all_instances() {
    let instances = Instances::start().await;
    instances.with_two_factor("alice", PHONE).await;
    let half = instances.half_logged_in("alice").await;
    let code = instances.last_code();
    let enter = |_| {
        let (browser, code) = (half.copy(), code.clone());
        async move { browser.verify(&code).await }
    };
    let came = answers((0..20).map(enter)).await;
    let home = (303, Some("/home".to_owned()));
    assert_eq!(came.get(&home), Some(&1), "{came:?}");

    let register = |number: usize| {
        let (browser, email) = (instances.browser(), format!("{number}@example.com"));
        let name = ["carol", "CAROL"][number % 2];
        async move { browser.register(name, &email, PASSWORD).await }
    };
    let came = answers((0..12).map(register)).await;
    let done = (303, Some("/login".to_owned()));
    assert_eq!(came, BTreeMap::from([(done, 1), ((422, None), 11)]));
}

#[tokio::test]
async fn each_mail_is_sent_once() {
    const MAILS: usize = 40;
    let instances = Instances::start().await;
    instances.signed_in("alice").await;
    let alice = User::find_by_username(&instances.rows, "alice").await;
    let (alice, mut transaction) = (
        alice.unwrap().unwrap().id,
        instances.rows.begin().await.unwrap(),
    );
    let now = Clock::system().now();
    for _ in 0..MAILS {
        let notice = Notice::new(NoticeKind::PasswordChanged, &a_client(), now);
        notice.enqueue(&mut transaction, &alice).await.unwrap();
    }
    transaction.commit().await.unwrap();
    instances.wake_workers(&[0, 1]).await;
    until(|| instances.smtp.received().len() >= MAILS).await;
    // Who has sent one forgets it before taking another.
    instances.until_none("SELECT COUNT(*) FROM outbox").await;
    let mut ids: Vec<String> = Vec::new();
    for mail in instances.smtp.received() {
        ids.extend(mail.headers("Message-ID"));
    }
    assert_eq!(ids.len(), MAILS);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MAILS, "each has a name of its own");
}
