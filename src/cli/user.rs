//! Managing one account. Each change is one transaction.

use super::{Error, Name, UserCommand};
use crate::models::activity::{Activity, Event};
use crate::models::challenge::Challenge;
use crate::models::factor::{Factor, FactorKind, RecoveryCode};
use crate::models::mail_token::MailToken;
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::rate_limit::{SENDS_OF_ACCOUNT, WRONG_CODES, reset};
use crate::models::session::SessionRow;
use crate::models::user::{Overview, User, UserId};
use crate::models::{self, Connection, Database};
use crate::views::timestamp;
use crate::views::two_factor::mask_phone;

pub(super) async fn run(
    database: &Database,
    command: UserCommand,
    now: i64,
) -> Result<String, Error> {
    let (UserCommand::Show(Name { name })
    | UserCommand::Lock(Name { name })
    | UserCommand::Unlock(Name { name })
    | UserCommand::Reset2fa(Name { name })
    | UserCommand::EndSessions(Name { name })
    | UserCommand::Delete(Name { name })) = &command;
    let user = User::find_by_username(database, name).await?;
    let user = user.ok_or_else(|| Error::UnknownUser(name.clone()))?;
    match command {
        UserCommand::Show(_) => show(database, &user, now).await,
        UserCommand::Lock(_) => lock(database, &user, now).await,
        UserCommand::Unlock(_) => unlock(database, &user, now).await,
        UserCommand::Reset2fa(_) => reset_two_factor(database, &user, now).await,
        UserCommand::EndSessions(_) => end_sessions(database, &user, now).await,
        UserCommand::Delete(_) => delete(database, &user).await,
    }
}

async fn show(database: &Database, user: &User, now: i64) -> Result<String, Error> {
    let gone = || Error::UnknownUser(user.username.clone());
    let overview = User::overview(database, &user.id, now)
        .await?
        .ok_or_else(gone)?;
    let mut connection = database.acquire().await?;
    let factors = Factor::list(&mut connection, &user.id).await?;
    let recent = Activity::recent(&mut connection, &user.id).await?;
    let last = recent.shown.first();
    Ok(describe(user, &overview, &factors, last, now))
}

/// `off`, or each factor.
fn describe_factors(factors: &[Factor]) -> String {
    let name = |factor: &Factor| match &factor.kind {
        FactorKind::Phone { number } => mask_phone(number),
        FactorKind::Authenticator { name, .. } => format!("\u{201c}{name}\u{201d}"),
    };
    let names: Vec<String> = factors.iter().map(name).collect();
    match names.is_empty() {
        true => "off".to_owned(),
        false => format!("on, {}", names.join(", ")),
    }
}

fn describe(
    user: &User,
    overview: &Overview,
    factors: &[Factor],
    last: Option<&Activity>,
    now: i64,
) -> String {
    let when = |at: i64| {
        let at = timestamp(at, now);
        format!("{} ({})", at.datetime, at.relative)
    };
    let never = || "never".to_owned();
    let last_activity = |it: &Activity| {
        let from = it.address.as_ref().map(|it| format!(", from {it}"));
        let event = it.event.as_ref().replace('_', " ");
        format!("{event}, {}{}", when(it.at), from.unwrap_or_default())
    };
    let locked = overview.locked_at.map(|at| format!("since {}", when(at)));
    let lines = [
        ("Name", user.username.clone()),
        ("Email", user.email.clone()),
        ("Created", when(overview.created_at)),
        ("Last seen", user.last_seen_at.map_or_else(never, when)),
        ("Locked", locked.unwrap_or_else(|| "no".to_owned())),
        ("Two-factor authentication", describe_factors(factors)),
        ("Recovery codes left", overview.recovery_codes.to_string()),
        ("Sessions", overview.sessions.to_string()),
        (
            "Devices",
            format!(
                "{} known, {} trusted",
                overview.devices, overview.trusted_devices
            ),
        ),
        ("Last activity", last.map_or_else(never, last_activity)),
    ];
    let line = |(label, value): (&str, String)| format!("{:<27}{value}\n", format!("{label}:"));
    lines.into_iter().map(line).collect()
}

