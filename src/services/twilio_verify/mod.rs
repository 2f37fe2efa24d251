//! A client of Twilio Verify: send a code, check it, cancel it.
//!
//! The wire protocol is Twilio's "Verify API v2"
//! (<https://www.twilio.com/docs/verify/api/verification>). Twilio is not
//! trusted: whatever it answers, the result is one of the values below, and a
//! code counts as right only if the answer says so of this very verification.
//! No code, full number or credential is ever logged.

mod answers;

use std::fmt;
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::Url;

use crate::services::metrics::Metrics;
use answers::{Answer, NoAnswer};
pub use answers::{Verification, error_code, is_verification_sid, refusal};

/// How long making the connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a whole request may take, connection and answer included.
pub const TIMEOUT: Duration = Duration::from_secs(8);

/// An idle connection is given up before Twilio closes it: a request on a
/// connection that is being closed is lost in a way that looks as if it had
/// gone out.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// What a [`TwilioVerify`] needs to know.
#[derive(Clone)]
pub struct Settings {
    /// `https://verify.twilio.com`, or what stands in for it.
    pub base_url: Url,
    /// The account's SID (`AC…`), or the SID of an API key (`SK…`).
    pub username: String,
    /// The account's auth token, or the API key's secret.
    pub password: SecretString,
    /// The SID (`VA…`) of the Verify service for [`Service::Main`].
    pub service: String,
    /// The SID of the Verify service for [`Service::Enroll`]; may be the same.
    pub enroll_service: String,
    /// Usually [`CONNECT_TIMEOUT`]; shorter than `timeout`, or a connection
    /// that cannot be made looks like an answer that does not come.
    pub connect_timeout: Duration,
    /// Usually [`TIMEOUT`].
    pub timeout: Duration,
}

/// A Verify service. Twilio keeps one verification a number and service, so
/// what happens in one service leaves the other's verifications alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// For numbers that are known to belong to their user.
    Main,
    /// For numbers that somebody claims.
    Enroll,
}

/// How a code travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A text message.
    Sms,
    /// A voice call.
    Call,
}

impl Channel {
    /// Twilio's name of the channel: `sms` or `call`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Call => "call",
        }
    }
}

/// A code was sent, or may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The verification's SID (`VE…`). None: the request went out and no
    /// answer came that can be used, so it is unknown whether a code was sent.
    pub sid: Option<String>,
    /// How the code was sent.
    pub channel: Channel,
}

/// Why no code was sent. Codes are Twilio's, from its "Error and Warning
/// Dictionary".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// Not a number that can be reached: 60200, 21211, 21614.
    #[error("not a number that can be reached")]
    InvalidNumber,
    /// Too many codes, or too many requests: 60203, 60212, 20429, any 429.
    #[error("too many codes were asked for")]
    TooMany,
    /// Blocked by fraud guard or by country: 60238, 60410, 60605, 21408.
    #[error("the number is blocked")]
    Blocked,
    /// Our credentials or service SID are wrong: 401, 403 with 20003, 404 with
    /// 20404.
    #[error("the credentials or the service are wrong")]
    Misconfigured,
    /// Anything else, or no connection.
    #[error("the code could not be sent")]
    Failed,
}

/// What Twilio says of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the code of this verification.
    Approved,
    /// It is not.
    Wrong,
}

/// Why a code could not be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckError {
    /// The verification is over: expired, used or cancelled (404).
    #[error("the verification has expired or was used")]
    Expired,
    /// The verification takes no more codes (60202).
    #[error("too many wrong codes")]
    TooManyWrong,
    /// No answer, or none that can be trusted.
    #[error("the code could not be checked")]
    Unavailable,
}

/// It is not known that the verification was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the verification could not be cancelled")]
pub struct CancelError;

/// The client. Clones share their connections.
#[derive(Clone)]
pub struct TwilioVerify {
    http: Client,
    settings: Settings,
    metrics: Metrics,
}

