//! Opening a verification: what it supersedes, and what it takes over.

use crate::models::challenge::{
    Allowance, Challenge, ChallengeId, Delivery, Outcome, Purpose, Way, unfinished,
};
use crate::models::client::Client;
use crate::models::limits::{CHALLENGE_LIFE, CHECKS_OF_CHALLENGE, SEND_INTERVAL};
use crate::models::session::SessionRow;
use crate::models::throttle::{self, Attempt};
use crate::models::token::random_id;
use crate::models::user::User;
use crate::models::{Connection, Database, Error};
use crate::services::twilio_verify::TwilioVerify;

/// What a verification is opened with.
#[derive(Debug)]
pub struct NewChallenge<'a> {
    /// The account as it was checked.
    pub user: &'a User,
    /// What for.
    pub purpose: Purpose,
    /// The number, in E.164.
    pub phone: &'a str,
    /// Where to go afterwards: a local path.
    pub next: Option<&'a str>,
    /// Whether the log-in is to outlive the browser.
    pub remember: bool,
    /// The country of the number, for what its codes cost.
    pub country: Option<&'a str>,
    /// What decides whether a code may be sent.
    pub allowance: &'a Allowance,
    /// The session that asks: none for a log-in, which has none yet.
    pub session: Option<&'a SessionRow>,
    /// What is known of a log-in besides: none for any other purpose.
    pub login: Option<NewLogin<'a>>,
}

/// Who begins a log-in, so that its owner can be told if it is never finished.
#[derive(Debug)]
pub struct NewLogin<'a> {
    /// Where it comes from.
    pub client: &'a Client,
    /// The verification that the same browser has open.
    pub replaces: Option<&'a ChallengeId>,
}

impl NewLogin<'_> {
    /// The same, if what it replaces was open until now. What another browser
    /// closed before was left without its code, whatever follows.
    fn within(&self, closed: &[Challenge]) -> Self {
        let was_open = |id: &&ChallengeId| closed.iter().any(|old| old.id == **id);
        Self {
            client: self.client,
            replaces: self.replaces.filter(was_open),
        }
    }
}

/// What stands in the new row of the sending.
struct Sending {
    /// What was counted, where one is to be sent.
    attempt: Option<Attempt>,
    provider_sid: Option<String>,
    delivery: Delivery,
    sends: i64,
    calls: i64,
    checks: i64,
    last_sent_at: Option<i64>,
    expires_at: i64,
}

impl Challenge {
    /// Opens a verification, closes all others of the user, and sends a code,
    /// unless one was sent to the same number for the same purpose less than
    /// [`SEND_INTERVAL`] ago: Twilio would send that very code again, so the new
    /// verification carries the old one over and nothing is sent.
    ///
    /// How the sending ended stands in the row's `delivery`. `None` when the
    /// account changed since it was checked, or the session that asks has ended:
    /// then nothing is sent.
    ///
    /// # Errors
    /// When the database fails or there are no random numbers.
    pub async fn open(
        database: &Database,
        verify: &TwilioVerify,
        new: NewChallenge<'_>,
        now: i64,
    ) -> Result<Option<Self>, Error> {
        let mut transaction = database.begin().await?;
        if !User::lock(&mut transaction, &new.user.id, new.user.auth_version).await? {
            return Ok(None);
        }
        if let Some(session) = new.session
            && !session.is_living(&mut transaction).await?
        {
            return Ok(None);
        }
        let closed = Self::close_all(&mut transaction, &new.user.id, now).await?;
        let predecessor = closed.iter().find(|old| old.can_be_carried_over(&new, now));
        let id = ChallengeId::from(random_id()?);
        let sending = match predecessor {
            Some(old) => Sending::carried_over(old),
            None => Sending::of(&mut transaction, &id, &new, now).await?,
        };
        let mut challenge = insert(&mut transaction, &id, &new, &sending, now).await?;
        if let Some(old) = predecessor {
            old.hand_over_sending(&mut transaction, &id).await?;
        }
        if let Some(login) = new.login.as_ref().map(|login| login.within(&closed)) {
            let (id, user, due) = (&challenge.id, &new.user.id, sending.expires_at);
            unfinished::queue(&mut transaction, id, user, &login, due, now).await?;
        }
        transaction.commit().await?;

        for old in closed
            .iter()
            .filter(|old| predecessor.is_none_or(|kept| kept.id != old.id))
        {
            old.cancel_at_twilio(database, verify, now).await?;
        }
        if let Some(attempt) = &sending.attempt {
            challenge.delivery = challenge
                .deliver(database, verify, Way::Any, attempt, now)
                .await?;
        }
        Ok(Some(challenge))
    }

