//! A client of Twilio Verify: it sends a code, checks it, and cancels it.
//!
//! The protocol is Twilio's "Verify API v2"
//! (<https://www.twilio.com/docs/verify/api/verification>). Twilio is not trusted: every
//! answer maps to one of the values below, and a code is right only if the answer approves
//! this verification. No code, full number or credential is logged.

mod answers;

use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use strum::{EnumString, IntoStaticStr};
use thiserror::Error;

use crate::config::Twilio;

use answers::{Answer, as_error, mask, refusal_to_check, verdict};
pub use answers::{Verification, error_code, is_same_number, is_verification_sid, refusal};

/// The default of [`Timeouts::request`].
pub const TIMEOUT: Duration = Duration::from_secs(8);

/// Shorter than Twilio's own. A request on a connection that Twilio is closing is lost, and
/// looks as if it had been sent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Of a connection attempt. It must be shorter than `request`: otherwise a failed
    /// connection looks like a missing answer.
    pub connect: Duration,
    /// Of a whole request, connection and answer included.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            request: TIMEOUT,
        }
    }
}

/// A Verify service. Twilio keeps one verification per number and service, so the services
/// do not affect each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// For numbers that their users have verified.
    Main,
    /// For numbers that are being added.
    Enroll,
}

/// How a code is sent, under Twilio's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Channel {
    /// A text message.
    Sms,
    Call,
}

/// Whether Twilio's fraud prevention may block an SMS: its parameter of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RiskCheck {
    /// Twilio's default.
    Enable,
    /// Overrides [`SendError::FraudGuard`], so an attacker must not choose the number.
    Disable,
}

/// A code was sent, or may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The verification's SID (`VE…`). `None` if no usable answer came: then it is unknown
    /// whether a code was sent.
    pub sid: Option<String>,
    pub channel: Channel,
}

/// Why no code was sent. [`refusal`] maps Twilio's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// Twilio cannot reach the number.
    #[error("the number cannot be reached")]
    InvalidNumber,
    /// Too many codes for the number.
    #[error("too many codes were requested")]
    TooMany,
    /// Too many requests of our account, whatever their number.
    #[error("too many requests")]
    RateLimited,
    /// Twilio's fraud prevention blocks the number or its country for SMS.
    #[error("the number is blocked by fraud guard")]
    FraudGuard,
    /// The number or its country is blocked for another reason.
    #[error("the number is blocked")]
    Blocked,
    /// Our credentials or service SID are wrong.
    #[error("the credentials or the service are wrong")]
    Misconfigured,
    /// Any other reason, or no connection.
    #[error("the code could not be sent")]
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approved,
    Wrong,
}

/// Why a code was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckError {
    /// The verification has expired, was used, canceled or deleted, or has failed.
    #[error("the verification has expired or was used")]
    Expired,
    /// The verification takes no more codes.
    #[error("too many wrong codes")]
    TooManyWrong,
    /// No answer, or none that can be trusted.
    #[error("the code could not be checked")]
    Unavailable,
}

/// The verification may still be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the verification could not be canceled")]
pub struct CancelError;

/// The client. Clones share their connections.
#[derive(Clone)]
pub struct TwilioVerify {
    http: Client,
    twilio: Twilio,
}

