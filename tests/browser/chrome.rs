//! Chromium for tests: one chromedriver for all of them, and a browser with its own profile
//! for each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use thirtyfour::prelude::*;
use thirtyfour::{BrowserLogEntry, Cookie, LoggingPrefsLogLevel, WebElement};

use crate::support::{Browser, PATIENCE, TestApp};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The browser reaches only the app: no updates, no account, no Gravatar. So tests don't depend
/// on a network.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    // A click doesn't wait for Bootstrap's smooth scrolling.
    "--force-prefers-reduced-motion",
    "--window-size=1200,900",
];

/// Stops the driver and all browsers once its standard input closes. It is a pipe from the test
/// binary, so it closes however that ends. Rust runs no code at the end of a test binary.
const KEEPER: &str = "chromedriver --port=0 & read -r _; trap '' TERM; kill 0";

struct Driver {
    url: String,
    _keeper: Child,
}

fn driver() -> &'static str {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    &DRIVER.get_or_init(start_driver).url
}

fn start_driver() -> Driver {
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
    let port = lines
        .find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        })
        .expect("chromedriver is not there, or does not start");
    // Drain later output, so that the pipe doesn't fill up.
    std::thread::spawn(move || lines.for_each(drop));
    Driver {
        url: format!("http://127.0.0.1:{port}"),
        _keeper: keeper,
    }
}

/// A browser.
pub struct Chrome {
    pub driver: WebDriver,
    pub base: String,
    pub downloads: TempDir,
}

/// The folder for screenshots of failed tests.
const FAILED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/browser");

/// thirtyfour would need the test's runtime to quit, which may be unwinding.
impl Drop for Chrome {
    fn drop(&mut self) {
        self.driver.clone().leak().unwrap();
        if std::thread::panicking() {
            match self.failure_report() {
                Ok(report) => eprintln!("{report}"),
                Err(error) => eprintln!("no report from the browser: {error}"),
            }
        }
        let _ = self.ask("DELETE", "", "");
    }
}

