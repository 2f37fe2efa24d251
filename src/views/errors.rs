//! The page of every refusal and failure.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;

/// What went wrong, in plain words. The response's status is the caller's.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "errors/show.html")]
pub struct ErrorPage {
    /// The frame.
    pub layout: Layout,
    /// The HTTP status, shown small.
    pub status: u16,
    /// A few words.
    pub heading: String,
    /// One sentence on what to do.
    pub sentence: String,
    /// What to tell the operator.
    pub request_id: Option<String>,
}
