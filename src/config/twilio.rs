use secrecy::SecretString;
use url::Url;

use super::ConfigError;
use super::values::{Variables, is_loopback, origin};

/// How to reach Twilio Verify.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// With whom to log in there: the API key's SID, or else the account's.
    pub username: String,
    /// The API key's secret, or else the auth token.
    pub password: SecretString,
    /// `VA…`: the Verify service of log-ins and re-authentication.
    pub service: String,
    /// `VA…`: the service for enabling; the one above where none is named.
    pub enroll_service: String,
    /// `https://verify.twilio.com`, or what stands in for it.
    pub base_url: Url,
}

const ACCOUNT: &str = "TWILIO_ACCOUNT_SID";
const TOKEN: &str = "TWILIO_AUTH_TOKEN";
const KEY: &str = "TWILIO_API_KEY_SID";
const KEY_SECRET: &str = "TWILIO_API_KEY_SECRET";
const SERVICE: &str = "TWILIO_VERIFY_SERVICE_ID";
const ENROLL_SERVICE: &str = "TWILIO_VERIFY_ENROLL_SERVICE_ID";
const BASE_URL: &str = "TWILIO_VERIFY_BASE_URL";

impl Twilio {
    /// Twilio's settings, or none where none of them is said.
    ///
    /// # Errors
    /// One of them is wrong, or said without another that it needs: the error
    /// names the missing one.
    pub(super) fn read(variables: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        let Some(account_sid) = sid(variables, ACCOUNT, "AC")? else {
            let others = [TOKEN, KEY, KEY_SECRET, SERVICE, ENROLL_SERVICE, BASE_URL];
            let said = others
                .into_iter()
                .find(|name| variables.get(name).is_some());
            return said.map_or(Ok(None), |said| Err(missing(ACCOUNT, said)));
        };
        let (username, password) = credentials(variables, &account_sid)?;
        let service = sid(variables, SERVICE, "VA")?.ok_or_else(|| missing(SERVICE, ACCOUNT))?;
        let enroll_service = sid(variables, ENROLL_SERVICE, "VA")?;
        let base_url = variables
            .get(BASE_URL)
            .unwrap_or("https://verify.twilio.com");
        Ok(Some(Self {
            username,
            password,
            enroll_service: enroll_service.unwrap_or_else(|| service.clone()),
            service,
            base_url: verify_url(base_url)?,
        }))
    }
}

/// The API key where there is one, as Twilio advises, or else the auth token.
fn credentials(
    variables: &Variables<'_>,
    account_sid: &str,
) -> Result<(String, SecretString), ConfigError> {
    match (sid(variables, KEY, "SK")?, variables.get(KEY_SECRET)) {
        (Some(key), Some(secret)) => Ok((key, secret.into())),
        (Some(_), None) => Err(missing(KEY_SECRET, KEY)),
        (None, Some(_)) => Err(missing(KEY, KEY_SECRET)),
        (None, None) => match variables.get(TOKEN) {
            Some(token) => Ok((account_sid.to_owned(), token.into())),
            None => Err(ConfigError::new(
                TOKEN,
                format!("must be set, or {KEY} and {KEY_SECRET}, because {ACCOUNT} is"),
            )),
        },
    }
}

/// A SID: two letters for its kind and 32 hexadecimal digits. It is not quoted in
/// the error, in case a secret was put in the wrong place.
fn sid(
    variables: &Variables<'_>,
    name: &'static str,
    kind: &str,
) -> Result<Option<String>, ConfigError> {
    let Some(value) = variables.get(name) else {
        return Ok(None);
    };
    let is_sid = value
        .strip_prefix(kind)
        .is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if !is_sid {
        let problem = format!("must be {kind} and 32 hexadecimal digits");
        return Err(ConfigError::new(name, problem));
    }
    Ok(Some(value.to_owned()))
}

/// Codes and credentials go there, so in clear only to this very machine.
fn verify_url(value: &str) -> Result<Url, ConfigError> {
    let url = origin(BASE_URL, value)?;
    if url.scheme() != "https" && !is_loopback(&url) {
        let problem = "must begin with https://, or lead to a loopback address";
        return Err(ConfigError::new(BASE_URL, problem));
    }
    Ok(url)
}

fn missing(name: &'static str, because: &str) -> ConfigError {
    ConfigError::new(name, format!("must be set, because {because} is"))
}
