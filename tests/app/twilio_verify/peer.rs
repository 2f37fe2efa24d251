//! A server in Twilio's place. It sends the test's replies byte for byte, and keeps every
//! request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use twostep::config::Twilio;
use twostep::services::twilio_verify::{Timeouts, TwilioVerify};
use url::Url;

use super::spec;

pub const USERNAME: &str = "AC00000000000000000000000000000001";
pub const PASSWORD: &str = "the auth token: with a colon";
pub const SERVICE: &str = "VA00000000000000000000000000000001";
pub const ENROLL_SERVICE: &str = "VA00000000000000000000000000000002";

#[derive(Debug)]
pub enum Reply {
    /// A status and a JSON body.
    Json(u16, Value),
    /// Bytes. Then the connection is closed.
    Raw(String),
    /// No answer. The connection stays open.
    Silence,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    pub form: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.form.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }
}

pub struct Peer {
    pub base_url: Url,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Peer {
    /// Answers the first request with the first reply, and so on. Further requests get 500.
    pub async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let peer = Self {
            base_url: Url::parse(&base_url).unwrap(),
            requests: requests.clone(),
        };
        tokio::spawn(async move {
            let mut replies = replies.into_iter();
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                requests.lock().unwrap().push(request);
                let reply = replies
                    .next()
                    .unwrap_or_else(|| Reply::Json(500, "one request too many".into()));
                match reply {
                    Reply::Json(status, body) => {
                        let bytes = http(status, "", &body.to_string());
                        stream.write_all(bytes.as_bytes()).await.unwrap();
                    }
                    Reply::Raw(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
                    Reply::Silence => silent.push(stream),
                }
            }
        });
        peer
    }

    pub fn client(&self) -> TwilioVerify {
        client(self.base_url.clone())
    }

    pub fn impatient_client(&self) -> TwilioVerify {
        TwilioVerify::new(settings(self.base_url.clone()), IMPATIENT).unwrap()
    }

    /// All requests so far. Asserts that they match Twilio's specification.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.requests.lock().unwrap().clone();
        for request in &requests {
            spec::assert_valid_request(request, USERNAME, PASSWORD);
        }
        requests
    }

    /// The channels of all requests, which must request codes.
    pub fn channels(&self) -> Vec<String> {
        self.requests()
            .iter()
            .map(|request| request.field("Channel").unwrap().to_owned())
            .collect()
    }
}

/// A short timeout for tests of silence only: a busy machine is slow.
pub const IMPATIENT: Timeouts = Timeouts {
    request: Duration::from_millis(300),
    ..PATIENT
};

pub const PATIENT: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    request: Duration::from_secs(30),
};

pub fn client(base_url: Url) -> TwilioVerify {
    TwilioVerify::new(settings(base_url), PATIENT).unwrap()
}

pub fn settings(base_url: Url) -> Twilio {
    Twilio {
        base_url,
        username: USERNAME.to_owned(),
        password: SecretString::from(PASSWORD),
        service: SERVICE.to_owned(),
        enroll_service: ENROLL_SERVICE.to_owned(),
    }
}

/// An HTTP response. Each of `headers` ends with CR LF.
pub fn http(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

async fn read(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next().unwrap().split(' ');
    let (method, path) = (request_line.next().unwrap(), request_line.next().unwrap());
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        form: Vec::new(),
    };
    let length: usize = request.header("content-length").unwrap().parse().unwrap();
    let body_start = head_end + 4;
    while bytes.len() < body_start + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    request.form = url::form_urlencoded::parse(&bytes[body_start..])
        .into_owned()
        .collect();
    request
}
