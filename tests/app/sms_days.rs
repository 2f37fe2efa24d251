//! The counts of codes sent and verified, by country and day.

use twostep::models::purge::ExpiringRows;
use twostep::models::sms_days::{self, SmsDay, Suspicion, record_entered, record_sent};

use crate::support::{NOW, TestApp};

const DAY: i64 = 24 * 60 * 60;

/// The last second of 21 September 2026 in UTC, the day of [`NOW`].
const LAST_SECOND: i64 = NOW - NOW % DAY + DAY - 1;

async fn sent(app: &TestApp, country: Option<&str>, at: i64) -> Option<Suspicion> {
    let mut connection = app.pool.acquire().await.unwrap();
    record_sent(&mut connection, country, at).await.unwrap()
}

async fn entered(app: &TestApp, country: Option<&str>, sent_at: i64) {
    let mut connection = app.pool.acquire().await.unwrap();
    record_entered(&mut connection, country, sent_at)
        .await
        .unwrap();
}

async fn report(app: &TestApp, days: i64, now: i64) -> Vec<SmsDay> {
    sms_days::report(&app.pool, days, now).await.unwrap()
}

fn row(day: &str, country: &str, sent: i64, entered: i64) -> SmsDay {
    SmsDay {
        day: day.to_owned(),
        country: country.to_owned(),
        sent,
        entered,
    }
}

#[tokio::test]
async fn codes_count_on_their_utc_day_and_for_their_country() {
    let app = TestApp::start().await;
    for country in [Some("KE"), Some("KE"), Some("DE"), None] {
        sent(&app, country, LAST_SECOND).await;
    }
    sent(&app, Some("KE"), LAST_SECOND + 1).await;
    // Sent before midnight and entered after it.
    entered(&app, Some("KE"), LAST_SECOND).await;
    entered(&app, None, LAST_SECOND).await;
    let expected = [
        row("2026-09-22", "KE", 1, 0),
        row("2026-09-21", "-", 1, 1),
        row("2026-09-21", "DE", 1, 0),
        row("2026-09-21", "KE", 2, 1),
    ];
    assert_eq!(report(&app, 2, LAST_SECOND + 1).await, expected);
}

#[tokio::test]
async fn a_report_has_the_requested_days() {
    let app = TestApp::start().await;
    for days_ago in [0, 29, 30] {
        sent(&app, Some("KE"), NOW - days_ago * DAY).await;
    }
    assert_eq!(report(&app, 1, NOW).await.len(), 1);
    assert_eq!(report(&app, 29, NOW).await.len(), 1);
    assert_eq!(report(&app, 30, NOW).await.len(), 2);
    assert_eq!(report(&app, 31, NOW).await.len(), 3);
    assert_eq!(sms_days::first_day(1, NOW), "2026-09-21");
    assert_eq!(sms_days::first_day(30, NOW), "2026-08-23");
}

#[tokio::test]
async fn attack_12_sms_pumping_is_suspected_at_every_fiftieth_code() {
    let app = TestApp::start().await;
    for number in 1..=150 {
        sent(&app, Some("DE"), NOW).await;
        if number == 1 {
            // Codes of another country do not count.
            for _ in 0..50 {
                entered(&app, Some("DE"), NOW).await;
            }
        }
        let suspicion = sent(&app, Some("KE"), NOW).await;
        let expected = (number % 50 == 0).then_some(Suspicion {
            sent: number,
            entered: 0,
        });
        assert_eq!(suspicion, expected, "{number}");
    }
}

#[tokio::test]
async fn fewer_than_a_tenth_of_verified_codes_is_suspicious() {
    for (right, suspicious) in [(5, false), (4, true)] {
        let app = TestApp::start().await;
        for _ in 0..49 {
            assert_eq!(sent(&app, Some("KE"), NOW).await, None);
        }
        for _ in 0..right {
            entered(&app, Some("KE"), NOW).await;
        }
        let suspicion = sent(&app, Some("KE"), NOW).await;
        assert_eq!(suspicion.is_some(), suspicious, "{suspicion:?}");
    }
}

#[tokio::test]
async fn a_suspicion_covers_two_days_and_not_three() {
    let app = TestApp::start().await;
    for _ in 0..49 {
        sent(&app, Some("KE"), LAST_SECOND).await;
    }
    assert_eq!(sent(&app, Some("KE"), LAST_SECOND + 1 + DAY).await, None);
    let suspicion = sent(&app, Some("KE"), LAST_SECOND + 1).await;
    let (sent, entered) = (50, 0);
    assert_eq!(suspicion, Some(Suspicion { sent, entered }));
}

#[tokio::test]
async fn parallel_codes_are_all_counted_and_suspected_once() {
    let app = TestApp::start().await;
    let tasks: Vec<_> = (0..60)
        .map(|_| {
            let database = app.pool.clone();
            tokio::spawn(async move {
                let mut connection = database.acquire().await.unwrap();
                record_sent(&mut connection, Some("KE"), NOW).await.unwrap()
            })
        })
        .collect();
    let mut suspicions = 0;
    for task in tasks {
        suspicions += usize::from(task.await.unwrap().is_some());
    }
    assert_eq!(suspicions, 1);
    assert_eq!(report(&app, 1, NOW).await, [row("2026-09-21", "KE", 60, 0)]);
}

/// ASVS 14.2.7
#[tokio::test]
async fn a_day_is_kept_for_400_days() {
    let app = TestApp::start().await;
    sent(&app, Some("KE"), NOW).await;
    sent(&app, Some("KE"), NOW + DAY).await;
    let database = &app.pool;
    let purged = async |now| ExpiringRows::SmsDays.purge(database, now).await.unwrap();
    let midnight = LAST_SECOND + 1;
    assert_eq!(purged(midnight + 400 * DAY - 1).await, 0);
    assert_eq!(purged(midnight + 400 * DAY).await, 1);
    assert_eq!(
        report(&app, 400, NOW + DAY).await,
        [row("2026-09-22", "KE", 1, 0)]
    );
}
