//! The rules for passwords, and their storage.

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64_NOPAD;

use super::{assert_errors, register};
use crate::support::{PASSWORD, TestApp};

async fn stored(app: &TestApp) -> String {
    sqlx::query_scalar("SELECT password_hash FROM users")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

async fn store(app: &TestApp, hash: &str) {
    sqlx::query("UPDATE users SET password_hash = $1")
        .bind(hash)
        .execute(&app.pool)
        .await
        .unwrap();
}

/// ASVS 6.2.1, 6.2.5, 6.2.9, 6.2.11
#[tokio::test]
async fn a_password_has_8_to_128_characters_and_is_hard_to_guess() {
    let app = TestApp::start().await;
    let browser = app.browser();
    let long = "correct horse battery staple ".repeat(5);
    for (password, reason) in [
        ("xk7#qpz", "Use at least 8 characters"),
        ("\u{1f40e}\u{1f50b}\u{1f4ce}", "Use at least 8 characters"),
        (&long[..129], "Use at most 128 characters"),
        ("password", "easy to guess"),
        ("Password1!", "easy to guess"),
        ("12345678", "easy to guess"),
        ("zebedee123", "too close to your name"),
        ("Zebedee-Zebedee", "too close to your name"),
        ("mailbox.zeb", "too close to your name"),
        ("twostep1", "too close to your name"),
    ] {
        let fields = ["zebedee", "mailbox.zeb@example.com", password, password];
        let page = register(&browser, fields).await;
        assert_errors(&page, &[("password", reason)]);
        assert!(!page.body.contains(&format!("value=\"{password}\"")));
    }
    let names = ["aa", "bb", "cc", "dd"];
    let emoji: String = ('\u{1f400}'..).step_by(7).take(128).collect();
    for (name, password) in
        names
            .into_iter()
            .zip(["xk7#qpzw", &long[..128], "only lower case words", &emoji])
    {
        let email = format!("{name}@example.com");
        let page = register(&browser, [name, &email, password, password]).await;
        page.redirects_to("/login");
        let page = app.browser().log_in(name, password).await;
        page.redirects_to("/home");
        let mut shorter = password.to_owned();
        shorter.pop();
        assert_eq!(app.browser().log_in(name, &shorter).await.status, 422);
    }
}

/// ASVS 6.2.8
#[tokio::test]
async fn passwords_are_compared_byte_for_byte() {
    let app = TestApp::start().await;
    let password = " Gr\u{fc}ne Tram um zw\u{f6}lf ";
    let fields = ["alice", "alice@example.com", password, password];
    register(&app.browser(), fields)
        .await
        .redirects_to("/login");
    for wrong in [
        password.to_lowercase().as_str(),
        password.trim(),
        password.trim_start(),
        &format!("{password} "),
        &format!("{password}\n"),
        &format!("{password}\0"),
        " Gru\u{308}ne Tram um zwo\u{308}lf ",
        " Grune Tram um zwolf ",
        "",
    ] {
        let page = app.browser().log_in("alice", wrong).await;
        assert_eq!(page.status, 422, "{wrong:?}");
    }
    let page = app.browser().log_in("alice", password).await;
    page.redirects_to("/home");
}

/// ASVS 11.4.2
#[tokio::test]
async fn a_password_is_stored_as_argon2id_with_the_chosen_parameters() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let hash = stored(&app).await;
    assert!(
        hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{hash}"
    );
    assert_eq!(hash.len(), 97, "a salt of 16 bytes, an output of 32");
    app.execute("UPDATE users SET username = 'bob', username_key = 'bob', email_key = 'b'")
        .await;
    app.register("alice").await;
    let hashes = "SELECT COUNT(DISTINCT password_hash) FROM users";
    assert_eq!(app.count(hashes).await, 2, "each has its own salt");
    assert!(!app.dump().await.contains(PASSWORD));
}

