//! Pages: askama structs, with no logic beyond formatting.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::forms::Errors;
use crate::models::rate_limit::RateLimitExceeded;

pub mod auth;
pub mod authenticator;
pub mod browser;
pub mod dev;
pub mod email;
pub mod errors;
pub mod factors;
pub mod layout;
pub mod not_me;
pub mod password;
pub mod profile;
pub mod recovery_codes;
pub mod security;
pub mod two_factor;

/// The URL of a static file, for templates.
pub fn asset(path: &str) -> &'static str {
    crate::services::assets::url(path)
}

/// The first field with an error, which gets the focus. Empty if there is none.
pub fn first_invalid_field(errors: &Errors) -> &'static str {
    errors
        .iter()
        .map(|(field, _)| field)
        .find(|field| *field != "form")
        .unwrap_or_default()
}

/// A time for `<time>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// RFC 3339 in UTC.
    pub datetime: String,
    /// Relative to now, as in `2 hours ago`.
    pub relative: String,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Times up to an hour ahead count as now, because clocks differ a little.
const AHEAD: i64 = 1 - HOUR;
/// The last second of the year 9999. RFC 3339 has no later time.
const LAST: i64 = 253_402_300_799;

/// Describes `at` relative to `now`, both in Unix seconds.
pub fn timestamp(at: i64, now: i64) -> Timestamp {
    let at = at.clamp(0, LAST);
    let moment = moment_of(at);
    let ago = |count: i64, unit: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {unit}{plural} ago")
    };
    let elapsed = now.saturating_sub(at);
    let relative = match elapsed {
        ..AHEAD => date(moment),
        AHEAD..MINUTE => "just now".to_owned(),
        MINUTE..HOUR => ago(elapsed / MINUTE, "minute"),
        HOUR..DAY => ago(elapsed / HOUR, "hour"),
        _ => match elapsed / DAY {
            1 => "yesterday".to_owned(),
            days @ 2..30 => ago(days, "day"),
            _ => date(moment),
        },
    };
    Timestamp {
        datetime: moment.format(&Rfc3339).unwrap_or_default(),
        relative,
    }
}

/// The date of `at`, in Unix seconds.
pub fn date_stamp(at: i64) -> Timestamp {
    Timestamp {
        relative: date(moment_of(at)),
        ..timestamp(at, at)
    }
}

/// Says which limit was exceeded, and when to try again.
pub fn describe_exceeded(exceeded: RateLimitExceeded) -> String {
    let wait = duration(exceeded.retry_after);
    format!("{} Try again in {wait}.", exceeded.limit.message)
}

