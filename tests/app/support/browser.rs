//! A client that keeps cookies and sends the headers of browsers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};

use super::{PASSWORD, Page};

/// One browser profile.
pub struct Browser {
    client: Client,
    base: String,
    cookies: Mutex<BTreeMap<String, String>>,
    forwarded_for: Option<String>,
}

impl Browser {
    pub fn new(address: SocketAddr) -> Self {
        // The app does the same at its start, but some tests have no app.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self {
            client,
            base: format!("http://{address}"),
            cookies: Mutex::default(),
            forwarded_for: None,
        }
    }

    /// The same browser behind a proxy that reports this address. The app believes it if
    /// `TRUSTED_PROXIES` has 127.0.0.1.
    pub fn at(self, address: &str) -> Self {
        Self {
            forwarded_for: Some(address.to_owned()),
            ..self
        }
    }

    /// The same cookies in another browser: a stolen session.
    pub fn copy(&self) -> Self {
        Self {
            client: self.client.clone(),
            base: self.base.clone(),
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
            forwarded_for: self.forwarded_for.clone(),
        }
    }

    /// The same cookies sent to another address.
    pub fn copy_to(&self, address: SocketAddr) -> Self {
        Self {
            base: format!("http://{address}"),
            ..self.copy()
        }
    }

    pub fn session_cookie(&self) -> Option<String> {
        self.cookie("session")
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_session_cookie(&self, value: &str) {
        self.set_cookie("session", value);
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        let mut cookies = self.cookies.lock().unwrap();
        cookies.insert(name.into(), value.into());
    }

    /// The same browser without its session: logged out, but a known device.
    pub fn logged_out(&self) -> Self {
        let browser = self.copy();
        browser.remove_cookie("session");
        browser
    }

    pub fn remove_cookie(&self, name: &str) {
        self.cookies.lock().unwrap().remove(name);
    }

    /// A request with this browser's cookies.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(address) = &self.forwarded_for {
            request = request.header("x-forwarded-for", address);
        }
        let cookies = self.cookies.lock().unwrap();
        let pairs = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        match pairs.collect::<Vec<_>>() {
            pairs if pairs.is_empty() => request,
            pairs => request.header(COOKIE, pairs.join("; ")),
        }
    }

    /// Sends a request and stores the cookies of the response.
    pub async fn send(&self, request: RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            self.store(cookie.to_str().unwrap());
        }
        Page::read(response).await
    }

    fn store(&self, cookie: &str) {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let mut cookies = self.cookies.lock().unwrap();
        if attributes.contains("Max-Age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    pub async fn get(&self, path: &str) -> Page {
        let request = self.request(Method::GET, path);
        self.send(request.header("sec-fetch-site", "none")).await
    }

    pub async fn head(&self, path: &str) -> Page {
        self.send(self.request(Method::HEAD, path)).await
    }

    /// Sends a form as our own page does.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self.request(Method::POST, path);
        let request = request
            .header("origin", &self.base)
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        self.send(request).await
    }

    pub async fn follow(&self, page: &Page) -> Page {
        self.get(page.location().expect("no redirect")).await
    }

    pub async fn register(&self, username: &str, email: &str, password: &str) -> Page {
        self.post(
            "/register",
            &[
                ("username", username),
                ("email", email),
                ("password", password),
                ("confirm_password", password),
            ],
        )
        .await
    }

    pub async fn log_in(&self, username: &str, password: &str) -> Page {
        self.post("/login", &[("username", username), ("password", password)])
            .await
    }

    /// Logs in to an account without two-factor authentication.
    pub async fn complete_login(&self, username: &str) {
        self.log_in(username, PASSWORD).await.redirects_to("/home");
    }

    pub async fn reauth(&self, password: &str) -> Page {
        self.post("/reauth", &[("password", password)]).await
    }

    pub async fn enable(&self, phone: &str) -> Page {
        self.post("/enable_2fa", &[("verification_phone", phone)])
            .await
    }

    pub async fn verify(&self, token: &str) -> Page {
        self.post("/verify_2fa", &[("token", token)]).await
    }

    pub async fn recover(&self, code: &str) -> Page {
        self.post("/verify_2fa/recovery", &[("recovery_code", code)])
            .await
    }

    pub async fn is_logged_in(&self) -> bool {
        self.get("/home").await.status == 200
    }
}
