//! An email. The demo mailbox uses it too, so it is apart from the mailer.

/// An email, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The local part of its `Message-ID`: the same on each attempt, so that recipients can
    /// recognize a duplicate.
    pub id: String,
    /// The recipient's address.
    pub to: String,
    pub subject: String,
    /// The plain text part.
    pub text: String,
    pub html: String,
    /// When it was written, in Unix seconds.
    pub written_at: i64,
}

impl Email {
    /// The first link in the text.
    pub fn link(&self) -> Option<&str> {
        let is_link = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
        self.text.split_whitespace().find(is_link)
    }
}
