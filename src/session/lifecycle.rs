//! Beginning, renewing and ending the session of a request. The caller sends the new token
//! after the commit, with [`Session::send`].

use crate::error::AppError;
use crate::models::challenge::ChallengeId;
use crate::models::login::{BegunLogin, ProvenLogin};
use crate::models::session::{Issued, SessionRow};
use crate::models::user::User;
use crate::models::{Connection, Error};
use crate::session::{CookieChange, Session, data_with};
use crate::views::layout::MessageKind;

impl Session {
    /// Begins a login in a new session, and ends the one that the browser had. `None` if the
    /// login's proofs are outdated.
    pub async fn begin_login(
        &self,
        connection: &mut Connection,
        login: &ProvenLogin<'_>,
        now: i64,
    ) -> Result<Option<BegunLogin>, AppError> {
        let begun = login.complete(connection, now).await?;
        if begun.is_some() {
            self.end_row(connection).await?;
        }
        Ok(begun)
    }

    /// Returns whether there was a row to end.
    async fn end_row(&self, connection: &mut Connection) -> Result<bool, AppError> {
        match &self.0.row {
            Some(row) => Ok(SessionRow::end(connection, &row.id).await?),
            None => Ok(false),
        }
    }

    /// Gives a login a new token. `authenticated_at` is the time of a full authentication, or
    /// `None` to keep the last one. `challenge` becomes the open challenge. Returns `None` if
    /// the session ended meanwhile.
    pub async fn renew(
        &self,
        connection: &mut Connection,
        authenticated_at: Option<i64>,
        challenge: Option<&ChallengeId>,
        now: i64,
    ) -> Result<Option<Issued>, AppError> {
        match self.row() {
            Some(row) => Ok(row
                .renew(connection, authenticated_at, challenge, now)
                .await?),
            None => Ok(None),
        }
    }

    /// Locks the account's row. Returns whether the login is still active and the account
    /// unchanged since the request began. If not, the request must not act.
    pub async fn lock_if_active(&self, connection: &mut Connection) -> Result<bool, Error> {
        let (Some(row), Some(user)) = (self.row(), self.user()) else {
            return Ok(false);
        };
        Ok(
            User::lock_for_update(connection, &user.id, user.auth_version).await?
                && row.is_active(connection).await?,
        )
    }

    /// Ends the session on the server, and its cookie.
    pub async fn end(&self, connection: &mut Connection) -> Result<(), AppError> {
        if self.0.row.is_some() {
            self.end_row(connection).await?;
            self.change_cookie(CookieChange::Remove);
        }
        Ok(())
    }

    /// Ends the session, and begins one without a login that has a flash message. For a user
    /// whose sessions all end.
    pub async fn end_with_message(
        &self,
        connection: &mut Connection,
        kind: MessageKind,
        text: &str,
        now: i64,
    ) -> Result<Issued, AppError> {
        self.end_row(connection).await?;
        let data = data_with(kind, text);
        Ok(SessionRow::begin_anonymous(connection, None, &data, now).await?)
    }

    /// Leaves a flash message for the first page of a login that has just begun.
    pub async fn leave_message(
        connection: &mut Connection,
        issued: &Issued,
        kind: MessageKind,
        text: &str,
    ) -> Result<(), AppError> {
        Ok(SessionRow::set_data(connection, issued, &data_with(kind, text)).await?)
    }
}
