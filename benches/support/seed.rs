//! Creates accounts and sessions directly in the database.

use sqlx::Executor;
use twostep::models::challenge::{Challenge, NewChallenge, NewLogin, Purpose};
use twostep::models::client::Client;
use twostep::models::device::Browser;
use twostep::models::factor::{CodeSender, Factor};
use twostep::models::login::{LoginProof, ProvenLogin};
use twostep::models::rate_limit::SendLimits;
use twostep::models::user::User;
use twostep::models::{Database, token};
use twostep::services::metrics::Metrics;
use twostep::services::passwords::Passwords;

use super::site::Site;

/// The password of every account.
pub const PASSWORD: &str = "green tram rides at noon";

pub fn name(number: u64) -> String {
    format!("person{number}")
}

/// Creates numbered accounts with [`PASSWORD`], and a session for each.
pub async fn fill(database: &Database, first: u64, count: u64, now: i64) {
    let passwords = Passwords::start().expect("no threads");
    let hash = passwords.hash(PASSWORD.into()).await.expect("no hash");
    let mut transaction = database.begin().await.expect("no transaction");
    let numbers = "WITH RECURSIVE numbers (n) AS \
        (SELECT $1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $2)";
    let users = format!(
        "{numbers} INSERT INTO users (id, username, username_key, email, email_key, \
         password_hash, auth_version, about_me, created_at, last_seen_at) \
         SELECT hex(randomblob(16)), 'person' || n, 'person' || n, 'person' || n || '@example.com', \
         'person' || n || '@example.com', $3, 1, '', $4, $4 FROM numbers"
    );
    let sessions = format!(
        "{numbers} INSERT INTO sessions (id, token_hash, user_id, authenticated_at, remember, \
         data, created_at, last_active_at, idle_expires_at, expires_at, address, user_agent) \
         SELECT hex(randomblob(16)), lower(hex(randomblob(32))), u.id, $3, 0, '{{}}', $3, $3, \
         $3 + 43200, $3 + 604800, '203.0.113.9', 'Firefox' \
         FROM numbers JOIN users u ON u.username_key = 'person' || n"
    );
    let (first, last) = (signed(first), signed(first + count - 1));
    let users = sqlx::query(sqlx::AssertSqlSafe(users))
        .bind(first)
        .bind(last)
        .bind(hash)
        .bind(now);
    users.execute(&mut *transaction).await.expect("no users");
    let sessions = sqlx::query(sqlx::AssertSqlSafe(sessions))
        .bind(first)
        .bind(last)
        .bind(now);
    sessions
        .execute(&mut *transaction)
        .await
        .expect("no sessions");
    transaction.commit().await.expect("not committed");
    checkpoint(database).await;
}

/// Moves SQLite's write-ahead log into the database file.
pub async fn checkpoint(database: &Database) {
    database
        .execute("PRAGMA wal_checkpoint(TRUNCATE)")
        .await
        .expect("no checkpoint");
}

/// Turns on two-factor authentication, with a phone number for each account.
pub async fn turn_on_two_factor(database: &Database, first: u64, count: u64) {
    for number in first..first + count {
        let user = find(database, number).await.id;
        let mut connection = database.acquire().await.expect("no connection");
        Factor::add_phone(&mut connection, &user, &phone(number), 0)
            .await
            .expect("no phone");
    }
}

pub fn phone(number: u64) -> String {
    format!("+254720{:06}", 100_000 + number)
}

/// Logs an account in and returns its cookie.
pub async fn log_in(database: &Database, number: u64, now: i64) -> String {
    let user = find(database, number).await;
    let mut connection = database.acquire().await.expect("no connection");
    let client = client();
    let login = ProvenLogin {
        user: &user.id,
        auth_version: user.auth_version,
        proof: LoginProof::Password,
        remember: false,
        browser: Browser {
            client: &client,
            device: None,
        },
    };
    let begun = login.complete(&mut connection, now).await;
    let begun = begun.expect("no session").expect("no account");
    cookie(&begun.issued.token)
}

/// Starts a login with two-factor authentication. Returns its cookie and its code.
pub async fn start_login_challenge(site: &Site, number: u64, now: i64) -> (String, String) {
    let user = find(&site.database, number).await;
    let phone = user.phone.clone().expect("no phone");
    // The benchmark logs a few accounts in more often than real users would.
    let limits = SendLimits {
        unlimited: true,
        client: None,
        daily_limit: 1_000_000,
    };
    let client = client();
    let factor = Factor::first(&site.database, &user.id).await;
    let factor = factor.expect("no database").expect("no factor");
    let new = NewChallenge {
        user: &user,
        purpose: Purpose::LogIn,
        factor: Some(&factor),
        phone: Some(&phone),
        next: None,
        session: None,
        login: Some(NewLogin {
            client: &client,
            remember: false,
        }),
    };
    let metrics = Metrics::default();
    let sender = CodeSender {
        database: &site.database,
        verify: &site.verify,
        metrics: &metrics,
        limits,
        country: Some("KE"),
    };
    let opened = Challenge::open(&sender, new, now).await;
    let opened = opened.expect("not opened").expect("no account");
    let code = code_for(site, &phone);
    (cookie(&opened.issued.token), code)
}

/// The latest code for a number.
pub fn code_for(site: &Site, phone: &str) -> String {
    let messages = site.phone.messages();
    let message = messages.iter().find(|message| message.to == phone);
    message.expect("no code was sent").code.clone()
}

async fn find(database: &Database, number: u64) -> User {
    let user = User::find_by_username(database, &name(number)).await;
    user.expect("no database").expect("no account")
}

fn cookie(token: &token::Token) -> String {
    format!("Cookie: session={}\r\n", token.expose())
}

fn client() -> Client {
    Client::new([203, 0, 113, 9].into(), b"Firefox")
}

pub fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("too large")
}
