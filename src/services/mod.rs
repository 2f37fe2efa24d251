//! The outside world: each service takes its address, secret and time-out as
//! arguments, has its own error, and knows nothing of this app.

pub mod assets;
pub mod clock;
pub mod mailer;
pub mod metrics;
pub mod passwords;
pub mod signals;
pub mod twilio_verify;
