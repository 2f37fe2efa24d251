//! Counting: parallel attempts, windows, refunds, clocks.

use tokio::task::JoinSet;
use twostep::models::rate_limit::{
    self as limits, Bucket, NUMBER_TRIED, RateLimit, SENDS_OF_SERVICE, WRONG_CODES,
    WRONG_PASSWORDS, exceeded, refund, refund_since, reset, take, usage,
};

use crate::logs;
use crate::support::{NOW, TestApp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// All limits with a fixed capacity.
const LIMITS: [RateLimit; 28] = [
    limits::WRONG_PASSWORDS,
    limits::WRONG_PASSWORDS_PER_SITE,
    limits::WRONG_PASSWORDS_PER_CLIENT,
    limits::WRONG_PASSWORDS_PER_ACCOUNT,
    limits::LOGINS,
    limits::REAUTHENTICATIONS,
    limits::WRONG_CODES,
    limits::WRONG_RECOVERY_CODES,
    limits::RECOVERY_CODE_SETS,
    limits::PASSWORD_CHANGES,
    limits::PASSWORD_RESETS,
    limits::FACTOR_CHANGES,
    limits::CHANGES_PER_CLIENT,
    limits::PROFILE_CHANGES,
    limits::RENAMES,
    limits::SENDS_OF_ACCOUNT,
    limits::SENDS_TO_NUMBER,
    limits::SENDS_PER_CLIENT,
    limits::NUMBERS_OF_ACCOUNT,
    limits::NUMBER_TRIED,
    limits::CALLS_OF_ACCOUNT,
    limits::CALLS_TO_NUMBER,
    limits::RESET_MAILS_OF_ACCOUNT,
    limits::RESET_REQUESTS,
    limits::EMAILS_OF_KIND,
    limits::UNFINISHED_LOGIN_NOTICES,
    limits::REGISTRATIONS,
    limits::REJECTED_REGISTRATIONS,
];

/// Counts how many of parallel attempts pass.
async fn count_passing(app: &TestApp, buckets: &[Bucket], attempts: usize) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..attempts {
        let (database, buckets) = (app.state.database.clone(), buckets.to_vec());
        tasks.spawn(async move {
            let mut connection = database.acquire().await.unwrap();
            take(&mut connection, &buckets, NOW).await.unwrap().is_ok()
        });
    }
    let passed = tasks.join_all().await.into_iter();
    passed.filter(|passed| *passed).count()
}

/// Loads a bucket's count at a time.
async fn count_at(app: &TestApp, bucket: &Bucket, now: i64) -> i64 {
    let mut connection = app.pool.acquire().await.unwrap();
    usage(&mut connection, std::slice::from_ref(bucket), now)
        .await
        .unwrap()[0]
        .count
}

/// Takes an attempt at a time. Returns the seconds to wait if it is refused.
async fn attempt(app: &TestApp, buckets: &[Bucket], now: i64) -> Result<(), i64> {
    let mut connection = app.pool.acquire().await.unwrap();
    let taken = take(&mut connection, buckets, now).await.unwrap();
    taken.map(drop).map_err(|exceeded| exceeded.retry_after)
}

/// ASVS 2.3.2, 15.4.2
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attack_07_of_parallel_attempts_each_limit_permits_its_capacity() {
    let app = TestApp::start().await;
    for limit in LIMITS {
        let capacity = usize::try_from(limit.windows[0].capacity).unwrap();
        let found = count_passing(&app, &limit.buckets("alice"), capacity + 50).await;
        assert_eq!(found, capacity, "{}", limit.name);
        let other = count_passing(&app, &limit.buckets("bella"), 1).await;
        assert_eq!(other, 1, "{}", limit.name);
    }
    let service = SENDS_OF_SERVICE.daily(20, "");
    assert_eq!(count_passing(&app, &[service], 70).await, 20);
}

