//! The client's log lines.

use std::future::ready;

use secrecy::SecretString;
use twostep::services::twilio_verify::{RiskCheck, Service};

use crate::logs;

use super::peer::{PASSWORD, Peer, Reply, USERNAME, http};
use super::{SID, TO, checked, refused};

/// ASVS 16.3.4
#[tokio::test]
async fn each_failure_logs_one_line_with_status_and_code_and_no_secret() {
    logs::keep();
    let peer = Peer::start(vec![
        refused(403, 60205),
        refused(503, 20503),
        refused(401, 20003),
        Reply::Raw(String::new()),
        refused(429, 60202),
        Reply::Raw(http(200, "", "123456")),
        Reply::Raw(http(200, "", "<html>")),
        Reply::Json(200, checked("pending")),
    ])
    .await;
    let client = peer.client();
    let code = SecretString::from("123456");
    let mut all = Vec::new();

    let _ = client
        .send(Service::Main, TO, RiskCheck::Enable, ready(true))
        .await;
    let lines = logs::take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(" WARN ") && lines[0].contains("status=403 code=60205"));
    assert!(lines[1].contains(" WARN ") && lines[1].contains("status=503 code=20503"));
    assert!(lines[0].contains("…123"));
    all.extend(lines);

    let _ = client
        .send(Service::Main, TO, RiskCheck::Enable, ready(true))
        .await;
    let lines = logs::take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("ERROR") && lines[0].contains("status=401 code=20003"));
    all.extend(lines);

    for request in 0..4 {
        match request {
            0 => drop(
                client
                    .send(Service::Main, TO, RiskCheck::Enable, ready(true))
                    .await,
            ),
            3 => drop(client.cancel(Service::Main, SID).await),
            _ => drop(client.check(Service::Main, TO, Some(SID), &code).await),
        }
        let lines = logs::take();
        assert_eq!(lines.len(), 1, "{request}: {lines:?}");
        all.extend(lines);
    }

    // A wrong code is not a failure.
    let _ = client.check(Service::Main, TO, Some(SID), &code).await;
    assert_eq!(logs::take(), Vec::<String>::new());

    for line in all {
        for secret in ["123456", &TO[1..], PASSWORD, USERNAME, "Basic "] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
    assert_eq!(peer.requests().len(), 8);
}
