//! Codes sent and verified, by country and UTC day. Many unverified codes are a
//! sign of SMS pumping: fraudsters who share in a network's revenue request codes to its
//! numbers.

use sqlx::FromRow;
use time::OffsetDateTime;

use crate::models::{Connection, Database, Result};

const DAY: i64 = 24 * 60 * 60;

/// How many days are kept: long enough to compare a month with the same month a year ago.
pub const KEPT_DAYS: i64 = 400;

/// The country of numbers that have none, such as those of satellite phones.
pub(super) const NO_COUNTRY: &str = "-";

/// The number of codes between two checks of a country.
const SENDS_PER_CHECK: i64 = 50;

/// A country is suspicious if fewer than one in this many codes is verified.
const ENTERED_SHARE: i64 = 10;

/// A country on a day.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SmsDay {
    /// UTC, as `2026-11-22`.
    pub day: String,
    /// A region code, or `-` for numbers without a country.
    pub country: String,
    pub sent: i64,
    pub entered: i64,
}

/// Too few of the codes to a country were verified, today and yesterday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// Codes sent, at least [`SENDS_PER_CHECK`].
    pub sent: i64,
    /// Codes verified, less than a tenth.
    pub entered: i64,
}

/// Counts a code that is sent now. `country` is a region code, or none. Checks the country
/// at every fiftieth code of today and yesterday, so that the log is not flooded. Call it
/// last in a transaction: all codes to a country lock the same row.
pub async fn record_sent(
    connection: &mut Connection,
    country: Option<&str>,
    now: i64,
) -> Result<Option<Suspicion>> {
    let country = country.unwrap_or(NO_COUNTRY);
    let today: SmsDay = sqlx::query_as(
        r"INSERT INTO sms_days (day, country, sent, entered)
          VALUES ($1, $2, 1, 0)
          ON CONFLICT (day, country) DO UPDATE SET sent = sms_days.sent + 1
          RETURNING day, country, sent, entered",
    )
    .bind(day(now))
    .bind(country)
    .fetch_one(&mut *connection)
    .await?;
    let yesterday: Option<SmsDay> = sqlx::query_as(
        r"SELECT day, country, sent, entered
          FROM sms_days
          WHERE day = $1 AND country = $2",
    )
    .bind(day(now - DAY))
    .bind(country)
    .fetch_optional(connection)
    .await?;
    let (sent, entered) = yesterday.map_or((0, 0), |it| (it.sent, it.entered));
    let (sent, entered) = (sent + today.sent, entered + today.entered);
    let is_suspicious = sent % SENDS_PER_CHECK == 0 && entered * ENTERED_SHARE < sent;
    Ok(is_suspicious.then_some(Suspicion { sent, entered }))
}

/// Counts a verified code on the day when it was sent, `sent_at` (Unix seconds), so that no
/// day has more codes verified than sent.
pub async fn record_entered(
    connection: &mut Connection,
    country: Option<&str>,
    sent_at: i64,
) -> Result<()> {
    sqlx::query(
        r"INSERT INTO sms_days (day, country, sent, entered)
          VALUES ($1, $2, 0, 1)
          ON CONFLICT (day, country) DO UPDATE SET entered = sms_days.entered + 1",
    )
    .bind(day(sent_at))
    .bind(country.unwrap_or(NO_COUNTRY))
    .execute(connection)
    .await?;
    Ok(())
}

/// The last `days` days, today included: newest first, countries by name.
pub async fn report(database: &Database, days: i64, now: i64) -> Result<Vec<SmsDay>> {
    Ok(sqlx::query_as(
        r"SELECT day, country, sent, entered
          FROM sms_days
          WHERE day >= $1
          ORDER BY day DESC, country",
    )
    .bind(first_day(days, now))
    .fetch_all(database)
    .await?)
}

/// The first of the last `days` days, today included.
pub fn first_day(days: i64, now: i64) -> String {
    day(now - (days - 1) * DAY)
}

/// Deletes days older than [`KEPT_DAYS`] and returns the number of rows: at most one per
/// country and day, so there is no limit.
pub(super) async fn delete_old(database: &Database, now: i64) -> Result<u64> {
    let done = sqlx::query("DELETE FROM sms_days WHERE day < $1")
        .bind(day(now - KEPT_DAYS * DAY))
        .execute(database)
        .await?;
    Ok(done.rows_affected())
}

/// The UTC day of a time, as `2026-11-22`: text in the order of time.
fn day(at: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.date().to_string()
}
