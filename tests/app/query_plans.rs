//! Every statement uses an index, so that it costs the same with a thousand accounts and with
//! a million. The test reads the statements from the source, so it covers new ones too.

use regex::{Captures, Regex};
use sqlx::Row;

use crate::architecture::read_files;
use crate::support::TestApp;

/// Results of the same statement, which a plan may scan.
const RESULTS: [&str; 3] = ["CONSTANT ROW", "active", "positions"];

/// The count of waiting emails for Prometheus, which reads only an index of the queue.
const QUEUE: &str = "outbox USING COVERING INDEX outbox_position";

/// Files whose statements read whole databases, but never for a request.
const WHOLE: [&str; 2] = ["backup.rs", "copy_database.rs"];

/// A string literal, raw or not.
const LITERAL: &str = r##"(?:r#"((?s:.*?))"#|r"([^"]*)"|"((?:[^"\\]|\\(?s:.))*)")"##;

/// Reads the models, with `concat!` of literals and of macros such as `user_columns!()` replaced
/// by one literal.
fn read_models() -> String {
    let files = read_files("src/models", "rs").into_iter();
    let files = files.filter(|(name, _)| !WHOLE.contains(&name.as_str()));
    let code = |(_, text): (_, String)| text.split("#[cfg(test)]").next().unwrap().to_owned();
    let mut code = files.map(code).collect::<String>();
    let comment = Regex::new(r"(?m)^\s*//.*$|\s// .*$").unwrap();
    code = comment.replace_all(&code, "").into_owned();
    let macros = Regex::new(&format!(
        r"macro_rules! (\w+) \{{\s*\(\) => \{{\s*({LITERAL})"
    ));
    let macros: Vec<(String, String)> = macros
        .unwrap()
        .captures_iter(&code)
        .map(|found| (format!("{}!()", &found[1]), found[2].to_owned()))
        .collect();
    for (call, literal) in macros {
        code = code.replace(&call, &literal);
    }
    let literal = Regex::new(LITERAL).unwrap();
    let concat = Regex::new(&format!(r"concat!\(\s*((?:{LITERAL}\s*,?\s*)+)\)")).unwrap();
    let join = |found: &Captures<'_>| {
        let parts = literal.captures_iter(&found[1]);
        format!(
            "r#\"{}\"#",
            parts.map(|it| text_of(&it)).collect::<String>()
        )
    };
    concat.replace_all(&code, join).into_owned()
}

/// The text of a matched literal.
fn text_of(literal: &Captures<'_>) -> String {
    let raw = literal.get(1).or(literal.get(2));
    let line_end = Regex::new(r"\\\n\s*").unwrap();
    match raw {
        Some(raw) => raw.as_str().to_owned(),
        None => line_end.replace_all(&literal[3], "").replace("\\\"", "\""),
    }
}

fn statements() -> Vec<String> {
    let code = read_models();
    let begins = Regex::new(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s").unwrap();
    let literals = Regex::new(LITERAL).unwrap();
    let literals = literals.captures_iter(&code).map(|it| text_of(&it));
    // The code appends rows to such a statement. One row is enough for the plan.
    let complete = |text: String| match text.trim_end().ends_with(" VALUES") {
        true => format!("{text} ('x', 0, 0, 0)"),
        false => text,
    };
    let statements = literals.map(complete).filter(|it| begins.is_match(it));
    let statements: Vec<String> = statements.collect();
    let calls = Regex::new(r"sqlx::query\w*(?:::<[^(]*>)?\(").unwrap();
    let calls = calls.find_iter(&code).count();
    assert!(statements.len() >= calls, "{} of {calls}", statements.len());
    statements
}

/// Returns the scans in a statement's plan.
async fn scans(app: &TestApp, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let plan = sqlx::query(sqlx::AssertSqlSafe(explain))
        .fetch_all(&app.pool)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    // A scan of an index in its order stops at the first row.
    let limit = Regex::new(r"LIMIT 1\s*\)").unwrap();
    let is_short = |step: &str| step.contains("USING INDEX") && limit.is_match(statement);
    let is_scan = |step: &String| {
        let scanned = step.strip_prefix("SCAN ");
        scanned.is_some_and(|it| !RESULTS.contains(&it) && it != QUEUE && !is_short(it))
    };
    let steps = plan.iter().map(|row| row.get::<String, _>("detail"));
    steps.filter(is_scan).collect()
}

#[tokio::test]
async fn no_statement_scans_a_table() {
    let app = TestApp::on_sqlite().await;
    let mut scanning = Vec::new();
    for statement in statements() {
        for step in scans(&app, &statement).await {
            scanning.push(format!("{step}: {statement}"));
        }
    }
    assert!(scanning.is_empty(), "{scanning:#?}");
    let scan = scans(&app, "SELECT id FROM users WHERE about_me = 'x'").await;
    assert_eq!(scan, ["SCAN users"], "the test would see a scan");
}
