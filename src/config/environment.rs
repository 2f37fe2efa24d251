//! Where the settings come from: the environment, and `.env` below it.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{ErrorKind, Read};

use super::ConfigError;

const FILE: &str = ".env";

/// Those of the settings `names` that are said, and what else `.env` holds. The environment wins over `.env`, also
/// with an empty value: `SMTP_URL= twostep` switches off what `.env` says.
///
/// # Errors
/// `.env` cannot be read or parsed; a value is not UTF-8.
#[allow(clippy::disallowed_methods)] // the one place that reads the environment
pub(super) fn variables(names: &[&'static str]) -> Result<HashMap<String, String>, ConfigError> {
    let mut variables = match std::fs::read_to_string(FILE) {
        Ok(text) => parse(&text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => HashMap::new(),
        Err(error) => return Err(ConfigError::new(FILE, format!("cannot be read: {error}"))),
    };
    for &name in names {
        if let Some(value) = std::env::var_os(name) {
            let value = value
                .into_string()
                .map_err(|_| ConfigError::new(name, "must be valid UTF-8"))?;
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

/// Whether others on the machine may read `.env`. A file that is not there, or is none of
/// Unix's, counts as safe.
pub(super) fn is_file_exposed() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        const READ_BY_OTHERS: u32 = 0o004;
        std::fs::metadata(FILE).is_ok_and(|it| it.permissions().mode() & READ_BY_OTHERS != 0)
    }
    #[cfg(not(unix))]
    false
}

/// Reads the text of a `.env`. The first of two lines with one name stands, as
/// everywhere with dotenvy.
fn parse(text: &str) -> Result<HashMap<String, String>, ConfigError> {
    // Editors on Windows begin a file with a byte-order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines_read = Cell::new(0);
    let lines = Lines {
        rest: text.as_bytes(),
        read: &lines_read,
    };
    let mut variables = HashMap::new();
    for item in dotenvy::from_read_iter(lines) {
        let (name, value) = item.map_err(|error| unparsed(&error, lines_read.get()))?;
        variables.entry(name).or_insert(value);
    }
    Ok(variables)
}

/// Names the line where the trouble begins and shows nothing of it: dotenvy's own
/// message holds the line, and with it perhaps a password.
fn unparsed(error: &dotenvy::Error, lines_read: usize) -> ConfigError {
    let began = match error {
        // An open quote runs on to the end of the file.
        dotenvy::Error::LineParse(text, _) => lines_read + 1 - text.lines().count().max(1),
        _ => lines_read,
    };
    ConfigError::new(
        FILE,
        format!("line {began} must be NAME=value, with quotes around a value of several words"),
    )
}

/// Hands out one line at a time and counts them, because dotenvy's errors do not
/// say which line they are about.
struct Lines<'a> {
    rest: &'a [u8],
    read: &'a Cell<usize>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let end_of_line = self.rest.iter().position(|byte| *byte == b'\n');
        let line = end_of_line.map_or(self.rest.len(), |at| at + 1);
        let (mut line, _) = self.rest.split_at(line);
        let length = line.read(buffer)?;
        if length > 0 && line.is_empty() {
            self.read.set(self.read.get() + 1);
        }
        (_, self.rest) = self.rest.split_at(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_line_and_shows_nothing_of_it() {
        for (text, line) in [
            ("hunter2", 1),
            ("PORT=1\n\n# don't\nhunter2 x\nHOST=::1\n", 4),
            ("PORT=1\r\nSMTP_URL=hunter2 hunter2\r\n", 2),
            ("PORT=1\nA='x\ny'\nSMTP_URL=\"hunter2\nHOST=::1\n\n", 4),
            ("A='x\ny' hunter2\n", 1),
            ("hunter2 # comment", 1),
            ("\u{feff}PORT=1\n=hunter2\n", 2),
            ("A=${hunter2\n", 1),
        ] {
            let error = error(text);
            assert!(
                error.starts_with(&format!(".env line {line} must")),
                "{text:?}: {error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn a_line_longer_than_any_buffer_is_one_line() {
        let long = format!("A={}\nbad line\n", "x".repeat(100_000));
        assert!(error(&long).starts_with(".env line 2 "), "{}", error(&long));
    }

    #[test]
    fn values_are_read() {
        let text = "\u{feff}PORT=1\nPORT=2\nexport HOST=::1 # here\nA='$x #y'\nB=\n";
        let variables = parse(text).unwrap();
        for (name, value) in [("PORT", "1"), ("HOST", "::1"), ("A", "$x #y"), ("B", "")] {
            assert_eq!(variables.get(name).map(String::as_str), Some(value));
        }
    }
}
