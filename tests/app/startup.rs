//! Starting the program: warnings, failures, and the first lines on a terminal.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use twostep::models;

use crate::operator::{program, run_in};
use crate::settings::PRODUCTION;
use crate::support::program::{Process, Program, Starting};
use crate::support::{Browser, PASSWORD, PHONE, SECRET_KEY};

#[track_caller]
fn assert_warns(program: &Program, event: &str, expected: bool) {
    let lines = program.lines();
    let found: Vec<&Value> = lines.iter().filter(|it| it["event"] == event).collect();
    assert_eq!(found.len(), usize::from(expected), "{event}: {lines:?}");
    assert!(found.iter().all(|line| line["level"] == "WARN"));
}

#[test]
fn dangerous_settings_log_a_warning() {
    const ENROLL: (&str, &str) = (
        "TWILIO_VERIFY_ENROLL_SERVICE_ID",
        "VA99999999999999999999999999999999",
    );
    let with_key = [&PRODUCTION[..], &[SECRET_KEY]].concat();
    let separate = [&PRODUCTION[..], &[ENROLL]].concat();
    for (settings, event, expected) in [
        (&PRODUCTION[..], "enroll_service_missing", true),
        (&separate, "enroll_service_missing", false),
        (&[], "enroll_service_missing", false),
        (&PRODUCTION, "authenticator_apps_off", true),
        (&with_key, "authenticator_apps_off", false),
        (&[], "authenticator_apps_off", false),
        (&[("METRICS_ADDR", "0.0.0.0:0")], "metrics_public", true),
        (&[("METRICS_ADDR", "127.0.0.1:0")], "metrics_public", false),
        (&[], "metrics_public", false),
        (&[("SMTP_ULR", "smtp://x")], "setting_misspelled", true),
        (&[("SMTP_HOST", "x")], "setting_misspelled", false),
    ] {
        assert_warns(&Program::start(settings), event, expected);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "TWILIO_ACOUNT_SID=AC1").unwrap();
    let program = Starting::in_folder(folder, &[]).serving();
    assert_warns(&program, "setting_misspelled", true);
    let lines = program.lines();
    let line = lines.iter().find(|it| it["level"] == "WARN").unwrap();
    assert_eq!(
        line["message"],
        "\"TWILIO_ACOUNT_SID\" is not a setting. Did you mean TWILIO_ACCOUNT_SID?"
    );
}

/// ASVS 13.3.2
#[cfg(unix)]
#[test]
fn production_with_an_env_file_that_others_can_read_logs_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    for (mode, settings, expected) in [
        (0o600, &PRODUCTION[..], false),
        (0o640, &PRODUCTION, false),
        (0o604, &PRODUCTION, true),
        (0o644, &PRODUCTION, true),
        (0o644, &[], false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        std::fs::write(&file, "SMS_DAILY_LIMIT=7").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let program = Starting::in_folder(folder, settings).serving();
        assert_warns(&program, "env_file_readable", expected);
    }
    assert_warns(&Program::start(&PRODUCTION), "env_file_readable", false);
}

#[tokio::test]
async fn a_busy_port_is_an_error_that_suggests_another() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let variables = [("PORT", &*port.to_string())];
    let error = run_in(folder.path(), &variables, &[]).await.error();
    let other = port.checked_add(1).unwrap_or(3000);
    assert_eq!(
        error,
        format!(
            "PORT: 127.0.0.1:{port} is already in use. Choose another port: \
             PORT={other} cargo run, or PORT={other} twostep. PORT=0 takes a free one"
        )
    );
}

#[tokio::test]
async fn a_file_that_this_version_cannot_use_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "remember the milk").unwrap();
    let file = folder.path().join("newer.db");
    let newer = models::connect(&format!("sqlite://{}?mode=rwc", file.display())).await;
    let newer = newer.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99990101000001, 'later', 1, x'00', 0)",
    )
    .execute(&newer)
    .await
    .unwrap();
    newer.close().await;
    for (url, expected) in [
        ("sqlite://notes.txt", "notes.txt is not a database"),
        (
            "sqlite://newer.db",
            "newer.db is from a newer version of Twostep, so this version can't open it",
        ),
    ] {
        let variables = [("DATABASE_URL", url), ("PORT", "0")];
        let started = Instant::now();
        let outcome = run_in(folder.path(), &variables, &[]).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{url}");
        let line = format!("twostep: DATABASE_URL: {expected}\n");
        assert_eq!(outcome.status, 78, "{}", outcome.stderr);
        assert!(outcome.stderr.ends_with(&line), "{}", outcome.stderr);
        let outcome = run_in(folder.path(), &variables, &["purge"]).await;
        assert_eq!(outcome.error(), format!("DATABASE_URL: {expected}"));
    }
}

fn spawn(mut command: Command) -> (Process, impl FnMut() -> String) {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = Process(command.spawn().unwrap());
    let mut output = BufReader::new(process.0.stdout.take().unwrap());
    let next_line = move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    (process, next_line)
}

#[test]
fn without_a_terminal_the_only_line_is_the_address() {
    for arguments in [&[] as &[&str], &["serve"]] {
        let folder = tempfile::tempdir().unwrap();
        let (mut process, mut next_line) =
            spawn(program(folder.path(), &[("PORT", "0")], arguments));
        let line = next_line();
        assert!(line.starts_with("Listening on http://127.0.0.1:"), "{line}");
        assert!(folder.path().join("twostep.db").exists());
        let _ = process.0.kill();
        assert_eq!(next_line(), "", "nothing follows");
    }
}

/// `script` runs a program on a new terminal.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn on_a_terminal_the_first_lines_say_where_to_go_and_codes_stand_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("script");
    command
        .args(["-qec", env!("CARGO_BIN_EXE_twostep"), "/dev/null"])
        .env("PORT", "0")
        .stdin(Stdio::null())
        .current_dir(folder.path());
    let (_process, mut next_line) = spawn(command);
    let mut lines = Vec::new();
    let address = loop {
        let line = next_line();
        if let Some(address) = line.strip_prefix("Listening on http://") {
            break address.parse::<std::net::SocketAddr>().unwrap();
        }
        lines.push(line);
    };
    let port = address.port();
    assert_eq!(
        lines.join("\n").trim(),
        format!(
            "Twostep     http://localhost:{port}
  Demo phone  http://localhost:{port}/dev/phone
  Mailbox     http://localhost:{port}/dev/mailbox
  Database    twostep.db
  Stop        Ctrl-C"
        )
    );

    let browser = Browser::new(address);
    browser
        .register("alice", "alice@example.com", PASSWORD)
        .await;
    browser.log_in("alice", PASSWORD).await;
    browser.enable(PHONE).await;
    let line = loop {
        let line = next_line();
        if line.contains("demo phone") {
            break line;
        }
        let width = line.split("\u{1b}[").count() * 4;
        assert!(line.chars().count() < 100 + width, "{line}");
    };
    let page = browser.get("/dev/phone").await;
    let code = page.attributes("[data-code]", "data-code").remove(0);
    assert!(line.contains(&format!("\u{1b}[1;7m {code} ")), "{line}");
}
