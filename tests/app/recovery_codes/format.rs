//! The format of a recovery code, accepted spellings, and the stored hash.

use data_encoding::HEXLOWER;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use twostep::models::factor::RecoveryCode;

use crate::support::TestApp;

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn parsed(typed: &str) -> Option<String> {
    let code = RecoveryCode::parse(typed);
    code.map(|code| code.grouped().expose_secret().to_owned())
}

/// ASVS 6.5.3, 6.5.4
#[tokio::test]
async fn a_code_is_24_symbols_in_groups_of_four() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let mut all = String::new();
    for _ in 0..20 {
        for code in app.recovery_codes("alice").await {
            let groups: Vec<&str> = code.split('-').collect();
            assert_eq!(groups.len(), 6);
            for group in groups {
                assert_eq!(group.len(), 4);
                assert!(group.chars().all(|it| ALPHABET.contains(it)), "{group}");
            }
            assert_eq!(parsed(&code).as_deref(), Some(code.as_str()));
            all.push_str(&code);
        }
    }
    assert!(ALPHABET.chars().all(|it| all.contains(it)), "every symbol");
}

#[test]
fn a_typed_code_may_differ_in_case_spaces_dashes_and_look_alikes() {
    let code = "0123-4567-89AB-CDEF-GHJK-1010";
    for typed in [
        code,
        "0123456789ABCDEFGHJK1010",
        "0123 4567 89ab cdef ghjk 1010",
        " 0123-4567-89ab-CDEF\tghjk\u{a0}1010\r\n",
        "o123-4567-89ab-cdef-ghjk-lOiO",
        "O123 4567 89AB CDEF GHJK IOLo",
        "0\u{2011}123\u{2013}4567\u{2212}89ab--cdef\u{ad}ghjk1010-",
    ] {
        assert_eq!(parsed(typed).as_deref(), Some(code), "{typed}");
    }
}

#[test]
fn other_texts_are_not_codes() {
    let long = "A".repeat(100_000);
    for typed in [
        "",
        "-",
        "0123456789ABCDEFGHJK101",
        "0123456789ABCDEFGHJK10101",
        "0123456789ABCDEFGHJK101U",
        "0123456789ABCDEFGHJK101_",
        "0123456789ABCDEFGHJK101\0",
        "0123456789ABCDEFGHJK101\u{ff11}",
        "0123456789ABCDEFGHJK101\u{131}",
        &long,
    ] {
        assert_eq!(parsed(typed), None, "{typed}");
    }
}

#[tokio::test]
async fn the_stored_hash_depends_on_the_user() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.register("bob").await;
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let codes = app.recovery_codes("alice").await;
    let stored: Vec<String> = sqlx::query_scalar("SELECT code_hash FROM recovery_codes")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert_eq!(stored.len(), codes.len());
    for code in codes.iter().map(|code| code.replace('-', "")) {
        let hash = |prefix: &str| HEXLOWER.encode(&Sha256::digest(format!("{prefix}{code}")));
        assert!(stored.contains(&hash(&format!("{}\0", alice.id.as_str()))));
        assert!(!stored.contains(&hash(&format!("{}\0", bob.id.as_str()))));
        assert!(!stored.contains(&hash("")));
    }
}
