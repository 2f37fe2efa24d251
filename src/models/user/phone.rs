//! An account's phone number, and the one before it.

use crate::models::user::{User, UserId};
use crate::models::{Connection, Database, Result, UNDO_WINDOW};

/// A phone number is new for so many seconds after it was added.
const NEW_PHONE: i64 = 24 * 60 * 60;

impl User {
    /// Whether the account's number was added less than a day ago. A time in the future was
    /// written by a wrong clock and does not count.
    pub async fn has_new_phone(connection: &mut Connection, id: &UserId, now: i64) -> Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT phone_changed_at FROM users
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
    /// did. The old number becomes the former one, unless a change within
    /// [`UNDO_WINDOW`] has set that.
    pub async fn set_verification_phone(
        connection: &mut Connection,
        id: &UserId,
        auth_version: i64,
        phone: Option<&str>,
        now: i64,
    ) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE users SET verification_phone = $1, auth_version = auth_version + 1, \
             former_phone = CASE WHEN phone_changed_at > $2 THEN former_phone \
             ELSE verification_phone END, phone_changed_at = $3 \
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
    /// changed. The caller has proved only access to the mailbox. So this never turns
    /// two-factor authentication off, and never restores an intruder's number.
    ///
    /// It restores the number that was set for two days before the first of several changes
    /// within two days of each other. The owner got an email about that number and had a day
    /// to undo it. The previous number would be wrong: an intruder who set their own number
    /// for an hour, and was then locked out, could restore it from the owner's mailbox. The
    /// last of several links leads to the same number, whichever were used before.
    ///
    /// If no number was set for that long, there are two cases. If nothing changed since the
    /// link was issued, at `linked_at`, the notice's number `removed` comes back. Otherwise
    /// the present number stays, so that an intruder's older link can't replace a number that
    /// the owner has set since; only if there is none, `removed` comes back.
    ///
    /// Any other reset of two-factor authentication, such as the operator's, must clear
    /// `former_phone`.
    pub async fn restore_phone(
        connection: &mut Connection,
        id: &UserId,
        removed: Option<&str>,
        linked_at: i64,
    ) -> Result<Option<String>> {
        // former_phone and phone_changed_at stay, so that undoing another change within two
        // days restores the same number.
        let restored: Option<Option<String>> = sqlx::query_scalar(
            "UPDATE users SET verification_phone = \
             COALESCE(former_phone, CASE WHEN phone_changed_at <= $3 THEN $1 END, \
             verification_phone, $1) WHERE id = $2 AND (verification_phone IS NULL OR \
             COALESCE(former_phone, CASE WHEN phone_changed_at <= $3 THEN $1 END) \
             <> verification_phone) \
             RETURNING verification_phone",
        )
        .bind(removed)
        .bind(id.as_str())
        .bind(linked_at)
        .fetch_optional(connection)
        .await?;
        Ok(restored.flatten())
    }

    /// The number that [`User::restore_phone`] would restore now.
    pub async fn restorable_phone(
        database: &Database,
        id: &UserId,
        removed: Option<&str>,
        linked_at: i64,
    ) -> Result<Option<String>> {
        let restorable: Option<Option<String>> = sqlx::query_scalar(
            "SELECT COALESCE(former_phone, CASE WHEN phone_changed_at <= $3 THEN $1 END, \
             verification_phone, $1) FROM users WHERE id = $2 AND (verification_phone IS NULL OR \
             COALESCE(former_phone, CASE WHEN phone_changed_at <= $3 THEN $1 END) \
             <> verification_phone)",
        )
        .bind(removed)
        .bind(id.as_str())
        .bind(linked_at)
        .fetch_optional(database)
        .await?;
        Ok(restorable.flatten())
    }
}
