//! Opens a challenge in a session, in place of the one that the session had.

use crate::models::challenge::{
    Challenge, ChallengeId, Outcome, Purpose, ResendStatus, Row, unfinished,
};
use crate::models::client::Client;
use crate::models::factor::{CodeSender, End, Factor, SendMethod, Verification};
use crate::models::rate_limit::{
    Attempt, CHALLENGE_LIFE, CodeRequest, FACTOR_CHANGES, SEND_INTERVAL, take,
};
use crate::models::session::{Issued, SessionRow};
use crate::models::token::random_id;
use crate::models::user::User;
use crate::models::{Connection, Result};

/// The parameters of [`Challenge::open`].
pub struct NewChallenge<'a> {
    /// The account as it was checked.
    pub user: &'a User,
    pub purpose: Purpose,
    /// The factor to use first. None while a phone is being added.
    pub factor: Option<&'a Factor>,
    /// The number that the code goes to. None if the factor is no phone, or if the user wants
    /// to enter a recovery code.
    pub phone: Option<&'a str>,
    /// A local path to go to afterwards.
    pub next: Option<&'a str>,
    /// The session of the request, if it has one.
    pub session: Option<&'a SessionRow>,
    /// The facts of a login; none for other purposes.
    pub login: Option<NewLogin<'a>>,
}

/// A login that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewLogin<'a> {
    pub client: &'a Client,
    /// Whether the login outlives the browser.
    pub remember: bool,
}

/// An open challenge, and the new cookie of its session.
pub struct Opened {
    pub challenge: Challenge,
    pub issued: Issued,
}

/// Why a challenge was not opened. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// The account changed since it was checked, or the session has ended.
    Outdated,
    /// No code can be sent now to the number that is being added.
    HeldBack(ResendStatus),
}

/// The code of a new challenge.
#[derive(Default)]
struct Code {
    verification: Option<Verification>,
    /// The counted attempt of a code to send.
    attempt: Option<Attempt>,
}

impl Challenge {
    /// Opens a challenge and sends a code, if the factor is a phone. It supersedes the challenge
    /// of the same session and no other, so that someone who knows the password can't close the
    /// owner's. If a code was sent to the same number less than [`SEND_INTERVAL`] ago, that code
    /// serves.
    ///
    /// A login whose code is held back gets a challenge, since another factor or a recovery code
    /// can complete it.
    pub async fn open(
        sender: &CodeSender<'_>,
        new: NewChallenge<'_>,
        now: i64,
    ) -> Result<Result<Opened, NotOpened>> {
        let mut transaction = sender.database.begin().await?;
        if !User::lock_for_update(&mut transaction, &new.user.id, new.user.auth_version).await? {
            return Ok(Err(NotOpened::Outdated));
        }
        if new.login.is_none() && !is_logged_in(&mut transaction, new.session).await? {
            return Ok(Err(NotOpened::Outdated));
        }
        let superseded = supersede(&mut transaction, new.session, now).await?;
        let former = superseded
            .as_ref()
            .and_then(|old| old.verification_id.clone());
        let code = match new.phone {
            Some(phone) => {
                Code::prepare(&mut transaction, sender, &new, phone, former, now).await?
            }
            None => Ok(Code::default()),
        };
        let code = match code {
            Ok(code) => code,
            Err(status) if new.purpose == Purpose::AddPhone => {
                return Ok(Err(NotOpened::HeldBack(status)));
            }
            Err(_) => Code::default(),
        };
        let row = insert(&mut transaction, &new, &code, now).await?;
        if let Some(login) = new.login {
            let replaced = superseded.as_ref().map(|old| &old.id);
            unfinished::queue(&mut transaction, &row, replaced, login.client, now).await?;
        }
        let begun = match new.login {
            Some(_) => Some(begin_pending(&mut transaction, new.session, &row.id, now).await?),
            None => None,
        };
        transaction.commit().await?;

        if let Some(id) = superseded.and_then(|old| old.verification_id) {
            Verification::end(sender.database, sender.verify, &id, End::Canceled, now).await?;
        }
        let mut challenge = Self::from_parts(row, new.factor.cloned(), code.verification);
        if let (Some(attempt), Some(verification)) = (code.attempt, &mut challenge.verification) {
            let method = SendMethod::Any;
            let delivery = verification.deliver(sender, method, attempt, now).await?;
            verification.delivery = delivery;
            challenge
                .record_fraud_guard(sender.database, delivery)
                .await?;
        }
        // A login gets its new cookie last: Twilio is slow, and the user may press the button
        // again with the old one.
        let issued = match (begun, new.session) {
            (Some(issued), _) => Some(issued),
            (None, Some(login)) => {
                let mut connection = sender.database.acquire().await?;
                login
                    .renew(&mut connection, None, Some(&challenge.id), now)
                    .await?
            }
            (None, None) => None,
        };
        Ok(issued
            .map(|issued| Opened { challenge, issued })
            .ok_or(NotOpened::Outdated))
    }
}

