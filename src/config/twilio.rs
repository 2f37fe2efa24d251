use secrecy::SecretString;
use url::Url;

use super::ConfigError;
use super::values::{Variables, is_loopback, origin};

/// The address and credentials of Twilio Verify, or of a simulator.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// The API key's SID, or else the account's.
    pub username: String,
    /// The API key's secret, or else the auth token.
    pub password: SecretString,
    /// The SID (`VA…`) of the Verify service for logins and reauthentication.
    pub service: String,
    /// The SID of the service for adding a phone. The default is the service above.
    pub enroll_service: String,
    /// `https://verify.twilio.com`, or a substitute.
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
    /// Twilio's settings, or `None` if none is set. If one needs another that is missing, the
    /// error names the missing one.
    pub(super) fn parse(variables: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        let Some(account_sid) = sid(variables, ACCOUNT, "AC")? else {
            let others = [TOKEN, KEY, KEY_SECRET, SERVICE, ENROLL_SERVICE, BASE_URL];
            let mut others = others.into_iter();
            let other = others.find(|name| variables.is_set(name));
            return other.map_or(Ok(None), |other| Err(missing(ACCOUNT, other)));
        };
        let (username, password) = credentials(variables, account_sid)?;
        let service = sid(variables, SERVICE, "VA")?.ok_or_else(|| missing(SERVICE, ACCOUNT))?;
        let enroll_service = sid(variables, ENROLL_SERVICE, "VA")?;
        Ok(Some(Self {
            username,
            password,
            enroll_service: enroll_service.unwrap_or_else(|| service.clone()),
            service,
            base_url: verify_url(variables)?,
        }))
    }
}

/// The API key if there is one, as Twilio recommends, or else the auth token.
fn credentials(
    variables: &Variables<'_>,
    account_sid: String,
) -> Result<(String, SecretString), ConfigError> {
    match (sid(variables, KEY, "SK")?, variables.get(KEY_SECRET)) {
        (Some(key), Some(secret)) => Ok((key, secret.into())),
        (Some(_), None) => Err(missing(KEY_SECRET, KEY)),
        (None, Some(_)) => Err(missing(KEY, KEY_SECRET)),
        (None, None) => match variables.get(TOKEN) {
            Some(token) => Ok((account_sid, token.into())),
            None => Err(ConfigError::new(
                TOKEN,
                format!("must be set, or {KEY} and {KEY_SECRET}, because {ACCOUNT} is"),
            )),
        },
    }
}

/// Whether a text is one of Twilio's SIDs: two letters for its kind and 32 hexadecimal digits.
pub fn is_sid(kind: &str, text: &str) -> bool {
    text.strip_prefix(kind)
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A SID. The error doesn't quote it, since a secret may be in the wrong place.
fn sid(
    variables: &Variables<'_>,
    name: &'static str,
    kind: &str,
) -> Result<Option<String>, ConfigError> {
    let Some(value) = variables.get(name) else {
        return Ok(None);
    };
    if is_sid(kind, value) {
        return Ok(Some(value.to_owned()));
    }
    let problem = format!("must be {kind} and 32 hexadecimal digits");
    Err(ConfigError::new(name, problem))
}

/// Requires TLS, since codes and credentials are sent there. This machine is exempt.
fn verify_url(variables: &Variables<'_>) -> Result<Url, ConfigError> {
    let url = origin(BASE_URL, variables.get(BASE_URL).unwrap_or_default())?;
    if url.scheme() != "https" && !is_loopback(&url) {
        let problem = "must begin with https://, or point to a loopback address";
        return Err(ConfigError::new(BASE_URL, problem));
    }
    Ok(url)
}

fn missing(name: &'static str, because: &str) -> ConfigError {
    ConfigError::new(name, format!("must be set, because {because} is"))
}
