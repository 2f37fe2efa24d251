//! The result of sending a code by Twilio.

use strum::{AsRefStr, EnumString, IntoStaticStr};

use crate::services::twilio_verify::SendError;

/// The result of a verification's last send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsRefStr, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Delivery {
    /// The request to Twilio is pending.
    Sending,
    Sms,
    Call,
    /// Twilio did not answer in time. The code may have been sent.
    Unknown,
    /// No code was sent, because of the last one or of a limit.
    HeldBack,
    /// Twilio cannot reach the number.
    InvalidNumber,
    /// Twilio has sent too many codes to the number.
    TooMany,
    /// Twilio's fraud prevention blocks the number.
    FraudGuard,
    /// Twilio blocks the number for another reason.
    Blocked,
    /// Twilio refuses our credentials or service.
    Misconfigured,
    /// Neither SMS nor call could be sent, or Twilio gets too many requests from us.
    Failed,
}

impl Delivery {
    /// Whether the user may have received a code.
    pub const fn may_have_arrived(self) -> bool {
        matches!(self, Self::Sending | Self::Sms | Self::Call | Self::Unknown)
    }
}

impl From<&SendError> for Delivery {
    fn from(error: &SendError) -> Self {
        match error {
            SendError::InvalidNumber => Self::InvalidNumber,
            SendError::TooMany => Self::TooMany,
            SendError::FraudGuard => Self::FraudGuard,
            SendError::Blocked => Self::Blocked,
            SendError::Misconfigured => Self::Misconfigured,
            SendError::RateLimited | SendError::Failed => Self::Failed,
        }
    }
}

/// The channel that a code is sent by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMethod {
    /// An SMS, or a call if the SMS fails.
    Any,
    /// An SMS that Twilio's fraud guard doesn't block. No call follows if it fails.
    DespiteFraudGuard,
    /// A call that the user requested.
    Call,
}
