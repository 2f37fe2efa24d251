//! The security page, and revoking sessions.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use crate::controllers::{auth, redirect_to_login, redirect_with_message};
use crate::error::AppError;
use crate::extractors::{CurrentUser, Page};
use crate::models::activity::{Activity, Event};
use crate::models::challenge::{Challenge, Outcome};
use crate::models::client::Client;
use crate::models::device::{Device, DeviceId};
use crate::models::factor::{Factor, RecoveryCode};
use crate::models::session::{Ended, Login, SessionId, SessionRow};
use crate::session::Session;
use crate::state::AppState;
use crate::views::layout::MessageKind;
use crate::views::security::{Devices, SecurityPage, TwoFactor, activity_items};

/// `GET /security`
pub async fn show(
    State(app): State<AppState>,
    session: Session,
    page: Page,
    CurrentUser(user): CurrentUser,
) -> Result<SecurityPage, AppError> {
    let this = &current_row(&session)?.id;
    let now = app.clock.now();
    let mut connection = app.database.acquire().await?;
    let sessions = Login::active(&mut connection, &user.id, this, now).await?;
    let trusts = app.config.trust_device_days > 0;
    let devices = Device::list(&mut connection, &user.id, trusts, now).await?;
    let activity = Activity::recent(&mut connection, &user.id).await?;
    let factors = Factor::list(&mut connection, &user.id).await?;
    let codes = RecoveryCode::count_unused(&mut connection, &user.id).await?;
    drop(connection); // the layout may need it
    let layout = page.layout("Security").await?;
    Ok(SecurityPage {
        layout,
        two_factor: TwoFactor::new(&factors, codes, now),
        offers_apps: app.secret_keys.is_some(),
        devices: Devices::new(&devices, &sessions.listed, this, now),
        more_sessions: sessions.more,
        activity: activity_items(&activity.shown, now),
        more_activity: activity.more,
    })
}

/// `POST /sessions/{id}/revoke`. Revoking the current session logs the user out.
pub async fn revoke(
    State(app): State<AppState>,
    session: Session,
    client: Client,
    CurrentUser(user): CurrentUser,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let id = SessionId::received(&id).ok_or(AppError::NotFound)?;
    if current_row(&session)?.id == id {
        let out = auth::logout(State(app), session, client).await?;
        return Ok(out.into_response());
    }
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    if !session.lock_if_active(&mut transaction).await? {
        return Ok(redirect_to_login());
    }
    let ended = SessionRow::end_one(&mut transaction, &user.id, &id).await?;
    let ended = ended.ok_or(AppError::NotFound)?;
    let event = Event::EndedSession;
    Activity::record(&mut transaction, &user.id, event, Some(&client), now).await?;
    transaction.commit().await?;
    cancel_challenges(&app, vec![ended], now).await?;
    let user = user.id.as_str();
    tracing::info!(event = "session_ended", user, "session revoked");
    let text = "The device is logged out.";
    redirect_with_message(&session, MessageKind::Success, text, "/security").await
}

/// `POST /sessions/revoke_others`. It also ends the trust in all other devices.
pub async fn revoke_others(
    State(app): State<AppState>,
    session: Session,
    client: Client,
    CurrentUser(user): CurrentUser,
) -> Result<Response, AppError> {
    let this = &current_row(&session)?.id;
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    if !session.lock_if_active(&mut transaction).await? {
        return Ok(redirect_to_login());
    }
    let trust_ended = Device::end_trust_in_others(&mut transaction, &user.id, this, now).await?;
    let ended = SessionRow::end_others(&mut transaction, &user.id, this).await?;
    let (kind, message) = if ended.is_empty() && !trust_ended {
        (MessageKind::Info, "No other device was logged in.")
    } else {
        let event = Event::EndedOtherSessions;
        Activity::record(&mut transaction, &user.id, event, Some(&client), now).await?;
        (MessageKind::Success, "All other devices are logged out.")
    };
    transaction.commit().await?;
    cancel_challenges(&app, ended, now).await?;
    let user = user.id.as_str();
    tracing::info!(event = "sessions_ended", user, "other sessions revoked");
    redirect_with_message(&session, kind, message, "/security").await
}

/// `POST /devices/{id}/forget`: ends the trust in a device. It stays known and logged in.
pub async fn forget(
    State(app): State<AppState>,
    session: Session,
    client: Client,
    CurrentUser(user): CurrentUser,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let id = DeviceId::received(&id).ok_or(AppError::NotFound)?;
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    if !session.lock_if_active(&mut transaction).await? {
        return Ok(redirect_to_login());
    }
    if !Device::is_owned(&mut transaction, &user.id, &id).await? {
        return Err(AppError::NotFound);
    }
    if Device::end_trust(&mut transaction, &id).await? {
        let event = Event::ForgotDevice;
        Activity::record(&mut transaction, &user.id, event, Some(&client), now).await?;
    }
    transaction.commit().await?;
    let user = user.id.as_str();
    tracing::info!(event = "device_forgotten", user, "trust in a device ended");
    let text = "The next login from that device needs a code.";
    redirect_with_message(&session, MessageKind::Success, text, "/security").await
}

fn current_row(session: &Session) -> Result<&SessionRow, AppError> {
    session.row().ok_or(AppError::MissingLayer("access"))
}

/// Cancels the challenges of ended sessions, here and at Twilio.
async fn cancel_challenges(app: &AppState, ended: Vec<Ended>, now: i64) -> Result<(), AppError> {
    for id in ended.into_iter().filter_map(|it| it.challenge) {
        if let Some(challenge) = Challenge::find_open(&app.database, &id, now).await? {
            challenge
                .close(&app.database, &app.verify, Outcome::Cancelled, now)
                .await?;
        }
    }
    Ok(())
}