impl TwilioVerify {
    /// Creates a client. Installs the process's TLS provider unless there is one.
    pub fn new(twilio: Twilio, timeouts: Timeouts) -> Result<Self, reqwest::Error> {
        // An error means that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.request)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy();
        if twilio.base_url.scheme() == "http" {
            // Without TLS, root certificates need not exist.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: builder.build()?,
            twilio,
        })
    }

    /// Sends a code to `to` (E.164) by SMS. If the SMS fails for a reason that doesn't apply to
    /// calls, and `may_call` permits it, one voice call follows.
    ///
    /// No call follows a request without a usable answer (timeout, broken connection, a
    /// strange 2xx): the SMS may be on its way.
    pub async fn send(
        &self,
        service: Service,
        to: &str,
        risk_check: RiskCheck,
        may_call: impl Future<Output = bool>,
    ) -> Result<Sent, SendError> {
        match self.create(service, to, Channel::Sms, risk_check).await {
            Err(SendError::Failed) if may_call.await => self.call(service, to).await,
            result => result,
        }
    }

    /// Sends a code to `to` (E.164) by voice call, to which [`RiskCheck`] doesn't apply.
    pub async fn call(&self, service: Service, to: &str) -> Result<Sent, SendError> {
        self.create(service, to, Channel::Call, RiskCheck::Enable)
            .await
    }

    /// Asks whether `code` is the code that was sent to `to`: in the verification `sid`, or
    /// in the number's latest without one.
    ///
    /// An answer about another `to` or `sid` means nothing. Only a status of exactly `approved`
    /// approves. Twilio's legacy field `valid` is not read ("Use `status` instead",
    /// Verification Check resource).
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
                tracing::warn!(number, "not checked: malformed verification SID");
                return Err(CheckError::Unavailable);
            }
        };
        let form = [key, ("Code", code.expose_secret())];
        let answer = self.post(service, "VerificationCheck", &form).await;
        let answer = answer.map_err(|error| {
            tracing::warn!(number, error = as_error(&error), "Twilio did not check");
            CheckError::Unavailable
        })?;
        let (status, code) = (answer.status.as_u16(), error_code(&answer.body));
        let result = match answer.status {
            StatusCode::OK | StatusCode::CREATED => Verification::read(&answer.body)
                .filter(|it| is_same_number(&it.to, to) && sid.is_none_or(|sid| it.sid == sid))
                .map_or(Err(CheckError::Unavailable), |it| verdict(&it.status)),
            _ => Err(refusal_to_check(status, code)),
        };
        let Err(error) = result else {
            return result;
        };
        if status == 401 {
            tracing::error!(number, status, code, "Twilio refused the credentials");
        } else {
            tracing::warn!(number, status, code, reason = %error, "Twilio did not check");
        }
        Err(error)
    }

    /// Cancels a verification, so that its code no longer works. One that has ended already
    /// (404) counts as canceled.
    pub async fn cancel(&self, service: Service, sid: &str) -> Result<(), CancelError> {
        if !is_verification_sid(sid) {
            tracing::warn!("not canceled: malformed verification SID");
            return Err(CancelError);
        }
        let path = format!("Verifications/{sid}");
        let answer = self.post(service, &path, &[("Status", "canceled")]).await;
        let answer = answer.map_err(|error| {
            tracing::warn!(error = as_error(&error), "Twilio did not cancel");
            CancelError
        })?;
        let is_canceled = match answer.status {
            StatusCode::NOT_FOUND => true,
            StatusCode::OK => Verification::read(&answer.body)
                .is_some_and(|it| it.sid == sid && it.status == "canceled"),
            _ => false,
        };
        if is_canceled {
            return Ok(());
        }
        let (status, code) = (answer.status.as_u16(), error_code(&answer.body));
        tracing::warn!(status, code, "Twilio did not cancel");
        Err(CancelError)
    }

    async fn create(
        &self,
        service: Service,
        to: &str,
        channel: Channel,
        risk_check: RiskCheck,
    ) -> Result<Sent, SendError> {
        let (number, name) = (mask(to), channel.into_str());
        let mut form = vec![("To", to), ("Channel", name)];
        if risk_check == RiskCheck::Disable {
            form.push(("RiskCheck", "disable"));
        }
        let answer = match self.post(service, "Verifications", &form).await {
            Ok(answer) => answer,
            Err(error) => {
                let was_sent = !(error.is_connect() || error.is_builder());
                let error = as_error(&error);
                tracing::warn!(
                    number,
                    channel = name,
                    was_sent,
                    error,
                    "no answer from Twilio"
                );
                return match was_sent {
                    true => Ok(Sent { sid: None, channel }),
                    false => Err(SendError::Failed),
                };
            }
        };
        let status = answer.status.as_u16();
        if answer.status.is_success() {
            let sid = Verification::read(&answer.body)
                .filter(|it| answer.status == StatusCode::CREATED && is_same_number(&it.to, to))
                .map(|it| it.sid)
                .filter(|sid| is_verification_sid(sid));
            if sid.is_none() {
                tracing::warn!(number, channel = name, status, "strange answer from Twilio");
            }
            return Ok(Sent { sid, channel });
        }
        let code = error_code(&answer.body);
        let error = refusal(status, code);
        if error == SendError::Misconfigured {
            tracing::error!(number, channel = name, status, code, reason = %error, "Twilio refused");
        } else {
            tracing::warn!(number, channel = name, status, code, reason = %error, "Twilio refused");
        }
        Err(error)
    }

    /// Errors only if no status arrived. The error holds no URL.
    async fn post(
        &self,
        service: Service,
        path: &str,
        form: &[(&str, &str)],
    ) -> Result<Answer, reqwest::Error> {
        let it = &self.twilio;
        let base = it.base_url.as_str().trim_end_matches('/');
        let service = match service {
            Service::Main => &it.service,
            Service::Enroll => &it.enroll_service,
        };
        let request = self
            .http
            .post(format!("{base}/v2/Services/{service}/{path}"))
            .basic_auth(&it.username, Some(it.password.expose_secret()))
            .form(form);
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        Ok(Answer::read(response).await)
    }
}