impl Chrome {
    /// The URL, the console and a screenshot.
    fn failure_report(&self) -> std::io::Result<String> {
        let url = self.ask("GET", "/url", "")?;
        let log = self.ask("POST", "/se/log", r#"{"type":"browser"}"#)?;
        let picture = self.ask("GET", "/screenshot", "")?;
        let picture = picture.as_str().unwrap_or_default().as_bytes();
        let picture = data_encoding::BASE64.decode(picture).unwrap_or_default();
        // The thread has the name of the test.
        let test = std::thread::current().name().unwrap_or("test").to_owned();
        let file = format!("{FAILED}/{}.png", test.replace("::", "-"));
        std::fs::create_dir_all(FAILED)?;
        std::fs::write(&file, picture)?;
        Ok(format!("at {url}\nconsole: {log:#}\npicture: {file}"))
    }

    /// Runs a WebDriver command without the runtime and returns its value.
    fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<serde_json::Value> {
        let host = driver().trim_start_matches("http://");
        let session = self.driver.session_id();
        let mut connection = TcpStream::connect(host)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        // In one piece, and as HTTP/1.1: chromedriver doesn't answer otherwise.
        let request = format!(
            "{method} /session/{session}{path} HTTP/1.1\r\nHost: {host}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(request.as_bytes())?;
        let mut connection = BufReader::new(connection);
        let (mut line, mut length) = (String::new(), 0);
        while connection.read_line(&mut line)? > 2 {
            if let Some(value) = line.strip_prefix("Content-Length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        connection.read_exact(&mut answer)?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        Ok(answer["value"].clone())
    }

    /// Opens a browser without cookies.
    pub async fn open(app: &TestApp) -> Self {
        Self::with_preferences(app, serde_json::json!({})).await
    }

    pub async fn without_javascript(app: &TestApp) -> Self {
        let off = "profile.managed_default_content_settings.javascript";
        Self::with_preferences(app, serde_json::json!({ off: 2 })).await
    }

    /// `languages` as in `de-AT,en`.
    pub async fn with_languages(app: &TestApp, languages: &str) -> Self {
        Self::with_preferences(
            app,
            serde_json::json!({ "intl.accept_languages": languages }),
        )
        .await
    }

    async fn with_preferences(app: &TestApp, mut preferences: serde_json::Value) -> Self {
        let downloads = tempfile::tempdir().unwrap();
        preferences["download.default_directory"] = downloads.path().to_str().unwrap().into();
        let mut chromium = DesiredCapabilities::chrome();
        for flag in FLAGS {
            chromium.add_arg(flag).unwrap();
        }
        chromium
            .add_experimental_option("prefs", preferences)
            .unwrap();
        chromium
            .set_logging_prefs("browser", LoggingPrefsLogLevel::All)
            .unwrap();
        Self {
            driver: WebDriver::new(driver(), chromium).await.unwrap(),
            base: format!("http://{}", app.address),
            downloads,
        }
    }

    pub async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.driver.goto(&url).await.unwrap();
    }

    /// Takes over the session of a test browser.
    pub async fn take_session(&self, from: &Browser) {
        self.clear_cookies().await;
        let cookie = Cookie::new("session", from.session_cookie().unwrap());
        self.driver.add_cookie(cookie).await.unwrap();
    }

    /// Leaves the login page open.
    pub async fn clear_cookies(&self) {
        self.goto("/login").await;
        self.driver.delete_all_cookies().await.unwrap();
    }

    /// Waits for the first element that matches.
    pub async fn one(&self, css: &str) -> WebElement {
        self.wait_for(By::Css(css)).await
    }

    async fn wait_for(&self, by: By) -> WebElement {
        let found = self
            .driver
            .query(by)
            .wait(PATIENCE, POLL_INTERVAL)
            .first()
            .await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{error}\n{}", self.url_and_text().await),
        }
    }

    async fn url_and_text(&self) -> String {
        let url = self.driver.current_url().await.unwrap();
        format!("{url}\n{}", self.text().await)
    }

    /// No element matches now.
    pub async fn has_no(&self, css: &str) -> bool {
        self.driver.find_all(By::Css(css)).await.unwrap().is_empty()
    }

    pub async fn fill(&self, field: &str, text: &str) {
        let field = self.one(&format!("main [name={field}]")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Clicks a button by its text.
    pub async fn press(&self, text: &str) {
        let button = format!("//button[normalize-space()='{text}']");
        let button = self.wait_for(By::XPath(&button)).await;
        button.click().await.unwrap();
    }

    /// Clicks a link by its text.
    pub async fn follow(&self, text: &str) {
        let link = format!("//a[normalize-space()='{text}']");
        self.wait_for(By::XPath(&link)).await.click().await.unwrap();
    }

    /// Waits until this page is open.
    pub async fn is_at(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        let so = self
            .until(async || self.driver.current_url().await.unwrap().as_str() == url)
            .await;
        assert!(so, "not at {path}: {}", self.url_and_text().await);
    }

    /// Waits until the page contains the text.
    pub async fn reads(&self, text: &str) {
        let so = self.until(async || self.text().await.contains(text)).await;
        assert!(so, "no \"{text}\": {}", self.url_and_text().await);
    }

    /// The visible text, empty while a page is loading.
    pub async fn text(&self) -> String {
        let Ok(body) = self.driver.find(By::Tag("body")).await else {
            return String::new();
        };
        body.text().await.unwrap_or_default()
    }

    /// Waits for a condition. Returns false after a timeout.
    pub async fn until(&self, condition: impl AsyncFn() -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !condition().await {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        true
    }

    /// Runs a script, which the content security policy doesn't restrict.
    pub async fn run<T: serde::de::DeserializeOwned>(&self, script: &str) -> T {
        let answer = self.driver.execute(script, Vec::new()).await.unwrap();
        answer.convert().unwrap()
    }

    /// Runs a command of the DevTools protocol.
    pub async fn devtools(
        &self,
        command: &str,
        parameters: serde_json::Value,
    ) -> serde_json::Value {
        let cdp = self.driver.cdp();
        cdp.send_raw(command, parameters).await.unwrap()
    }

    /// Sets the color scheme, without transitions.
    pub async fn set_color_scheme(&self, scheme: &str) {
        let features = serde_json::json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Sets the size of the viewport, which may be smaller than a real window.
    pub async fn set_size(&self, width: u32, height: u32) {
        let size = serde_json::json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// The new entries of the console.
    pub async fn log(&self) -> Vec<BrowserLogEntry> {
        self.driver.browser_log().await.unwrap()
    }

    /// Reads the newest code from the demo phone, in a second tab.
    pub async fn read_code(&self) -> String {
        let page = self.driver.window().await.unwrap();
        self.follow("demo phone").await;
        let opened = self
            .until(async || self.driver.windows().await.unwrap().len() == 2)
            .await;
        assert!(opened, "the demo phone does not open");
        let tabs = self.driver.windows().await.unwrap();
        let phone = tabs.into_iter().find(|tab| *tab != page).unwrap();
        self.driver.switch_to_window(phone).await.unwrap();
        self.is_at("/dev/phone").await;
        let code = self.one("#demo-phone-messages .code").await;
        let code = code.text().await.unwrap();
        self.driver.close_window().await.unwrap();
        self.driver.switch_to_window(page).await.unwrap();
        code
    }
}
