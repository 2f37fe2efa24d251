//! Switching an open challenge to another factor of the user.

use crate::models::challenge::{Challenge, ResendRefused};
use crate::models::factor::{CodeSender, Factor, SendMethod, Verification};
use crate::models::rate_limit::CHECKS_OF_CHALLENGE;
use crate::models::{Database, Result};

impl Challenge {
    /// Uses another factor. The attempts, the counts of sends and the end stay. A phone gets a
    /// code, unless a limit holds it back or a code was just sent. Returns whether the challenge
    /// was open.
    pub async fn switch(&self, sender: &CodeSender<'_>, factor: &Factor, now: i64) -> Result<bool> {
        let database = sender.database;
        let shared = match factor.phone_number() {
            Some(phone) => {
                let mut connection = database.acquire().await?;
                Verification::find_shared(&mut connection, &self.user_id, phone, now).await?
            }
            None => None,
        };
        let just_sent = shared.filter(|it| it.seconds_until_send(now) > 0);
        let verification = just_sent.as_ref().map(|it| it.id.as_str());
        if !self.set_factor(database, factor, verification, now).await? {
            return Ok(false);
        }
        if factor.is_app() || just_sent.is_some() {
            return Ok(true);
        }
        let Some(switched) = Self::find_open(database, &self.id, now).await? else {
            return Ok(false);
        };
        match switched.resend(sender, SendMethod::Any, now).await {
            // The page says why no code was sent.
            Ok(_) | Err(ResendRefused::NotNow(_) | ResendRefused::NoPhone) => Ok(true),
            Err(ResendRefused::Gone) => Ok(false),
            Err(ResendRefused::Other(error)) => Err(error),
        }
    }

    async fn set_factor(
        &self,
        database: &Database,
        factor: &Factor,
        verification: Option<&str>,
        now: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE challenges
              SET factor_id = $1, verification_id = COALESCE($2, verification_id)
              WHERE id = $3 AND closed_at IS NULL AND expires_at > $4 AND checks < $5",
        )
        .bind(factor.id.as_str())
        .bind(verification)
        .bind(self.id.as_str())
        .bind(now)
        .bind(CHECKS_OF_CHALLENGE)
        .execute(database)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
