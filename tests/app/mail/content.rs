//! What the mails say.

use scraper::{Html, Selector};
use twostep::models::outbox::{Notice, NoticeKind};
use twostep::views::email::{Content, NoticeEmail, ResetPasswordEmail};

use super::notice;
use crate::support::{NOW, keep};

const EVENTS: [NoticeKind; 9] = [
    NoticeKind::PasswordChanged,
    NoticeKind::PasswordReset,
    NoticeKind::TwoFactorEnabled,
    NoticeKind::PhoneChanged,
    NoticeKind::TwoFactorDisabled,
    NoticeKind::LoginAfterFailures,
    NoticeKind::UnfinishedLogin,
    NoticeKind::RecoveryCodeUsed,
    NoticeKind::RecoveryCodesRenewed,
];

const LINK: &str = "https://login.example/not_me/abc";

fn render(notice: &Notice) -> Content {
    let mail = NoticeEmail::new("alice".to_owned(), notice, LINK.to_owned(), 24);
    let mail = mail.render().unwrap();
    keep(&mail.html);
    mail
}

fn words(html: &str) -> String {
    let page = Html::parse_document(html);
    let text: String = page.root_element().text().collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The cell of the table that tells the browser.
fn browser(html: &str) -> String {
    let selector = Selector::parse("tr:last-child > td:last-child").unwrap();
    let page = Html::parse_document(html);
    let mut cells = page
        .select(&selector)
        .map(|it| it.text().collect::<String>());
    cells.rfind(|text| !text.contains("Twostep")).unwrap()
}

fn links(html: &str) -> Vec<String> {
    let selector = Selector::parse("[href], [src]").unwrap();
    let page = Html::parse_document(html);
    let links = page.select(&selector);
    links
        .filter_map(|it| it.attr("href").or(it.attr("src")).map(str::to_owned))
        .collect()
}

#[test]
fn both_parts_of_a_notice_tell_what_when_and_from_where() {
    let mut subjects = Vec::new();
    for event in EVENTS {
        let mail = render(&notice(event));
        let text = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [&text, &words(&mail.html)] {
            for fact in [
                "Hello alice,",
                "21 September 2026, 14:13 UTC",
                "203.0.113.9",
                "Firefox on Linux",
                "within 24 hours",
                LINK,
            ] {
                assert!(part.contains(fact), "{event:?}: {fact}: {part}");
            }
        }
        assert_eq!(links(&mail.html), [LINK]);
        assert!(mail.subject.contains("Twostep"));
        subjects.push(mail.subject);
    }
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), EVENTS.len());
    assert!(subjects.contains(&"Your Twostep password was changed".to_owned()));
}

/// ASVS 14.2.4
#[test]
fn a_number_is_masked() {
    for event in [NoticeKind::PhoneChanged, NoticeKind::TwoFactorDisabled] {
        let mut notice = notice(event);
        notice.former_phone = Some("+254720227267".to_owned());
        let mail = render(&notice);
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("••••\u{a0}267"), "{part}");
            assert!(!part.contains("254720"), "{part}");
        }
    }
}

#[test]
fn attack_15_what_a_browser_calls_itself_stands_in_no_mail() {
    let mut notice = notice(NoticeKind::UnfinishedLogin);
    let long = "x".repeat(5000);
    for (typed, shown) in [
        ("", "an unknown browser"),
        ("\r\n\t\u{202e}\0", "an unknown browser"),
        (
            "a\r\nIf it was you, press\u{7} https://evil.example",
            "an unknown browser",
        ),
        ("</td><script>alert(1)</script>", "an unknown browser"),
        (
            "www.evil.example mallory@evil.example",
            "an unknown browser",
        ),
        (
            "Mozilla/5.0 (evil.example; Linux x86_64; rv:140.0) evil Firefox/140.0",
            "Firefox on Linux",
        ),
        (&long, "an unknown browser"),
    ] {
        notice.user_agent = Some(typed.to_owned());
        let mail = render(&notice);
        assert!(
            mail.text.contains(&format!("Browser: {shown}\n")),
            "{}",
            mail.text
        );
        assert_eq!(browser(&mail.html), shown);
        assert_eq!(links(&mail.html), [LINK]);
        for part in [&mail.text, &mail.html] {
            assert!(!part.contains("evil") && !part.contains("<script"));
        }
    }
}

#[test]
fn attack_15_a_user_name_is_text_and_never_a_link() {
    let name = "www.evil.example".to_owned();
    let notice = notice(NoticeKind::UnfinishedLogin);
    let told = NoticeEmail::new(name.clone(), &notice, LINK.to_owned(), 24);
    let reset = ResetPasswordEmail {
        username: name,
        link: LINK.to_owned(),
        minutes: 30,
    };
    for mail in [told.render().unwrap(), reset.render().unwrap()] {
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("Hello www evil example,"), "{part}");
            assert!(!part.contains("evil.example"), "{part}");
        }
    }
}

#[test]
fn the_use_of_a_recovery_code_tells_how_many_are_left() {
    for (left, sentence) in [
        (9, "9 recovery codes are left."),
        (1, "One recovery code is left."),
        (0, "No recovery codes are left."),
    ] {
        let mail = render(&notice(NoticeKind::RecoveryCodeUsed).with_recovery_codes_left(left));
        assert!(mail.text.contains(sentence), "{}", mail.text);
        assert!(mail.html.contains(sentence), "{}", mail.html);
    }
}

#[test]
fn a_notice_of_what_the_operator_did_has_no_address_and_no_browser() {
    let notice = Notice::by_operator(NoticeKind::TwoFactorResetByOperator, NOW);
    let mail = render(&notice);
    assert!(mail.subject.contains("operator") && mail.subject.contains("Twostep"));
    for part in [&mail.text, &words(&mail.html)] {
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        for fact in [
            "Two-factor authentication was switched off by the operator.",
            "21 September 2026, 14:13 UTC",
            "If you did not, say so within 24 hours",
            LINK,
        ] {
            assert!(part.contains(fact), "{fact}: {part}");
        }
        for line in ["Address", "Browser", "unknown", "If it was you"] {
            assert!(!part.contains(line), "{line}: {part}");
        }
    }
    assert_eq!(links(&mail.html), [LINK]);
    assert!(mail.text.contains("UTC\n\nIf you asked"), "{}", mail.text);
}

#[test]
fn the_mail_of_a_reset_holds_its_link() {
    let mail = ResetPasswordEmail {
        username: "alice".to_owned(),
        link: "https://login.example/reset_password/abc".to_owned(),
        minutes: 30,
    };
    let content = mail.render().unwrap();
    assert_eq!(content.subject, "Reset your Twostep password");
    assert_eq!(links(&content.html), [mail.link.as_str()]);
    for part in [&content.text, &words(&content.html)] {
        for fact in ["Hello alice,", &mail.link, "30 minutes"] {
            assert!(part.contains(fact), "{part}");
        }
    }
}
