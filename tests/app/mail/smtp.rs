//! The SMTP conversation, and the outcome of each reply.

use std::time::Duration;

use lettre::message::Mailbox;
use twostep::services::mailer::{Error, MailError, Mailer, Settings};

use super::{TIMEOUT, closed_port, email, is_transient, mailer, settings};
use crate::support::smtp::{Fault, SmtpServer, Tls};

/// A server, and a mailer that logs in to it.
async fn with_login(tls: Tls) -> (SmtpServer, Mailer) {
    let server = SmtpServer::start(tls).await;
    let scheme = tls.scheme();
    let url = format!("{scheme}://user:p%40ss@127.0.0.1:{}", server.port);
    let mailer = mailer(&url, &server);
    (server, mailer)
}

fn from(sender: &str, server: &SmtpServer) -> Mailer {
    Mailer::smtp(Settings {
        from: sender.parse().unwrap(),
        ..settings(&server.url(), server)
    })
    .unwrap()
}

#[tokio::test]
async fn an_email_has_two_parts_and_the_same_headers_on_each_attempt() {
    let server = SmtpServer::start(Tls::Never).await;
    let mailer = mailer(&server.url(), &server);
    mailer.send(&email()).await.unwrap();
    mailer.send(&email()).await.unwrap();
    let [mail, again] = &server.received()[..] else {
        panic!("not two emails");
    };
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
        assert_eq!(mail.headers(name), [value]);
        assert_eq!(again.headers(name), [value]);
    }
    assert!(mail.headers("Content-Type")[0].starts_with("multipart/alternative;"));
    let body = mail.body();
    let parts = ["text/plain", "text/html"].map(|kind| body.find(kind).unwrap());
    assert!(parts[0] < parts[1], "the last part is the preferred one");
    assert!(body.contains("Text, with ümlauts\r\n.\r\nand a dot"));
    assert!(body.contains("<p>Page"));
}

#[tokio::test]
async fn credentials_are_sent_after_tls_has_started() {
    for (tls, expected) in [
        (Tls::Offered, &["EHLO", "STARTTLS", "EHLO", "AUTH"][..]),
        (Tls::Implicit, &["EHLO", "AUTH"]),
    ] {
        let (server, mailer) = with_login(tls).await;
        mailer.send(&email()).await.unwrap();
        let mail = &server.received()[0];
        assert!(mail.encrypted);
        let login = data_encoding::BASE64.encode(b"\0user\0p@ss");
        assert_eq!(mail.login, Some(format!("PLAIN {login}")));
        assert_eq!(server.commands()[..expected.len()], *expected);
    }
}

/// ASVS 12.3.1
#[tokio::test]
async fn a_server_gets_nothing_without_tls_unless_it_is_on_this_machine() {
    // `127.1` is this machine too, but the mailer does not know that.
    for (url, sent) in [
        ("smtps://user:secret@127.0.0.1", 0),
        ("smtp://user:secret@127.1", 0),
        ("smtp://localhost", 1),
    ] {
        let server = SmtpServer::start(Tls::Never).await;
        let mailer = mailer(&format!("{url}:{}", server.port), &server);
        let outcome = mailer.send(&email()).await;
        assert_eq!(server.received().len(), sent, "{url}");
        assert!(sent == 1 || is_transient(&outcome), "{url}: {outcome:?}");
        assert_eq!(server.times_heard("AUTH"), 0, "{url}");
        assert_eq!(server.times_heard("MAIL"), sent, "{url}");
    }
}

/// ASVS 12.3.2
#[tokio::test]
async fn a_wrong_certificate_is_refused_before_the_login() {
    for tls in [Tls::Implicit, Tls::Offered] {
        let unknown = SmtpServer::start(tls).await;
        let misnamed = SmtpServer::with_certificate(tls, "mail.example.com", 4000).await;
        let expired = SmtpServer::with_certificate(tls, "127.0.0.1", 2020).await;
        let scheme = tls.scheme();
        for (server, trusted) in [
            (&unknown, &misnamed),
            (&misnamed, &misnamed),
            (&expired, &expired),
        ] {
            let url = format!("{scheme}://user:secret@127.0.0.1:{}", server.port);
            let sent = mailer(&url, trusted).send(&email()).await;
            let Err(MailError::Transient(error)) = sent else {
                panic!("{sent:?}");
            };
            assert!(error.contains("certificate"), "{error}");
            assert!(server.received().is_empty());
            assert_eq!(server.times_heard("AUTH"), 0);
        }
    }
}

