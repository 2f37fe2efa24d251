//! Completing a challenge after a right code: the code, the session, the record of the event and
//! its notice change in one transaction.

use crate::models::activity::{Activity, Event};
use crate::models::challenge::{Challenge, Outcome, Proof, Purpose, unfinished};
use crate::models::client::Client;
use crate::models::device::Browser;
use crate::models::factor::{Delivery, Factor, RecoveryCode};
use crate::models::login::{LoginProof, ProvenLogin};
use crate::models::outbox::{Notice, NoticeKind};
use crate::models::rate_limit::{WRONG_CODES, refund, refund_login_sends, reset};
use crate::models::session::{Issued, SessionRow};
use crate::models::two_factor::{ChangeResult, FactorChange};
use crate::models::user::User;
use crate::models::{Connection, Database, Result, sms_days};

/// A completed challenge.
pub struct Completed {
    /// The new cookie of the session.
    pub issued: Issued,
    pub result: CompletedResult,
    /// Whether an email to the user is queued.
    pub has_mail: bool,
    /// The recovery codes that are left, if one was used.
    pub recovery_codes_left: Option<i64>,
    /// Verifications to end after the commit.
    pub verifications: Vec<String>,
}

pub enum CompletedResult {
    LoggedIn,
    Reauthenticated,
    /// A phone was added, or its number changed.
    Changed(ChangeResult),
}

/// Why a challenge was not completed. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCompleted {
    /// The challenge or the proof was consumed or closed, or the account changed.
    Gone,
    /// The login that the challenge belongs to has ended.
    LoggedOut,
}

impl Challenge {
    /// Consumes the challenge and the proof, and does what the challenge was opened for. Of
    /// parallel requests with the same code, one succeeds. Like all transactions it locks the
    /// account's row first: different orders could deadlock on PostgreSQL.
    ///
    /// A login with a code trusts the browser until `trust_until`. A recovery code never does.
    pub async fn complete(
        &self,
        database: &Database,
        session: &SessionRow,
        proof: Proof<'_>,
        browser: Browser<'_>,
        trust_until: Option<i64>,
        now: i64,
    ) -> Result<Result<Completed, NotCompleted>> {
        let (user, version, client) = (&self.user_id, self.auth_version, browser.client);
        let mut transaction = database.begin().await?;
        let connection = &mut *transaction;
        if !User::lock_for_update(connection, user, version).await?
            || !self.consume(connection, proof, now).await?
        {
            return Ok(Err(NotCompleted::Gone));
        }
        let recovery_codes_left = self.record_recovery(connection, proof, client, now).await?;
        let done = match self.purpose {
            Purpose::LogIn => {
                let proof = match proof {
                    Proof::RecoveryCode(..) => LoginProof::RecoveryCode,
                    Proof::Phone | Proof::Authenticator(_) => LoginProof::Code { trust_until },
                };
                self.log_in(connection, session, proof, browser, now)
                    .await?
            }
            Purpose::Reauth => {
                self.reauthenticate(connection, session, client, now)
                    .await?
            }
            Purpose::AddPhone => self.add_phone(connection, session, client, now).await?,
        };
        let mut completed = match done {
            Ok(completed) => completed,
            Err(reason) => return Ok(Err(reason)),
        };
        let is_used = !matches!(proof, Proof::RecoveryCode(..));
        if let Some(factor) = self.factor.as_ref().filter(|_| is_used) {
            factor.record_use(connection, now).await?;
        }
        completed.recovery_codes_left = recovery_codes_left;
        completed.has_mail |= recovery_codes_left.is_some();
        if let (Proof::Phone, Some(it)) = (proof, &self.verification) {
            // Last, since all codes to a country lock the same row.
            let country = it.country.as_deref();
            sms_days::record_entered(connection, country, it.last_sent_at).await?;
        }
        transaction.commit().await?;
        Ok(Ok(completed))
    }

