//! Entering a code: the second half of a log-in, of a re-authentication, and of
//! enabling.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use crate::controllers::{onwards, signed_out};
use crate::error::AppError;
use crate::extractors::{Form, Page, Pending};
use crate::forms::Errors;
use crate::forms::local_path::LocalPath;
use crate::forms::two_factor::VerifyForm;
use crate::middleware::access::expired;
use crate::models::challenge::{Challenge, Outcome, Purpose, Refused};
use crate::models::client::Client;
use crate::models::outbox::{Event, Notice};
use crate::models::session::SessionRow;
use crate::models::user::User;
use crate::session::Session;
use crate::state::AppState;
use crate::views::layout::Kind;
use crate::views::two_factor::{EnabledPage, VerifyPage, masked};

/// `GET /verify_2fa`: sends nothing, however often it is loaded.
pub async fn form(
    State(app): State<AppState>,
    page: Page,
    Pending(challenge): Pending,
) -> Result<VerifyPage, AppError> {
    verify_page(&app, &page, &challenge, Errors::default()).await
}

/// `POST /verify_2fa`
pub async fn verify(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    Pending(challenge): Pending,
    Form(form): Form<VerifyForm>,
) -> Result<Response, AppError> {
    let Some(code) = form.code() else {
        return wrong(
            &app,
            &page,
            &challenge,
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid token",
        )
        .await;
    };
    let now = app.clock.now();
    let refused = match challenge
        .check(&app.database, &app.verify, &code, now)
        .await
    {
        Ok(()) => return finish(&app, &session, &page, &client, &challenge).await,
        Err(refused) => refused,
    };
    tracing::info!(event = "code_refused", user = challenge.user_id.as_str(), reason = %refused, "no");
    let (status, sentence) = match refused {
        Refused::Gone => return expired(&session).await,
        Refused::Other(error) => return Err(error.into()),
        Refused::Exhausted => return exhausted(&page, &challenge).await,
        Refused::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid token"),
        Refused::CodeExpired => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "That code has expired. Ask for a new one.",
        ),
        Refused::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "We could not check the code. Try again.",
        ),
    };
    wrong(&app, &page, &challenge, status, sentence).await
}

async fn wrong(
    app: &AppState,
    page: &Page,
    challenge: &Challenge,
    status: StatusCode,
    sentence: &'static str,
) -> Result<Response, AppError> {
    let errors = Errors::one("token", sentence);
    Ok((status, verify_page(app, page, challenge, errors).await?).into_response())
}