#[tokio::test]
async fn only_refusals_of_the_recipient_and_the_message_are_permanent() {
    let (server, mailer) = with_login(Tls::Never).await;
    let permanent = |error: &str| MailError::Permanent(error.to_owned());
    let transient = |error: &str| MailError::Transient(error.to_owned());
    for (at, code, error) in [
        ("RCPT", 550, permanent("RCPT TO: the server replied 550")),
        ("RCPT", 450, transient("RCPT TO: the server replied 450")),
        (".", 554, permanent("the message: the server replied 554")),
        (".", 451, transient("the message: the server replied 451")),
        (
            "CONNECT",
            554,
            transient("connecting: the server replied 554"),
        ),
        ("EHLO", 550, transient("connecting: the server replied 550")),
        ("AUTH", 535, transient("AUTH: the server replied 535")),
        ("MAIL", 550, transient("MAIL FROM: the server replied 550")),
        ("DATA", 554, transient("DATA: the server replied 554")),
    ] {
        // A server may repeat an address or a password, which the error must not quote.
        server.refuse(at, &format!("{code} alice@example.com AHVzZXIAc2VjcmV0"));
        assert_eq!(mailer.send(&email()).await, Err(error), "{at} {code}");
    }
    for at in ["CONNECT", "MAIL", "RCPT"] {
        server.refuse(at, "alice@example.com is not an SMTP reply");
        let sent = mailer.send(&email()).await;
        assert!(is_transient(&sent), "{at}: {sent:?}");
        assert!(!sent.unwrap_err().to_string().contains("alice"), "{at}");
    }
    assert!(server.received().is_empty());
    server.behave();
    mailer.send(&email()).await.unwrap();
}

/// ASVS 13.2.6
#[tokio::test]
async fn a_silent_or_dead_server_is_a_transient_error_until_it_has_the_message() {
    for fault in [Fault::Silence, Fault::HangUp] {
        let (server, mailer) = with_login(Tls::Never).await;
        for at in ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"] {
            server.misbehave(at, fault.clone());
            let sent = tokio::time::timeout(TIMEOUT * 5, mailer.send(&email())).await;
            let sent = sent.unwrap_or_else(|_| panic!("{at}: no timeout"));
            assert!(is_transient(&sent), "{at} {fault:?}: {sent:?}");
        }
        // The client cannot tell a failure within the message from one after it.
        for at in ["BODY", "."] {
            server.misbehave(at, fault.clone());
            let sent = mailer.send(&email()).await;
            assert!(
                matches!(sent, Err(MailError::Unanswered(_))),
                "{at} {sent:?}"
            );
        }
        assert_eq!(server.received().len(), 1, "the one of \".\"");
        server.misbehave("QUIT", fault.clone());
        mailer.send(&email()).await.unwrap();
        assert_eq!(server.received().len(), 2);
    }
    let server = SmtpServer::start(Tls::Never).await;
    let url = format!("smtp://127.0.0.1:{}", closed_port().await);
    assert!(is_transient(&mailer(&url, &server).send(&email()).await));
}

#[tokio::test]
async fn an_unreachable_or_silent_address_of_a_server_does_not_starve_the_next_one() {
    let silent = SmtpServer::start(Tls::Never).await;
    silent.misbehave("CONNECT", Fault::Silence);
    for tls in [Tls::Implicit, Tls::Offered] {
        let server = SmtpServer::with_certificate(tls, "mail.example.com", 4000).await;
        let scheme = tls.scheme();
        let send = async |host: &str| {
            let ports = [closed_port().await, silent.port, server.port];
            let settings = Settings {
                timeout: Duration::from_secs(3),
                addresses: ports.map(|port| ([127, 0, 0, 1], port).into()).to_vec(),
                ..settings(&format!("{scheme}://{host}"), &server)
            };
            Mailer::smtp(settings).unwrap().send(&email()).await
        };
        send("mail.example.com").await.unwrap();
        assert!(server.received()[0].encrypted);
        // The certificate must be for the host, whatever its addresses are.
        let sent = send("other.example.com").await;
        assert!(is_transient(&sent), "{sent:?}");
        assert_eq!(server.received().len(), 1);
    }
}

/// ASVS 1.3.11
#[tokio::test]
async fn no_header_and_no_command_can_be_injected() {
    let server = SmtpServer::start(Tls::Never).await;
    let honest = mailer(&server.url(), &server);
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
        assert!(matches!(sent, Err(MailError::Permanent(_))), "{to:?}");
    }
    assert!(server.commands().is_empty());

    let injection = "Mallory\r\nBcc: mallory@example.com\r\n\r\nbody".to_owned();
    let address = "no-reply@login.example".parse().unwrap();
    let mailer = Mailer::smtp(Settings {
        from: Mailbox::new(Some(injection.clone()), address),
        ..settings(&server.url(), &server)
    });
    assert!(matches!(mailer, Err(Error::Sender)));

    let mut email = email();
    email.subject = injection;
    honest.send(&email).await.unwrap();
    let sender = "\"Twö, \\\"Step\\\" <a@b.example>\" <no-reply@login.example>";
    from(sender, &server).send(&email).await.unwrap();
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
async fn domains_are_sent_in_punycode() {
    let server = SmtpServer::start(Tls::Never).await;
    let mut email = email();
    email.to = "alice@exämple.com".to_owned();
    let mailer = from("Twostep <no-reply@bücher.example>", &server);
    mailer.send(&email).await.unwrap();
    let mail = &server.received()[0];
    assert_eq!(mail.to, ["TO:<alice@xn--exmple-cua.com>"]);
    assert_eq!(mail.from, "FROM:<no-reply@xn--bcher-kva.example>");
    assert_eq!(mail.hello, "xn--bcher-kva.example");
    for (name, value) in [
        ("From", "Twostep <no-reply@xn--bcher-kva.example>"),
        ("To", "alice@xn--exmple-cua.com"),
        ("Message-ID", "<an-id@xn--bcher-kva.example>"),
    ] {
        assert_eq!(mail.headers(name), [value]);
    }
}
