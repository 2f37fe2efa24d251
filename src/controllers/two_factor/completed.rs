//! The response to a completed challenge.

use axum::response::{IntoResponse, Response};

use crate::controllers::{
    end_verifications, redirect_to_login, redirect_to_next, redirect_to_profile,
    redirect_with_message,
};
use crate::error::AppError;
use crate::extractors::Page;
use crate::forms::local_path::LocalPath;
use crate::models::challenge::{Challenge, Completed, CompletedResult, NotCompleted, Proof};
use crate::models::client::Client;
use crate::models::factor::RecoveryCode;
use crate::models::user::User;
use crate::session::Session;
use crate::session::redirects::redirect_expired;
use crate::state::AppState;
use crate::views::layout::MessageKind;
use crate::views::recovery_codes::describe_used;
use crate::views::two_factor::{EnabledPage, mask_phone};

/// Completes the challenge with what the user entered, and shows or redirects to the result.
pub(super) async fn complete(
    app: &AppState,
    session: &Session,
    page: &Page,
    client: &Client,
    challenge: &Challenge,
    proof: Proof<'_>,
) -> Result<Response, AppError> {
    let Some(row) = session.row() else {
        return redirect_expired(session).await;
    };
    let now = app.clock.now();
    let completed = challenge
        .complete(&app.database, row, proof, client, now)
        .await?;
    let completed = match completed {
        Ok(completed) => completed,
        Err(NotCompleted::Gone) => return redirect_expired(session).await,
        Err(NotCompleted::LoggedOut) => return Ok(redirect_to_login()),
    };
    let Completed {
        issued,
        result,
        has_mail,
        recovery_codes_left,
        verifications,
    } = completed;
    if has_mail {
        app.mail.wake();
    }
    if let Some(left) = recovery_codes_left {
        let (kind, text) = (MessageKind::Info, describe_used(left));
        let mut connection = app.database.acquire().await?;
        Session::leave_message(&mut connection, &issued, kind, &text).await?;
    }
    session.send(issued);
    end_verifications(app, verifications, now).await?;
    log(challenge, &result, proof);
    respond(session, page, challenge, result).await
}

fn log(challenge: &Challenge, result: &CompletedResult, proof: Proof<'_>) {
    let (user, amr) = (challenge.user_id.as_str(), challenge.methods(proof));
    match result {
        CompletedResult::LoggedIn => tracing::info!(event = "login", user, amr, "logged in"),
        CompletedResult::Reauthenticated => {
            tracing::info!(event = "reauth", user, amr, "reauthenticated");
        }
        CompletedResult::TwoFactorEnabled(_) => tracing::info!(
            event = "two_factor_enabled",
            user,
            "two-factor authentication enabled"
        ),
        CompletedResult::PhoneAdded => {
            tracing::info!(event = "factor_added", user, "phone number added");
        }
        CompletedResult::PhoneChanged => {
            tracing::info!(event = "phone_changed", user, "phone number changed");
        }
    }
}

async fn respond(
    session: &Session,
    page: &Page,
    challenge: &Challenge,
    result: CompletedResult,
) -> Result<Response, AppError> {
    let user = session.user();
    let success = MessageKind::Success;
    match (result, user) {
        (CompletedResult::TwoFactorEnabled(codes), Some(user)) => {
            enabled(page, user, challenge, &codes).await
        }
        (CompletedResult::PhoneChanged, Some(user)) => {
            let text = "You have changed your phone number";
            redirect_to_profile(session, success, text, &user.username).await
        }
        (CompletedResult::PhoneAdded, _) => {
            let text = "You have added your phone number";
            redirect_with_message(session, success, text, "/security").await
        }
        _ => {
            let next = challenge.next.as_deref().and_then(LocalPath::parse);
            Ok(redirect_to_next(next.as_ref()))
        }
    }
}

async fn enabled(
    page: &Page,
    user: &User,
    challenge: &Challenge,
    codes: &[RecoveryCode],
) -> Result<Response, AppError> {
    Ok(EnabledPage {
        layout: page.layout("Two-factor authentication is on").await?,
        username: user.username.clone(),
        masked_phone: mask_phone(challenge.phone().unwrap_or_default()),
        codes: codes.iter().map(RecoveryCode::grouped).collect(),
    }
    .into_response())
}
