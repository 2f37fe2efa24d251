//! The security page, and ending sessions.

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

/// What a person reads of the sessions, in their order.
fn sessions(page: &Page) -> Vec<String> {
    page.all("[aria-labelledby=sessions] li > div")
}

/// What a person reads of what happened, in its order.
fn activity(page: &Page) -> Vec<String> {
    page.all("[aria-labelledby=activity] li")
}

/// The headlines of what happened.
fn happenings(page: &Page) -> Vec<String> {
    page.all("[aria-labelledby=activity] .entry-title")
}

/// Where the buttons lead that end one session.
pub fn end_buttons(page: &Page) -> Vec<String> {
    page.attributes("form[action$='/revoke']", "action")
}

/// Logs in from a browser that calls itself so.
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

/// Writes down what happened to an account, as what does it would.
async fn record(app: &TestApp, username: &str, what: Event, client: Option<&Client>) {
    let (user, now) = (app.user(username).await.id, app.state.clock.now());
    let mut connection = app.pool.acquire().await.unwrap();
    Activity::record(&mut connection, &user, what, client, now)
        .await
        .unwrap();
}
