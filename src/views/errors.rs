//! The error page.

use askama::Template;
use askama_web::WebTemplate;

use super::layout::Layout;

/// The caller sets the status of the response.
#[derive(Clone, Debug, Template, WebTemplate)]
#[template(path = "errors/show.html")]
pub struct ErrorPage {
    pub layout: Layout,
    pub status: u16,
    pub heading: String,
    /// Says what to do.
    pub sentence: String,
    /// For the user to quote to the operator.
    pub request_id: Option<String>,
}
