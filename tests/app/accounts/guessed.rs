//! Common passwords and default accounts, and old passwords.

use crate::support::{PASSWORD, TestApp};

/// The most used passwords of published lists, as far as they are long enough.
const WELL_KNOWN: &str = "
    123456789 12345678 1234567890 password password1 password123 qwerty123 qwertyuiop
    iloveyou 11111111 123123123 987654321 sunshine princess football baseball superman
    trustno1 1q2w3e4r 1q2w3e4r5t 1qaz2wsx qazwsxedc zaq12wsx asdfghjkl 88888888
    00000000 passw0rd p@ssw0rd Password1 P@ssw0rd letmein1 welcome1 abcd1234 abc12345
    monkey123 michelle jennifer whatever starwars computer corvette mercedes
    password! Passw0rd! Qwerty123! q1w2e3r4 a1b2c3d4 changeme administrator
    liverpool chocolate butterfly";

/// ASVS 6.2.4
#[tokio::test]
async fn well_known_passwords_are_refused_by_every_form_that_sets_one() {
    let app = TestApp::start().await;
    let harry = app.register_and_log_in("harry").await;
    let forgetful = app.browser();
    forgetful.get(&app.reset_link("harry").await).await;
    let before = app.dump().await;
    for password in WELL_KNOWN.split_whitespace() {
        assert!(password.len() >= 8, "{password}");
        let guest = app.browser();
        let twice = [("password", password), ("confirm_password", password)];
        let change = [twice[0], twice[1], ("current_password", PASSWORD)];
        for page in [
            guest.register("ron", "ron@example.com", password).await,
            harry.post("/change_password", &change).await,
            forgetful.post("/reset_password", &twice).await,
        ] {
            assert_eq!(page.status, 422, "{password}");
            let error = page.error_at("password").unwrap();
            assert!(error.starts_with("This is easy to guess."), "{error}");
        }
    }
    assert_eq!(app.dump().await, before);
}

/// ASVS 6.2.10
#[tokio::test]
async fn a_password_does_not_expire() {
    let app = TestApp::start().await;
    app.register("harry").await;
    app.advance(5 * 365 * 24 * 60 * 60);
    let harry = app.log_in("harry").await;
    let home = harry.get("/home").await;
    assert_eq!(home.status, 200);
    assert!(home.alerts().is_empty(), "{:?}", home.alerts());
}

/// ASVS 6.3.2
#[tokio::test]
async fn a_new_installation_has_no_account() {
    let app = TestApp::start().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 0);
    for (name, password) in [
        ("admin", "admin"),
        ("admin", "password"),
        ("root", "root"),
        ("twostep", "twostep"),
        ("user", "user"),
        ("", ""),
    ] {
        let page = app.browser().log_in(name, password).await;
        assert_eq!(page.status, 422, "{name}");
    }
}
