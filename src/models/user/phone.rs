//! An account's phone number, and the one before it.

use crate::models::user::{User, UserId};
use crate::models::{Connection, Result, UNDO_WINDOW};

/// Seconds for which an added phone number counts as new.
const NEW_PHONE: i64 = 24 * 60 * 60;

impl User {
    /// Whether the account's number was added less than a day ago. Ignores a time in the
    /// future, which a wrong clock wrote.
    pub async fn has_new_phone(connection: &mut Connection, id: &UserId, now: i64) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            r"SELECT phone_changed_at
            FROM users
            WHERE id = $1 AND phone_changed_at > $2 AND phone_changed_at <= $3",
        )
        .bind(id.as_str())
        .bind(now - NEW_PHONE)
        .bind(now)
        .fetch_optional(connection)
        .await?;
        Ok(found.is_some())
    }

    /// Sets or removes the phone number, unless `auth_version` is outdated. Returns whether it
    /// did. The old number becomes the former one, unless a change within [`UNDO_WINDOW`] has
    /// already set that.
    pub async fn set_verification_phone(
        connection: &mut Connection,
        id: &UserId,
        auth_version: i64,
        phone: Option<&str>,
        now: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            r"UPDATE users
            SET verification_phone = $1,
                auth_version = auth_version + 1,
                former_phone = CASE
                    WHEN phone_changed_at > $2 THEN former_phone
                    ELSE verification_phone
                END,
                phone_changed_at = $3
            WHERE id = $4 AND auth_version = $5",
        )
        .bind(phone)
        .bind(now - UNDO_WINDOW)
        .bind(now)
        .bind(id.as_str())
        .bind(auth_version)
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Restores the phone number from before a change, and returns it. `None` if nothing
    /// changed. The caller's transaction holds the account's row.
    ///
    /// `former_phone` and `phone_changed_at` stay, so that undoing another change within two
    /// days restores the same number. Any other reset of two-factor authentication, such as
    /// the operator's, must clear `former_phone`.
    pub async fn restore_phone(
        connection: &mut Connection,
        id: &UserId,
        removed: Option<&str>,
        linked_at: i64,
    ) -> Result<Option<String>> {
        let restored = Self::restorable_phone(connection, id, removed, linked_at).await?;
        if let Some(phone) = &restored {
            sqlx::query("UPDATE users SET verification_phone = $1 WHERE id = $2")
                .bind(phone)
                .bind(id.as_str())
                .execute(connection)
                .await?;
        }
        Ok(restored)
    }

    /// The number that [`User::restore_phone`] would restore now. The link proves only
    /// access to the mailbox. So this never turns two-factor authentication off, and never
    /// restores an intruder's number.
    ///
    /// It is the number that was set for two days before the first of several changes within
    /// two days of each other. The owner got an email about that number and had a day to undo
    /// it. The previous number would be wrong: an intruder who set their own number for an
    /// hour, and was then locked out, could restore it from the owner's mailbox. The last of
    /// several links leads to the same number, whichever were used before.
    ///
    /// If no number was set for that long, there are two cases. If nothing changed since the
    /// link was issued, at `linked_at`, the notice's number `removed` comes back. Otherwise
    /// the present number stays, so that an intruder's older link can't replace a number that
    /// the owner has set since. `removed` comes back only if there is no number now.
    pub async fn restorable_phone(
        connection: &mut Connection,
        id: &UserId,
        removed: Option<&str>,
        linked_at: i64,
    ) -> Result<Option<String>> {
        type Phones = (Option<String>, Option<String>, Option<i64>);
        let phones: Option<Phones> = sqlx::query_as(
            r"SELECT verification_phone, former_phone, phone_changed_at
            FROM users
            WHERE id = $1",
        )
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
        let Some((present, former, changed_at)) = phones else {
            return Ok(None);
        };
        let removed = removed.map(str::to_owned);
        let is_unchanged = changed_at.is_some_and(|at| at <= linked_at);
        let undone = removed.clone().filter(|_| is_unchanged);
        let target = former.or(undone).or_else(|| present.clone()).or(removed);
        Ok(target.filter(|target| present.as_ref() != Some(target)))
    }
}
