//! Phone numbers become factors.

use twostep::models::outbox::NoticeKind;
use twostep::server::Limits;
use twostep::services::clock::Clock;

use super::former_schema;
use crate::support::{NOW, OTHER_PHONE, PASSWORD, PHONE, TWILIO_TIMEOUT, TestApp, TestDatabase};

/// The first version that this version's migration adds.
const FIRST_NEW: i64 = 20261128000004;

/// An account of the former version.
struct Account {
    name: &'static str,
    phone: Option<&'static str>,
    former: Option<&'static str>,
    changed_at: Option<i64>,
}

const DAY: i64 = 24 * 60 * 60;

const ACCOUNTS: [Account; 5] = [
    account("none", None, None, None),
    account("old", Some(PHONE), None, None),
    account("changed", Some(OTHER_PHONE), Some(PHONE), Some(NOW - 60)),
    account("off", None, Some(PHONE), Some(NOW - 60)),
    account("restored", Some(PHONE), Some(PHONE), Some(NOW - 60)),
];

const fn account(
    name: &'static str,
    phone: Option<&'static str>,
    former: Option<&'static str>,
    changed_at: Option<i64>,
) -> Account {
    Account {
        name,
        phone,
        former,
        changed_at,
    }
}

/// A database of the former version with these accounts, all with [`PASSWORD`].
async fn former_database() -> TestDatabase {
    let hash = {
        let app = TestApp::start().await;
        app.register("harry").await;
        let hash = sqlx::query_scalar("SELECT password_hash FROM users");
        let hash: String = hash.fetch_one(&app.pool).await.unwrap();
        hash
    };
    let (database, pool) = former_schema(FIRST_NEW).await;
    for account in ACCOUNTS {
        sqlx::query(
            "INSERT INTO users (id, username, username_key, email, email_key, password_hash, \
             auth_version, about_me, created_at, verification_phone, former_phone, \
             phone_changed_at) \
             VALUES ($1, $1, $1, $1 || '@example.com', $1 || '@example.com', $2, 1, '', $3, $4, \
             $5, $6)",
        )
        .bind(account.name)
        .bind(&hash)
        .bind(NOW - 30 * DAY)
        .bind(account.phone)
        .bind(account.former)
        .bind(account.changed_at)
        .execute(&pool)
        .await
        .unwrap();
    }
    pool.close().await;
    database
}

#[tokio::test]
async fn numbers_become_factors_and_former_numbers_removed_ones() {
    let database = former_database().await;
    let clock = Clock::manual(NOW);
    let app = TestApp::on(database, &[], clock, TWILIO_TIMEOUT, Limits::default()).await;
    for account in ACCOUNTS {
        let name = account.name;
        assert_eq!(app.phone_of(name).await.as_deref(), account.phone, "{name}");
        let browser = app.browser();
        let page = browser.log_in(name, PASSWORD).await;
        match account.phone {
            None => page.redirects_to("/home"),
            Some(_) => {
                page.redirects_to("/verify_2fa");
                browser.verify(&app.last_code()).await.redirects_to("/home");
            }
        };
    }
    // The links of notices restore what they restored before.
    for (name, restored) in [
        ("changed", Some(PHONE)),
        ("off", Some(PHONE)),
        ("none", None),
    ] {
        let link = app.not_me(name, NoticeKind::PhoneChanged).await;
        let reader = app.browser();
        reader.get(&link).await;
        let form = reader.get("/not_me").await.value_of("link").unwrap();
        reader.post("/not_me", &[("link", &form)]).await;
        assert_eq!(app.phone_of(name).await.as_deref(), restored, "{name}");
    }
}
