//! `/dev/phone`: what the demo phone received.

use axum::extract::State;

use crate::dev::authenticator;
use crate::dev::simulator::PhoneMessage;
use crate::error::AppError;
use crate::extractors::Page;
use crate::state::AppState;
use crate::views::dev::{DemoPhonePage, Entry};
use crate::views::timestamp;

/// `GET /dev/phone`: not found if codes go to real phones.
pub async fn show(State(app): State<AppState>, page: Page) -> Result<DemoPhonePage, AppError> {
    let phone = app.demo_phone.as_ref().ok_or(AppError::NotFound)?;
    let now = app.clock.now();
    let entry = |message: PhoneMessage| Entry {
        to: message.to,
        channel: message.channel.into_str().to_owned(),
        code: message.code,
        sent: timestamp(message.sent_at, now),
    };
    Ok(DemoPhonePage {
        layout: page.layout("Demo phone").await?,
        apps: authenticator::codes(&app).await?,
        messages: phone.messages().into_iter().map(entry).collect(),
    })
}
