//! The codes of the last days as a table.

use std::collections::BTreeMap;

use super::Error;
use crate::models::Database;
use crate::models::sms_days::{self, SmsDay};

pub(super) async fn run(database: &Database, days: i64, now: i64) -> Result<String, Error> {
    let rows = sms_days::report(database, days, now).await?;
    let since = sms_days::first_day(days, now);
    if rows.is_empty() {
        return Ok(format!("No codes were sent since {since}.\n"));
    }
    Ok(format!(
        "Codes sent and entered rightly since {since} (days in UTC)\n\n{}",
        table(&rows)
    ))
}

/// The days, then what they add up to, by country and in all.
fn table(rows: &[SmsDay]) -> String {
    let mut totals: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for row in rows {
        for country in [row.country.as_str(), "all"] {
            let (sent, entered) = totals.entry(country).or_default();
            *sent += row.sent;
            *entered += row.entered;
        }
    }
    let heading = format!(
        "{}{:>6}\n",
        columns("DAY", "COUNTRY", "SENT", "ENTERED"),
        "RATE"
    );
    let days = rows
        .iter()
        .map(|row| line(&row.day, &row.country, row.sent, row.entered));
    // Region codes are capitals, so that "all" comes last.
    let totals = totals
        .iter()
        .map(|(country, (sent, entered))| line("total", country, *sent, *entered));
    heading + &days.collect::<String>() + "\n" + &totals.collect::<String>()
}

fn line(day: &str, country: &str, sent: i64, entered: i64) -> String {
    let rate = match sent {
        0 => "-".to_owned(),
        _ => format!("{}%", (entered * 100 + sent / 2) / sent),
    };
    let columns = columns(day, country, &sent.to_string(), &entered.to_string());
    format!("{columns}{rate:>6}\n")
}

fn columns(day: &str, country: &str, sent: &str, entered: &str) -> String {
    format!("{day:<12}{country:<7}{sent:>9}{entered:>9}")
}
