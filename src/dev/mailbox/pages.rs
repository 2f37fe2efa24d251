//! `/dev/mailbox`: what the demo mailbox received.

use axum::extract::{Path, State};
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse};

use crate::dev::mailbox::{DemoMailbox, Message};
use crate::error::AppError;
use crate::extractors::Page;
use crate::middleware::security_headers;
use crate::state::AppState;
use crate::views::dev::{DemoMailPage, DemoMailboxPage, MailEntry};
use crate::views::timestamp;

/// What a mail's page may do: nothing but look as it does.
const MAIL_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// Headers that a response says itself.
type Headers = [(HeaderName, &'static str); 2];

/// `GET /dev/mailbox`, absent where mail goes to real mailboxes.
pub async fn list(State(app): State<AppState>, page: Page) -> Result<DemoMailboxPage, AppError> {
    let messages = mailbox(&app)?.messages();
    let now = app.clock.now();
    Ok(DemoMailboxPage {
        layout: page.layout("Demo mailbox").await?,
        messages: messages
            .into_iter()
            .map(|message| entry(message, now))
            .collect(),
    })
}

/// `GET /dev/mailbox/{id}`: the text, and the other page in a frame.
pub async fn show(
    State(app): State<AppState>,
    Path(id): Path<String>,
    page: Page,
) -> Result<impl IntoResponse, AppError> {
    let message = message(&app, &id)?;
    let policy = [(
        header::CONTENT_SECURITY_POLICY,
        security_headers::WITH_OWN_FRAMES,
    )];
    let page = DemoMailPage {
        layout: page.layout(&message.subject).await?,
        text: message.text.clone(),
        entry: entry(message, app.clock.now()),
    };
    Ok((policy, page))
}

/// `GET /dev/mailbox/{id}/html`: the mail's page as it was written, which the
/// page above alone may frame.
pub async fn html(
    State(app): State<AppState>,
    Path(id): Path<String>,
) -> Result<(Headers, Html<String>), AppError> {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, MAIL_POLICY),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    Ok((headers, Html(message(&app, &id)?.html)))
}

fn mailbox(app: &AppState) -> Result<&DemoMailbox, AppError> {
    app.demo_mailbox.as_ref().ok_or(AppError::NotFound)
}

fn message(app: &AppState, id: &str) -> Result<Message, AppError> {
    mailbox(app)?.message(id).ok_or(AppError::NotFound)
}

fn entry(message: Message, now: i64) -> MailEntry {
    MailEntry {
        link: message.link().map(str::to_owned),
        id: message.id,
        to: message.to,
        subject: message.subject,
        received: timestamp(message.received_at, now),
    }
}
