//! Which limits the codes of a verification count in, and when another may be
//! asked for.

use crate::models::challenge::{Challenge, Purpose, Way};
use crate::models::limits::{
    ACCOUNT_SHARE, ALL_SENDS_OF_ACCOUNT, ALL_SENDS_TO_NUMBER, CALLS_OF_ACCOUNT, CALLS_OF_CHALLENGE,
    LEAST_OF_ACCOUNT, LOGINS_SHARE, NUMBERS_OF_ACCOUNT, SEND_INTERVAL, SENDS_OF_ACCOUNT,
    SENDS_OF_ADDRESS, SENDS_OF_CHALLENGE, SENDS_OF_SERVICE, SENDS_TO_NUMBER, SERVICE_DAY,
    WRONG_CODES, Window,
};
use crate::models::throttle::{Bucket, TooMany, refusal};
use crate::models::user::UserId;
use crate::models::{Database, Error};

/// What besides the verification decides whether a code may be sent.
#[derive(Debug, Clone)]
pub struct Allowance {
    /// Whether the number is one of the demo phone's, to which no limit applies.
    pub unlimited: bool,
    /// Whom the limit by client address counts; none where it does not apply.
    pub address: Option<String>,
    /// `SMS_DAILY_LIMIT`.
    pub daily_limit: i64,
}

impl Allowance {
    /// What a code counts in: what strangers do with somebody's number while
    /// enabling never holds back that person's own log-in.
    pub(super) fn buckets(
        &self,
        user: &UserId,
        purpose: Purpose,
        phone: &str,
        way: Way,
    ) -> Vec<Bucket> {
        if self.unlimited {
            return Vec::new();
        }
        let user = user.as_str();
        let number = match purpose {
            Purpose::Enable => format!("enable {phone}"),
            Purpose::LogIn | Purpose::Reauth => phone.to_owned(),
        };
        let mut buckets = vec![
            SENDS_OF_ACCOUNT.bucket(user),
            self.share(ALL_SENDS_OF_ACCOUNT, user),
            self.share(ALL_SENDS_TO_NUMBER, &number),
        ];
        if purpose == Purpose::Enable {
            buckets.push(SENDS_TO_NUMBER.bucket(phone));
            buckets.extend(
                self.address
                    .as_deref()
                    .map(|it| SENDS_OF_ADDRESS.bucket(it)),
            );
            buckets.push(NUMBERS_OF_ACCOUNT.bucket(user).of_different(phone));
        }
        if way == Way::Call {
            buckets.push(CALLS_OF_ACCOUNT.bucket(user));
        }
        buckets.push(self.service(purpose));
        buckets
    }

    /// Like the service's, it counts what was sent, whoever entered it: that is what
    /// it costs.
    fn share(&self, limit: &'static str, of: &str) -> Bucket {
        let most = (self.daily_limit / ACCOUNT_SHARE).max(LEAST_OF_ACCOUNT);
        within_a_day(limit, most, of)
    }

    fn service(&self, purpose: Purpose) -> Bucket {
        let most = match purpose {
            Purpose::LogIn => self.daily_limit,
            Purpose::Enable | Purpose::Reauth => self.daily_limit - self.daily_limit / LOGINS_SHARE,
        };
        within_a_day(SENDS_OF_SERVICE, most, "")
    }
}

fn within_a_day(limit: &'static str, most: i64, of: &str) -> Bucket {
    let window = Window {
        most,
        seconds: SERVICE_DAY,
    };
    Bucket::new(limit, vec![window], of).that_stays()
}

/// When another code may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Another {
    /// Now.
    Now,
    /// In so many seconds: the last one was sent a moment ago.
    Soon(i64),
    /// When a limit lets it through.
    Limited(TooMany),
    /// Not with this verification: it has sent all that it may.
    NoMoreCodes,
    /// Not with this verification: it has called once already.
    NoMoreCalls,
}

impl Another {
    /// Seconds until then.
    #[must_use]
    pub const fn wait(self) -> i64 {
        match self {
            Self::Now | Self::NoMoreCodes | Self::NoMoreCalls => 0,
            Self::Soon(seconds) => seconds,
            Self::Limited(too_many) => too_many.retry_after,
        }
    }
}

impl Challenge {
    /// When another code may be asked for, or another call. Only to be told: what
    /// may be sent is decided when it is asked for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn another(
        &self,
        database: &Database,
        allowance: &Allowance,
        way: Way,
        now: i64,
    ) -> Result<Another, Error> {
        if allowance.unlimited {
            return Ok(Another::Now);
        }
        if self.sends >= SENDS_OF_CHALLENGE {
            return Ok(Another::NoMoreCodes);
        }
        if way == Way::Call && self.calls >= CALLS_OF_CHALLENGE {
            return Ok(Another::NoMoreCalls);
        }
        let buckets = allowance.buckets(&self.user_id, self.purpose, &self.phone, way);
        let mut connection = database.acquire().await?;
        let limited = refusal(&mut connection, &buckets, now).await?;
        let soon = self.wait(now);
        Ok(match limited {
            Some(too_many) if too_many.retry_after >= soon => Another::Limited(too_many),
            _ if soon > 0 => Another::Soon(soon),
            _ => Another::Now,
        })
    }

    /// Seconds until another code may be asked for, as far as the last one decides.
    #[must_use]
    fn wait(&self, now: i64) -> i64 {
        self.last_sent_at
            .map_or(0, |at| (at + SEND_INTERVAL - now).max(0))
    }

    /// Why no code is taken now, not even a right one: too many wrong ones were
    /// entered for the account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn no_code_taken(
        &self,
        database: &Database,
        now: i64,
    ) -> Result<Option<TooMany>, Error> {
        let mut connection = database.acquire().await?;
        refusal(&mut connection, &[self.wrong_codes()], now).await
    }

    /// What a wrong code counts in.
    pub(super) fn wrong_codes(&self) -> Bucket {
        WRONG_CODES.bucket(self.user_id.as_str())
    }
}
