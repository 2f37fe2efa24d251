//! The responses to a completed challenge and to a change of factors.

use axum::response::{IntoResponse, Response};

use crate::controllers::{
    end_verifications, redirect_to_login, redirect_to_next, redirect_to_profile,
    redirect_with_message,
};
use crate::error::AppError;
use crate::extractors::Page;
use crate::forms::local_path::LocalPath;
use crate::models::challenge::{Challenge, Proof};
use crate::models::device::Browser;
use crate::models::factor::RecoveryCode;
use crate::models::two_factor::{ChangeResult, Completed, CompletedResult, NotCompleted};
use crate::models::user::User;
use crate::session::Session;
use crate::session::redirects::redirect_expired;
use crate::state::AppState;
use crate::views::factors::EnabledPage;
use crate::views::layout::MessageKind;
use crate::views::recovery_codes::describe_used;

/// Completes the challenge with what the user entered, and shows or redirects to the result.
pub(super) async fn complete(
    app: &AppState,
    session: &Session,
    page: &Page,
    browser: Browser<'_>,
    challenge: &Challenge,
    proof: Proof<'_>,
    trust_device: bool,
) -> Result<Response, AppError> {
    let Some(row) = session.row() else {
        return redirect_expired(session).await;
    };
    let now = app.clock.now();
    let trust_until = app.trust_until(now).filter(|_| trust_device);
    let completed = challenge
        .complete(&app.database, row, proof, browser, trust_until, now)
        .await?;
    let Completed {
        issued,
        result,
        has_mail,
        recovery_codes_left,
        verifications,
    } = match completed {
        Ok(completed) => completed,
        Err(NotCompleted::Gone) => return redirect_expired(session).await,
        Err(NotCompleted::LoggedOut) => return Ok(redirect_to_login()),
    };
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
    let (user, amr) = (challenge.user_id.as_str(), challenge.methods(proof));
    match result {
        CompletedResult::LoggedIn => tracing::info!(event = "login", user, amr, "logged in"),
        CompletedResult::Reauthenticated => {
            tracing::info!(event = "reauth", user, amr, "reauthenticated");
        }
        CompletedResult::Changed(change) => {
            let added = "You have added your phone number";
            return respond_to_change(session, page, change, added).await;
        }
    }
    let next = challenge.next.as_deref().and_then(LocalPath::parse);
    Ok(redirect_to_next(next.as_ref()))
}

/// Shows the recovery codes of the first factor, or redirects. `text` says which of several
/// factors was added or removed.
pub(super) async fn respond_to_change(
    session: &Session,
    page: &Page,
    change: ChangeResult,
    text: &str,
) -> Result<Response, AppError> {
    let Some(user) = session.user() else {
        return Ok(redirect_to_login());
    };
    let (id, success) = (user.id.as_str(), MessageKind::Success);
    match change {
        ChangeResult::Enabled(codes) => {
            tracing::info!(
                event = "two_factor_enabled",
                user = id,
                "two-factor authentication enabled"
            );
            enabled(page, user, &codes).await
        }
        ChangeResult::Added => {
            tracing::info!(event = "factor_added", user = id, "factor added");
            redirect_with_message(session, success, text, "/security").await
        }
        ChangeResult::PhoneChanged => {
            tracing::info!(event = "phone_changed", user = id, "phone number changed");
            let text = "You have changed your phone number";
            redirect_to_profile(session, success, text, &user.username).await
        }
        ChangeResult::Removed => {
            tracing::info!(event = "factor_removed", user = id, "factor removed");
            redirect_with_message(session, success, text, "/security").await
        }
        ChangeResult::Disabled => {
            tracing::info!(
                event = "two_factor_disabled",
                user = id,
                "two-factor authentication disabled"
            );
            redirect_with_message(session, success, text, "/security").await
        }
    }
}

async fn enabled(page: &Page, user: &User, codes: &[RecoveryCode]) -> Result<Response, AppError> {
    Ok(EnabledPage {
        layout: page.layout("Two-factor authentication is on").await?,
        username: user.username.clone(),
        codes: codes.iter().map(RecoveryCode::grouped).collect(),
    }
    .into_response())
}