#[tokio::test]
async fn every_limit_has_a_unique_name_and_a_message() {
    let mut names: Vec<&str> = LIMITS.iter().map(|limit| limit.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), LIMITS.len());
    assert!(LIMITS.iter().all(|limit| limit.message.ends_with('.')));
}

#[tokio::test]
async fn a_window_permits_its_capacity_and_a_new_one_starts_after_its_end() {
    let app = TestApp::start().await;
    let buckets = WRONG_PASSWORDS.buckets("alice");
    for _ in 0..10 {
        assert_eq!(attempt(&app, &buckets, NOW).await, Ok(()));
    }
    assert_eq!(attempt(&app, &buckets, NOW + 60).await, Err(840));
    assert_eq!(attempt(&app, &buckets, NOW + 899).await, Err(1));
    for _ in 0..10 {
        assert_eq!(attempt(&app, &buckets, NOW + 900).await, Ok(()));
    }
    assert_eq!(attempt(&app, &buckets, NOW + 901).await, Err(899));
}

#[tokio::test]
async fn instances_whose_clocks_differ_by_a_minute_share_a_window() {
    let app = TestApp::start().await;
    let buckets = WRONG_PASSWORDS.buckets("alice");
    for number in 0..10 {
        let now = if number % 2 == 0 { NOW + 60 } else { NOW };
        assert_eq!(attempt(&app, &buckets, now).await, Ok(()));
    }
    assert_eq!(attempt(&app, &buckets, NOW + 60).await, Err(900));
    assert_eq!(attempt(&app, &buckets, NOW).await, Err(960));
    // A greater difference is a wrong clock.
    assert_eq!(attempt(&app, &buckets, NOW - 1).await, Ok(()));
}

#[tokio::test]
async fn a_reset_also_empties_a_window_of_an_instance_whose_clock_is_ahead() {
    let app = TestApp::start().await;
    let buckets = WRONG_PASSWORDS.buckets("alice");
    while attempt(&app, &buckets, NOW + 60).await.is_ok() {}
    assert_eq!(count_at(&app, &buckets[0], NOW).await, 10);
    let mut connection = app.pool.acquire().await.unwrap();
    reset(&mut connection, &buckets, NOW).await.unwrap();
    drop(connection);
    assert_eq!(count_at(&app, &buckets[0], NOW).await, 0);
}

#[tokio::test]
async fn of_several_full_windows_the_last_to_end_sets_the_wait() {
    let app = TestApp::start().await;
    let buckets = WRONG_CODES.buckets("alice"); // 10 an hour, 20 a day
    for now in [NOW, NOW + HOUR] {
        for _ in 0..10 {
            assert_eq!(attempt(&app, &buckets, now).await, Ok(()));
        }
    }
    assert_eq!(attempt(&app, &buckets, NOW + HOUR).await, Err(23 * HOUR));
    assert_eq!(attempt(&app, &buckets, NOW + DAY - 1).await, Err(1));
    assert_eq!(attempt(&app, &buckets, NOW + DAY).await, Ok(()));
}

#[tokio::test]
async fn an_attempt_counts_in_all_its_buckets_or_in_none() {
    let app = TestApp::start().await;
    let (full, free) = (
        WRONG_PASSWORDS.buckets("full").remove(0),
        WRONG_PASSWORDS.buckets("free").remove(0),
    );
    for _ in 0..10 {
        let taken = attempt(&app, std::slice::from_ref(&full), NOW).await;
        assert_eq!(taken, Ok(()));
    }
    let both = [free.clone(), full.clone()];
    assert_eq!(attempt(&app, &both, NOW + 60).await, Err(14 * MINUTE));
    assert_eq!(count_at(&app, &free, NOW + 60).await, 0);
    assert_eq!(count_at(&app, &full, NOW + 60).await, 10);
}

#[tokio::test]
async fn a_bucket_of_capacity_zero_refuses_every_attempt() {
    let app = TestApp::start().await;
    let none = SENDS_OF_SERVICE.daily(0, "");
    let other = WRONG_CODES.buckets("alice").remove(0);
    let taken = attempt(&app, &[none, other.clone()], NOW).await;
    assert!(taken.is_err());
    assert_eq!(count_at(&app, &other, NOW).await, 0);
}