async fn lock(database: &Database, user: &User, now: i64) -> Result<String, Error> {
    let (id, name) = (&user.id, &user.username);
    let mut transaction = database.begin().await?;
    if !User::lock_account(&mut transaction, id, now).await? {
        return Ok(format!("{name} is already locked.\n"));
    }
    end_all_access(&mut transaction, id, now).await?;
    MailToken::delete_resets(&mut transaction, id).await?;
    Activity::record(&mut transaction, id, Event::LockedByOperator, None, now).await?;
    transaction.commit().await?;
    Ok(format!("{name} is locked and logged out on all devices.\n"))
}

async fn unlock(database: &Database, user: &User, now: i64) -> Result<String, Error> {
    let (id, name) = (&user.id, &user.username);
    let mut transaction = database.begin().await?;
    let was_locked = User::unlock_account(&mut transaction, id).await?;
    for limit in [SENDS_OF_ACCOUNT, WRONG_CODES] {
        reset(&mut transaction, &limit.buckets(id.as_str()), now).await?;
    }
    if was_locked {
        let event = Event::UnlockedByOperator;
        Activity::record(&mut transaction, id, event, None, now).await?;
    }
    transaction.commit().await?;
    let outcome = match was_locked {
        true => "is unlocked",
        false => "was not locked",
    };
    Ok(format!("{name} {outcome}. Limits for codes were reset.\n"))
}

async fn reset_two_factor(database: &Database, user: &User, now: i64) -> Result<String, Error> {
    let (id, name) = (&user.id, &user.username);
    let mut transaction = database.begin().await?;
    User::bump_auth_version(&mut transaction, id).await?;
    if !Factor::delete_all(&mut transaction, id).await? {
        return Ok(format!(
            "Two-factor authentication of {name} is already off. Nothing was changed.\n"
        ));
    }
    end_all_access(&mut transaction, id, now).await?;
    RecoveryCode::delete_all(&mut transaction, id).await?;
    Notice::by_operator(NoticeKind::TwoFactorResetByOperator, now)
        .enqueue(&mut transaction, id)
        .await?;
    let event = Event::TwoFactorResetByOperator;
    Activity::record(&mut transaction, id, event, None, now).await?;
    transaction.commit().await?;
    Ok(format!(
        "Two-factor authentication of {name} is off, and {name} is logged out on all devices.\n\
         The server emails a notice to {}.\n",
        user.email
    ))
}

async fn end_sessions(database: &Database, user: &User, now: i64) -> Result<String, Error> {
    let id = &user.id;
    let mut transaction = database.begin().await?;
    User::bump_auth_version(&mut transaction, id).await?;
    end_all_access(&mut transaction, id, now).await?;
    let event = Event::SessionsEndedByOperator;
    Activity::record(&mut transaction, id, event, None, now).await?;
    transaction.commit().await?;
    Ok(format!("{} is logged out on all devices.\n", user.username))
}

async fn delete(database: &Database, user: &User) -> Result<String, Error> {
    let mut transaction = database.begin().await?;
    // Every transaction locks the row of the account first.
    User::bump_auth_version(&mut transaction, &user.id).await?;
    User::delete(&mut transaction, &user.id).await?;
    transaction.commit().await?;
    Ok(format!(
        "{} is deleted, with all data of the account.\n",
        user.username
    ))
}

/// Ends all sessions and closes all open challenges. Their codes stay valid at Twilio, but a
/// closed challenge accepts none.
async fn end_all_access(
    connection: &mut Connection,
    user: &UserId,
    now: i64,
) -> Result<(), models::Error> {
    SessionRow::end_all(connection, user).await?;
    Challenge::close_all(connection, user, now).await?;
    Ok(())
}