/// Describes a wait, rounded up.
pub fn duration(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..=90 => (seconds.max(1), "second"),
        91..=5400 => ((seconds + MINUTE - 1) / MINUTE, "minute"),
        _ => ((seconds + HOUR - 1) / HOUR, "hour"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

fn moment_of(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.clamp(0, LAST)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn date(moment: OffsetDateTime) -> String {
    moment
        .format(format_description!(
            "[day padding:none] [month repr:long] [year]"
        ))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use askama::Template;
    use scraper::{ElementRef, Html, Selector};

    use super::*;

    /// 4 May 2026, 12:34:56 UTC.
    const AT: i64 = 1_777_898_096;

    #[test]
    fn a_time_is_described_relative_to_now() {
        for (elapsed, expected) in [
            (-HOUR, "4 May 2026"),
            (-HOUR + 1, "just now"),
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (119, "1 minute ago"),
            (120, "2 minutes ago"),
            (HOUR - 1, "59 minutes ago"),
            (HOUR, "1 hour ago"),
            (3 * HOUR, "3 hours ago"),
            (DAY - 1, "23 hours ago"),
            (DAY, "yesterday"),
            (2 * DAY - 1, "yesterday"),
            (2 * DAY, "2 days ago"),
            (12 * DAY, "12 days ago"),
            (30 * DAY - 1, "29 days ago"),
            (30 * DAY, "4 May 2026"),
        ] {
            let shown = timestamp(AT, AT + elapsed);
            assert_eq!(shown.relative, expected, "{elapsed}");
            assert_eq!(shown.datetime, "2026-05-04T12:34:56Z");
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        for (seconds, words) in [
            (-5, "1 second"),
            (1, "1 second"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (120, "2 minutes"),
            (121, "3 minutes"),
            (90 * MINUTE, "90 minutes"),
            (90 * MINUTE + 1, "2 hours"),
            (DAY, "24 hours"),
        ] {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
    }

    #[test]
    fn every_number_gives_a_date() {
        let numbers = [i64::MIN, -1, 0, 1, LAST, LAST + 1, i64::MAX];
        for at in numbers {
            for now in numbers {
                let shown = timestamp(at, now);
                assert_eq!(shown.datetime.len(), "1970-01-01T00:00:00Z".len());
                assert!(!shown.relative.is_empty());
            }
        }
        assert_eq!(timestamp(i64::MIN, AT).relative, "1 January 1970");
        assert_eq!(timestamp(i64::MAX, AT).relative, "31 December 9999");
    }

    #[test]
    fn the_first_invalid_field_is_never_the_form() {
        assert_eq!(first_invalid_field(&Errors::default()), "");
        assert_eq!(first_invalid_field(&Errors::one("form", "x")), "");
        let mut errors = Errors::one("form", "x");
        errors.add("email", "y");
        errors.add("password", "z");
        assert_eq!(first_invalid_field(&errors), "email");
    }

    fn only<'a>(page: &'a Html, selector: &str) -> ElementRef<'a> {
        let found: Vec<_> = page.select(&Selector::parse(selector).unwrap()).collect();
        assert_eq!(found.len(), 1, "{selector}");
        found[0]
    }

    #[test]
    fn several_errors_appear_at_their_fields_and_in_the_summary() {
        let mut errors = Errors::one("form", "Try later");
        errors.add("email", "Not <that> one");
        errors.add("password", "Too short");
        let page = auth::RegisterPage {
            layout: layout::Layout::default(),
            username: "\"><script>".to_owned(),
            email: String::new(),
            errors,
        };
        let page = Html::parse_document(&page.render().unwrap());

        let email = only(&page, "input.is-invalid[autofocus]");
        assert_eq!(email.attr("name"), Some("email"));
        assert_eq!(email.attr("aria-invalid"), Some("true"));
        assert_eq!(email.attr("aria-describedby"), Some("email-error"));
        let error = only(&page, "input + #email-error.invalid-feedback");
        assert_eq!(error.text().collect::<String>(), "Not <that> one");

        let password = only(&page, "#password");
        let described = password.attr("aria-describedby");
        assert_eq!(
            described,
            Some("password-error"),
            "the error replaces the rule"
        );
        let username = only(&page, "#username").attr("aria-describedby");
        assert_eq!(username, Some("username-hint"));
        assert_eq!(only(&page, "#username").attr("value"), Some("\"><script>"));
        only(&page, "[role=alert] a[href='#email']");
        assert_eq!(
            only(&page, "[role=alert] li:first-child")
                .inner_html()
                .trim(),
            "Try later"
        );
    }

    #[test]
    fn a_single_error_appears_and_is_announced_only_at_its_field() {
        let page = two_factor::EnablePage {
            layout: layout::Layout::default(),
            verification_phone: "1".to_owned(),
            offers_apps: false,
            current: None,
            errors: Errors::one("verification_phone", "Not that one"),
        };
        let page = page.render().unwrap();
        assert_eq!(page.matches("Not that one").count(), 1);
        let page = Html::parse_document(&page);
        only(
            &page,
            "#verification_phone-error[role=alert].invalid-feedback",
        );
        let field = only(&page, "input.is-invalid[autofocus]");
        assert_eq!(
            field.attr("aria-describedby"),
            Some("verification_phone-error verification_phone-hint"),
            "the example stays"
        );
        let example: String = only(&page, "#verification_phone-hint").text().collect();
        assert!(
            example.ends_with("+254\u{a0}720\u{a0}227267"),
            "without breaks: {example}"
        );
    }
}
