//! Undoing changes of factors, by the "this wasn't me" link of a notice.
//!
//! The link proves only access to the mailbox. So it never turns two-factor authentication off,
//! and never restores an intruder's factor.

use crate::models::factor::{Factor, FactorId};
use crate::models::user::UserId;
use crate::models::{Connection, Result, UNDO_WINDOW};

/// The changes that a link makes to the factors of an account.
#[derive(Debug, Default)]
pub struct Undo {
    pub restored: Vec<Factor>,
    pub removed: Vec<FactorId>,
}

impl Undo {
    pub const fn is_empty(&self) -> bool {
        self.restored.is_empty() && self.removed.is_empty()
    }

    /// Finds the changes that the link of an event at `event_at` makes now.
    pub async fn find(connection: &mut Connection, user: &UserId, event_at: i64) -> Result<Self> {
        let factors: Vec<Factor> = sqlx::query_as(
            r"SELECT *
            FROM factors
            WHERE user_id = $1
            ORDER BY created_at, id",
        )
        .bind(user.as_str())
        .fetch_all(connection)
        .await?;
        Ok(Self::of(&factors, event_at))
    }

    /// Changes less than [`UNDO_WINDOW`] apart are a chain. The link restores the factors from
    /// before the chain of its event, and removes those that were added since. They had been
    /// there for two days: the owner got an email about each and had a day to undo it. The
    /// factors right before the event would be wrong. An intruder who added their own for an
    /// hour, and was then locked out, could restore it from the owner's mailbox.
    ///
    /// If there was no factor before the chain, those right before the event come back, unless
    /// the owner has changed factors since and has one now.
    fn of(factors: &[Factor], event_at: i64) -> Self {
        let changes: Vec<i64> = factors.iter().flat_map(Factor::changes).collect();
        let mut start = event_at;
        let before = |start: i64| {
            let is_before = |at: &&i64| **at < start && **at > start - UNDO_WINDOW;
            changes.iter().filter(is_before).min().copied()
        };
        while let Some(earlier) = before(start) {
            start = earlier;
        }
        let is_changed_since = changes.iter().any(|at| *at > event_at);
        let has_factor = factors.iter().any(|it| it.removed_at.is_none());
        let mut target = standing(factors, start);
        if target.is_empty() && !(is_changed_since && has_factor) {
            // One that was added and removed within the second of the event counts, too.
            let is_removed = |it: &&Factor| it.removed_at == Some(event_at);
            let removed = factors.iter().filter(is_removed);
            target = removed.chain(standing(factors, event_at)).collect();
        }
        if target.is_empty() {
            return Self::default();
        }
        let is_target = |it: &Factor| target.iter().any(|kept| kept.id == it.id);
        let is_added = |it: &&Factor| it.removed_at.is_none() && !is_target(it);
        Self {
            removed: factors
                .iter()
                .filter(is_added)
                .map(|it| it.id.clone())
                .collect(),
            restored: target
                .into_iter()
                .filter(|it| it.removed_at.is_some())
                .cloned()
                .collect(),
        }
    }

    /// Restores and removes the factors. The caller's transaction holds the account's row.
    pub async fn apply(&self, connection: &mut Connection, now: i64) -> Result<()> {
        // An account has at most one phone, so the removals come first.
        let removed = self.removed.iter().map(|id| (id, Some(now)));
        let restored = self.restored.iter().map(|it| (&it.id, None));
        for (id, removed_at) in removed.chain(restored) {
            sqlx::query("UPDATE factors SET removed_at = $1 WHERE id = $2")
                .bind(removed_at)
                .bind(id.as_str())
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

impl Factor {
    /// The times at which it was added and removed.
    fn changes(&self) -> impl Iterator<Item = i64> {
        [Some(self.created_at), self.removed_at]
            .into_iter()
            .flatten()
    }
}

/// The factors right before a time.
fn standing(factors: &[Factor], at: i64) -> Vec<&Factor> {
    let stood = |it: &&Factor| {
        it.created_at < at && it.removed_at.is_none_or(|removed_at| removed_at >= at)
    };
    factors.iter().filter(stood).collect()
}
