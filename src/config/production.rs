//! The settings that production requires, and warnings about dangerous ones.

use std::net::IpAddr;

use url::Url;

use super::values::Variables;
use super::{Config, ConfigError, Environment};

impl Config {
    /// Refuses a production without what the demo of development stands in for, and
    /// without the choices that only an operator can make.
    pub(super) fn check_production(&self, variables: &Variables<'_>) -> Result<(), ConfigError> {
        let demand = |met: bool, name, problem: &str| {
            let problem = format!("{problem} when APP_ENV is production");
            met.then_some(())
                .ok_or_else(|| ConfigError::new(name, problem))
        };
        demand(self.base_url.is_some(), "BASE_URL", "must be set")?;
        let is_https = |url: &Url| url.scheme() == "https";
        demand(
            self.base_url.as_ref().is_some_and(is_https),
            "BASE_URL",
            "must begin with https://",
        )?;
        demand(self.twilio.is_some(), "TWILIO_ACCOUNT_SID", "must be set")?;
        demand(self.smtp_url.is_some(), "SMTP_URL", "must be set")?;
        demand(
            variables.get("SMS_COUNTRIES").is_some(),
            "SMS_COUNTRIES",
            "must be set (to all where codes may go to every country)",
        )?;
        demand(
            variables.get("TRUSTED_PROXIES").is_some(),
            "TRUSTED_PROXIES",
            "must be set (to none where nothing stands in front)",
        )
    }

    /// Warns in the log about settings that work and are dangerous all the same.
    pub fn log_warnings(&self) {
        let is_production = self.environment == Environment::Production;
        let shares_service = |twilio: &super::Twilio| twilio.enroll_service == twilio.service;
        if is_production && self.twilio.as_ref().is_some_and(shares_service) {
            tracing::warn!(
                event = "enroll_service_missing",
                "TWILIO_VERIFY_ENROLL_SERVICE_ID should be set: strangers who try a user's \
                 number can use up the codes of that user's logins"
            );
        }
        if is_production && self.is_env_file_exposed {
            tracing::warn!(
                event = "env_file_readable",
                "others on this machine can read .env and the secrets in it: chmod 600 .env"
            );
        }
        if let Some(address) = self.metrics_addr.filter(|it| is_public(it.ip())) {
            tracing::warn!(
                event = "metrics_public",
                %address,
                "METRICS_ADDR is a public address, and metrics need no password"
            );
        }
    }
}

/// Whether others than this machine and its private networks may reach an address. The
/// unspecified one (`0.0.0.0`, `::`) stands for all of the machine's.
fn is_public(address: IpAddr) -> bool {
    let is_private = match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    };
    !is_private
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_private_and_link_local_addresses_are_not_public() {
        for (address, expected) in [
            ("127.0.0.1", false),
            ("10.255.255.255", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.0.1", false),
            ("0.0.0.0", true),
            ("203.0.113.9", true),
            ("::1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:203.0.113.9", true),
            ("::", true),
            ("2001:db8::1", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }
}
