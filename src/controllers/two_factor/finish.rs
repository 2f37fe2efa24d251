//! Completing a challenge after a right code or recovery code, in the transaction that
//! consumes it.

use axum::response::{IntoResponse, Response};

use crate::controllers::auth::reauth::complete_reauthentication;
use crate::controllers::{redirect_to_login, redirect_to_next, redirect_to_profile};
use crate::error::AppError;
use crate::extractors::Page;
use crate::forms::local_path::LocalPath;
use crate::models::activity::{Activity, Event};
use crate::models::challenge::{Challenge, Delivery, Purpose};
use crate::models::client::Client;
use crate::models::factor::Factor;
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::rate_limit::{Attempt, refund};
use crate::models::recovery_code::RecoveryCode;
use crate::models::session::SessionRow;
use crate::models::user::User;
use crate::models::{Connection, Error};
use crate::session::Session;
use crate::session::redirects::redirect_expired;
use crate::state::AppState;
use crate::views::layout::MessageKind;
use crate::views::recovery_codes::describe_used;
use crate::views::two_factor::{EnabledPage, mask_phone};

/// Completes the challenge's purpose in the transaction that consumes the challenge. Of
/// parallel requests with the same code, one succeeds. All transactions lock the account's row
/// before the challenge's: different orders could deadlock on PostgreSQL.
pub(super) async fn finish(
    app: &AppState,
    session: &Session,
    page: &Page,
    client: &Client,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    match challenge.purpose {
        Purpose::LogIn => finish_login(app, session, client, challenge, Proof::Code).await,
        Purpose::Reauth => finish_reauth(app, session, client, challenge, Proof::Code).await,
        Purpose::Enable => finish_enable(app, session, page, client, challenge).await,
    }
}

/// The proof that a user entered.
#[derive(Clone, Copy)]
pub(super) enum Proof<'a> {
    /// The code, which Twilio has approved.
    Code,
    /// A recovery code, and the attempt to refund when the code is consumed.
    RecoveryCode(&'a RecoveryCode, &'a Attempt),
}

/// A consumed proof.
struct Consumed {
    /// The recovery codes that are left, if the proof was one.
    recovery_codes: Option<i64>,
}

impl Proof<'_> {
    /// Consumes the proof and the challenge. `None` if either was gone. A used recovery code is
    /// emailed to the user.
    async fn consume(
        self,
        connection: &mut Connection,
        challenge: &Challenge,
        client: &Client,
        now: i64,
    ) -> Result<Option<Consumed>, Error> {
        let user = &challenge.user_id;
        let Self::RecoveryCode(code, attempt) = self else {
            let consumed = challenge.consume(connection, now).await?;
            let recovery_codes = None;
            return Ok(consumed.then_some(Consumed { recovery_codes }));
        };
        let open = challenge.recover(connection, now).await?;
        if !(open && code.consume(connection, user, now).await?) {
            return Ok(None);
        }
        refund(connection, attempt).await?;
        let left = RecoveryCode::count_unused(connection, user).await?;
        Notice::new(NoticeKind::RecoveryCodeUsed, client, now)
            .with_recovery_codes_left(left)
            .enqueue(connection, user)
            .await?;
        let recovery_codes = Some(left);
        Ok(Some(Consumed { recovery_codes }))
    }

    /// The authentication methods, as RFC 8176 calls them.
    const fn methods(self, challenge: &Challenge) -> &'static str {
        match (self, challenge.delivery) {
            (Self::RecoveryCode(..), _) => "pwd otp",
            (Self::Code, Delivery::Call) => "pwd tel",
            (Self::Code, _) => "pwd sms",
        }
    }
}

/// Logs the user in.
pub(super) async fn finish_login(
    app: &AppState,
    session: &Session,
    client: &Client,
    challenge: &Challenge,
    proof: Proof<'_>,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let mut transaction = app.database.begin().await?;
    let begun = session
        .finish_pending_login(&mut transaction, challenge, client, now)
        .await?;
    let consumed = proof
        .consume(&mut transaction, challenge, client, now)
        .await?;
    let (Some(consumed), Some(begun)) = (consumed, begun) else {
        return redirect_expired(session).await;
    };
    let user = &challenge.user_id;
    let event = match proof {
        Proof::Code => Event::LoggedInWithCode,
        Proof::RecoveryCode(..) => Event::LoggedInWithRecoveryCode,
    };
    Activity::record(&mut transaction, user, event, Some(client), now).await?;
    if let Some(left) = consumed.recovery_codes {
        Session::leave_message(
            &mut transaction,
            &begun.issued,
            MessageKind::Info,
            &describe_used(left),
        )
        .await?;
    }
    transaction.commit().await?;
    session.send(begun.issued);
    if begun.has_mail || consumed.recovery_codes.is_some() {
        app.mail.wake();
    }
    let (user, amr) = (user.as_str(), proof.methods(challenge));
    tracing::info!(event = "login", user, amr, "logged in");
    Ok(to_next(challenge))
}

