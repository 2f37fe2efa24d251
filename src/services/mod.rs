//! The outside world: each service takes its settings as arguments and has its own error.

pub mod assets;
pub mod clock;
pub mod mailer;
pub mod metrics;
pub mod passwords;
pub mod sealing;
pub mod signals;
pub mod totp;
pub mod twilio_verify;
