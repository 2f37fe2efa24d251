//! The command line, and the database that commands use.

use twostep::models::sms_days::{record_entered, record_sent};

use super::{USER_COMMANDS, database_of, run, run_in, run_with};
use crate::support::TestApp;

#[tokio::test]
async fn wrong_arguments_exit_with_status_2() {
    for arguments in [
        &["nonsense"] as &[&str],
        &["--nonsense"],
        &["serve", "now"],
        &["user"],
        &["user", "lock"],
        &["user", "unlock", "alice", "bob"],
        &["user", "rename", "alice"],
        &["sms-report", "--days", "0"],
        &["sms-report", "--days", "401"],
        &["sms-report", "--days", "x"],
        &["purge", "alice"],
        &["backup"],
        &["copy-database", "sqlite://twostep.db"],
    ] {
        let outcome = run_with(&[], arguments).await;
        assert_eq!(
            (outcome.status, outcome.stdout.as_str()),
            (2, ""),
            "{arguments:?}"
        );
        assert!(outcome.stderr.contains("--help"), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn help_lists_every_command() {
    let version = run_with(&[], &["--version"]).await.output();
    assert_eq!(version, format!("twostep {}\n", env!("CARGO_PKG_VERSION")));
    let help = run_with(&[], &["--help"]).await.output();
    for command in [
        "serve",
        "user",
        "sms-report",
        "purge",
        "backup",
        "copy-database",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
    let help = run_with(&[], &["user", "--help"]).await.output();
    for command in USER_COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
    for text in help.lines() {
        assert!(text.chars().count() <= 80, "{text}");
    }
}

#[tokio::test]
async fn commands_need_no_other_setting_than_the_database() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let variables = [
        ("DATABASE_URL", &*database_of(&app)),
        ("APP_ENV", "production"),
        ("PORT", "none"),
        ("TWILIO_ACCOUNT_SID", "half"),
        ("SMTP_URL", "half"),
        ("RUST_LOG", "=,="),
    ];
    assert_eq!(run_with(&variables, &["serve"]).await.status, 78);
    let output = run_with(&variables, &["user", "show", "alice"]).await;
    assert!(output.output().contains("alice@example.com"));
}

#[tokio::test]
async fn a_wrong_database_is_an_error_of_one_line() {
    for (url, problem) in [
        (
            "hunter2",
            "DATABASE_URL must begin with sqlite: or postgres:",
        ),
        ("sqlite::memory:", "DATABASE_URL must name a file"),
        (
            "sqlite://.",
            "DATABASE_URL: the database cannot be opened: ",
        ),
    ] {
        for arguments in [&["purge"] as &[&str], &["user", "lock", "alice"]] {
            let line = run_with(&[("DATABASE_URL", url)], arguments).await.error();
            assert!(line.starts_with(problem), "{line}");
            assert!(!line.contains("hunter2"), "{line}");
        }
    }
}

#[tokio::test]
async fn no_command_creates_a_database() {
    let folder = tempfile::tempdir().unwrap();
    for (url, file) in [
        ("", "twostep.db"),
        ("sqlite://other.db", "other.db"),
        ("sqlite://other.db?mode=rwc", "other.db"),
        ("sqlite:no/such/folder.db", "no/such/folder.db"),
    ] {
        for arguments in [
            &["purge"] as &[&str],
            &["sms-report"],
            &["user", "show", "a"],
        ] {
            let variables = [("DATABASE_URL", url)];
            let outcome = run_in(folder.path(), &variables, arguments).await;
            let line = outcome.error();
            let start = "DATABASE_URL: there is no database at /";
            assert!(line.starts_with(start) && line.ends_with(file), "{line}");
        }
    }
    let made: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(made.is_empty(), "{made:?}");
}

#[tokio::test]
async fn a_command_migrates_an_existing_database() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("twostep.db"), "").unwrap();
    let outcome = run_in(folder.path(), &[], &["user", "show", "alice"]).await;
    assert_eq!(outcome.error(), "there is no user \"alice\"");
}

#[tokio::test]
async fn a_command_reads_dot_env() {
    let app = TestApp::start().await;
    app.register("alice").await;
    let folder = tempfile::tempdir().unwrap();
    let settings = format!(
        "TWILIO_AUTH_TOKEN=half\nDATABASE_URL='{}'\n",
        database_of(&app)
    );
    std::fs::write(folder.path().join(".env"), settings).unwrap();
    let outcome = run_in(folder.path(), &[], &["user", "show", "alice"]).await;
    assert!(outcome.output().contains("alice@example.com"));
}

#[tokio::test]
async fn purge_reports_the_deleted_rows() {
    let app = TestApp::start().await;
    app.register("alice").await;
    app.execute(
        "INSERT INTO activity (id, user_id, event, category, number, at) \
         SELECT 'a', id, 'logged_in', 0, 1, 1 FROM users UNION ALL \
         SELECT 'b', id, 'logged_in', 0, 1, 1 FROM users UNION ALL \
         SELECT 'c', id, 'logged_in', 0, 1, 9999999999 FROM users",
    )
    .await;
    let output = run(&app, &["purge"]).await.output();
    assert_eq!(output.lines().count(), 10, "{output}");
    assert!(output.contains("         2  activity\n"), "{output}");
    assert!(output.contains("         0  emailed links\n"), "{output}");
    assert_eq!(app.count("SELECT COUNT(*) FROM activity").await, 1);
    let output = run(&app, &["purge"]).await.output();
    assert!(output.contains("         0  activity\n"), "{output}");
}

#[tokio::test]
async fn the_sms_report_is_a_table_by_day_and_country() {
    let app = TestApp::start().await;
    let output = run(&app, &["sms-report"]).await.output();
    assert!(
        output.starts_with("No codes were sent since 20"),
        "{output}"
    );

    let now = twostep::services::clock::Clock::system().now();
    let mut connection = app.pool.acquire().await.unwrap();
    let day = 24 * 60 * 60;
    for (country, days_ago, sent, entered) in [
        (Some("KE"), 0, 3, 2),
        (Some("DE"), 0, 1, 0),
        (None, 1, 0, 1),
        (Some("KE"), 1, 1, 1),
        (Some("US"), 40, 1, 0),
    ] {
        let at = now - days_ago * day;
        for _ in 0..sent {
            record_sent(&mut connection, country, at).await.unwrap();
        }
        for _ in 0..entered {
            record_entered(&mut connection, country, at).await.unwrap();
        }
    }
    drop(connection);
    let rows = async |arguments: &[&str]| -> Vec<String> {
        let output = run(&app, arguments).await.output();
        assert!(output.starts_with("Codes sent and verified since 20"));
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        // The dates depend on today.
        let undated = |line: String| match line.starts_with("20") {
            true => line.split_at(11).1.to_owned(),
            false => line,
        };
        output.lines().skip(2).map(words).map(undated).collect()
    };
    let month = [
        "DAY COUNTRY SENT VERIFIED RATE",
        "DE 1 0 0%",
        "KE 3 2 67%",
        "- 0 1 -",
        "KE 1 1 100%",
        "",
        "total - 0 1 -",
        "total DE 1 0 0%",
        "total KE 4 3 75%",
        "total all 5 4 80%",
    ];
    assert_eq!(rows(&["sms-report"]).await, month);
    let more = rows(&["sms-report", "--days", "41"]).await;
    assert_eq!(more.last().unwrap(), "total all 6 4 67%");
    let less = rows(&["sms-report", "--days", "1"]).await;
    assert_eq!(less.last().unwrap(), "total all 4 2 50%");
}
