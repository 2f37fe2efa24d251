//! How many codes were sent and how many of them entered rightly, by country and
//! day (UTC). Codes that nobody enters are how SMS pumping looks from here: whoever
//! earns by the texts that a network delivers asks for codes to its numbers.

use sqlx::any::AnyRow;
use sqlx::{FromRow, Row};
use time::OffsetDateTime;

use crate::models::{Connection, Database, Error};

const DAY: i64 = 24 * 60 * 60;

/// How long a day is kept, in days: the same month of the year before is still
/// there to compare with.
pub const KEPT_DAYS: i64 = 400;

/// Where numbers of no country count, those of satellite phones for instance.
const NO_COUNTRY: &str = "-";

/// Suspicion is looked for, and told, once in so many codes to a country.
const SENDS_TO_JUDGE: i64 = 50;

/// Fewer than one code in so many entered rightly is suspicious.
const ENTERED_SHARE: i64 = 10;

/// A country on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsDay {
    /// In UTC: `2026-11-22`.
    pub day: String,
    /// A region code, or `-` for numbers of no country.
    pub country: String,
    /// Codes sent.
    pub sent: i64,
    /// Those of them that were entered rightly.
    pub entered: i64,
}

impl FromRow<'_, AnyRow> for SmsDay {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            day: row.try_get("day")?,
            country: row.try_get("country")?,
            sent: row.try_get("sent")?,
            entered: row.try_get("entered")?,
        })
    }
}

/// Too few of the codes that went to a country today and yesterday were entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// Codes sent, at least [`SENDS_TO_JUDGE`].
    pub sent: i64,
    /// Those of them that were entered rightly, less than a tenth.
    pub entered: i64,
}

/// Counts a code that is sent now. `country` is a region code, or none for a number
/// of no country. Returns a suspicion where there is one to tell of: at every
/// fiftieth code of today and yesterday, so that it is told now and then and not
/// with each code. To be called last in a transaction: all codes to a country lock
/// the same row.
pub async fn record_sent(
    connection: &mut Connection,
    country: Option<&str>,
    now: i64,
) -> Result<Option<Suspicion>, Error> {
    let country = country.unwrap_or(NO_COUNTRY);
    let today: SmsDay = sqlx::query_as(
        "INSERT INTO sms_days (day, country, sent, entered) VALUES ($1, $2, 1, 0) \
         ON CONFLICT (day, country) DO UPDATE SET sent = sms_days.sent + 1 \
         RETURNING day, country, sent, entered",
    )
    .bind(day(now))
    .bind(country)
    .fetch_one(&mut *connection)
    .await?;
    let yesterday: Option<SmsDay> = sqlx::query_as(
        "SELECT day, country, sent, entered FROM sms_days WHERE day = $1 AND country = $2",
    )
    .bind(day(now - DAY))
    .bind(country)
    .fetch_optional(connection)
    .await?;
    let (sent, entered) = yesterday.map_or((0, 0), |it| (it.sent, it.entered));
    let (sent, entered) = (sent + today.sent, entered + today.entered);
    let is_suspicious = sent % SENDS_TO_JUDGE == 0 && entered * ENTERED_SHARE < sent;
    Ok(is_suspicious.then_some(Suspicion { sent, entered }))
}

/// Counts a code that was entered rightly, on the day of the code that was sent at
/// `sent_at` (Unix seconds), so that no day has more entered than sent.
pub async fn record_entered(
    connection: &mut Connection,
    country: Option<&str>,
    sent_at: i64,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO sms_days (day, country, sent, entered) VALUES ($1, $2, 0, 1) \
         ON CONFLICT (day, country) DO UPDATE SET entered = sms_days.entered + 1",
    )
    .bind(day(sent_at))
    .bind(country.unwrap_or(NO_COUNTRY))
    .execute(connection)
    .await?;
    Ok(())
}

/// The last so many days, today among them: newest first, countries by name.
pub async fn report(database: &Database, days: i64, now: i64) -> Result<Vec<SmsDay>, Error> {
    Ok(sqlx::query_as(
        "SELECT day, country, sent, entered FROM sms_days WHERE day >= $1 \
         ORDER BY day DESC, country",
    )
    .bind(first_day(days, now))
    .fetch_all(database)
    .await?)
}

/// The first of the last so many days, today among them.
pub fn first_day(days: i64, now: i64) -> String {
    day(now - (days - 1) * DAY)
}

/// Deletes what is older than [`KEPT_DAYS`], and returns how many rows it was. In one
/// statement: a day has no more rows than the world has countries.
pub(super) async fn delete_old(database: &Database, now: i64) -> Result<u64, Error> {
    let done = sqlx::query("DELETE FROM sms_days WHERE day < $1")
        .bind(day(now - KEPT_DAYS * DAY))
        .execute(database)
        .await?;
    Ok(done.rows_affected())
}

/// The day of a moment, in UTC: `2026-11-22`, which sorts as it reads.
fn day(at: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.date().to_string()
}
