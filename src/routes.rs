//! Every route of the app, in groups by access, and the middleware of all requests.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use tower::util::{MapRequestLayer, MapResponseLayer, option_layer};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::config::Environment;
use crate::controllers::{
    assets, auth, health, metrics, not_me, password, profile, recovery_codes, security, two_factor,
};
use crate::dev;
use crate::middleware::access::{Access, Guard};
use crate::middleware::{
    client_address, error_pages, request_log, run_to_completion, security_headers, session,
};
use crate::models::rate_limit::{
    CALLS_OF_ACCOUNT, CHANGES_PER_CLIENT, FACTOR_CHANGES, LOGINS, PASSWORD_CHANGES,
    PASSWORD_RESETS, PROFILE_CHANGES, REAUTHENTICATIONS, RECOVERY_CODE_SETS, REGISTRATIONS,
    REJECTED_REGISTRATIONS, RESET_REQUESTS, RateLimit, SENDS_OF_ACCOUNT, WRONG_CODES,
    WRONG_RECOVERY_CODES,
};
use crate::state::AppState;

/// The maximum length of a body, in bytes. The longest form has only a few fields.
const BODY_LIMIT: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub access: Access,
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// The page with its form, if that is another path: a user who must log in or
    /// reauthenticate first returns to that page.
    pub form_on: Option<&'static str>,
    /// `None` for a route that changes nothing.
    pub limit: Option<Limited>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// The action takes these limits in its transaction, once the form is valid.
    ByRoute(&'static [RateLimit]),
    /// The model takes a limit that depends on the request's content.
    ByModel(&'static RateLimit),
    /// There is no limit, for this reason.
    Never(&'static str),
}

#[rustfmt::skip] // one line per route
fn pages(routes: Routes) -> Routes {
    use Limited::{ByModel, ByRoute, Never};
    routes
        .group(Access::Any)
        .get("/logout", auth::logout_form)
        .post("/logout", auth::logout, Never("ends a session"))
        .get("/.well-known/change-password", password::well_known)
        .get("/reset_password/{token}", password::reset::link)
        .get("/reset_password", password::reset::form)
        .post("/reset_password", password::reset::reset, ByRoute(&[PASSWORD_RESETS, CHANGES_PER_CLIENT]))
        .get("/not_me/{token}", not_me::open)
        .get("/not_me", not_me::form)
        .post("/not_me", not_me::lock, Never("locks an account; a link does it once"))
        .group(Access::Guest)
        .get("/register", auth::register::form)
        .post("/register", auth::register::register, ByRoute(&[REGISTRATIONS, REJECTED_REGISTRATIONS]))
        .get("/login", auth::login_form)
        .post("/login", auth::login, ByRoute(&[LOGINS]))
        .get("/reset_password_request", password::reset::request_form)
        .post("/reset_password_request", password::reset::request, ByRoute(&[RESET_REQUESTS]))
        .group(Access::User)
        .get("/", profile::home)
        .get("/home", profile::home)
        .get("/user/{username}", profile::show)
        .get("/edit_profile", profile::edit_form)
        .post("/edit_profile", profile::edit, ByRoute(&[PROFILE_CHANGES]))
        .get("/security", security::show)
        .get("/reauth", auth::reauth::form)
        .post("/reauth", auth::reauth::reauth, ByRoute(&[REAUTHENTICATIONS]))
        .group(Access::Fresh)
        .get("/change_password", password::change_form)
        .post("/change_password", password::change, ByRoute(&[PASSWORD_CHANGES, CHANGES_PER_CLIENT]))
        .get("/enable_2fa", two_factor::enable_form)
        .post("/enable_2fa", two_factor::enable, ByModel(&FACTOR_CHANGES))
        .get("/authenticator", two_factor::authenticator::form)
        .post("/authenticator", two_factor::authenticator::add, ByRoute(&[FACTOR_CHANGES, CHANGES_PER_CLIENT]))
        .get("/disable_2fa", two_factor::removing::disable_form)
        .post("/disable_2fa", two_factor::removing::disable, ByRoute(&[FACTOR_CHANGES, CHANGES_PER_CLIENT]))
        .get("/recovery_codes", recovery_codes::show)
        .post("/recovery_codes", recovery_codes::renew, ByRoute(&[RECOVERY_CODE_SETS, CHANGES_PER_CLIENT]))
        .form_on("/security")
        .post("/factors/{id}/remove", two_factor::removing::remove, ByRoute(&[FACTOR_CHANGES, CHANGES_PER_CLIENT]))
        .post("/devices/{id}/forget", security::forget, Never("ends the trust in a device"))
        .post("/sessions/{id}/revoke", security::revoke, Never("ends a session"))
        .post("/sessions/revoke_others", security::revoke_others, Never("ends sessions"))
        .group(Access::Pending)
        .get("/verify_2fa", two_factor::verify::form)
        .post("/verify_2fa", two_factor::verify::verify, ByModel(&WRONG_CODES))
        .post("/verify_2fa/resend", two_factor::resend::resend, ByModel(&SENDS_OF_ACCOUNT))
        .post("/verify_2fa/call", two_factor::resend::call, ByModel(&CALLS_OF_ACCOUNT))
        .post("/verify_2fa/use", two_factor::switching::use_factor, ByModel(&SENDS_OF_ACCOUNT))
        .get("/verify_2fa/recovery", two_factor::recovery::form)
        .post("/verify_2fa/recovery", two_factor::recovery::recover, ByModel(&WRONG_RECOVERY_CODES))
        .post("/verify_2fa/cancel", two_factor::verify::cancel, Never("ends a challenge"))
}

fn development(routes: Routes) -> Routes {
    routes
        .group(Access::Dev)
        .get("/dev/phone", dev::phone::show)
        .post(
            "/dev/phone/authenticator",
            dev::authenticator::show_pending,
            Limited::Never("changes nothing"),
        )
        .get("/dev/mailbox", dev::mailbox::pages::list)
        .get("/dev/mailbox/{id}", dev::mailbox::pages::show)
        .get("/dev/mailbox/{id}/html", dev::mailbox::pages::html)
}

/// Routes without a session: their requests' cookies are ignored.
fn without_session(routes: Routes) -> Routes {
    routes
        .group(Access::Any)
        .get("/healthz", health::healthz)
        .get("/readyz", health::readyz)
        .get("/static/{*path}", assets::show)
}

/// Builds the router with all its layers, and a list of its routes.
pub fn router(app: &AppState) -> (Router, Vec<Route>) {
    let mut pages = pages(Routes::new(app, true));
    if app.config.environment == Environment::Development {
        pages = development(pages);
    }
    let plain = without_session(Routes::new(app, false));
    let table = [pages.table, plain.table].concat();

    // A request passes the first layer first.
    let (for_address, for_pages) = (app.clone(), app.clone());
    let headers = Arc::new(security_headers::for_environment(app.config.environment));
    let metrics = app.config.metrics_addr.map(|_| app.metrics.clone());
    let router = pages
        .router
        .fallback(refused(app, StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(refused(app, StatusCode::METHOD_NOT_ALLOWED))
        .merge(plain.router)
        .layer((
            MapRequestLayer::new(move |request| {
                client_address::add(&for_address.config.trusted_proxies, request)
            }),
            MapResponseLayer::new(move |response| security_headers::add(&headers, response)),
            MapResponseLayer::new(move |response| error_pages::render(&for_pages, response)),
            from_fn_with_state(metrics, request_log::log),
            CatchPanicLayer::custom(error_pages::handle_panic),
        ));
    (router.with_state(app.clone()), table)
}

/// The error page of an unknown path or method. Like all pages it shows the logged-in user.
fn refused(app: &AppState, status: StatusCode) -> impl Handler<((),), AppState> {
    let answer = move || async move { status };
    let guard = Guard {
        app: app.clone(),
        access: Access::Any,
        path: "",
        form_on: None,
        limits: &[],
    };
    let session = from_fn_with_state(guard, session::with_session);
    answer.layer((csrf_layer(), session))
}

fn csrf_layer() -> CsrfLayer<fn(ProtectionError) -> Response> {
    CsrfLayer::new().with_rejection_response(error_pages::refuse_cross_site as fn(_) -> _)
}

pub fn metrics_router(app: &AppState) -> Router {
    Router::new()
        .route("/metrics", get(metrics::show))
        .with_state(app.clone())
}

/// A router with a list of its routes, which axum does not provide.
struct Routes {
    app: AppState,
    has_sessions: bool,
    access: Access,
    form_on: Option<&'static str>,
    router: Router<AppState>,
    table: Vec<Route>,
}

impl Routes {
    fn new(app: &AppState, has_sessions: bool) -> Self {
        Self {
            app: app.clone(),
            has_sessions,
            access: Access::Any,
            form_on: None,
            router: Router::new(),
            table: Vec::new(),
        }
    }

    /// Begins a group: the access of the routes that follow.
    fn group(mut self, access: Access) -> Self {
        self.access = access;
        self.form_on = None;
        self
    }

    /// The page with the forms of the routes that follow in this group.
    fn form_on(mut self, page: &'static str) -> Self {
        self.form_on = Some(page);
        self
    }

    fn get<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.add(Method::GET, path, None, get(handler))
    }

    fn post<H, T>(self, path: &'static str, handler: H, limit: Limited) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        self.add(Method::POST, path, Some(limit), post(handler))
    }

    fn add(
        mut self,
        method: Method,
        path: &'static str,
        limit: Option<Limited>,
        handler: MethodRouter<AppState>,
    ) -> Self {
        let route = Route {
            access: self.access,
            method,
            path,
            form_on: self.form_on,
            limit,
        };
        let handler = match self.has_sessions {
            true => self.with_middleware(&route, handler),
            false => handler,
        };
        self.router = self.router.route(path, handler);
        self.table.push(route);
        self
    }

    /// The middleware of a page's requests. It runs only for known methods: any other is 405
    /// for all users.
    fn with_middleware(
        &self,
        route: &Route,
        handler: MethodRouter<AppState>,
    ) -> MethodRouter<AppState> {
        let guard = Guard {
            app: self.app.clone(),
            access: route.access,
            path: route.path,
            form_on: route.form_on,
            limits: match route.limit {
                Some(Limited::ByRoute(limits)) => limits,
                _ => &[],
            },
        };
        let changes = !route.method.is_safe();
        let form_layers = changes.then(|| {
            let run_to_completion = from_fn_with_state(self.app.clone(), run_to_completion::run);
            (DefaultBodyLimit::max(BODY_LIMIT), run_to_completion)
        });
        let session = from_fn_with_state(guard, session::with_session);
        handler.route_layer((csrf_layer(), option_layer(form_layers), session))
    }
}
