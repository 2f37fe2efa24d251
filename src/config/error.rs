/// A setting that stops the start. The message is one line that begins with its name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct ConfigError {
    setting: &'static str,
    problem: String,
}

impl ConfigError {
    /// `problem` continues a sentence that starts with the setting's name. It contains no
    /// secret, and other values only as [`quoted`].
    pub(super) fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { setting, problem }
    }

    /// The name of the setting, or `.env` for the file itself.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Mentions a variable with a similar name.
    pub(super) fn with_hint(mut self, found: &str) -> Self {
        self.problem += &format!(" (is {found} misspelled?)");
        self
    }
}

/// A value for an error message: in one line, without control characters, and cut, since a
/// whole file may have been pasted.
pub(super) fn quoted(value: &str) -> String {
    const MAX_LENGTH: usize = 80;
    let cut: String = value.chars().take(MAX_LENGTH).collect();
    let more = if cut.len() < value.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}
