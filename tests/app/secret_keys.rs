//! The keys that seal the secrets of authenticator apps: `SECRET_KEY`, or a key file in
//! development.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Barrier;

use secrecy::ExposeSecret;
use twostep::config::Config;

use crate::operator::run_in;
use crate::settings::PRODUCTION;
use crate::support::program::{Program, Starting};
use crate::support::{SECRET_KEY, TestApp, TestDatabase};

const FILE: &str = "twostep.key";

/// The keys that an app with these settings uses, with its key file in this folder.
fn load(folder: &Path, settings: &[(&str, &str)]) -> Option<Vec<Vec<u8>>> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let variables: HashMap<String, String> = settings.iter().map(own).collect();
    let config = Config::from_variables(&variables).unwrap();
    let keys = config.load_secret_keys(folder).unwrap()?;
    Some(
        keys.iter()
            .map(|key| key.expose_secret().to_vec())
            .collect(),
    )
}

/// ASVS 13.3.2
#[tokio::test]
async fn the_first_start_in_development_creates_a_key_file_for_its_owner_and_later_ones_keep_it() {
    let database = TestDatabase::new().await;
    let url = database.url();
    let settings = [("DATABASE_URL", &*url)];
    let mut first = Program::start(&settings);
    // Beside the SQLite file, or in the current folder.
    let folder = match url.strip_prefix("sqlite://") {
        Some(file) => Path::new(file).parent().unwrap().to_owned(),
        None => first.folder.path().to_owned(),
    };
    let file = folder.join(FILE);
    let text = std::fs::read_to_string(&file).unwrap();
    let key = text.strip_suffix('\n').unwrap();
    assert_eq!(
        data_encoding::BASE64.decode(key.as_bytes()).unwrap().len(),
        32
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    }
    assert!(!format!("{:?}", first.lines()).contains(key));
    first.kill();
    let _second = Starting::in_folder(first.folder, &settings).serving();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let names = std::fs::read_dir(folder).unwrap();
    let mut names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    assert!(!names.any(|name| name.starts_with(".tmp")));
}

#[test]
fn instances_that_start_together_use_one_key() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let start = Barrier::new(8);
        let keys = std::thread::scope(|scope| {
            let load = || {
                start.wait();
                load(folder.path(), &[]).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            let keys = threads.into_iter().map(|it| it.join().unwrap());
            keys.collect::<Vec<_>>()
        });
        assert_eq!(keys[0].len(), 1);
        assert!(keys.iter().all(|it| *it == keys[0]));
        assert_eq!(load(folder.path(), &[]).unwrap(), keys[0]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn the_setting_wins_over_the_file_and_production_needs_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let key = b"a key that is no secret anywhere".to_vec();
    let production = [&PRODUCTION[..], &[SECRET_KEY]].concat();
    for settings in [&[SECRET_KEY][..], &production] {
        assert_eq!(load(folder.path(), settings), Some(vec![key.clone()]));
    }
    assert_eq!(load(folder.path(), &PRODUCTION), None);
    assert!(!folder.path().join(FILE).exists());
    // A file may hold several keys, too.
    let other = data_encoding::BASE64.encode(&[7; 32]);
    std::fs::write(
        folder.path().join(FILE),
        format!("{other},{}\n", SECRET_KEY.1),
    )
    .unwrap();
    assert_eq!(
        load(folder.path(), &[]),
        Some(vec![vec![7; 32], key.clone()])
    );
    assert_eq!(load(folder.path(), &[SECRET_KEY]), Some(vec![key]));
}

#[tokio::test]
async fn a_key_file_that_is_no_key_stops_the_start_and_is_not_shown() {
    for (text, problem) in [
        (b"" as &[u8], "must be one line: base64 of 32 bytes"),
        (b"hunter2\n", "must be one line: base64 of 32 bytes"),
        (b"aHVudGVyMg==\n", "must be one line: base64 of 32 bytes"),
        (
            b"hunter2\nYSBrZXkgdGhhdCBpcyBubyBzZWNyZXQgYW55d2hlcmU=\n",
            "must be one line: base64 of 32 bytes",
        ),
        (
            b"hunter2\xff",
            "cannot be read or created: stream did not contain valid UTF-8",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        let outcome = run_in(folder.path(), &[("PORT", "0"), ("RUST_LOG", "off")], &[]).await;
        let path = folder.path().canonicalize().unwrap();
        let line = format!("twostep: twostep.key in {path:?} {problem}\n");
        assert_eq!((outcome.status, outcome.stderr), (78, line), "{text:?}");
        assert_eq!(outcome.stdout, "");
        assert_eq!(std::fs::read(folder.path().join(FILE)).unwrap(), text);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(FILE)).unwrap();
    let outcome = run_in(folder.path(), &[("PORT", "0"), ("RUST_LOG", "off")], &[]).await;
    assert_eq!(outcome.status, 78);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.starts_with("twostep: twostep.key in "),
        "{}",
        outcome.stderr
    );
}

#[tokio::test]
async fn operator_commands_create_no_key_file() {
    let app = TestApp::on_sqlite().await;
    let url = app.state.config.database_url.expose_secret();
    let database = Path::new(url.strip_prefix("sqlite://").unwrap())
        .parent()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.db");
    for arguments in [
        &["purge"] as &[&str],
        &["sms-report"],
        &["backup", backup.to_str().unwrap()],
    ] {
        run_in(folder.path(), &[("DATABASE_URL", url)], arguments)
            .await
            .output();
        for folder in [folder.path(), database] {
            assert!(!folder.join(FILE).exists(), "{arguments:?}");
        }
    }
}

#[tokio::test]
async fn an_app_has_keys_unless_it_is_in_production_without_the_setting() {
    let app = TestApp::start().await;
    assert!(app.state.secret_keys.is_some());
    let app = app
        .restarted(&[&PRODUCTION[..], &[("SECRET_KEY", "")]].concat())
        .await;
    assert!(app.state.secret_keys.is_none());
}

/// ASVS 11.2.5
#[tokio::test]
async fn a_start_that_cannot_open_the_secrets_of_all_apps_stops_with_one_line() {
    let app = TestApp::start().await;
    app.with_app("alice").await;
    let folder = tempfile::tempdir().unwrap();
    let url = app.state.config.database_url.expose_secret();
    let other = data_encoding::BASE64.encode(&[7; 32]);
    let both = format!("{other},{}", SECRET_KEY.1);
    let start = async |key: &str| {
        let settings = [
            ("DATABASE_URL", url),
            ("SECRET_KEY", key),
            ("PORT", "0"),
            ("RUST_LOG", "off"),
        ];
        run_in(folder.path(), &settings, &[]).await
    };
    let outcome = start(&other).await;
    let line = "twostep: SECRET_KEY: it doesn't open the secrets of all authenticator apps. \
                Add the former key, after a comma\n";
    assert_eq!((outcome.status, &*outcome.stderr), (78, line));
    let settings = [("DATABASE_URL", url), ("SECRET_KEY", &both)];
    let program = Program::start(&settings);
    assert!(program.is_listening().await);
}
