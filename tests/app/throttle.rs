//! Counting itself: each limit of the table, with many attempts at once.

use tokio::task::JoinSet;
use twostep::models::limits::{
    self, Limit, SENDS_OF_SERVICE, SERVICE_DAY, WRONG_PASSWORDS, Window,
};
use twostep::models::throttle::{Bucket, TooMany, count_alone, take_back};

use crate::support::{NOW, TestApp};

const LIMITS: [Limit; 14] = [
    limits::WRONG_PASSWORDS,
    limits::WRONG_PASSWORDS_OF_SITE,
    limits::WRONG_PASSWORDS_OF_ADDRESS,
    limits::WRONG_CODES,
    limits::WRONG_RECOVERY_CODES,
    limits::RECOVERY_CODE_SETS,
    limits::SENDS_OF_ACCOUNT,
    limits::SENDS_TO_NUMBER,
    limits::SENDS_OF_ADDRESS,
    limits::NUMBERS_OF_ACCOUNT,
    limits::CALLS_OF_ACCOUNT,
    limits::RESET_MAILS_OF_ACCOUNT,
    limits::RESET_MAILS_OF_ADDRESS,
    limits::REGISTRATIONS_OF_ADDRESS,
];

/// How many of so many attempts at once are let through.
async fn let_through(app: &TestApp, bucket: &Bucket, attempts: usize) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..attempts {
        let (database, bucket) = (app.pool.clone(), bucket.clone());
        tasks.spawn(async move { count_alone(&database, &[bucket], NOW).await });
    }
    let answers = tasks.join_all().await.into_iter();
    answers.filter(|answer| matches!(answer, Ok(Ok(_)))).count()
}

/// ASVS 2.3.2, 15.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_07_of_many_attempts_at_once_each_limit_lets_its_number_through() {
    let app = TestApp::start().await;
    for limit in LIMITS {
        let most = usize::try_from(limit.windows[0].most).unwrap();
        let found = let_through(&app, &limit.bucket("alice"), most + 50).await;
        assert_eq!(found, most, "{}", limit.name);
        let other = let_through(&app, &limit.bucket("bella"), 1).await;
        assert_eq!(other, 1, "{}", limit.name);
    }
    let window = Window {
        most: 20,
        seconds: SERVICE_DAY,
    };
    let service = Bucket::new(SENDS_OF_SERVICE, vec![window], "");
    assert_eq!(let_through(&app, &service, 70).await, 20);
}

#[tokio::test]
async fn an_attempt_counts_in_all_of_its_buckets_or_in_none() {
    let app = TestApp::start().await;
    let database = &app.pool;
    let (full, free) = (
        WRONG_PASSWORDS.bucket("full"),
        WRONG_PASSWORDS.bucket("free"),
    );
    for _ in 0..10 {
        let counted = count_alone(database, std::slice::from_ref(&full), NOW).await;
        assert!(counted.unwrap().is_ok());
    }
    let both = [free.clone(), full.clone()];
    let refused = count_alone(database, &both, NOW + 60).await.unwrap();
    let too_many = TooMany {
        limit: "wrong_passwords",
        retry_after: 14 * 60,
    };
    assert_eq!(refused.err(), Some(too_many));
    assert_eq!(app.count("SELECT COUNT(*) FROM throttle_hits").await, 10);

    let attempt = count_alone(database, &[free], NOW).await.unwrap().unwrap();
    assert_eq!(app.count("SELECT COUNT(*) FROM throttle_hits").await, 11);
    let mut connection = database.acquire().await.unwrap();
    take_back(&mut connection, &attempt).await.unwrap();
    drop(connection);
    assert_eq!(app.count("SELECT COUNT(*) FROM throttle_hits").await, 10);
}