impl fmt::Debug for TwilioVerify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioVerify")
            .field("base_url", &self.settings.base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl TwilioVerify {
    /// A client for these settings. Installs the program's TLS provider unless
    /// there is one.
    pub fn new(settings: Settings) -> Result<Self, reqwest::Error> {
        // An error says that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy();
        if settings.base_url.scheme() == "http" {
            // Without TLS, root certificates need not exist.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: builder.build()?,
            settings,
            metrics: Metrics::default(),
        })
    }

    /// The same client, whose codes count in `metrics`.
    pub fn counted_in(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Where whoever uses this client counts what came of its codes.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Sends a code to `to` (E.164): by SMS, or, where the SMS is refused for a
    /// reason that says nothing against a call, by one voice call, if `may_call`
    /// says so then.
    ///
    /// There is no call after a request that went out and got no usable
    /// answer (time-out, broken connection, a 2xx that makes no sense): the
    /// SMS may be on its way.
    ///
    /// # Errors
    /// See [`SendError`]; `Failed` means that the call failed too.
    pub async fn send(
        &self,
        service: Service,
        to: &str,
        may_call: impl Future<Output = bool>,
    ) -> Result<Sent, SendError> {
        match self.create(service, to, Channel::Sms).await {
            Err(SendError::Failed) if may_call.await => self.call(service, to).await,
            result => result,
        }
    }

    /// Sends a code to `to` (E.164) by voice call.
    pub async fn call(&self, service: Service, to: &str) -> Result<Sent, SendError> {
        self.create(service, to, Channel::Call).await
    }

    /// Asks whether `code` is the code that was sent to `to`. With a `sid` that
    /// verification is asked, without one the number's latest.
    ///
    /// Approved only for a status of exactly `approved` with this `to` and,
    /// where it is known, this `sid`. Twilio's legacy field `valid` is not read
    /// ("Use `status` instead", Verification Check resource).
    pub async fn check(
        &self,
        service: Service,
        to: &str,
        sid: Option<&str>,
        code: &SecretString,
    ) -> Result<Verdict, CheckError> {
        let number = mask(to);
        let key = match sid {
            None => ("To", to),
            Some(sid) if is_verification_sid(sid) => ("VerificationSid", sid),
            Some(_) => {
                tracing::warn!(number, "not checked: malformed verification sid");
                return Err(CheckError::Unavailable);
            }
        };
        let form = [key, ("Code", code.expose_secret())];
        let answer = match self.post(service, "VerificationCheck", &form).await {
            Ok(answer) => answer,
            Err(failure) => {
                tracing::warn!(number, error = failure.as_error(), "Twilio did not check");
                return Err(CheckError::Unavailable);
            }
        };
        if matches!(answer.status, StatusCode::OK | StatusCode::CREATED)
            && let Some(verification) = answer.verification()
            && verification.to == to
            && sid.is_none_or(|sid| verification.sid == sid)
        {
            match verification.status.as_str() {
                "approved" => return Ok(Verdict::Approved),
                "pending" => return Ok(Verdict::Wrong),
                _ => {}
            }
        }
        let status = answer.status.as_u16();
        let code = answer.code();
        let error = match (status, code) {
            // About requests in general, not about this verification.
            (429, Some(20429 | 60212)) => CheckError::Unavailable,
            (429, _) | (_, Some(60202)) => CheckError::TooManyWrong,
            (404, _) => CheckError::Expired,
            _ => CheckError::Unavailable,
        };
        if status == 401 {
            tracing::error!(number, status, code, "Twilio refused the credentials");
        } else {
            tracing::warn!(number, status, code, reason = %error, "Twilio did not check");
        }
        Err(error)
    }

    /// Ends a verification, so that its code serves no more. One that is over
    /// already (404) is ended, too.
    ///
    /// # Errors
    /// [`CancelError`] for any other answer, for none, and for a `sid` that is
    /// not a verification's.
    pub async fn cancel(&self, service: Service, sid: &str) -> Result<(), CancelError> {
        if !is_verification_sid(sid) {
            tracing::warn!("not cancelled: malformed verification sid");
            return Err(CancelError);
        }
        let path = format!("Verifications/{sid}");
        match self.post(service, &path, &[("Status", "canceled")]).await {
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => Ok(()),
            Ok(answer)
                if answer.status == StatusCode::OK
                    && answer
                        .verification()
                        .is_some_and(|it| it.sid == sid && it.status == "canceled") =>
            {
                Ok(())
            }
            Ok(answer) => {
                let status = answer.status.as_u16();
                tracing::warn!(status, code = answer.code(), "Twilio did not cancel");
                Err(CancelError)
            }
            Err(failure) => {
                tracing::warn!(error = failure.as_error(), "Twilio did not cancel");
                Err(CancelError)
            }
        }
    }

    async fn create(
        &self,
        service: Service,
        to: &str,
        channel: Channel,
    ) -> Result<Sent, SendError> {
        let number = mask(to);
        let name = channel.as_str();
        let form = [("To", to), ("Channel", name)];
        let answer = match self.post(service, "Verifications", &form).await {
            Ok(answer) => answer,
            Err(failure @ NoAnswer::NotSent(_)) => {
                let error = failure.as_error();
                tracing::warn!(number, channel = name, error, "no connection to Twilio");
                return Err(SendError::Failed);
            }
            Err(failure @ NoAnswer::Unknown(_)) => {
                let error = failure.as_error();
                tracing::warn!(number, channel = name, error, "no answer from Twilio");
                return Ok(Sent { sid: None, channel });
            }
        };
        let status = answer.status.as_u16();
        if answer.status.is_success() {
            let sid = answer
                .verification()
                .filter(|it| answer.status == StatusCode::CREATED && it.to == to)
                .map(|it| it.sid)
                .filter(|sid| is_verification_sid(sid));
            if sid.is_none() {
                tracing::warn!(number, channel = name, status, "odd answer from Twilio");
            }
            return Ok(Sent { sid, channel });
        }
        let code = answer.code();
        let error = refusal(status, code);
        if error == SendError::Misconfigured {
            tracing::error!(number, channel = name, status, code, reason = %error, "Twilio refused");
        } else {
            tracing::warn!(number, channel = name, status, code, reason = %error, "Twilio refused");
        }
        Err(error)
    }

    async fn post(
        &self,
        service: Service,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, NoAnswer> {
        let base = self.settings.base_url.as_str().trim_end_matches('/');
        let service = match service {
            Service::Main => &self.settings.service,
            Service::Enroll => &self.settings.enroll_service,
        };
        let response = self
            .http
            .post(format!("{base}/v2/Services/{service}/{path}"))
            .basic_auth(
                &self.settings.username,
                Some(self.settings.password.expose_secret()),
            )
            .form(form)
            .send()
            .await?;
        Ok(Answer::read(response).await)
    }
}

/// The number as it may stand in a log: its last three digits.
fn mask(number: &str) -> String {
    let keep = number.chars().count().saturating_sub(3);
    let tail: String = number.chars().skip(keep).collect();
    format!("…{tail}")
}
