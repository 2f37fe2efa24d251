//! The content of emails.

use std::collections::HashSet;

use scraper::{Html, Selector};
use twostep::models::outbox::{Notice, NoticeKind};
use twostep::views::email::{Content, NoticeEmail, ResetPasswordEmail};

use super::notice;
use crate::not_me::EVENTS;
use crate::support::{NOW, keep};

const LINK: &str = "https://login.example/not_me/abc";

fn render(notice: &Notice) -> Content {
    let mail = NoticeEmail::new("alice".to_owned(), notice, LINK.to_owned(), 24);
    let mail = mail.render().unwrap();
    keep(&mail.html);
    mail
}

/// Both parts as text, with single spaces.
fn parts(mail: &Content) -> [String; 2] {
    let page = Html::parse_document(&mail.html);
    let html: String = page.root_element().text().collect();
    [&mail.text, &html].map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
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
fn both_parts_of_a_notice_say_what_happened_when_and_from_where() {
    let mut subjects = HashSet::new();
    for event in EVENTS {
        let mail = render(&notice(event));
        for part in parts(&mail) {
            for fact in [
                "Hello alice,",
                "21 September 2026, 14:13 UTC",
                "203.0.113.9",
                "Firefox on Linux",
                "If it wasn't you, tell us within 24 hours",
                LINK,
            ] {
                assert!(part.contains(fact), "{event:?}: {fact}: {part}");
            }
        }
        assert_eq!(links(&mail.html), [LINK]);
        match event {
            NoticeKind::NewDevice => assert_eq!(mail.subject, "New login to your account"),
            _ => assert!(mail.subject.contains("Twostep")),
        }
        subjects.insert(mail.subject);
    }
    assert_eq!(subjects.len(), EVENTS.len());
    assert!(subjects.contains("Your Twostep password was changed"));
}

/// ASVS 14.2.4
#[test]
fn a_notice_masks_the_former_number_and_counts_the_recovery_codes_left() {
    let changed = |event| notice(event).with_former_phone(Some("+254720227267"));
    let left = |left| notice(NoticeKind::RecoveryCodeUsed).with_recovery_codes_left(left);
    for (notice, sentence) in [
        (changed(NoticeKind::PhoneChanged), "••••\u{a0}267"),
        (changed(NoticeKind::TwoFactorDisabled), "••••\u{a0}267"),
        (left(9), "9 recovery codes are left."),
        (left(1), "One recovery code is left."),
        (left(0), "No recovery codes are left."),
    ] {
        let mail = render(&notice);
        for part in [&mail.text, &mail.html] {
            assert!(part.contains(sentence), "{sentence}: {part}");
            assert!(!part.contains("254720"), "{part}");
        }
    }
}

#[test]
fn attack_15_no_part_of_a_user_agent_is_quoted() {
    let long = "x".repeat(5000);
    for (agent, shown) in [
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
        let mail = render(&Notice {
            user_agent: Some(agent.to_owned()),
            ..notice(NoticeKind::UnfinishedLogin)
        });
        let line = format!("Browser: {shown}\n");
        assert!(mail.text.contains(&line), "{}", mail.text);
        let cell = format!(">{shown}</td>");
        assert!(mail.html.contains(&cell), "{}", mail.html);
        assert_eq!(links(&mail.html), [LINK]);
        for part in [&mail.text, &mail.html] {
            assert!(!part.contains("evil") && !part.contains("<script"));
        }
    }
}

#[test]
fn attack_15_a_username_is_text_and_never_a_link() {
    let name = "www.evil.example".to_owned();
    let notice = notice(NoticeKind::UnfinishedLogin);
    let notice = NoticeEmail::new(name.clone(), &notice, LINK.to_owned(), 24);
    let reset = ResetPasswordEmail {
        username: name,
        link: LINK.to_owned(),
        minutes: 30,
    };
    for mail in [notice.render().unwrap(), reset.render().unwrap()] {
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("Hello www evil example,"), "{part}");
            assert!(!part.contains("evil.example"), "{part}");
        }
    }
}

#[test]
fn a_notice_about_the_operator_has_no_address_and_no_browser() {
    let notice = Notice::by_operator(NoticeKind::TwoFactorResetByOperator, NOW);
    let mail = render(&notice);
    assert!(mail.subject.contains("operator") && mail.subject.contains("Twostep"));
    for part in parts(&mail) {
        for fact in [
            "The operator turned off two-factor authentication.",
            "21 September 2026, 14:13 UTC",
            "If you didn't, tell us within 24 hours",
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
fn the_email_of_a_reset_contains_its_link() {
    let mail = ResetPasswordEmail {
        username: "alice".to_owned(),
        link: "https://login.example/reset_password/abc".to_owned(),
        minutes: 30,
    };
    let content = mail.render().unwrap();
    assert_eq!(content.subject, "Reset your Twostep password");
    assert_eq!(links(&content.html), [mail.link.as_str()]);
    for part in parts(&content) {
        for fact in ["Hello alice,", &mail.link, "30 minutes"] {
            assert!(part.contains(fact), "{part}");
        }
    }
}
