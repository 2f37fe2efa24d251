//! A peer without a trusted certificate.

use std::future::ready;

use twostep::services::twilio_verify::{CheckError, RiskCheck, SendError, Service};

use super::peer::client;
use super::{SID, TO, code};
use crate::support::smtp::{SmtpServer, Tls};

/// ASVS 12.3.2
#[tokio::test]
async fn an_untrusted_certificate_ends_the_connection_before_any_data() {
    // Its protocol behind TLS does not matter.
    let impostor = SmtpServer::start(Tls::Implicit).await;
    let base_url = format!("https://127.0.0.1:{}", impostor.port);
    let client = client(base_url.parse().unwrap());
    let sent = client
        .send(Service::Main, TO, RiskCheck::Enable, ready(true))
        .await;
    assert_eq!(sent, Err(SendError::Failed));
    let checked = client.check(Service::Main, TO, Some(SID), &code()).await;
    assert_eq!(checked, Err(CheckError::Unavailable));
    assert!(client.cancel(Service::Main, SID).await.is_err());
    assert!(impostor.commands().is_empty(), "{:?}", impostor.commands());
}
