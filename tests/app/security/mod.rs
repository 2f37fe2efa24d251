//! The security page, and revoking sessions.

mod activity;
mod ending;
mod in_flight;
mod page;

use twostep::models::activity::{Activity, Event};
use twostep::models::client::Client;

use crate::notices::post_as;
use crate::support::{Browser, PASSWORD, Page, TestApp};

pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
pub const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) \
    AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1";

/// The texts of the devices that are logged in or trusted, without their sessions and buttons.
fn devices(page: &Page) -> Vec<String> {
    page.all(".entry-device > div")
}

/// The texts of the listed sessions.
fn sessions(page: &Page) -> Vec<String> {
    page.all(".entry-sessions > li > div")
}

/// The texts of the listed events.
fn activity(page: &Page) -> Vec<String> {
    page.all("[aria-labelledby=activity] li")
}

/// The titles of the listed events.
fn events(page: &Page) -> Vec<String> {
    page.all("[aria-labelledby=activity] .entry-title")
}

/// The paths of the forms that revoke one session.
pub fn revoke_paths(page: &Page) -> Vec<String> {
    page.attributes("form[action$='/revoke']", "action")
}

/// Logs in with a `User-Agent`.
async fn log_in_as(app: &TestApp, username: &str, user_agent: &[u8]) -> Browser {
    let browser = app.browser();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("username", username)
        .append_pair("password", PASSWORD)
        .finish();
    let page = post_as(user_agent, &browser, "/login", body).await;
    page.redirects_to("/home");
    browser
}

/// Records an event, as the app would.
async fn record(app: &TestApp, username: &str, event: Event, client: Option<&Client>) {
    let (user, now) = (app.user(username).await.id, app.state.clock.now());
    let mut connection = app.pool.acquire().await.unwrap();
    Activity::record(&mut connection, &user, event, client, now)
        .await
        .unwrap();
}
