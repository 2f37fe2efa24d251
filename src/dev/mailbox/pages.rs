//! The pages of the demo mailbox.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse};

use crate::dev::mailbox::DemoMailbox;
use crate::error::AppError;
use crate::extractors::Page;
use crate::middleware::security_headers;
use crate::services::mailer::email::Email;
use crate::state::AppState;
use crate::views::dev::{DemoMailPage, DemoMailboxPage, MailEntry};
use crate::views::timestamp;

/// The policy of an email's HTML: styles only.
const EMAIL_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// `GET /dev/mailbox`. It is absent if emails go to a mail server.
pub async fn list(State(app): State<AppState>, page: Page) -> Result<DemoMailboxPage, AppError> {
    let emails = mailbox(&app)?.emails();
    let now = app.clock.now();
    Ok(DemoMailboxPage {
        layout: page.layout("Demo mailbox").await?,
        messages: emails.into_iter().map(|email| entry(email, now)).collect(),
    })
}

/// `GET /dev/mailbox/{id}`: the text, and the HTML in a frame.
pub async fn show(
    State(app): State<AppState>,
    Path(id): Path<String>,
    page: Page,
) -> Result<impl IntoResponse, AppError> {
    let email = find(&app, &id)?;
    let policy = [(
        header::CONTENT_SECURITY_POLICY,
        security_headers::WITH_OWN_FRAMES,
    )];
    let page = DemoMailPage {
        layout: page.layout(&email.subject).await?,
        text: email.text.clone(),
        entry: entry(email, app.clock.now()),
    };
    Ok((policy, page))
}

/// `GET /dev/mailbox/{id}/html`: the HTML as it was written. Only the page above may frame it.
pub async fn html(
    State(app): State<AppState>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, AppError> {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, EMAIL_POLICY),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    Ok((headers, Html(find(&app, &id)?.html)))
}

fn mailbox(app: &AppState) -> Result<&DemoMailbox, AppError> {
    app.demo_mailbox.as_ref().ok_or(AppError::NotFound)
}

fn find(app: &AppState, id: &str) -> Result<Email, AppError> {
    mailbox(app)?.find(id).ok_or(AppError::NotFound)
}

fn entry(email: Email, now: i64) -> MailEntry {
    MailEntry {
        link: email.link().map(str::to_owned),
        id: email.id,
        to: email.to,
        subject: email.subject,
        received: timestamp(email.written_at, now),
    }
}
