//! Opens a challenge. It replaces the user's open ones, or takes over a code that was just sent.

use crate::models::challenge::{
    Challenge, ChallengeId, Delivery, Outcome, Purpose, ResendStatus, SendMethod, unfinished,
};
use crate::models::client::Client;
use crate::models::factor::Factor;
use crate::models::rate_limit::{
    Attempt, CHALLENGE_LIFE, CHECKS_OF_CHALLENGE, CodeRequest, FACTOR_CHANGES, SEND_INTERVAL,
    SendLimits, take,
};
use crate::models::session::SessionRow;
use crate::models::token::random_id;
use crate::models::user::User;
use crate::models::{Connection, Database, Result};
use crate::services::metrics::Metrics;
use crate::services::twilio_verify::TwilioVerify;

#[derive(Debug)]
pub struct NewChallenge<'a> {
    /// The account as it was checked.
    pub user: &'a User,
    pub purpose: Purpose,
    pub phone: &'a str,
    /// A local path to go to afterwards.
    pub next: Option<&'a str>,
    /// Whether the login outlives the browser.
    pub remember: bool,
    /// The country of the number, for the SMS report.
    pub country: Option<&'a str>,
    pub limits: &'a SendLimits,
    /// The session of the request; none for a login.
    pub session: Option<&'a SessionRow>,
    /// The facts of a login; none for other purposes.
    pub login: Option<NewLogin<'a>>,
}

/// A login that begins, for the notice if it is never completed.
#[derive(Debug)]
pub struct NewLogin<'a> {
    pub client: &'a Client,
    /// The open challenge of the same browser.
    pub replaces: Option<&'a ChallengeId>,
}

impl NewLogin<'_> {
    /// Keeps `replaces` only if that challenge was open until now. One that another browser
    /// has closed stays an unfinished login.
    fn within(&self, closed: &[Challenge]) -> Self {
        let was_open = |id: &&ChallengeId| closed.iter().any(|old| old.id == **id);
        Self {
            client: self.client,
            replaces: self.replaces.filter(was_open),
        }
    }
}

/// Why a challenge was not opened. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// The account changed since it was checked, or the session has ended.
    Outdated,
    /// No code can be sent now to the number that is being added.
    HeldBack(ResendStatus),
}

/// The new row's columns about sending.
struct Sending {
    /// The counted attempt of a code to send.
    attempt: Option<Attempt>,
    /// Why no code is sent.
    held_back: Option<ResendStatus>,
    provider_sid: Option<String>,
    delivery: Delivery,
    sends: i64,
    calls: i64,
    checks: i64,
    last_sent_at: Option<i64>,
    expires_at: i64,
}

impl Challenge {
    /// Opens a challenge, closes all others of the user, and sends a code. If one was sent to
    /// the same number for the same purpose less than [`SEND_INTERVAL`] ago, Twilio would send
    /// the same code again: then the new challenge carries the old one over, and nothing is
    /// sent.
    ///
    /// `delivery` holds the result of sending. A login whose code is held back gets a
    /// challenge, since a recovery code can complete it.
    pub async fn open(
        database: &Database,
        verify: &TwilioVerify,
        metrics: &Metrics,
        new: NewChallenge<'_>,
        now: i64,
    ) -> Result<std::result::Result<Self, NotOpened>> {
        let mut transaction = database.begin().await?;
        if !User::lock_for_update(&mut transaction, &new.user.id, new.user.auth_version).await? {
            return Ok(Err(NotOpened::Outdated));
        }
        if let Some(session) = new.session
            && !session.is_active(&mut transaction).await?
        {
            return Ok(Err(NotOpened::Outdated));
        }
        let closed = Self::close_all(&mut transaction, &new.user.id, now).await?;
        let predecessor = closed.iter().find(|old| old.can_be_carried_over(&new, now));
        let id = ChallengeId::from(random_id()?);
        let sending = match predecessor {
            Some(old) => Sending::carried_over(&mut transaction, old, &new, now).await?,
            None => Sending::of(&mut transaction, &new, now).await?,
        };
        if let (Purpose::Enable, Some(status)) = (new.purpose, sending.held_back) {
            return Ok(Err(NotOpened::HeldBack(status)));
        }
        let mut challenge = insert(&mut transaction, &id, &new, &sending, now).await?;
        if let Some(old) = predecessor {
            old.hand_over_sending(&mut transaction).await?;
        }
        if let Some(login) = new.login.as_ref().map(|login| login.within(&closed)) {
            let (id, user, due) = (&challenge.id, &new.user.id, sending.expires_at);
            unfinished::queue(&mut transaction, id, user, &login, due, now).await?;
        }
        transaction.commit().await?;

        let is_superseded = |old: &&Self| predecessor.is_none_or(|kept| kept.id != old.id);
        for old in closed.iter().filter(is_superseded) {
            old.cancel_at_twilio(database, verify, now).await?;
        }
        if let Some(attempt) = sending.attempt {
            challenge.delivery = challenge
                .deliver(database, verify, SendMethod::Any, new.limits, attempt, now)
                .await?;
            challenge.count(metrics, SendMethod::Any, challenge.delivery);
        }
        Ok(Ok(challenge))
    }

