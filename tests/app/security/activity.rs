//! The list of recent activity.

use twostep::models::activity::Event;
use twostep::models::client::Client;
use twostep::models::outbox::NoticeKind;

use super::{FIREFOX, activity, events, record};
use crate::support::{OTHER_PHONE, PASSWORD, PHONE, TestApp};

fn laptop() -> Client {
    Client::new([203, 0, 113, 9].into(), FIREFOX.as_bytes())
}

#[tokio::test]
async fn events_of_the_same_second_are_listed_newest_first() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    alice.post("/reauth", &[("password", PASSWORD)]).await;
    app.enable(&alice, PHONE).await;
    app.enable(&alice, OTHER_PHONE).await;
    app.advance(31);
    let other = app.log_in_until_code("alice").await;
    other.verify(&app.last_code()).await.redirects_to("/home");
    other.post("/logout", &[]).await.redirects_to("/login");
    alice.post("/disable_2fa", &[]).await;
    let fields = [
        ("current_password", PASSWORD),
        ("password", "a new slow tram"),
        ("confirm_password", "a new slow tram"),
    ];
    alice.post("/change_password", &fields).await;
    let link = app.reset_link("alice").await;
    other.get(&link).await.redirects_to("/reset_password");
    let fields = [("password", PASSWORD), ("confirm_password", PASSWORD)];
    other.post("/reset_password", &fields).await;

    other.complete_login("alice").await;
    assert_eq!(
        events(&other.get("/security").await),
        [
            "Logged in with the password",
            "The password was reset with an emailed link",
            "The password was changed",
            "Two-factor authentication was turned off",
            "Logged out",
            "Logged in with the password and a code",
            "The phone number was changed",
            "Two-factor authentication was turned on",
            "Confirmed the password again",
            "Logged in with the password",
        ]
    );
}

#[tokio::test]
async fn locking_the_account_with_this_wasnt_me_is_listed() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let link = app.not_me("alice", NoticeKind::LoginAfterFailures).await;
    let alice = app.browser();
    alice.get(&link).await.redirects_to("/not_me");
    let link = alice.get("/not_me").await.value_of("link").unwrap();
    alice.post("/not_me", &[("link", &link)]).await;
    let link = app.reset_link("alice").await;
    alice.get(&link).await;
    let fields = [("password", PASSWORD), ("confirm_password", PASSWORD)];
    alice.post("/reset_password", &fields).await;
    alice.complete_login("alice").await;
    let listed = events(&alice.get("/security").await);
    assert_eq!(listed[2], "The account was locked with “This wasn’t me”");
}

#[tokio::test]
async fn each_event_is_shown_with_its_title_origin_and_time() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    let by_client = [
        (
            Event::LoggedInWithRecoveryCode,
            "Logged in with the password and a recovery code",
        ),
        (Event::WrongPassword, "A wrong password was entered"),
        (Event::WrongCode, "A wrong code was entered"),
        (
            Event::WrongRecoveryCode,
            "A wrong recovery code was entered",
        ),
        (Event::Renamed, "The username was changed"),
        (Event::EndedSession, "Logged out another device"),
        (Event::EndedOtherSessions, "Logged out all other devices"),
        (Event::RecoveryCodesRenewed, "New recovery codes were made"),
    ];
    let by_operator = [
        (Event::LockedByOperator, "The account was locked"),
        (Event::UnlockedByOperator, "The account was unlocked"),
        (
            Event::TwoFactorResetByOperator,
            "Two-factor authentication was turned off",
        ),
        (
            Event::SessionsEndedByOperator,
            "All devices were logged out",
        ),
    ];
    let laptop = laptop();
    let from = (Some(&laptop), "Firefox on Linux address 203.0.113.9");
    let by_client = by_client.map(|row| (row, from));
    let by_operator = by_operator.map(|row| (row, (None, "by the operator of this site")));
    for ((event, title), (client, origin)) in by_client.into_iter().chain(by_operator) {
        record(&app, "alice", event, client).await;
        app.advance(60);
        let page = alice.get("/security").await;
        let shown = format!("{title} {origin} 1 minute ago");
        assert_eq!(activity(&page)[0], shown);
    }
}

#[tokio::test]
async fn frequent_events_do_not_hide_rare_ones() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    app.execute("DELETE FROM activity").await;
    record(&app, "alice", Event::PasswordChanged, Some(&laptop())).await;
    record(&app, "alice", Event::Renamed, Some(&laptop())).await;
    record(&app, "alice", Event::LoggedIn, Some(&laptop())).await;
    record(&app, "alice", Event::WrongCode, Some(&laptop())).await;
    let quiet = [
        "A wrong code was entered",
        "Logged in with the password",
        "The username was changed",
        "The password was changed",
    ];
    assert_eq!(events(&alice.get("/security").await), quiet);
    for event in [Event::Renamed, Event::LoggedIn, Event::WrongPassword] {
        for _ in 0..60 {
            app.advance(1);
            record(&app, "alice", event, Some(&laptop())).await;
        }
    }
    let page = alice.get("/security").await;
    let listed = events(&page);
    assert_eq!(listed.len(), 30);
    let count = |text: &str| listed.iter().filter(|it| *it == text).count();
    assert_eq!(listed[29], "The password was changed");
    assert_eq!(count("The username was changed"), 3);
    assert_eq!(count("Logged in with the password"), 8);
    assert_eq!(
        count("A wrong password was entered"),
        18,
        "the rest of the list"
    );
    assert_eq!(page.all(".failure .entry-title").len(), 18);
    assert_eq!(
        page.all("[aria-labelledby=activity] .small-print"),
        ["and 91 more"]
    );
}

/// ASVS 14.2.4
#[tokio::test]
async fn an_account_keeps_its_latest_two_hundred_events() {
    let app = TestApp::start().await;
    let alice = app.register_and_log_in("alice").await;
    app.execute("DELETE FROM activity").await;
    let kept = [
        (Event::PhoneChanged, 80),
        (Event::WrongCode, 50),
        (Event::LoggedIn, 50),
        (Event::Renamed, 20),
    ];
    let rows = "SELECT COUNT(*) FROM activity";
    let mut before = 0;
    for (event, most) in kept {
        for _ in 0..most {
            app.advance(1);
            record(&app, "alice", event, Some(&laptop())).await;
        }
        assert_eq!(app.count(rows).await, before + most);
        let oldest = app.count("SELECT MIN(at) FROM activity").await;
        record(&app, "alice", event, Some(&laptop())).await;
        assert_eq!(app.count(rows).await, before + most, "{event:?}");
        if before == 0 {
            assert_eq!(app.count("SELECT MIN(at) FROM activity").await, oldest + 1);
        }
        before += most;
    }
    assert_eq!(before, 200);
    let page = alice.get("/security").await;
    assert_eq!(
        page.all("[aria-labelledby=activity] .small-print"),
        ["and 170 more"]
    );
}