    /// The sending counts once, with the verification that carries it: where its
    /// code is entered rightly, nothing is left to hold back the next.
    async fn hand_over_sending(
        &self,
        connection: &mut Connection,
        to: &ChallengeId,
    ) -> Result<(), Error> {
        sqlx::query("UPDATE challenges SET sends = 0, last_sent_at = NULL WHERE id = $1")
            .bind(self.id.as_str())
            .execute(&mut *connection)
            .await?;
        throttle::hand_over(connection, &self.id, to).await
    }

    fn can_be_carried_over(&self, new: &NewChallenge<'_>, now: i64) -> bool {
        self.purpose == new.purpose
            && self.phone == new.phone
            && self.auth_version == new.user.auth_version
            && self.expires_at > now
            && self.checks < CHECKS_OF_CHALLENGE
            && self.delivery.may_have_arrived()
            && self.last_sent_at.is_some_and(|at| at > now - SEND_INTERVAL)
    }
}

impl Sending {
    /// The same code, so the same tries and the same end.
    fn carried_over(old: &Challenge) -> Self {
        Self {
            attempt: None,
            provider_sid: old.provider_sid.clone(),
            delivery: old.delivery,
            sends: old.sends,
            calls: old.calls,
            checks: old.checks,
            last_sent_at: old.last_sent_at,
            expires_at: old.expires_at,
        }
    }

    /// A sending that is counted before it is made, or held back when the last one
    /// to this user for this purpose is too recent, or by a limit. One whose code
    /// was then entered rightly does not hold back the next.
    async fn of(
        connection: &mut Connection,
        id: &ChallengeId,
        new: &NewChallenge<'_>,
        now: i64,
    ) -> Result<Self, Error> {
        let recent = match new.allowance.unlimited {
            true => None,
            false => last_sending(connection, new, now).await?,
        };
        let attempt = match recent {
            Some(_) => None,
            None => {
                let (user, way) = (&new.user.id, Way::Any);
                let buckets = new.allowance.buckets(user, new.purpose, new.phone, way);
                let counted = throttle::count(connection, &buckets, Some(id), now).await?;
                counted.ok()
            }
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
        })
    }
}

/// The last sending that is too recent for another one. Where Twilio refused the number
/// nothing was sent, and who mistyped it can mend that at once.
async fn last_sending(
    connection: &mut Connection,
    new: &NewChallenge<'_>,
    now: i64,
) -> Result<Option<i64>, Error> {
    Ok(sqlx::query_scalar(
        "SELECT MAX(last_sent_at) FROM challenges \
         WHERE user_id = $1 AND purpose = $2 AND last_sent_at > $3 \
         AND (outcome IS NULL OR outcome NOT IN ($4, $5)) \
         AND delivery NOT IN ($6, $7, $8)",
    )
    .bind(new.user.id.as_str())
    .bind(new.purpose.as_str())
    .bind(now - SEND_INTERVAL)
    .bind(Outcome::Approved.as_str())
    .bind(Outcome::Recovered.as_str())
    .bind(Delivery::InvalidNumber.as_str())
    .bind(Delivery::TooMany.as_str())
    .bind(Delivery::Blocked.as_str())
    .fetch_one(connection)
    .await?)
}

async fn insert(
    connection: &mut Connection,
    id: &ChallengeId,
    new: &NewChallenge<'_>,
    sending: &Sending,
    now: i64,
) -> Result<Challenge, Error> {
    let row = sqlx::query_as(
        "INSERT INTO challenges (id, user_id, auth_version, purpose, phone, provider_sid, \
         delivery, next, remember, sends, calls, checks, created_at, last_sent_at, expires_at, \
         country) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         RETURNING *",
    )
    .bind(id.as_str())
    .bind(new.user.id.as_str())
    .bind(new.user.auth_version)
    .bind(new.purpose.as_str())
    .bind(new.phone)
    .bind(sending.provider_sid.as_deref())
    .bind(sending.delivery.as_str())
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
    .await?;
    Ok(row)
}