/// Hashes the password as another program, or an older version of ours, would.
fn hashed(algorithm: Algorithm, version: Version, memory: u32, passes: u32) -> String {
    let salt = b"salt of 16 bytes";
    let mut output = [0; 32];
    let params = Params::new(memory, passes, 1, Some(32)).unwrap();
    Argon2::new(algorithm, version, params)
        .hash_password_into(PASSWORD.as_bytes(), salt, &mut output)
        .unwrap();
    format!(
        "${algorithm}$v={}$m={memory},t={passes},p=1${}${}",
        u32::from(version),
        BASE64_NOPAD.encode(salt),
        BASE64_NOPAD.encode(&output)
    )
}

/// ASVS 11.2.2
#[tokio::test]
async fn the_right_password_replaces_a_hash_with_other_parameters() {
    let app = TestApp::start().await;
    app.register("alice").await;
    for old in [
        hashed(Algorithm::Argon2id, Version::V0x13, 8, 1),
        hashed(Algorithm::Argon2id, Version::V0x13, 65_536, 1),
        hashed(Algorithm::Argon2id, Version::V0x10, 19_456, 2),
        hashed(Algorithm::Argon2i, Version::V0x13, 19_456, 2),
    ] {
        store(&app, &old).await;
        let page = app.browser().log_in("alice", "a wrong one").await;
        assert_eq!(page.status, 422);
        assert_eq!(stored(&app).await, old, "a wrong password changes nothing");
        let version = app.count("SELECT auth_version FROM users").await;
        for _ in 0..2 {
            app.log_in("alice").await;
        }
        let new = stored(&app).await;
        assert!(new.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{new}");
        let same = app.count("SELECT auth_version FROM users").await;
        assert_eq!(same, version, "the password is the same");
        app.browser().log_in("alice", PASSWORD).await;
        assert_eq!(stored(&app).await, new, "a current hash stays");
    }
}

/// ASVS 11.2.5
#[tokio::test]
async fn a_malformed_hash_matches_no_password() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let good = stored(&app).await;
    let (head, tail) = good.split_at(31);
    let (salt, output) = tail.split_once('$').unwrap();
    for broken in [
        "",
        "plain text",
        PASSWORD,
        "$",
        "$$$$$",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        &good[..good.len() - 44],
        &good[..good.len() - 1],
        &format!("{head}{salt}$"),
        &format!("{head}$"),
        &format!("{head}c2FsdA${output}"),
        &format!("{head}{salt}$eA"),
        &format!("$argon2id$v=19$m=0,t=0,p=0${tail}"),
        &format!("$argon2id$v=19$m=8,t=1,p=8${tail}"),
        &format!("$argon2id$v=19$m=19456,t=2,p=4294967295${tail}"),
        &format!("$argon2id$v=19$m=4294967295,t=1,p=1${tail}"),
        &format!("$argon2id$v=19$m=8,t=4294967295,p=1${tail}"),
        &format!("$argon2id$v=99$m=19456,t=2,p=1${tail}"),
        &format!("$argon2x$v=19$m=19456,t=2,p=1${tail}"),
    ] {
        store(&app, broken).await;
        app.advance(900); // below the limits
        let page = app.browser().log_in("alice", PASSWORD).await;
        assert_eq!(page.status, 422, "{broken:?}: {}", page.text());
        assert!(page.says("Invalid username or password"));
        let page = browser.post("/reauth", &[("password", PASSWORD)]).await;
        assert_errors(&page, &[("password", "Invalid password")]);
        assert_eq!(stored(&app).await, broken);
    }
    store(&app, &good).await;
    app.log_in("alice").await;
}

#[tokio::test]
async fn a_hashing_job_that_panics_stops_no_hashing_thread() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let threads = std::thread::available_parallelism().unwrap().get();
    for _ in 0..=threads {
        let lost = app.state.passwords.run(|| panic!("on purpose")).await;
        assert!(lost.is_err());
    }
    app.log_in("alice").await;
}
