//! Registration.

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::controllers::password::check_strength;
use crate::controllers::{redirect_with_message, too_many, too_many_errors, unprocessable};
use crate::error::AppError;
use crate::extractors::{Form, Page, RouteLimits};
use crate::forms::auth::RegisterForm;
use crate::forms::{Errors, username};
use crate::models::client::Client;
use crate::models::rate_limit::{Attempt, REJECTED_REGISTRATIONS, refund};
use crate::models::user::{SaveError, User, UserId};
use crate::session::Session;
use crate::state::AppState;
use crate::views::auth::RegisterPage;
use crate::views::layout::MessageKind;

const EMAIL_TAKEN: &str = "Please use a different email address";

/// `GET /register`
pub async fn form(page: Page) -> Result<Response, AppError> {
    register_page(&page, &RegisterForm::default(), Errors::default()).await
}

/// `POST /register`. It counts as a registration and as a rejected one before any work. The
/// result decides which of the two is refunded.
pub async fn register(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    client: Client,
    limits: RouteLimits,
    Form(form): Form<RegisterForm>,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut connection = app.database.acquire().await?;
    let taken = limits.take(&mut connection, "", now).await?;
    drop(connection); // hashing is slow, and other requests need the connection
    let attempt = match taken {
        Ok(attempt) => attempt,
        Err(exceeded) => {
            let errors = too_many_errors(exceeded);
            let shown = register_page(&page, &form, errors).await?;
            return Ok(too_many(exceeded, shown));
        }
    };
    let rejection = attempt.under(&[REJECTED_REGISTRATIONS]);
    let (errors, refunded) = match create(&app, &client, &form, &rejection).await {
        Ok(Ok(id)) => return complete_registration(&session, &id).await,
        Ok(Err(errors)) => (Ok(errors), attempt.not_under(&[REJECTED_REGISTRATIONS])),
        // A flood that keeps the hashing busy must not consume other users' attempts.
        Err(error) => (Err(error), attempt),
    };
    refund(&mut *app.database.acquire().await?, &refunded).await?;
    Ok(unprocessable(register_page(&page, &form, errors?).await?))
}

/// Creates the account, or returns the form's errors.
async fn create(
    app: &AppState,
    client: &Client,
    form: &RegisterForm,
    rejection: &Attempt,
) -> Result<Result<UserId, Errors>, AppError> {
    let new = match form.validate() {
        Ok(new) => new,
        Err(errors) => return Ok(Err(errors)),
    };
    let (name, email) = (&new.username, &new.email);
    if let Err(errors) = check_strength(app, client, &new.password, name, email).await? {
        return Ok(Err(errors));
    }
    let (passwords, now) = (app.passwords_for(client), app.clock.now());
    match User::create(&app.database, &passwords, new, rejection, now).await {
        Ok(id) => Ok(Ok(id)),
        Err(SaveError::UsernameTaken) => Ok(Err(Errors::one("username", username::TAKEN))),
        Err(SaveError::EmailTaken) => Ok(Err(Errors::one("email", EMAIL_TAKEN))),
        Err(SaveError::RateLimited(exceeded)) => Ok(Err(too_many_errors(exceeded))),
        Err(SaveError::Other(error)) => Err(error.into()),
    }
}

async fn complete_registration(session: &Session, id: &UserId) -> Result<Response, AppError> {
    let user = id.as_str();
    tracing::info!(event = "registered", user, "account created");
    let welcome = "You have successfully registered. Login to continue";
    redirect_with_message(session, MessageKind::Success, welcome, "/login").await
}

async fn register_page(
    page: &Page,
    form: &RegisterForm,
    errors: Errors,
) -> Result<Response, AppError> {
    let page = RegisterPage {
        layout: page.layout("Register").await?,
        username: form.username.clone(),
        email: form.email.clone(),
        errors,
    };
    Ok(page.into_response())
}
