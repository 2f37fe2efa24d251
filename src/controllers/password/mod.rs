//! Changing the password, and resetting it by an emailed link.

pub mod reset;

use axum::extract::State;
use axum::response::{Redirect, Response};
use secrecy::SecretString;

use crate::controllers::auth::password_check;
use crate::controllers::{
    end_verifications, redirect_to_login, redirect_to_profile, unprocessable,
};
use crate::error::AppError;
use crate::extractors::{CurrentUser, DeviceCookie, Form, Page, RouteLimits};
use crate::forms::Errors;
use crate::forms::password::{self, ChangeForm};
use crate::models;
use crate::models::activity::{Activity, Event};
use crate::models::challenge::Challenge;
use crate::models::client::Client;
use crate::models::device::Browser;
use crate::models::mail_token::MailToken;
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::session::SessionRow;
use crate::models::user::User;
use crate::session::Session;
use crate::state::AppState;
use crate::views::layout::MessageKind;
use crate::views::password::ChangePage;

/// `GET /.well-known/change-password`: password managers open it to change a password (W3C,
/// "A Well-Known URL for Changing Passwords").
pub async fn well_known() -> Redirect {
    Redirect::to("/change_password")
}

/// `GET /change_password`
pub async fn change_form(page: Page) -> Result<ChangePage, AppError> {
    change_page(&page, Errors::default()).await
}

/// `POST /change_password`. It checks the current password last, so that an invalid form
/// costs no hash and does not count as an attempt.
pub async fn change(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    DeviceCookie(device): DeviceCookie,
    limits: RouteLimits,
    CurrentUser(current): CurrentUser,
    Form(form): Form<ChangeForm>,
) -> Result<Response, AppError> {
    let password = match strong_password(&app, &limits.client, form.validate(), &current).await? {
        Ok(password) => password,
        Err(errors) => return Ok(unprocessable(change_page(&page, errors).await?)),
    };
    let typed = form.current_password;
    let browser = Browser {
        client: &limits.client,
        device: device.as_ref(),
    };
    match password_check::check_current_user(&app, browser, &current, typed, limits.declared)
        .await?
    {
        Ok(user) => set_password(&app, &session, &limits.client, &user, password).await,
        Err(error) => {
            let user = current.id.as_str();
            tracing::info!(
                event = "password_change_failed",
                user,
                "password change failed"
            );
            let errors = password_check::form_errors(error, "current_password", "Invalid password");
            let shown = change_page(&page, errors).await?;
            Ok(password_check::respond(error, shown))
        }
    }
}

/// Sets the password. Revokes all access by the old one: other sessions, challenges and reset
/// links.
async fn set_password(
    app: &AppState,
    session: &Session,
    client: &Client,
    user: &User,
    password: SecretString,
) -> Result<Response, AppError> {
    let hash = hash_password(app, client, password).await?;
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    let changed = User::set_password(&mut transaction, &user.id, user.auth_version, &hash).await?;
    let issued = session.renew(&mut transaction, None, None, now).await?;
    let (true, Some(issued), Some(row)) = (changed, issued, session.row()) else {
        return Ok(redirect_to_login());
    };
    SessionRow::end_others(&mut transaction, &user.id, &row.id).await?;
    MailToken::delete_resets(&mut transaction, &user.id).await?;
    let closed = Challenge::close_all(&mut transaction, &user.id, now).await?;
    Notice::new(NoticeKind::PasswordChanged, client, now)
        .enqueue(&mut transaction, &user.id)
        .await?;
    let event = Event::PasswordChanged;
    Activity::record(&mut transaction, &user.id, event, Some(client), now).await?;
    transaction.commit().await?;
    session.send(issued);
    app.mail.wake();
    let id = user.id.as_str();
    tracing::info!(event = "password_changed", user = id, "password changed");
    end_verifications(app, closed, now).await?;
    let text = "Your password has been changed";
    redirect_to_profile(session, MessageKind::Success, text, &user.username).await
}

/// Checks the strength of a user's new password, if its form is valid otherwise.
async fn strong_password(
    app: &AppState,
    client: &Client,
    validated: Result<SecretString, Errors>,
    user: &User,
) -> Result<Result<SecretString, Errors>, AppError> {
    let Ok(password) = validated else {
        return Ok(validated);
    };
    let checked = check_strength(app, client, &password, &user.username, &user.email).await?;
    Ok(checked.map(|()| password))
}

/// Checks the strength of a new password on the hashing threads.
pub(super) async fn check_strength(
    app: &AppState,
    client: &Client,
    password: &SecretString,
    username: &str,
    email: &str,
) -> Result<Result<(), Errors>, AppError> {
    let password = password.clone();
    let (username, email) = (username.to_owned(), email.to_owned());
    let check = move || password::check_strength(&password, &username, &email);
    let checked = app.passwords_for(client).run(check).await;
    Ok(checked.map_err(models::Error::from)?)
}

async fn hash_password(
    app: &AppState,
    client: &Client,
    password: SecretString,
) -> Result<String, AppError> {
    let hash = app.passwords_for(client).hash(password).await;
    Ok(hash.map_err(models::Error::from)?)
}

async fn change_page(page: &Page, errors: Errors) -> Result<ChangePage, AppError> {
    Ok(ChangePage {
        layout: page.layout("Change your password").await?,
        errors,
    })
}
