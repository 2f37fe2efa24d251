//! The secrets of apps are sealed with `SECRET_KEY`.

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use secrecy::ExposeSecret;

use crate::support::{SECRET_KEY, TestApp};

/// ASVS 13.3.1, 14.2.4
#[tokio::test]
async fn attack_22_the_database_holds_no_secret_of_an_app_in_any_encoding() {
    let app = TestApp::start().await;
    let browser = app.register_and_log_in("alice").await;
    let page = browser.get("/authenticator").await;
    let base32 = page.attributes("[data-secret]", "data-secret").remove(0);
    let authenticator = super::Authenticator::scan(&page);
    let setup = page.value_of("setup").unwrap();
    let code = authenticator.code(&app);
    let page = browser
        .post("/authenticator", &[("token", &code), ("setup", &setup)])
        .await;
    assert_eq!(page.status, 200);
    let secret = BASE32_NOPAD.decode(base32.as_bytes()).unwrap();
    let bytes = app.database_bytes().await;
    let encodings = [
        secret.clone(),
        base32.clone().into_bytes(),
        base32.to_lowercase().into_bytes(),
        HEXLOWER.encode(&secret).into_bytes(),
        HEXUPPER.encode(&secret).into_bytes(),
        BASE64.encode(&secret).into_bytes(),
        BASE64URL_NOPAD.encode(&secret).into_bytes(),
    ];
    for encoding in encodings {
        let found = bytes.windows(encoding.len()).any(|it| it == encoding);
        assert!(!found, "{encoding:?}");
    }
}

#[tokio::test]
async fn a_secret_is_sealed_again_when_it_is_used_under_an_older_key() {
    const NEW: &str = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU=";
    let app = TestApp::start().await;
    let (_browser, authenticator) = app.with_app("alice").await;
    let both = format!("{NEW},{}", SECRET_KEY.1);
    let app = app.restarted(&[("SECRET_KEY", &both)]).await;
    let sealed = async |app: &TestApp| -> String {
        let sql = "SELECT secret FROM factors WHERE kind = 'authenticator'";
        sqlx::query_scalar(sql).fetch_one(&app.pool).await.unwrap()
    };
    let before = sealed(&app).await;
    let pending = app.log_in_until_code("alice").await;
    pending
        .verify(&authenticator.code(&app))
        .await
        .redirects_to("/home");
    assert_ne!(sealed(&app).await, before);
    // Now the new key alone is enough.
    let app = app.restarted(&[("SECRET_KEY", NEW)]).await;
    app.advance(30);
    let pending = app.log_in_until_code("alice").await;
    pending
        .verify(&authenticator.code(&app))
        .await
        .redirects_to("/home");
    assert_eq!(authenticator.0.base32().expose_secret().len(), 32);
}
