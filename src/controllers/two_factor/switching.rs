//! Switching a login or reauthentication to another factor.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use crate::error::AppError;
use crate::extractors::{Form, Pending};
use crate::forms::two_factor::UseFactorForm;
use crate::models::challenge::Purpose;
use crate::models::client::Client;
use crate::models::factor::{Factor, FactorId};
use crate::session::Session;
use crate::session::redirects::redirect_expired;
use crate::state::AppState;

/// `POST /verify_2fa/use`
pub async fn use_factor(
    State(app): State<AppState>,
    session: Session,
    client: Client,
    Pending(challenge): Pending,
    Form(form): Form<UseFactorForm>,
) -> Result<Response, AppError> {
    let id = FactorId::received(&form.factor).ok_or(AppError::NotFound)?;
    let user = &challenge.user_id;
    let found = Factor::find(&mut *app.database.acquire().await?, user, &id).await?;
    let factor = found.ok_or(AppError::NotFound)?;
    let is_in_use = challenge.factor.as_ref().is_some_and(|it| it.id == id);
    if !is_in_use && challenge.purpose != Purpose::AddPhone {
        let sender = app.code_sender(factor.phone_number(), &client);
        if !challenge.switch(&sender, &factor, app.clock.now()).await? {
            return redirect_expired(&session).await;
        }
    }
    Ok(Redirect::to("/verify_2fa").into_response())
}