#[tokio::test]
async fn a_daily_limit_uses_utc_days() {
    let app = TestApp::start().await;
    let bucket = [SENDS_OF_SERVICE.daily(1, "")];
    let midnight = NOW - NOW % DAY + DAY;
    assert_eq!(attempt(&app, &bucket, midnight - 1).await, Ok(()));
    assert_eq!(attempt(&app, &bucket, midnight - 1).await, Err(1));
    assert_eq!(attempt(&app, &bucket, midnight).await, Ok(()));
    assert_eq!(attempt(&app, &bucket, midnight).await, Err(DAY));
}

#[tokio::test]
async fn a_refund_lowers_only_the_window_that_counted_the_attempt() {
    let app = TestApp::start().await;
    let buckets = NUMBER_TRIED.buckets("alice"); // one a day
    let mut connection = app.pool.acquire().await.unwrap();
    let first = take(&mut connection, &buckets, NOW).await.unwrap().unwrap();
    assert!(take(&mut connection, &buckets, NOW).await.unwrap().is_err());
    refund(&mut connection, &first).await.unwrap();
    let second = take(&mut connection, &buckets, NOW).await.unwrap();
    assert!(second.is_ok());
    // The first attempt does not exist in the next window.
    let third = take(&mut connection, &buckets, NOW + DAY).await.unwrap();
    assert!(third.is_ok());
    refund(&mut connection, &first).await.unwrap();
    let full = exceeded(&mut connection, &buckets, NOW + DAY)
        .await
        .unwrap();
    assert!(full.is_some());
    // No count falls below zero.
    let third = third.unwrap();
    for _ in 0..3 {
        refund(&mut connection, &third).await.unwrap();
    }
    drop(connection);
    assert_eq!(attempt(&app, &buckets, NOW + DAY).await, Ok(()));
    assert!(attempt(&app, &buckets, NOW + DAY).await.is_err());
}

#[tokio::test]
async fn an_attempt_from_before_a_window_is_not_refunded_in_it() {
    let app = TestApp::start().await;
    let buckets = WRONG_CODES.buckets("alice");
    let hour = &buckets[0];
    for _ in 0..3 {
        attempt(&app, &buckets, NOW).await.unwrap();
    }
    for (since, expected) in [(NOW - 1, 3), (NOW, 1)] {
        let mut connection = app.pool.acquire().await.unwrap();
        let refunded = refund_since(&mut connection, &buckets, 2, since).await;
        refunded.unwrap();
        drop(connection);
        assert_eq!(count_at(&app, hour, NOW).await, expected);
    }
}

/// A clock was two hours ahead and is corrected.
#[tokio::test]
async fn a_window_of_the_future_does_not_count() {
    let app = TestApp::start().await;
    let ahead = NOW + 2 * HOUR;
    for limit in LIMITS {
        let buckets = limit.buckets("alice");
        while attempt(&app, &buckets, ahead).await.is_ok() {}
        assert_eq!(attempt(&app, &buckets, NOW).await, Ok(()), "{}", limit.name);
    }
}

#[tokio::test]
async fn half_four_fifths_and_all_of_a_budget_are_logged_once_each() {
    let app = TestApp::start().await;
    let bucket = [SENDS_OF_SERVICE.daily(10, "")];
    logs::keep();
    for count in 1..=12 {
        let _ = attempt(&app, &bucket, NOW).await;
        let lines = logs::take().concat();
        let expected = match count {
            5 | 8 => "budget_running_out",
            10 => "budget_used_up",
            _ => "",
        };
        let is_logged = lines.contains("event=\"budget_");
        assert_eq!(is_logged, !expected.is_empty(), "{count}: {lines}");
        assert!(lines.contains(expected), "{count}: {lines}");
        assert_eq!(lines.contains("ERROR"), count == 10, "{count}: {lines}");
    }
}
