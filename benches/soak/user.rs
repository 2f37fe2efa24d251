//! A simulated user, and the responses it expects.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::load::{self, Connection};
use crate::support::seed;
use crate::support::site::Site;

/// The pause between two pages.
pub const PAUSE: Duration = Duration::from_millis(1200);

/// The prefix of every name. It appears nowhere else.
const PREFIX: &str = "walker";

pub struct User<'a> {
    site: &'a Site,
    connection: Connection,
    name: String,
    phone: String,
    /// The header with the address of the user.
    forwarded: String,
    cookie: Option<String>,
    pub answers: u64,
}

struct Seen {
    location: Option<String>,
    body: String,
}

impl<'a> User<'a> {
    pub async fn new(site: &'a Site, address: SocketAddr, number: u64) -> Self {
        let [.., a, b, c] = number.to_be_bytes();
        Self {
            site,
            connection: Connection::open(address).await,
            // A letter at the end, so that no name begins another.
            name: format!("{PREFIX}{number}x"),
            phone: seed::phone(number),
            forwarded: format!("X-Forwarded-For: 10.{a}.{b}.{c}\r\n"),
            cookie: None,
            answers: 0,
        }
    }

    pub async fn complete_journey(&mut self) {
        let (name, password) = (self.name.clone(), seed::PASSWORD.replace(' ', "+"));
        let own = format!("/user/{name}");
        self.get("/login", 200, "Login").await;
        let form = format!(
            "username={name}&email={name}%40example.com&password={password}\
             &confirm_password={password}"
        );
        self.post("/register", &form, "/login").await;
        self.get("/login", 200, "You have successfully registered")
            .await;
        let log_in = format!("username={name}&password={password}");
        self.post("/login", &log_in, "/home").await;
        self.get("/home", 200, "Welcome home").await;
        self.get(&own, 200, &format!("<h1>{name}</h1>")).await;

        let phone = self.phone.replace('+', "%2B");
        let enable = format!("verification_phone={phone}");
        self.post("/enable_2fa", &enable, "/verify_2fa").await;
        let code = seed::code_for(self.site, &self.phone);
        let token = format!("token={code}");
        let seen = self.send("POST", "/verify_2fa", Some(&token), 200).await;
        assert!(
            seen.body.contains("You have enabled two-factor"),
            "{}",
            seen.body
        );

        let edit = format!("username={name}&about_me=I+am+{name}.");
        self.post("/edit_profile", &edit, &own).await;
        self.get(&own, 200, &format!("I am {name}.")).await;
        self.log_out().await;

        self.post("/login", &log_in, "/verify_2fa").await;
        let code = seed::code_for(self.site, &self.phone);
        self.get("/home", 303, "").await; // the login is not complete
        self.post("/verify_2fa", &format!("token={code}"), "/home")
            .await;
        self.get("/security", 200, "two-factor").await;
        self.get("/user/nobody-of-that-name", 404, "").await;
        self.log_out().await;
    }

    /// Logs out, and checks that the old cookie no longer works.
    async fn log_out(&mut self) {
        let former = self.cookie.clone();
        self.post("/logout", "", "/login").await;
        self.cookie = former;
        self.get("/home", 303, "").await;
        self.cookie = None;
    }

    async fn get(&mut self, path: &str, status: u16, text: &str) {
        let seen = self.send("GET", path, None, status).await;
        let name = &self.name;
        assert!(seen.body.contains(text), "{name} at {path}: {}", seen.body);
    }

    async fn post(&mut self, path: &str, form: &str, leads_to: &str) {
        let seen = self.send("POST", path, Some(form), 303).await;
        let (name, location) = (&self.name, seen.location.as_deref());
        assert_eq!(location, Some(leads_to), "{name} after {path}");
    }

    async fn send(&mut self, method: &str, path: &str, form: Option<&str>, status: u16) -> Seen {
        tokio::time::sleep(PAUSE).await;
        let mut headers = self.forwarded.clone();
        if let Some(cookie) = &self.cookie {
            headers.push_str(&format!("Cookie: {cookie}\r\n"));
        }
        let request = match form {
            Some(form) => load::post(path, &headers, form),
            None => load::get(path, &headers),
        };
        let answer = self.connection.exchange(request.as_bytes()).await;
        let (name, head) = (&self.name, String::from_utf8_lossy(answer.head));
        let body = String::from_utf8_lossy(answer.body).into_owned();
        assert_eq!(
            answer.status, status,
            "{name}: {method} {path}\n{head}{body}"
        );
        // A page contains no other user's name.
        for (at, _) in body.match_indices(PREFIX) {
            assert!(
                body[at..].starts_with(name),
                "{name} sees at {path}: {body}"
            );
        }
        let header = |wanted: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let mut values = lines.filter(|(name, _)| *name == wanted);
            values.next().map(|(_, value)| value.to_owned())
        };
        if let Some(set) = header("set-cookie") {
            let pair = set.split(';').next().unwrap_or_default();
            self.cookie = Some(pair.to_owned()).filter(|pair| !pair.ends_with('='));
        }
        self.answers += 1;
        Seen {
            location: header("location"),
            body,
        }
    }
}
