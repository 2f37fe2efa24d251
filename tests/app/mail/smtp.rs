//! What the mailer says to a mail server, and what it makes of the answers.

use super::{TIMEOUT, email, is_temporary, mailer};
use crate::support::smtp::{Fault, SmtpServer, Tls};
use lettre::message::Mailbox;
use twostep::services::mailer::{Error, Mailer, SendError, Settings};

#[tokio::test]
async fn a_mail_has_two_parts_and_the_headers_it_needs() {
    let server = SmtpServer::start(Tls::Never).await;
    let mailer = mailer(&format!("smtp://127.0.0.1:{}", server.port), &server).unwrap();
    mailer.send(&email()).await.unwrap();
    mailer.send(&email()).await.unwrap();
    let received = server.received();
    assert_eq!(received.len(), 2);
    let mail = &received[0];
    assert_eq!(mail.from, "FROM:<no-reply@login.example>");
    assert_eq!(mail.to, ["TO:<alice@example.com>"]);
    assert_eq!((mail.encrypted, &mail.login), (false, &None));
    assert_eq!(mail.hello, "login.example");
    for (name, value) in [
        ("From", "Twostep <no-reply@login.example>"),
        ("To", "alice@example.com"),
        ("Subject", "Hello"),
        ("Date", "Mon, 21 Sep 2026 14:13:20 +0000"),
        ("Message-ID", "<an-id@login.example>"),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
    ] {
        for mail in &received {
            assert_eq!(mail.headers(name), [value]);
        }
    }
    assert!(mail.headers("Content-Type")[0].starts_with("multipart/alternative;"));
    let body = mail.body();
    let (text, html) = (body.find("text/plain"), body.find("text/html"));
    assert!(text.unwrap() < html.unwrap(), "the last part is the best");
    assert!(
        body.contains("Text, with ümlauts\r\n.\r\nand a dot"),
        "{body}"
    );
    assert!(body.contains("<p>Page"));
}

#[tokio::test]
async fn starttls_is_used_where_it_is_offered() {
    let server = SmtpServer::start(Tls::Offered).await;
    let url = format!("smtp://user:p%40ss@127.0.0.1:{}", server.port);
    mailer(&url, &server).unwrap().send(&email()).await.unwrap();
    let mail = &server.received()[0];
    assert!(mail.encrypted);
    let login = data_encoding::BASE64.encode(b"\0user\0p@ss");
    assert_eq!(mail.login, Some(format!("PLAIN {login}")));
    let heard = server.commands();
    assert_eq!(heard[..4], ["EHLO", "STARTTLS", "EHLO", "AUTH"]);
}

#[tokio::test]
async fn implicit_tls_begins_with_the_first_byte() {
    let server = SmtpServer::start(Tls::Implicit).await;
    let url = format!("smtps://127.0.0.1:{}", server.port);
    mailer(&url, &server).unwrap().send(&email()).await.unwrap();
    assert!(server.received()[0].encrypted);

    let plain = SmtpServer::start(Tls::Never).await;
    let url = format!("smtps://127.0.0.1:{}", plain.port);
    let sent = mailer(&url, &plain).unwrap().send(&email()).await;
    assert!(is_temporary(&sent), "{sent:?}");
    assert!(plain.received().is_empty());
}

/// ASVS 12.3.2
#[tokio::test]
async fn a_wrong_certificate_is_refused_and_nothing_is_said() {
    for tls in [Tls::Implicit, Tls::Offered] {
        let unknown = SmtpServer::start(tls).await;
        let misnamed = SmtpServer::with_certificate(tls, "mail.example.com", 4000).await;
        let expired = SmtpServer::with_certificate(tls, "127.0.0.1", 2020).await;
        let scheme = if tls == Tls::Implicit {
            "smtps"
        } else {
            "smtp"
        };
        for (server, trusted) in [
            (&unknown, &misnamed),
            (&misnamed, &misnamed),
            (&expired, &expired),
        ] {
            let url = format!("{scheme}://user:secret@127.0.0.1:{}", server.port);
            let sent = mailer(&url, trusted).unwrap().send(&email()).await;
            let Err(SendError::Temporary(error)) = sent else {
                panic!("{sent:?}");
            };
            assert!(error.contains("certificate"), "{error}");
            assert!(server.received().is_empty());
            assert!(!server.commands().contains(&"AUTH".to_owned()));
        }
    }
}

/// A name for this machine that does not say so, in the place of any other host.
const ELSEWHERE: &str = "127.1";

