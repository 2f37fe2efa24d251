/// A setting that stops the start: one line, beginning with the setting's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct ConfigError {
    setting: &'static str,
    problem: String,
}

impl ConfigError {
    /// `problem` goes on from the setting's name. It holds no value of a secret,
    /// and other values only as [`quoted`].
    pub(super) fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self {
            setting,
            problem: problem.into(),
        }
    }

    /// The name of the setting, or `.env` for the file itself.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

/// A value for an error's text: control characters escaped, so that it stays one
/// line, and cut, since it may be anything that was pasted.
pub(super) fn quoted(value: &str) -> String {
    const LONGEST: usize = 80;
    let cut: String = value.chars().take(LONGEST).collect();
    let more = if cut.len() < value.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}