    /// The authentication methods, as RFC 8176 calls them.
    pub fn methods(&self, proof: Proof<'_>) -> &'static str {
        let delivery = self.verification.as_ref().map(|it| it.delivery);
        match (proof, delivery) {
            (Proof::RecoveryCode(..) | Proof::Authenticator(_), _) => "pwd otp",
            (Proof::Phone, Some(Delivery::Call)) => "pwd tel",
            (Proof::Phone, _) => "pwd sms",
        }
    }

    /// Consumes the challenge with its proof. Returns whether both were unused.
    async fn consume(
        &self,
        connection: &mut Connection,
        proof: Proof<'_>,
        now: i64,
    ) -> Result<bool> {
        let outcome = match proof {
            Proof::RecoveryCode(..) => Outcome::Recovered,
            Proof::Phone | Proof::Authenticator(_) => Outcome::Approved,
        };
        let closed = sqlx::query(
            r"UPDATE challenges
              SET closed_at = $1, outcome = $2
              WHERE id = $3 AND closed_at IS NULL AND expires_at > $1",
        )
        .bind(now)
        .bind(outcome.as_ref())
        .bind(self.id.as_str())
        .execute(&mut *connection)
        .await?;
        if closed.rows_affected() != 1 {
            return Ok(false);
        }
        unfinished::withdraw(connection, &self.id).await?;
        match (proof, &self.verification) {
            (Proof::RecoveryCode(code, attempt), _) => {
                refund(connection, attempt).await?;
                reset(connection, &WRONG_CODES.buckets(self.user_id.as_str()), now).await?;
                refund_login_sends(connection, &self.user_id, now).await?;
                code.consume(connection, &self.user_id, now).await
            }
            (Proof::Authenticator(step), _) => {
                reset(connection, &WRONG_CODES.buckets(self.user_id.as_str()), now).await?;
                Factor::consume_step(connection, step).await
            }
            (Proof::Phone, Some(verification)) => verification.approve(connection, now).await,
            (Proof::Phone, None) => Ok(false),
        }
    }

    /// Emails the user about a recovery code that was used. Returns how many are left.
    async fn record_recovery(
        &self,
        connection: &mut Connection,
        proof: Proof<'_>,
        client: &Client,
        now: i64,
    ) -> Result<Option<i64>> {
        if !matches!(proof, Proof::RecoveryCode(..)) {
            return Ok(None);
        }
        let left = RecoveryCode::count_unused(connection, &self.user_id).await?;
        Notice::new(NoticeKind::RecoveryCodeUsed, client, now)
            .with_recovery_codes_left(left)
            .enqueue(connection, &self.user_id)
            .await?;
        Ok(Some(left))
    }

    async fn log_in(
        &self,
        connection: &mut Connection,
        session: &SessionRow,
        proof: LoginProof,
        browser: Browser<'_>,
        now: i64,
    ) -> Result<Result<Completed, NotCompleted>> {
        if !SessionRow::end(connection, &session.id).await? {
            return Ok(Err(NotCompleted::Gone));
        }
        let login = ProvenLogin {
            user: &self.user_id,
            auth_version: self.auth_version,
            proof,
            remember: self.remember,
            browser,
        };
        let Some(begun) = login.complete(connection, now).await? else {
            return Ok(Err(NotCompleted::Gone));
        };
        Ok(Ok(Completed::new(
            begun.issued,
            CompletedResult::LoggedIn,
            begun.has_mail,
        )))
    }

    async fn reauthenticate(
        &self,
        connection: &mut Connection,
        session: &SessionRow,
        client: &Client,
        now: i64,
    ) -> Result<Result<Completed, NotCompleted>> {
        let renewed = session.renew(connection, Some(now), None, now).await?;
        let Some(issued) = renewed else {
            return Ok(Err(NotCompleted::LoggedOut));
        };
        let event = Event::Reauthenticated;
        Activity::record(connection, &self.user_id, event, Some(client), now).await?;
        Ok(Ok(Completed::new(
            issued,
            CompletedResult::Reauthenticated,
            false,
        )))
    }

    /// Adds the phone, or changes its number.
    async fn add_phone(
        &self,
        connection: &mut Connection,
        session: &SessionRow,
        client: &Client,
        now: i64,
    ) -> Result<Result<Completed, NotCompleted>> {
        let (user, version) = (&self.user_id, self.auth_version);
        let begun = FactorChange::begin(connection, session, user, version, now).await?;
        let (Some((issued, verifications)), Some(number)) = (begun, self.phone()) else {
            return Ok(Err(NotCompleted::LoggedOut));
        };
        let result = FactorChange::add_phone(connection, user, number, client, now).await?;
        let mut completed = Completed::new(issued, CompletedResult::Changed(result), true);
        completed.verifications = verifications;
        Ok(Ok(completed))
    }
}

impl Completed {
    const fn new(issued: Issued, result: CompletedResult, has_mail: bool) -> Self {
        Self {
            issued,
            result,
            has_mail,
            recovery_codes_left: None,
            verifications: Vec::new(),
        }
    }
}