/// ASVS 12.3.1
#[tokio::test]
async fn a_server_elsewhere_that_offers_no_tls_gets_nothing() {
    let server = SmtpServer::start(Tls::Never).await;
    let url = format!("smtp://user:secret@{ELSEWHERE}:{}", server.port);
    let sent = mailer(&url, &server).unwrap().send(&email()).await;
    assert!(is_temporary(&sent), "{sent:?}");
    assert_eq!(server.commands(), ["EHLO"]);

    // It is there: on the way that needs no TLS it gets the mail.
    let url = format!("smtp://localhost:{}", server.port);
    mailer(&url, &server).unwrap().send(&email()).await.unwrap();
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn what_the_server_refuses_is_refused_for_good_or_for_now() {
    let server = SmtpServer::start(Tls::Never).await;
    let url = format!("smtp://user:secret@127.0.0.1:{}", server.port);
    let mailer = mailer(&url, &server).unwrap();
    let permanent = |error: &str| SendError::Permanent(error.to_owned());
    let temporary = |error: &str| SendError::Temporary(error.to_owned());
    for (at, code, error) in [
        ("RCPT", 550, permanent("RCPT TO: the server answered 550")),
        ("RCPT", 450, temporary("RCPT TO: the server answered 450")),
        (".", 554, permanent("the message: the server answered 554")),
        (".", 451, temporary("the message: the server answered 451")),
        // These are about the program, not about the mail.
        (
            "CONNECT",
            554,
            temporary("connecting: the server answered 554"),
        ),
        (
            "EHLO",
            550,
            temporary("connecting: the server answered 550"),
        ),
        ("AUTH", 535, temporary("AUTH: the server answered 535")),
        ("MAIL", 550, temporary("MAIL FROM: the server answered 550")),
        ("DATA", 554, temporary("DATA: the server answered 554")),
    ] {
        // A server may repeat what it was told.
        server.refuse(at, &format!("{code} alice@example.com AHVzZXIAc2VjcmV0"));
        assert_eq!(mailer.send(&email()).await, Err(error), "{at} {code}");
    }
    assert!(server.received().is_empty());
    server.behave();
    mailer.send(&email()).await.unwrap();
}

#[tokio::test]
async fn what_is_not_smtp_is_not_repeated() {
    let server = SmtpServer::start(Tls::Never).await;
    let mailer = mailer(&format!("smtp://127.0.0.1:{}", server.port), &server).unwrap();
    for at in ["CONNECT", "MAIL", "RCPT"] {
        server.refuse(at, "alice@example.com is not here");
        let sent = mailer.send(&email()).await;
        let Err(SendError::Temporary(error)) = sent else {
            panic!("{sent:?}");
        };
        assert!(!error.contains("alice"), "{error}");
    }
}

/// ASVS 13.2.6
#[tokio::test]
async fn silence_and_death_are_temporary_until_the_server_has_the_mail() {
    for fault in [Fault::Silence, Fault::HangUp] {
        let server = SmtpServer::start(Tls::Never).await;
        let url = format!("smtp://user:secret@127.0.0.1:{}", server.port);
        let mailer = mailer(&url, &server).unwrap();
        for at in ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"] {
            server.misbehave(at, fault.clone());
            let sent = tokio::time::timeout(TIMEOUT * 5, mailer.send(&email())).await;
            let sent = sent.unwrap_or_else(|_| panic!("{at}: it waits for ever"));
            assert!(is_temporary(&sent), "{at} {fault:?}: {sent:?}");
        }
        // Death within the message and right after it look the same from here.
        for at in ["BODY", "."] {
            server.misbehave(at, fault.clone());
            let sent = mailer.send(&email()).await;
            assert!(matches!(sent, Err(SendError::Unknown(_))), "{at} {sent:?}");
        }
        assert_eq!(server.received().len(), 1, "the one of \".\"");
        // Once it is taken, it is taken.
        server.misbehave("QUIT", fault.clone());
        mailer.send(&email()).await.unwrap();
        assert_eq!(server.received().len(), 2);
    }
}

#[tokio::test]
async fn nobody_there_is_temporary() {
    let server = SmtpServer::start(Tls::Never).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("smtp://127.0.0.1:{port}");
    let sent = mailer(&url, &server).unwrap().send(&email()).await;
    assert!(is_temporary(&sent), "{sent:?}");
}

/// ASVS 1.3.11
#[tokio::test]
async fn no_header_can_be_smuggled_in() {
    let server = SmtpServer::start(Tls::Never).await;
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let honest = mailer(&url, &server).unwrap();
    for to in [
        "alice@example.com\r\nBcc: mallory@example.com",
        "alice@example.com\nBcc: mallory@example.com",
        "alice@example.com>\r\nRCPT TO:<mallory@example.com",
        "alice@example.com, mallory@example.com",
        "\"a\r\nBcc: mallory\"@example.com",
        "Alice <alice@example.com>",
        "",
    ] {
        let mut email = email();
        email.to = to.to_owned();
        let sent = honest.send(&email).await;
        assert!(matches!(sent, Err(SendError::Permanent(_))), "{to:?}");
    }
    assert!(server.commands().is_empty());

    const BAD: &str = "Mallory\r\nBcc: mallory@example.com\r\n\r\nbody";
    let crooked = |name: &str| {
        Mailer::smtp(Settings {
            url: url.as_str().into(),
            from: Mailbox::new(
                Some(name.to_owned()),
                "no-reply@login.example".parse().unwrap(),
            ),
            timeout: TIMEOUT,
            roots: Vec::new(),
        })
    };
    assert!(matches!(crooked(BAD), Err(Error::Sender)));

    let mut email = email();
    email.subject = BAD.to_owned();
    honest.send(&email).await.unwrap();
    let odd = crooked("Twö, \"Step\" <a@b.example>").unwrap();
    odd.send(&email).await.unwrap();
    for mail in server.received() {
        assert_eq!(mail.to, ["TO:<alice@example.com>"]);
        assert_eq!(mail.from, "FROM:<no-reply@login.example>");
        for (name, count) in [("Bcc", 0), ("Subject", 1), ("From", 1), ("To", 1)] {
            assert_eq!(mail.headers(name).len(), count, "{name}: {}", mail.data);
        }
        let from = &mail.headers("From")[0];
        assert!(from.ends_with("<no-reply@login.example>"), "{from}");
        assert_eq!(from.matches('<').count(), 1, "{from}");
    }
}

#[tokio::test]
async fn a_domain_in_any_script_is_sent_in_ascii() {
    let server = SmtpServer::start(Tls::Never).await;
    let mailer = mailer(&format!("smtp://127.0.0.1:{}", server.port), &server).unwrap();
    let mut email = email();
    email.to = "alice@exämple.com".to_owned();
    mailer.send(&email).await.unwrap();
    assert_eq!(server.received()[0].to, ["TO:<alice@xn--exmple-cua.com>"]);
}