    /// Moves the count of sends to the challenge that carries this one on.
    async fn hand_over_sending(&self, connection: &mut Connection) -> Result<()> {
        sqlx::query("UPDATE challenges SET sends = 0, last_sent_at = NULL WHERE id = $1")
            .bind(self.id.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }

    fn can_be_carried_over(&self, new: &NewChallenge<'_>, now: i64) -> bool {
        self.purpose == new.purpose
            && self.phone == new.phone
            && self.auth_version == new.user.auth_version
            && self.expires_at > now
            && self.checks < CHECKS_OF_CHALLENGE
            && self.delivery.may_have_arrived()
            && self.seconds_until_send(now) > 0
    }
}

impl Sending {
    /// The same code, so the same attempts and the same end. Adding a number counts as a
    /// change of factors again, which bounds the rows.
    async fn carried_over(
        connection: &mut Connection,
        old: &Challenge,
        new: &NewChallenge<'_>,
        now: i64,
    ) -> Result<Self> {
        let buckets = match new.purpose == Purpose::Enable && !new.limits.unlimited {
            true => FACTOR_CHANGES.buckets(new.user.id.as_str()),
            false => Vec::new(),
        };
        let result = take(connection, &buckets, now).await?;
        Ok(Self {
            attempt: None,
            held_back: result.err().map(ResendStatus::Limited),
            provider_sid: old.provider_sid.clone(),
            delivery: old.delivery,
            sends: old.sends,
            calls: old.calls,
            checks: old.checks,
            last_sent_at: old.last_sent_at,
            expires_at: old.expires_at,
        })
    }

    /// Counts a send before it happens, or holds it back: by a limit, or because the last send
    /// to this user for this purpose is too recent. A send whose code was verified does not
    /// hold back the next one.
    async fn of(connection: &mut Connection, new: &NewChallenge<'_>, now: i64) -> Result<Self> {
        let recent = match new.limits.unlimited {
            true => None,
            false => last_sending(connection, new, now).await?,
        };
        let is_adding = new.purpose == Purpose::Enable;
        let request = CodeRequest {
            user: &new.user.id,
            phone: new.phone,
            is_adding,
            is_new_number: is_adding
                || Factor::has_new_phone(connection, &new.user.id, now).await?,
        };
        let (attempt, held_back) = match recent {
            Some(at) => (None, Some(ResendStatus::Soon(at + SEND_INTERVAL - now))),
            None => match new.limits.take_first(connection, &request, now).await? {
                Ok(attempt) => (Some(attempt), None),
                Err(exceeded) => (None, Some(ResendStatus::Limited(exceeded))),
            },
        };
        let delivery = match attempt {
            Some(_) => Delivery::Sending,
            None => Delivery::HeldBack,
        };
        Ok(Self {
            provider_sid: None,
            delivery,
            sends: i64::from(attempt.is_some()),
            calls: 0,
            checks: 0,
            last_sent_at: recent.or(attempt.as_ref().map(|_| now)),
            expires_at: now + CHALLENGE_LIFE,
            attempt,
            held_back,
        })
    }
}

/// The time of the last send, if it is too recent for another. A number that Twilio refused
/// does not count: the user may have mistyped it and can correct it at once.
async fn last_sending(
    connection: &mut Connection,
    new: &NewChallenge<'_>,
    now: i64,
) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar(
        r"SELECT MAX(last_sent_at)
          FROM challenges
          WHERE user_id = $1 AND purpose = $2 AND last_sent_at > $3 AND last_sent_at <= $9
          AND (outcome IS NULL OR outcome NOT IN ($4, $5))
          AND delivery NOT IN ($6, $7, $8)",
    )
    .bind(new.user.id.as_str())
    .bind(new.purpose.as_ref())
    .bind(now - SEND_INTERVAL)
    .bind(Outcome::Approved.as_ref())
    .bind(Outcome::Recovered.as_ref())
    .bind(Delivery::InvalidNumber.as_ref())
    .bind(Delivery::TooMany.as_ref())
    .bind(Delivery::Blocked.as_ref())
    .bind(now)
    .fetch_one(connection)
    .await?)
}

async fn insert(
    connection: &mut Connection,
    id: &ChallengeId,
    new: &NewChallenge<'_>,
    sending: &Sending,
    now: i64,
) -> Result<Challenge> {
    Ok(sqlx::query_as(
        r"INSERT INTO challenges (
            id, user_id, auth_version, purpose, phone, provider_sid, delivery, next, remember,
            sends, calls, checks, created_at, last_sent_at, expires_at, country
          )
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
          RETURNING *",
    )
    .bind(id.as_str())
    .bind(new.user.id.as_str())
    .bind(new.user.auth_version)
    .bind(new.purpose.as_ref())
    .bind(new.phone)
    .bind(sending.provider_sid.as_deref())
    .bind(sending.delivery.as_ref())
    .bind(new.next)
    .bind(i64::from(new.remember))
    .bind(sending.sends)
    .bind(sending.calls)
    .bind(sending.checks)
    .bind(now)
    .bind(sending.last_sent_at)
    .bind(sending.expires_at)
    .bind(new.country)
    .fetch_one(connection)
    .await?)
}
