//! Settings that work and are dangerous all the same: the log warns about them at the start.

use serde_json::Value;

use crate::settings::PRODUCTION;
use crate::support::program::{Program, Starting};

const ENROLL: (&str, &str) = (
    "TWILIO_VERIFY_ENROLL_SERVICE_ID",
    "VA99999999999999999999999999999999",
);

#[track_caller]
fn assert_warns(program: &Program, event: &str, expected: bool) {
    let lines = program.lines();
    let found: Vec<&Value> = lines.iter().filter(|it| it["event"] == event).collect();
    assert_eq!(found.len(), usize::from(expected), "{event}: {lines:?}");
    assert!(found.iter().all(|line| line["level"] == "WARN"));
}

#[test]
fn production_with_one_verify_service_for_both_purposes_logs_a_warning() {
    let event = "enroll_service_missing";
    assert_warns(&Program::start(&PRODUCTION), event, true);
    let separate = [&PRODUCTION[..], &[ENROLL]].concat();
    assert_warns(&Program::start(&separate), event, false);
    assert_warns(&Program::start(&[]), event, false);
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

#[test]
fn a_public_metrics_address_logs_a_warning() {
    for (address, expected) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let program = Program::start(&[("METRICS_ADDR", address)]);
        assert_warns(&program, "metrics_public", expected);
    }
    assert_warns(&Program::start(&[]), "metrics_public", false);
}
