//! The number of the second step, and the one before it.

use crate::models::user::{User, UserId};
use crate::models::{Connection, Database, Error, GIVE_UP_AFTER, NOT_ME_LIFE};

/// Changes of the number that follow each other within so many seconds count as
/// one, for [`User::restore_phone`]: as long as a notice may be on its way and its
/// link then lives, so that no link is older.
const PHONE_ESTABLISHED: i64 = GIVE_UP_AFTER + NOT_ME_LIFE;

/// A number is new for so many seconds after it was added.
const NEW_PHONE: i64 = 24 * 60 * 60;

impl User {
    /// Whether the account's number was added less than a day ago. A time in the future, of a
    /// clock that was ahead, does not count.
    pub async fn has_new_phone(
        connection: &mut Connection,
        id: &UserId,
        now: i64,
    ) -> Result<bool, Error> {
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

    /// Sets the number that codes go to, or none, if the account still is what
    /// `auth_version` says. Returns whether it was. What stood there before
    /// becomes the former number, unless a change within [`PHONE_ESTABLISHED`]
    /// has set that already.
    pub async fn set_verification_phone(
        connection: &mut Connection,
        id: &UserId,
        auth_version: i64,
        phone: Option<&str>,
        now: i64,
    ) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE users SET verification_phone = $1, auth_version = auth_version + 1, \
             former_phone = CASE WHEN phone_changed_at > $2 THEN former_phone \
             ELSE verification_phone END, phone_changed_at = $3 \
             WHERE id = $4 AND auth_version = $5",
        )
        .bind(phone)
        .bind(now - PHONE_ESTABLISHED)
        .bind(now)
        .bind(id.as_str())
        .bind(auth_version)
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Brings the number back that stood before somebody changed or removed it,
    /// on the word of who reads the account's mail, and of nobody else. So it
    /// never ends with less than there is: the mailbox alone must not switch the
    /// second step off, nor lead it to a number that was slipped in.
    ///
    /// What comes back is the number that had stood for two days before the first
    /// of the changes that followed each other within two days: its owner was told
    /// when it came, and had a day to say no. Not the one just before: an intruder who
    /// put their own number there for an hour, and was thrown out, would get it
    /// back with the owner's mailbox. Nor one of two changes in a row: the last
    /// link leads back to the beginning, whichever links were used up before.
    ///
    /// Where no number had stood that long, the one that the notice tells of,
    /// `removed`, comes back only if nothing changed since the link was made, at
    /// `linked_at`: an intruder's link from before the owner set a number must not
    /// replace it. Else the present one stays; and if there is none, `removed`
    /// comes back, since anything is more than nothing.
    ///
    /// Returns the number that came back, or `None` where nothing changed.
    ///
    /// Whoever resets the second step by other means than the mailbox, an operator
    /// say, must forget `former_phone` with it.
    pub async fn restore_phone(
        connection: &mut Connection,
        id: &UserId,
        removed: Option<&str>,
        linked_at: i64,
    ) -> Result<Option<String>, Error> {
        // former_phone and phone_changed_at stay, so that a change within the same
        // day leads back to the same number.
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

    /// The number that [`User::restore_phone`] would bring back now.
    pub async fn restorable_phone(
        database: &Database,
        id: &UserId,
        removed: Option<&str>,
        linked_at: i64,
    ) -> Result<Option<String>, Error> {
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