/// Makes the session recently authenticated.
pub(super) async fn finish_reauth(
    app: &AppState,
    session: &Session,
    client: &Client,
    challenge: &Challenge,
    proof: Proof<'_>,
) -> Result<Response, AppError> {
    let now = app.clock.now();
    let (user, version) = (&challenge.user_id, challenge.auth_version);
    let mut transaction = app.database.begin().await?;
    if !User::lock_for_update(&mut transaction, user, version).await? {
        return redirect_expired(session).await;
    }
    let consumed = proof
        .consume(&mut transaction, challenge, client, now)
        .await?;
    let Some(consumed) = consumed else {
        return redirect_expired(session).await;
    };
    let issued = complete_reauthentication(&mut transaction, session, user, client, now).await?;
    let Some(issued) = issued else {
        return Ok(redirect_to_login());
    };
    transaction.commit().await?;
    session.send(issued);
    if let Some(left) = consumed.recovery_codes {
        app.mail.wake();
        session
            .add_message(MessageKind::Info, &describe_used(left))
            .await?;
    }
    let (user, amr) = (user.as_str(), proof.methods(challenge));
    tracing::info!(event = "reauth", user, amr, "reauthenticated");
    Ok(to_next(challenge))
}

/// Sets the account's number and ends all other sessions. No other challenge can be open,
/// since opening one closes the others.
async fn finish_enable(
    app: &AppState,
    session: &Session,
    page: &Page,
    client: &Client,
    challenge: &Challenge,
) -> Result<Response, AppError> {
    let (now, version) = (app.clock.now(), challenge.auth_version);
    let (Some(user), Some(row)) = (session.user(), session.row()) else {
        return Ok(redirect_to_login());
    };
    let mut transaction = app.database.begin().await?;
    let changed = User::raise_auth_version(&mut transaction, &user.id, version).await?;
    let consumed = challenge.consume(&mut transaction, now).await?;
    if !(consumed && changed) {
        return redirect_expired(session).await;
    }
    let issued = session.renew(&mut transaction, None, None, now).await?;
    let Some(issued) = issued else {
        return Ok(redirect_to_login());
    };
    SessionRow::end_others(&mut transaction, &user.id, &row.id).await?;
    Factor::add_phone(&mut transaction, &user.id, &challenge.phone, now).await?;
    // A change of the number keeps the recovery codes.
    let codes = match user.phone {
        Some(_) => Vec::new(),
        None => RecoveryCode::create_set(&mut transaction, &user.id, now).await?,
    };
    notify_phone_changed(&mut transaction, user, client, now).await?;
    transaction.commit().await?;
    session.send(issued);
    app.mail.wake();
    match user.phone {
        Some(_) => phone_changed(session, user).await,
        None => enabled(page, user, challenge, &codes).await,
    }
}

async fn enabled(
    page: &Page,
    user: &User,
    challenge: &Challenge,
    codes: &[RecoveryCode],
) -> Result<Response, AppError> {
    let id = user.id.as_str();
    tracing::info!(
        event = "two_factor_enabled",
        user = id,
        "two-factor authentication enabled"
    );
    Ok(EnabledPage {
        layout: page.layout("Two-factor authentication is on").await?,
        username: user.username.clone(),
        masked_phone: mask_phone(&challenge.phone),
        codes: codes.iter().map(RecoveryCode::grouped).collect(),
    }
    .into_response())
}

/// Records the change and emails the user. `before` is the account before the change.
async fn notify_phone_changed(
    connection: &mut Connection,
    before: &User,
    client: &Client,
    now: i64,
) -> Result<(), Error> {
    let former = before.phone.as_deref();
    let (notice, event) = match former {
        Some(_) => (NoticeKind::PhoneChanged, Event::PhoneChanged),
        None => (NoticeKind::TwoFactorEnabled, Event::TwoFactorEnabled),
    };
    Notice::new(notice, client, now)
        .with_former_phone(former)
        .enqueue(connection, &before.id)
        .await?;
    Activity::record(connection, &before.id, event, Some(client), now).await
}

async fn phone_changed(session: &Session, user: &User) -> Result<Response, AppError> {
    let id = user.id.as_str();
    tracing::info!(event = "phone_changed", user = id, "phone number changed");
    let text = "You have changed your phone number";
    redirect_to_profile(session, MessageKind::Success, text, &user.username).await
}

fn to_next(challenge: &Challenge) -> Response {
    let next = challenge.next.as_deref().and_then(LocalPath::parse);
    redirect_to_next(next.as_ref())
}
