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
    let table = table(&rows);
    Ok(format!(
        "Codes sent and verified since {since} (days in UTC)\n\n{table}"
    ))
}

/// The days, then the totals by country and of all.
fn table(rows: &[SmsDay]) -> String {
    let mut totals: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for row in rows {
        for country in [row.country.as_str(), "all"] {
            let (sent, verified) = totals.entry(country).or_default();
            *sent += row.sent;
            *verified += row.entered;
        }
    }
    let mut table = line("DAY", "COUNTRY", "SENT", "VERIFIED", "RATE");
    for row in rows {
        table += &counts(&row.day, &row.country, row.sent, row.entered);
    }
    table.push('\n');
    // Region codes are capitals, so "all" comes last.
    for (country, (sent, verified)) in totals {
        table += &counts("total", country, sent, verified);
    }
    table
}

fn counts(day: &str, country: &str, sent: i64, verified: i64) -> String {
    let rate = match sent {
        0 => "-".to_owned(),
        _ => format!("{}%", (verified * 100 + sent / 2) / sent),
    };
    let [sent, verified] = [sent, verified].map(|it| it.to_string());
    line(day, country, &sent, &verified, &rate)
}

fn line(day: &str, country: &str, sent: &str, verified: &str, rate: &str) -> String {
    format!("{day:<12}{country:<7}{sent:>9}{verified:>10}{rate:>6}\n")
}
