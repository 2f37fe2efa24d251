//! The home page and profiles.

use axum::extract::{Path, State};
use axum::response::Response;

use crate::controllers::{
    redirect_to_login, redirect_to_profile, too_many, too_many_errors, unprocessable,
};
use crate::error::AppError;
use crate::extractors::{CurrentUser, Form, Page, RouteLimits};
use crate::forms::profile::{EditProfileForm, Profile};
use crate::forms::{Errors, username};
use crate::models::activity::{Activity, Event};
use crate::models::client::Client;
use crate::models::factor::RecoveryCode;
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::user::{SaveError, User};
use crate::session::Session;
use crate::state::AppState;
use crate::views::layout::MessageKind;
use crate::views::profile::{EditProfilePage, HomePage, ProfilePage};
use crate::views::recovery_codes::warn_if_few;

/// `GET /` and `GET /home`
pub async fn home(
    State(app): State<AppState>,
    page: Page,
    CurrentUser(user): CurrentUser,
) -> Result<HomePage, AppError> {
    let two_factor_enabled = user.has_two_factor();
    let few_recovery_codes = match two_factor_enabled {
        true => {
            let mut connection = app.database.acquire().await?;
            warn_if_few(RecoveryCode::count_unused(&mut connection, &user.id).await?)
        }
        false => None,
    };
    Ok(HomePage {
        layout: page.layout("Home").await?,
        two_factor_enabled,
        few_recovery_codes,
    })
}

/// `GET /user/{username}`. The case of the name doesn't matter.
pub async fn show(
    State(app): State<AppState>,
    page: Page,
    CurrentUser(current): CurrentUser,
    Path(name): Path<String>,
) -> Result<ProfilePage, AppError> {
    if !username::is_wellformed(&name) {
        return Err(AppError::NotFound);
    }
    let user = if name == current.username {
        current.clone()
    } else {
        User::find_by_username(&app.database, &name)
            .await?
            .ok_or(AppError::NotFound)?
    };
    let layout = page.layout("Profile").await?;
    Ok(ProfilePage::new(
        layout,
        &user,
        (user.id == current.id).then_some(app.secret_keys.is_some()),
        app.clock.now(),
    ))
}

/// `GET /edit_profile`
pub async fn edit_form(
    page: Page,
    CurrentUser(user): CurrentUser,
) -> Result<EditProfilePage, AppError> {
    let form = EditProfileForm {
        username: user.username,
        about_me: user.about_me,
    };
    edit_page(&page, form, Errors::default()).await
}

/// `POST /edit_profile`
pub async fn edit(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    CurrentUser(user): CurrentUser,
    client: Client,
    limits: RouteLimits,
    Form(form): Form<EditProfileForm>,
) -> Result<Response, AppError> {
    let saved = match form.parse(&user.username) {
        Ok(profile) => save(&app, &session, &user, &profile, &client, &limits).await,
        Err(errors) => {
            let shown = edit_page(&page, form, errors).await?;
            return Ok(unprocessable(shown));
        }
    };
    match saved {
        Ok(Saved::Saved(name)) => {
            let text = "Your profile has been updated";
            redirect_to_profile(&session, MessageKind::Success, text, &name).await
        }
        Ok(Saved::LoggedOut) => Ok(redirect_to_login()),
        Err(SaveError::Other(error)) => Err(error.into()),
        Err(SaveError::RateLimited(exceeded)) => {
            let shown = edit_page(&page, form, too_many_errors(exceeded)).await?;
            Ok(too_many(exceeded, shown))
        }
        Err(SaveError::UsernameTaken | SaveError::EmailTaken) => {
            let errors = Errors::one("username", username::TAKEN);
            Ok(unprocessable(edit_page(&page, form, errors).await?))
        }
    }
}

async fn edit_page(
    page: &Page,
    form: EditProfileForm,
    errors: Errors,
) -> Result<EditProfilePage, AppError> {
    Ok(EditProfilePage {
        layout: page.layout("Edit Profile").await?,
        username: form.username,
        about_me: form.about_me,
        errors,
    })
}

/// The result of saving a profile.
enum Saved {
    /// With the new username.
    Saved(String),
    /// The session ended while the form was being sent.
    LoggedOut,
}

async fn save(
    app: &AppState,
    session: &Session,
    user: &User,
    profile: &Profile,
    client: &Client,
    limits: &RouteLimits,
) -> Result<Saved, SaveError> {
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    if !session.lock_if_active(&mut transaction).await? {
        return Ok(Saved::LoggedOut);
    }
    limits
        .take(&mut transaction, user.id.as_str(), now)
        .await??;
    let (name, about_me) = (&profile.username, &profile.about_me);
    user.update_profile(&mut transaction, name, about_me, now)
        .await?;
    let is_renamed = *name != user.username;
    if is_renamed {
        Notice::new(NoticeKind::Renamed, client, now)
            .with_former_username(&user.username)
            .enqueue(&mut transaction, &user.id)
            .await?;
        let event = Event::Renamed;
        Activity::record(&mut transaction, &user.id, event, Some(client), now).await?;
    }
    transaction.commit().await?;
    if is_renamed {
        app.mail.wake();
        let user = user.id.as_str();
        tracing::info!(event = "renamed", user, "username changed");
    }
    Ok(Saved::Saved(name.clone()))
}