/// The last try was wrong too: the page leads back to the beginning.
async fn exhausted(page: &Page, challenge: &Challenge) -> Result<Response, AppError> {
    let layout = page.layout("Enter the code").await?;
    let page = VerifyPage::exhausted(layout, challenge);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// The page with the form for the code.
pub(super) async fn verify_page(
    app: &AppState,
    page: &Page,
    challenge: &Challenge,
    errors: Errors,
) -> Result<VerifyPage, AppError> {
    let layout = page.layout("Enter the code").await?;
    Ok(VerifyPage::new(layout, challenge, app.clock.now(), errors))
}

/// The code was right: does what it was asked for, in one transaction with
/// using it up. Of parallel requests with the same code, one gets here first.
async fn finish(
    app: &AppState,
    session: &Session,
    page: &Page,
    client: &Client,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    match challenge.purpose {
        Purpose::LogIn => finish_login(app, session, client, challenge).await,
        Purpose::Reauth => finish_reauth(app, session, challenge).await,
        Purpose::Enable => finish_enable(app, session, page, client, challenge).await,
    }
}

async fn finish_login(
    app: &AppState,
    session: &Session,
    client: &Client,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    let consumed = challenge.consume(&mut transaction, now).await?;
    let issued = session
        .finish_pending_login(&mut transaction, challenge, client, now)
        .await?;
    let (true, Some(issued)) = (consumed, issued) else {
        return expired(session).await;
    };
    transaction.commit().await?;
    session.send(issued);
    let user = challenge.user_id.as_str();
    tracing::info!(event = "login", user, amr = "pwd sms", "logged in");
    Ok(to_next(challenge))
}

async fn finish_reauth(
    app: &AppState,
    session: &Session,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    if !challenge.consume(&mut transaction, now).await? {
        return expired(session).await;
    }
    let issued = session
        .renew(&mut transaction, Some(now), None, now)
        .await?;
    let Some(issued) = issued else {
        return Ok(signed_out());
    };
    transaction.commit().await?;
    session.send(issued);
    let user = challenge.user_id.as_str();
    tracing::info!(event = "reauth", user, amr = "pwd sms", "proved again");
    Ok(to_next(challenge))
}

/// The number becomes the account's; all other sessions end. No verification
/// but this one can be open, since each closes the others when it opens.
async fn finish_enable(
    app: &AppState,
    session: &Session,
    page: &Page,
    client: &Client,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let (now, version) = (app.clock.now(), challenge.auth_version);
    let (Some(user), Some(row)) = (session.user(), session.row()) else {
        return Ok(signed_out());
    };
    let mut transaction = app.database.begin().await?;
    let consumed = challenge.consume(&mut transaction, now).await?;
    let phone = Some(challenge.phone.as_str());
    let changed =
        User::set_verification_phone(&mut transaction, &user.id, version, phone, now).await?;
    if !(consumed && changed) {
        return expired(session).await;
    }
    let issued = session.renew(&mut transaction, None, None, now).await?;
    let Some(issued) = issued else {
        return Ok(signed_out());
    };
    SessionRow::end_others(&mut transaction, &user.id, &row.id).await?;
    notice_of_phone(user, client, now)
        .enqueue(&mut transaction, &user.id)
        .await?;
    transaction.commit().await?;
    session.send(issued);
    if user.verification_phone.is_some() {
        tracing::info!(
            event = "phone_changed",
            user = user.id.as_str(),
            "factor changed"
        );
        session
            .add_message(Kind::Success, "You have changed your phone number")
            .await?;
        return Ok(Redirect::to(&format!("/user/{}", user.username)).into_response());
    }
    tracing::info!(
        event = "two_factor_enabled",
        user = user.id.as_str(),
        "factor added"
    );
    Ok(EnabledPage {
        layout: page.layout("Two-factor authentication is on").await?,
        username: user.username.clone(),
        masked_phone: masked(&challenge.phone),
    }
    .into_response())
}

fn notice_of_phone(before: &User, client: &Client, now: i64) -> Notice {
    let former = before.verification_phone.as_deref();
    let event = match former {
        Some(_) => Event::PhoneChanged,
        None => Event::TwoFactorEnabled,
    };
    Notice::new(event, client, now).with_former_phone(former)
}

fn to_next(challenge: &Challenge) -> Response {
    let next = challenge.next.as_deref().and_then(LocalPath::parse);
    onwards(next.as_ref())
}

/// `POST /verify_2fa/cancel`
pub async fn cancel(
    State(app): State<AppState>,
    session: Session,
    Pending(challenge): Pending,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    challenge
        .close(&app.database, &app.verify, Outcome::Cancelled, now)
        .await?;
    let mut connection = app.database.acquire().await?;
    let page = match (challenge.purpose, session.row(), session.user()) {
        (Purpose::LogIn, ..) => {
            session.end(&mut connection).await?;
            "/login".to_owned()
        }
        (purpose, Some(row), Some(user)) => {
            SessionRow::forget_challenge(&mut connection, &row.id).await?;
            match purpose {
                Purpose::Enable => format!("/user/{}", user.username),
                Purpose::LogIn | Purpose::Reauth => "/home".to_owned(),
            }
        }
        _ => "/login".to_owned(),
    };
    Ok(Redirect::to(&page).into_response())
}
