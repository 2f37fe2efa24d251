//! The limits that count a code before it is sent.

use crate::models::client::Client;
use crate::models::rate_limit::statements::lower;
use crate::models::rate_limit::{
    Attempt, Bucket, CALLS_OF_ACCOUNT, CALLS_OF_SERVICE, CALLS_TO_NUMBER, DAILY_SENDS_OF_ACCOUNT,
    DAILY_SENDS_TO_NUMBER, FACTOR_CHANGES, NUMBER_TRIED, NUMBERS_OF_ACCOUNT, RateLimit,
    RateLimitExceeded, SENDS_OF_ACCOUNT, SENDS_OF_SERVICE, SENDS_PER_CLIENT, SENDS_TO_NEW_NUMBERS,
    SENDS_TO_NUMBER, Usage, WRONG_CODES, refund, refund_since, refunds_for, resets_for, take,
    try_take, usage,
};
use crate::models::user::id::UserId;
use crate::models::{Connection, Result};

/// The service-wide budgets.
pub const BUDGETS: [RateLimit; 3] = [SENDS_OF_SERVICE, SENDS_TO_NEW_NUMBERS, CALLS_OF_SERVICE];

/// The minimum and maximum of daily codes to an account or a number, whatever the service's
/// own limit is.
const SHARE: (i64, i64) = (5, 30);

/// The parameters of the limits on sending that are the same for every [`CodeRequest`] of a
/// request.
#[derive(Debug, Clone)]
pub struct SendLimits {
    /// Whether the number belongs to the demo phone, which has no limits.
    pub unlimited: bool,
    /// The client. `None` if limits by client do not apply.
    pub client: Option<Client>,
    /// `SMS_DAILY_LIMIT`.
    pub daily_limit: i64,
}

/// A code to send.
#[derive(Debug, Clone, Copy)]
pub struct CodeRequest<'a> {
    pub user: &'a UserId,
    pub phone: &'a str,
    /// Whether the number is being added. Those codes have separate buckets, so that strangers
    /// who add a number never block its owner's login.
    pub is_adding: bool,
    /// Whether the number is being added, or was less than a day ago.
    pub is_new_number: bool,
}

/// Returns the bucket of a service-wide limit.
pub fn budget(limit: &RateLimit, daily_limit: i64) -> Bucket {
    let capacity = if *limit == SENDS_TO_NEW_NUMBERS {
        daily_limit - daily_limit / 2
    } else if *limit == CALLS_OF_SERVICE {
        (daily_limit + 4) / 5
    } else {
        daily_limit
    };
    limit.daily(capacity, "")
}

/// Loads the name, today's usage and the capacity of each budget.
pub async fn budgets(
    connection: &mut Connection,
    daily_limit: i64,
    now: i64,
) -> Result<Vec<(&'static str, i64, i64)>> {
    let buckets = BUDGETS.map(|limit| budget(&limit, daily_limit));
    let usage = usage(connection, &buckets, now).await?;
    let row = |(bucket, used): (&Bucket, Usage)| (bucket.limit.name, used.count, bucket.capacity);
    Ok(buckets.iter().zip(usage).map(row).collect())
}

impl<'a> CodeRequest<'a> {
    pub const fn new(user: &'a UserId, phone: &'a str, is_adding: bool) -> Self {
        Self {
            user,
            phone,
            is_adding,
            is_new_number: is_adding,
        }
    }

    /// The number as a subject. It has separate buckets while it is being added.
    fn number(&self) -> String {
        let prefix = if self.is_adding { "enable " } else { "" };
        format!("{prefix}{}", self.phone)
    }

    /// Returns the buckets that a verified code refunds.
    fn refundable(&self) -> Vec<Bucket> {
        let mut buckets = SENDS_OF_ACCOUNT.buckets(self.user.as_str());
        if self.is_adding {
            buckets.extend(SENDS_TO_NUMBER.buckets(self.phone));
        }
        buckets
    }

    fn number_tried(&self) -> Vec<Bucket> {
        NUMBER_TRIED.buckets(&format!("{} {}", self.user.as_str(), self.phone))
    }

