//! Every statement goes by an index, so that it costs the same with a thousand
//! accounts and with a million. The statements are read from the source: a new one is
//! looked at by itself.

use std::path::Path;

use regex::Regex;
use sqlx::Row;

use crate::support::TestApp;

/// What a plan may read from end to end: it is no table, but a result of the same
/// statement.
const RESULTS: [&str; 3] = ["CONSTANT ROW", "active", "positions"];

/// Counting the mails that wait, for Prometheus: of a queue, by an index alone.
const QUEUE: &str = "outbox USING COVERING INDEX outbox_position";

/// What is there to read whole databases, and nothing of it at a request.
const WHOLE: [&str; 2] = ["backup.rs", "copy_database.rs"];

/// The string literals of a file, as the program has them.
fn literals(text: &str) -> Vec<String> {
    let literal = Regex::new(r#"(?s)"((?:[^"\\]|\\.)*)""#).unwrap();
    let line_end = Regex::new(r"\\\n\s*").unwrap();
    literal
        .captures_iter(text)
        .map(|found| line_end.replace_all(&found[1], "").replace("\\\"", "\""))
        .collect()
}

/// The source of a folder, without comments and tests.
fn sources(folder: &Path) -> Vec<String> {
    let comment = Regex::new(r"(?m)^\s*//.*$|\s// .*$").unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if !WHOLE.iter().any(|name| path.ends_with(name)) {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            found.push(comment.replace_all(text, "").into_owned());
        }
    }
    found
}

fn statements() -> Vec<String> {
    let begins = Regex::new(r"^(SELECT|INSERT|UPDATE|DELETE|WITH) ").unwrap();
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/models"));
    let all = sources.iter().flat_map(|text| literals(text));
    // The code appends rows or keys to these statements: one is enough for the plan.
    let continued = |text: String| match text.trim_end() {
        it if it.ends_with(" VALUES") => format!("{it} ('x', 0, 0, 0)"),
        it if it.ends_with(" IN") => format!("{it} ('x')"),
        _ => text,
    };
    let all = all.map(continued);
    let statements: Vec<String> = all.filter(|text| begins.is_match(text)).collect();
    // What is given to sqlx is a literal that was found, or a variable that holds one.
    let given = Regex::new(
        r#"sqlx::query\w*(?:::<[^(]*>)?\(\s*(?:"|(?:statement|self\.(?:some|find|one))\))"#,
    )
    .unwrap();
    let calls = Regex::new(r"sqlx::query\w*(?:::<[^(]*>)?\(").unwrap();
    let count = |pattern: &Regex| -> usize {
        let of_file = |text: &String| pattern.find_iter(text).count();
        sources.iter().map(of_file).sum()
    };
    assert_eq!(count(&given), count(&calls), "a statement from elsewhere");
    assert!(
        statements.len() >= count(&calls),
        "a statement in other words"
    );
    statements
}

/// What a plan reads from end to end.
async fn scans(app: &TestApp, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let plan = sqlx::query(sqlx::AssertSqlSafe(explain))
        .fetch_all(&app.pool)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    let steps = plan.iter().map(|row| row.get::<String, _>("detail"));
    // An index that is read in its order ends at the first row.
    let reads_one_row = |step: &str| step.contains("USING INDEX") && statement.contains("LIMIT 1)");
    steps
        .filter(|step| {
            let scanned = step.strip_prefix("SCAN ");
            scanned.is_some_and(|what| {
                !RESULTS.contains(&what) && what != QUEUE && !reads_one_row(what)
            })
        })
        .collect()
}

#[tokio::test]
async fn no_statement_reads_a_table_from_end_to_end() {
    let app = TestApp::on_sqlite().await; // which tells its plans
    let statements = statements();
    assert!(statements.len() > 80, "{}", statements.len());
    let mut scanning = Vec::new();
    for statement in &statements {
        for step in scans(&app, statement).await {
            scanning.push(format!("{step}: {statement}"));
        }
    }
    assert!(scanning.is_empty(), "{scanning:#?}");
    let whole = scans(&app, "SELECT id FROM users WHERE about_me = 'x'").await;
    assert_eq!(whole, ["SCAN users"], "the test sees one");
}
