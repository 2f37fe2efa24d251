//! Chromium as tests use it: one chromedriver for all of them, and a browser with a
//! profile of its own for each.

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

/// How often to look whether it is so by now.
const OFTEN: Duration = Duration::from_millis(20);

/// Nothing but the app is reached: no update, no account, and no Gravatar, so that
/// tests see the same with a network and without.
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
    // Bootstrap scrolls smoothly, and a click would not wait for it.
    "--force-prefers-reduced-motion",
    "--window-size=1200,900",
];

/// Ends the driver, and the browsers that a failed test left, once the standard
/// input is closed: it is a pipe from this program, and however this program ends,
/// the pipe ends with it. Nothing runs at the end of a test binary that could.
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
    // What it says later is nobody's business, but it must be able to say it.
    std::thread::spawn(move || lines.for_each(drop));
    Driver {
        url: format!("http://127.0.0.1:{port}"),
        _keeper: keeper,
    }
}

/// A browser that somebody sits at.
pub struct Chrome {
    pub driver: WebDriver,
    pub base: String,
    pub downloads: TempDir,
}

/// Where pictures of failed tests are left, in the folder for what is built.
const FAILED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/browser");

/// thirtyfour's own way needs the test's runtime, which may be unwinding.
impl Drop for Chrome {
    fn drop(&mut self) {
        self.driver.clone().leak().unwrap();
        if std::thread::panicking() {
            match self.last_words() {
                Ok(words) => eprintln!("{words}"),
                Err(error) => eprintln!("the browser says no more: {error}"),
            }
        }
        let _ = self.ask("DELETE", "", "");
    }
}

impl Chrome {
    /// Where the browser of a failed test is, what it shows and what it complains of.
    fn last_words(&self) -> std::io::Result<String> {
        let url = self.ask("GET", "/url", "")?;
        let log = self.ask("POST", "/se/log", r#"{"type":"browser"}"#)?;
        let picture = self.ask("GET", "/screenshot", "")?;
        let picture = picture.as_str().unwrap_or_default().as_bytes();
        let picture = data_encoding::BASE64.decode(picture).unwrap_or_default();
        // The test's own name: each runs in a thread that is called so.
        let test = std::thread::current().name().unwrap_or("test").to_owned();
        let file = format!("{FAILED}/{}.png", test.replace("::", "-"));
        std::fs::create_dir_all(FAILED)?;
        std::fs::write(&file, picture)?;
        Ok(format!("at {url}\nconsole: {log:#}\npicture: {file}"))
    }

    /// A WebDriver command of this session, without the runtime: the value of its answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<serde_json::Value> {
        let host = driver().trim_start_matches("http://");
        let session = self.driver.session_id();
        let mut connection = TcpStream::connect(host)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        // In one piece, and not as HTTP/1.0, to which chromedriver answers nothing.
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

    /// A new browser, without cookies.
    pub async fn open(app: &TestApp) -> Self {
        Self::with_preferences(app, serde_json::json!({})).await
    }

    /// The same with JavaScript switched off.
    pub async fn without_javascript(app: &TestApp) -> Self {
        let off = "profile.managed_default_content_settings.javascript";
        Self::with_preferences(app, serde_json::json!({ off: 2 })).await
    }

    /// The same of somebody who reads these languages: `de-AT,en`.
    pub async fn of_who_reads(app: &TestApp, languages: &str) -> Self {
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

    /// Opens a page as if its address was typed.
    pub async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.driver.goto(&url).await.unwrap();
    }

    /// Takes over the cookies of somebody who did the rest by hand.
    pub async fn become_them(&self, them: &Browser) {
        self.forget().await;
        let cookie = Cookie::new("session", them.session_cookie().unwrap());
        self.driver.add_cookie(cookie).await.unwrap();
    }

    /// Forgets all cookies. A page of the app is open afterwards.
    pub async fn forget(&self) {
        self.goto("/login").await;
        self.driver.delete_all_cookies().await.unwrap();
    }

    /// The first element that a CSS selector finds, once it is there.
    pub async fn one(&self, css: &str) -> WebElement {
        self.wait_for(By::Css(css)).await
    }

    async fn wait_for(&self, by: By) -> WebElement {
        let found = self.driver.query(by).wait(PATIENCE, OFTEN).first().await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{error}\n{}", self.where_it_is().await),
        }
    }

    async fn where_it_is(&self) -> String {
        let url = self.driver.current_url().await.unwrap();
        format!("{url}\n{}", self.text().await)
    }

    /// Whether a CSS selector finds nothing, now.
    pub async fn has_no(&self, css: &str) -> bool {
        self.driver.find_all(By::Css(css)).await.unwrap().is_empty()
    }

    /// Types into a field.
    pub async fn fill(&self, field: &str, text: &str) {
        let field = self.one(&format!("main [name={field}]")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Clicks the button with these words.
    pub async fn press(&self, words: &str) {
        let button = format!("//button[normalize-space()='{words}']");
        let button = self.wait_for(By::XPath(&button)).await;
        button.click().await.unwrap();
    }

    /// Clicks the link with these words.
    pub async fn follow(&self, words: &str) {
        let link = format!("//a[normalize-space()='{words}']");
        self.wait_for(By::XPath(&link)).await.click().await.unwrap();
    }

    /// Waits until this page is open.
    pub async fn is_at(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        let so = self
            .until(async || self.driver.current_url().await.unwrap().as_str() == url)
            .await;
        assert!(so, "not at {path}: {}", self.where_it_is().await);
    }

    /// Waits until the page says this.
    pub async fn reads(&self, words: &str) {
        let so = self.until(async || self.text().await.contains(words)).await;
        assert!(so, "no \"{words}\": {}", self.where_it_is().await);
    }

    /// What a person reads on the page. Nothing while another is being loaded.
    pub async fn text(&self) -> String {
        let Ok(body) = self.driver.find(By::Tag("body")).await else {
            return String::new();
        };
        body.text().await.unwrap_or_default()
    }

    /// Waits until something is so; false where it never becomes so.
    pub async fn until(&self, is_so: impl AsyncFn() -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(OFTEN).await;
        }
        true
    }

    /// What a script returns. It is not bound by the page's policy.
    pub async fn run<T: serde::de::DeserializeOwned>(&self, script: &str) -> T {
        let answer = self.driver.execute(script, Vec::new()).await.unwrap();
        answer.convert().unwrap()
    }

    /// What a command of the DevTools protocol answers.
    pub async fn devtools(
        &self,
        command: &str,
        parameters: serde_json::Value,
    ) -> serde_json::Value {
        let cdp = self.driver.cdp();
        cdp.send_raw(command, parameters).await.unwrap()
    }

    /// As light or dark as the person likes it. Nothing moves, so that colours are
    /// what they will be.
    pub async fn in_colours(&self, scheme: &str) {
        let features = serde_json::json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// A window of this size, which may be smaller than a real one.
    pub async fn in_size(&self, width: u32, height: u32) {
        let size = serde_json::json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// What the browser wrote to its console since it was asked last.
    pub async fn log(&self) -> Vec<BrowserLogEntry> {
        self.driver.browser_log().await.unwrap()
    }

    /// The newest code, read in a second tab, as a person does it.
    pub async fn read_phone(&self) -> String {
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
