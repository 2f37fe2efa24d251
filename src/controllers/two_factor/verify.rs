//! Entering a code: the second half of a log-in, of a re-authentication, and of
//! enabling.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::{refusal, status_of};
use crate::controllers::{onwards, signed_out};
use crate::error::AppError;
use crate::extractors::{Form, Page, Pending};
use crate::forms::Errors;
use crate::forms::local_path::LocalPath;
use crate::forms::two_factor::VerifyForm;
use crate::middleware::access::expired;
use crate::models::challenge::{
    Challenge, Delivery, Outcome, Purpose, Refused, ResendRefused, SEND_INTERVAL, Way,
};
use crate::models::session::SessionRow;
use crate::models::user::User;
use crate::session::Session;
use crate::state::AppState;
use crate::views::layout::Kind;
use crate::views::two_factor::{EnabledPage, VerifyPage, masked, not_delivered};

/// Opens a verification in the session of somebody who is logged in, and leads
/// to its page.
pub(in crate::controllers) async fn begin(
    app: &AppState,
    session: &Session,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut connection = app.database.acquire().await?;
    let issued = session
        .renew(&mut connection, None, Some(&challenge.id), now)
        .await?;
    let Some(issued) = issued else {
        return Ok(signed_out());
    };
    session.send(issued);
    Ok(Redirect::to("/verify_2fa").into_response())
}

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
        Ok(()) => return finish(&app, &session, &page, &challenge).await,
        Err(refused) => refused,
    };
    tracing::info!(event = "code_refused", user = challenge.user_id.as_str(), reason = %refused, "code refused");
    let (status, sentence) = match refused {
        Refused::Gone => return expired(&session).await,
        Refused::Other(error) => return Err(error.into()),
        Refused::Exhausted => {
            return begin_again(
                &page,
                &challenge,
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid token",
            )
            .await;
        }
        Refused::Spent => {
            let sentence = "We could not check the code.";
            return begin_again(&page, &challenge, StatusCode::SERVICE_UNAVAILABLE, sentence).await;
        }
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

/// That was the last try: the page leads back to the beginning.
async fn begin_again(
    page: &Page,
    challenge: &Challenge,
    status: StatusCode,
    sentence: &'static str,
) -> Result<Response, AppError> {
    let layout = page.layout("Enter the code").await?;
    let page = VerifyPage::exhausted(layout, challenge, sentence);
    Ok((status, page).into_response())
}

async fn verify_page(
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
/// Each transaction takes the account's row before the verification's, as all
/// others do: on PostgreSQL two that take them crosswise would kill each other.
async fn finish(
    app: &AppState,
    session: &Session,
    page: &Page,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    match challenge.purpose {
        Purpose::LogIn => finish_login(app, session, challenge).await,
        Purpose::Reauth => finish_reauth(app, session, challenge).await,
        Purpose::Enable => finish_enable(app, session, page, challenge).await,
    }
}

async fn finish_login(
    app: &AppState,
    session: &Session,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    let issued = session
        .finish_pending_login(&mut transaction, challenge, now)
        .await?;
    let consumed = challenge.consume(&mut transaction, now).await?;
    let (true, Some(issued)) = (consumed, issued) else {
        return expired(session).await;
    };
    transaction.commit().await?;
    session.send(issued);
    let (user, amr) = (challenge.user_id.as_str(), methods(challenge));
    tracing::info!(event = "login", user, amr, "logged in");
    Ok(to_next(challenge))
}

/// What proved who it is, in the words of RFC 8176.
fn methods(challenge: &Challenge) -> &'static str {
    match challenge.delivery {
        Delivery::Call => "pwd tel",
        _ => "pwd sms",
    }
}

async fn finish_reauth(
    app: &AppState,
    session: &Session,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let (user, version) = (&challenge.user_id, challenge.auth_version);
    let mut transaction = app.database.begin().await?;
    let unchanged = User::lock(&mut transaction, user, version).await?;
    if !(unchanged && challenge.consume(&mut transaction, now).await?) {
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
    let user = user.as_str();
    tracing::info!(event = "reauth", user, amr = "pwd sms", "proved again");
    Ok(to_next(challenge))
}

/// The number becomes the account's; all other sessions end. No verification
/// but this one can be open, since each closes the others when it opens.
async fn finish_enable(
    app: &AppState,
    session: &Session,
    page: &Page,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let (now, version) = (app.clock.now(), challenge.auth_version);
    let (Some(user), Some(row)) = (session.user(), session.row()) else {
        return Ok(signed_out());
    };
    let mut transaction = app.database.begin().await?;
    let phone = Some(challenge.phone.as_str());
    let changed = User::set_verification_phone(&mut transaction, &user.id, version, phone).await?;
    let consumed = challenge.consume(&mut transaction, now).await?;
    if !(consumed && changed) {
        return expired(session).await;
    }
    let issued = session.renew(&mut transaction, None, None, now).await?;
    let Some(issued) = issued else {
        return Ok(signed_out());
    };
    SessionRow::end_others(&mut transaction, &user.id, &row.id).await?;
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

fn to_next(challenge: &Challenge) -> Response {
    let next = challenge.next.as_deref().and_then(LocalPath::parse);
    onwards(next.as_ref())
}

/// `POST /verify_2fa/resend`
pub async fn resend(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    Pending(challenge): Pending,
) -> Result<Response, AppError> {
    send_again(&app, &session, &page, challenge, Way::Any).await
}

/// `POST /verify_2fa/call`: "call me instead".
pub async fn call(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    Pending(challenge): Pending,
) -> Result<Response, AppError> {
    send_again(&app, &session, &page, challenge, Way::Call).await
}

async fn send_again(
    app: &AppState,
    session: &Session,
    page: &Page,
    mut challenge: Challenge,
    way: Way,
) -> Result<Response, AppError> {
    let (now, unlimited) = (app.clock.now(), app.is_unlimited(&challenge.phone));
    let sent = challenge
        .resend(&app.database, &app.verify, way, unlimited, now)
        .await;
    let (status, sentence, retry_after) = match sent {
        Err(ResendRefused::Gone) => return expired(session).await,
        Err(ResendRefused::Other(error)) => return Err(error.into()),
        Ok(delivery) if delivery.may_have_arrived() => {
            return Ok(Redirect::to("/verify_2fa").into_response());
        }
        // How it ended stands on the page anyway.
        Ok(delivery) => {
            challenge.delivery = delivery;
            let (status, retry_after) = status_of(delivery, SEND_INTERVAL);
            let page = verify_page(app, page, &challenge, Errors::default()).await?;
            return Ok(refusal(status, retry_after, page));
        }
        Err(ResendRefused::Wait(seconds)) => {
            let sentence = not_delivered(Delivery::HeldBack, seconds);
            (StatusCode::TOO_MANY_REQUESTS, sentence, seconds)
        }
        Err(ResendRefused::NoMoreSends) => {
            let sentence = "No more codes can be sent this time. Cancel and begin again.";
            (
                StatusCode::TOO_MANY_REQUESTS,
                sentence.to_owned(),
                challenge.ends_in(now),
            )
        }
        Err(ResendRefused::NoMoreCalls) => {
            let sentence = "We have called you once already. Ask for a text instead.";
            (
                StatusCode::TOO_MANY_REQUESTS,
                sentence.to_owned(),
                challenge.ends_in(now),
            )
        }
    };
    let page = verify_page(app, page, &challenge, Errors::one("form", sentence)).await?;
    Ok(refusal(status, Some(retry_after), page))
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
    if challenge.purpose == Purpose::LogIn {
        session.end(&mut connection).await?;
        return Ok(Redirect::to("/login").into_response());
    }
    let (Some(row), Some(user)) = (session.row(), session.user()) else {
        return Ok(signed_out());
    };
    SessionRow::forget_challenge(&mut connection, &row.id).await?;
    Ok(match challenge.purpose {
        Purpose::Enable => Redirect::to(&format!("/user/{}", user.username)).into_response(),
        _ => onwards(None),
    })
}