impl Code {
    /// Finds the code that serves this challenge, or counts one to send.
    async fn prepare(
        connection: &mut Connection,
        sender: &CodeSender<'_>,
        new: &NewChallenge<'_>,
        phone: &str,
        former: Option<String>,
        now: i64,
    ) -> Result<Result<Self, ResendStatus>> {
        let (user, is_adding) = (&new.user.id, new.purpose == Purpose::AddPhone);
        let open = match is_adding {
            // A number that is being added shares with the form that was just sent.
            true => match &former {
                Some(id) => Verification::find(connection, id).await?,
                None => None,
            }
            .filter(|it| it.phone == phone && it.is_open(now) && it.seconds_until_send(now) > 0),
            false => Verification::find_shared(connection, user, phone, now).await?,
        };
        let request = CodeRequest::new(user, phone, is_adding);
        if let Some(open) = &open
            && open.seconds_until_send(now) > 0
            && !sender.limits.unlimited
        {
            // Adding a number counts as a change of factors again, which bounds the rows.
            let buckets = match is_adding {
                true => FACTOR_CHANGES.buckets(user.as_str()),
                false => Vec::new(),
            };
            let code = Self {
                verification: Some(open.clone()),
                attempt: None,
            };
            let taken = take(connection, &buckets, now).await?;
            return Ok(taken.map(|_| code).map_err(ResendStatus::Limited));
        }
        if !sender.limits.unlimited
            && let Some(at) = Verification::recent_send(connection, user, phone, now).await?
        {
            return Ok(Err(ResendStatus::Soon(at + SEND_INTERVAL - now)));
        }
        let request = request.with_age(connection, now).await?;
        let attempt = match sender.limits.take_first(connection, &request, now).await? {
            Ok(attempt) => attempt,
            Err(exceeded) => return Ok(Err(ResendStatus::Limited(exceeded))),
        };
        let country = sender.country;
        let sent = Verification::begin_send(connection, open.as_ref(), &request, country, now);
        Ok(Ok(Self {
            verification: Some(sent.await?),
            attempt: Some(attempt),
        }))
    }
}

/// Whether the session of the request is still active.
async fn is_logged_in(connection: &mut Connection, session: Option<&SessionRow>) -> Result<bool> {
    match session {
        Some(session) => session.is_active(connection).await,
        None => Ok(false),
    }
}

/// A challenge that was closed, and the verification that it used.
#[derive(sqlx::FromRow)]
struct Superseded {
    id: ChallengeId,
    verification_id: Option<String>,
}

/// Closes the open challenge of a session.
async fn supersede(
    connection: &mut Connection,
    session: Option<&SessionRow>,
    now: i64,
) -> Result<Option<Superseded>> {
    let Some(id) = session.and_then(|session| session.challenge_id.as_ref()) else {
        return Ok(None);
    };
    Ok(sqlx::query_as(
        r"UPDATE challenges
          SET closed_at = $1, outcome = $2
          WHERE id = $3 AND closed_at IS NULL
          RETURNING id, verification_id",
    )
    .bind(now)
    .bind(Outcome::Superseded.as_ref())
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?)
}

/// Begins a session without a login for the challenge, in place of the one of the browser.
async fn begin_pending(
    connection: &mut Connection,
    session: Option<&SessionRow>,
    id: &ChallengeId,
    now: i64,
) -> Result<Issued> {
    if let Some(session) = session {
        SessionRow::end(connection, &session.id).await?;
    }
    SessionRow::begin_anonymous(connection, Some(id), "{}", now).await
}

async fn insert(
    connection: &mut Connection,
    new: &NewChallenge<'_>,
    code: &Code,
    now: i64,
) -> Result<Row> {
    Ok(sqlx::query_as(
        r"INSERT INTO challenges (
            id, user_id, auth_version, purpose, factor_id, verification_id, next, remember,
            sends, calls, checks, created_at, expires_at
          )
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, $11)
          RETURNING *",
    )
    .bind(random_id()?)
    .bind(new.user.id.as_str())
    .bind(new.user.auth_version)
    .bind(new.purpose.as_ref())
    .bind(new.factor.map(|factor| factor.id.as_str()))
    .bind(code.verification.as_ref().map(|it| it.id.as_str()))
    .bind(new.next)
    .bind(i64::from(new.login.is_some_and(|login| login.remember)))
    .bind(i64::from(code.verification.is_some()))
    .bind(now)
    .bind(now + CHALLENGE_LIFE)
    .fetch_one(connection)
    .await?)
}