    /// Refunds the attempts of a verified code since the challenge was opened: its sends, its
    /// number, and the account's wrong codes.
    pub async fn refund_verified(
        &self,
        connection: &mut Connection,
        sends: i64,
        opened_at: i64,
        now: i64,
    ) -> Result<()> {
        let account = self.user.as_str();
        let mut refunds = refunds_for(&self.refundable(), sends, opened_at);
        refunds.extend(resets_for(&WRONG_CODES.buckets(account), now));
        if self.is_adding {
            let mut numbers = self.number_tried();
            numbers.extend(NUMBERS_OF_ACCOUNT.buckets(account));
            refunds.extend(refunds_for(&numbers, 1, opened_at));
        }
        lower(connection, refunds).await
    }
}

/// Refunds the unused codes of an account's logins, after the password changed or the user
/// logged in another way. Codes for adding a phone stay counted, since they may have been sent
/// to anyone.
pub async fn refund_login_sends(
    connection: &mut Connection,
    user: &UserId,
    now: i64,
) -> Result<()> {
    for bucket in SENDS_OF_ACCOUNT.buckets(user.as_str()) {
        let window = usage(connection, std::slice::from_ref(&bucket), now).await?;
        let started_at = window.first().map_or(now, |window| window.started_at);
        let sends: i64 = sqlx::query_scalar(
            r"SELECT CAST(COALESCE(SUM(sends), 0) AS BIGINT)
            FROM verifications
            WHERE user_id = $1 AND is_adding = 0 AND created_at >= $2
                AND (outcome IS NULL OR outcome <> 'approved')",
        )
        .bind(user.as_str())
        .bind(started_at)
        .fetch_one(&mut *connection)
        .await?;
        refund_since(connection, &[bucket], sends, started_at).await?;
    }
    // These sends must not be refunded twice.
    sqlx::query(
        r"UPDATE verifications
        SET sends = 0
        WHERE user_id = $1 AND is_adding = 0",
    )
    .bind(user.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

impl SendLimits {
    /// Returns the buckets of a code by SMS or by a requested call. The first code for a number
    /// that is being added counts as a change of factors too.
    pub fn buckets(&self, request: &CodeRequest<'_>, is_call: bool, is_first: bool) -> Vec<Bucket> {
        if self.unlimited {
            return Vec::new();
        }
        let (user, number) = (request.user.as_str(), request.number());
        let share = (self.daily_limit / 10).clamp(SHARE.0, SHARE.1);
        let mut buckets = request.refundable();
        buckets.push(DAILY_SENDS_OF_ACCOUNT.daily(share, user));
        buckets.push(DAILY_SENDS_TO_NUMBER.daily(share, &number));
        buckets.push(budget(&SENDS_OF_SERVICE, self.daily_limit));
        if request.is_adding {
            buckets.extend(SENDS_PER_CLIENT.buckets_for(user, self.client.as_ref()));
        }
        if request.is_adding && is_first {
            buckets.extend(FACTOR_CHANGES.buckets(user));
        }
        if request.is_new_number {
            buckets.push(budget(&SENDS_TO_NEW_NUMBERS, self.daily_limit));
        }
        if is_call {
            buckets.extend(self.call_buckets(request));
        }
        buckets
    }

    /// Returns the buckets of a call, either requested or in place of a failed SMS.
    pub fn call_buckets(&self, request: &CodeRequest<'_>) -> Vec<Bucket> {
        if self.unlimited {
            return Vec::new();
        }
        let mut buckets = CALLS_OF_ACCOUNT.buckets(request.user.as_str());
        buckets.extend(CALLS_TO_NUMBER.buckets(&request.number()));
        buckets.push(budget(&CALLS_OF_SERVICE, self.daily_limit));
        buckets
    }

    /// Counts the first code of a challenge, and a number that is new to the account.
    pub async fn take_first(
        &self,
        connection: &mut Connection,
        request: &CodeRequest<'_>,
        now: i64,
    ) -> Result<Result<Attempt, RateLimitExceeded>> {
        let mut buckets = self.buckets(request, false, true);
        let mut tried = Attempt::default();
        if request.is_adding
            && !self.unlimited
            && let Ok(first_try) = try_take(connection, &request.number_tried(), now).await?
        {
            buckets.extend(NUMBERS_OF_ACCOUNT.buckets(request.user.as_str()));
            tried = first_try;
        }
        let mut result = take(connection, &buckets, now).await?;
        match &mut result {
            Ok(attempt) => attempt.add(tried),
            Err(_) => refund(connection, &tried).await?,
        }
        Ok(result)
    }
}
