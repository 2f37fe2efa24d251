//! Checks the settings that production requires, and warns about dangerous ones.

use std::net::IpAddr;

use url::Url;

use super::values::Variables;
use super::{Config, ConfigError, Environment};

impl Config {
    /// Requires the settings that the demo replaces in development, and the choices that only
    /// an operator can make.
    pub(super) fn check_production(&self, variables: &Variables<'_>) -> Result<(), ConfigError> {
        let is_https = |url: &Url| url.scheme() == "https";
        for (is_met, name, problem) in [
            (self.base_url.is_some(), "BASE_URL", "must be set"),
            (
                self.base_url.as_ref().is_some_and(is_https),
                "BASE_URL",
                "must begin with https://",
            ),
            (self.twilio.is_some(), "TWILIO_ACCOUNT_SID", "must be set"),
            (self.smtp_url.is_some(), "SMTP_URL", "must be set"),
            (
                variables.is_set("SMS_COUNTRIES"),
                "SMS_COUNTRIES",
                "must be set (all allows codes to every country)",
            ),
            (
                variables.is_set("TRUSTED_PROXIES"),
                "TRUSTED_PROXIES",
                "must be set (none if there is no proxy in front)",
            ),
        ] {
            if !is_met {
                let problem = format!("{problem} when APP_ENV is production");
                return Err(ConfigError::new(name, problem));
            }
        }
        Ok(())
    }

    /// Logs warnings about settings that are missing or dangerous, or misspelled.
    pub fn log_warnings(&self) {
        for misspelling in &self.misspellings {
            tracing::warn!(
                event = "setting_misspelled",
                "{:?} is not a setting. Did you mean {}?",
                misspelling.found,
                misspelling.setting
            );
        }
        let is_production = self.environment == Environment::Production;
        let shares_service = |twilio: &super::Twilio| twilio.enroll_service == twilio.service;
        if is_production && self.twilio.as_ref().is_some_and(shares_service) {
            tracing::warn!(
                event = "enroll_service_missing",
                "TWILIO_VERIFY_ENROLL_SERVICE_ID should be set: otherwise a stranger who adds a \
                 user's number can use up the codes of that user's logins"
            );
        }
        if is_production && self.secret_keys.is_none() {
            tracing::warn!(
                event = "authenticator_apps_off",
                "SECRET_KEY should be set: without it, authenticator apps are off"
            );
        }
        if is_production && self.is_env_file_exposed {
            tracing::warn!(
                event = "env_file_readable",
                "other users of this machine can read .env and its secrets: run chmod 600 .env"
            );
        }
        if let Some(address) = self.metrics_addr.filter(|it| is_public(it.ip())) {
            tracing::warn!(
                event = "metrics_public",
                %address,
                "METRICS_ADDR is public, and metrics need no password"
            );
        }
    }
}

/// Whether an address may be reached from outside this machine and its private networks. The
/// unspecified address (`0.0.0.0`, `::`) stands for all addresses of the machine.
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
        let private = "127.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 169.254.0.1 \
            ::1 fd00::1 fe80::1 ::ffff:10.0.0.1";
        let public = "172.32.0.1 0.0.0.0 203.0.113.9 ::ffff:203.0.113.9 :: 2001:db8::1";
        for (addresses, expected) in [(private, false), (public, true)] {
            for address in addresses.split_whitespace() {
                assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
            }
        }
    }
}
