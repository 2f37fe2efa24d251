//! All rate limits. `routes.rs` declares those of routes. The models take those that depend on
//! the request's content: wrong passwords, phone numbers, emails.

use crate::models::rate_limit::Per::{Account, AccountAndClient, Client, Service, Subject};
use crate::models::rate_limit::{Per, RateLimit, Window};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

type Name = &'static str;

const fn within(seconds: i64, capacity: i64) -> Window {
    Window { capacity, seconds }
}

const fn limit(name: Name, per: Per, windows: &'static [Window], message: Name) -> RateLimit {
    RateLimit { name, per, windows, message }
}

/// Seconds until a password reset link expires (ASVS 6.4.1).
pub const RESET_LIFE: i64 = 30 * MINUTE;

/// Seconds until a challenge expires. A resend does not extend it (ASVS 6.5.5).
pub const CHALLENGE_LIFE: i64 = 10 * MINUTE;

/// Codes that one challenge checks (ASVS 6.6.3).
pub const CHECKS_OF_CHALLENGE: i64 = 5;

/// Codes that one challenge sends. An SMS and its fallback call count as one.
pub const SENDS_OF_CHALLENGE: i64 = 3;

/// Calls among them that the user requested.
pub const CALLS_OF_CHALLENGE: i64 = 1;

/// Seconds between two sends to a user for one purpose.
pub const SEND_INTERVAL: i64 = 30;

/// Each kind of change to an account's protection.
const CHANGES: &[Window] = &[within(HOUR, 10), within(DAY, 30)];

/// Codes that are sent and not entered.
const UNUSED: &[Window] = &[within(HOUR, 6), within(DAY, 12)];

/// `SMS_DAILY_LIMIT` defines the capacity per UTC day: see `sends.rs`.
const BY_SETTING: &[Window] = &[];

/// By username and client, for known and unknown usernames. It covers logins, reauthentication
/// and password changes.
pub const WRONG_PASSWORDS: RateLimit = limit("wrong_passwords", Subject, &[within(15 * MINUTE, 10)], "Too many wrong passwords.");

/// The same by IPv6 /48, since one customer may have many networks, each with the limit above.
pub const WRONG_PASSWORDS_PER_SITE: RateLimit = limit("wrong_passwords_of_site", Subject, &[within(15 * MINUTE, 50)], "Too many wrong passwords.");

/// Over all usernames.
pub const WRONG_PASSWORDS_PER_CLIENT: RateLimit = limit("wrong_passwords_of_address", Client, &[within(10 * MINUTE, 60)], "Too many wrong passwords.");

/// By device that the account knows, in place of the limits above (OWASP: device cookies). A
/// stranger's wrong passwords never hold its owner back.
pub const WRONG_PASSWORDS_OF_DEVICE: RateLimit = limit("wrong_passwords_of_device", Subject, &[within(15 * MINUTE, 10)], "Too many wrong passwords.");

/// Over all clients. It refuses nothing, since a stranger could otherwise lock the owner out.
/// Beyond it, the owner gets an email and the log a warning.
pub const WRONG_PASSWORDS_PER_ACCOUNT: RateLimit = limit("wrong_passwords_of_account", Account, &[within(DAY, 100)], "Too many wrong passwords.");

/// Logins that complete or reach the code page. Once it is full, every attempt is refused before
/// the password is compared.
pub const LOGINS: RateLimit = limit("logins", AccountAndClient, &[within(HOUR, 30)], "Too many logins to this account from your network.");

/// Passwords that logged-in users confirmed.
pub const REAUTHENTICATIONS: RateLimit = limit("reauthentications", AccountAndClient, &[within(HOUR, 30)], "You have confirmed your password too often.");

/// Over all sessions (ASVS 6.6.3). Beyond it, even a right code is refused.
pub const WRONG_CODES: RateLimit = limit("wrong_codes", Account, &[within(HOUR, 10), within(DAY, 20)], "Too many wrong codes were entered for this account.");

/// Also by client, so that a stranger who knows the password does not block the owner.
pub const WRONG_RECOVERY_CODES: RateLimit = limit("wrong_recovery_codes", AccountAndClient, &[within(15 * MINUTE, 5)], "Too many wrong recovery codes.");

/// New sets of recovery codes. Each is emailed to the user.
pub const RECOVERY_CODE_SETS: RateLimit = limit("recovery_code_sets", Account, CHANGES, "Too many new recovery codes.");

/// Password changes by logged-in users. Each is emailed to the user.
pub const PASSWORD_CHANGES: RateLimit = limit("password_changes", Account, CHANGES, "Too many changes of your password.");

/// Password resets by an emailed link. They are separate from changes, so that a session thief
/// can't exhaust the owner's.
pub const PASSWORD_RESETS: RateLimit = limit("password_resets", Account, CHANGES, "You reset your password too often.");

/// Factors added or removed. Adding one counts with its first code.
pub const FACTOR_CHANGES: RateLimit = limit("factor_changes", Account, CHANGES, "Too many changes of two-factor authentication.");

/// Changes to the protection of any account.
pub const CHANGES_PER_CLIENT: RateLimit = limit("changes_of_address", Client, &[within(HOUR, 100)], "Too many changes from your network.");

/// Any change of the profile.
pub const PROFILE_CHANGES: RateLimit = limit("profile_changes", Account, &[within(HOUR, 60)], "Too many changes of your profile.");

/// New usernames. Each is emailed to the user, and reserves the former name.
pub const RENAMES: RateLimit = limit("renames", Account, &[within(DAY, 5)], "You have changed your username too often.");

/// Codes that were sent and not entered.
pub const SENDS_OF_ACCOUNT: RateLimit = limit("sends_of_account", Account, UNUSED, "Too many codes were sent for this account.");

/// The same by number, over all accounts, while it is being added. A login does not count, so
/// that a stranger who tries a number does not block its owner.
pub const SENDS_TO_NUMBER: RateLimit = limit("sends_to_number", Subject, UNUSED, "Too many codes were sent to this number.");

/// Codes sent while adding a phone, entered or not.
pub const SENDS_PER_CLIENT: RateLimit = limit("sends_of_address", Client, &[within(HOUR, 15)], "Too many codes were requested from your network.");

/// Different numbers that an account tries, see [`NUMBER_TRIED`].
pub const NUMBERS_OF_ACCOUNT: RateLimit = limit("numbers_of_account", Account, &[within(DAY, 5)], "You have tried too many different numbers.");

/// Whether an account has tried a number within a day.
pub const NUMBER_TRIED: RateLimit = limit("number_tried", Subject, &[within(DAY, 1)], "You already tried this number.");

/// Codes sent to an account, entered or not, since they cost the same.
pub const DAILY_SENDS_OF_ACCOUNT: RateLimit = limit("all_sends_of_account", Account, BY_SETTING, "Too many codes were sent for this account.");

/// The same by number, since a user may have many accounts. Adding a phone is separate.
pub const DAILY_SENDS_TO_NUMBER: RateLimit = limit("all_sends_to_number", Subject, BY_SETTING, "Too many codes were sent to this number.");

/// Codes sent by the whole service.
pub const SENDS_OF_SERVICE: RateLimit = limit("sends_of_service", Service, BY_SETTING, "We can't send codes right now.");

/// Codes to numbers that are being added or were added less than a day ago.
pub const SENDS_TO_NEW_NUMBERS: RateLimit = limit("sends_to_new_numbers", Service, BY_SETTING, "We can't send codes right now.");

/// Calls, also in place of a failed SMS.
pub const CALLS_OF_ACCOUNT: RateLimit = limit("calls_of_account", Account, &[within(DAY, 6)], "We have called you too often. Ask for a text message instead.");

/// The same by number. Adding a phone is separate.
pub const CALLS_TO_NUMBER: RateLimit = limit("calls_to_number", Subject, &[within(DAY, 6)], "We have called this number too often. Ask for a text message instead.");

/// Calls by the whole service.
pub const CALLS_OF_SERVICE: RateLimit = limit("calls_of_service", Service, BY_SETTING, "We can't call right now. Ask for a text message instead.");

/// Password reset emails. Beyond it none is sent, without an error. The window is as long as a
/// link is valid, so the owner has one that works even if a stranger requested all of them.
pub const RESET_MAILS_OF_ACCOUNT: RateLimit = limit("reset_mails_of_account", Account, &[within(RESET_LIFE, 3)], "Too many links to a new password.");

/// Requests for such an email.
pub const RESET_REQUESTS: RateLimit = limit("reset_mails_of_address", Client, &[within(HOUR, 10)], "Too many requests from your network.");

/// Emails that anyone can cause at will, by account and kind.
pub const EMAILS_OF_KIND: RateLimit = limit("emails_of_kind", Subject, &[within(HOUR, 1)], "Too many emails.");

/// Emails about logins from new devices. Someone who registered under another person's address
/// can cause them at will.
pub const NEW_DEVICE_NOTICES: RateLimit = limit("new_device_notices", Account, CHANGES, "Too many emails.");

pub const UNFINISHED_LOGIN_NOTICES: RateLimit = limit("unfinished_login_notices", Account, &[within(DAY, 1)], "Too many emails.");

/// New accounts.
pub const REGISTRATIONS: RateLimit = limit("registrations_of_address", Client, &[within(HOUR, 100)], "Too many registrations from your network.");

/// Registrations with an invalid form, or with a username or email address that is taken.
pub const REJECTED_REGISTRATIONS: RateLimit = limit("rejected_registrations", Client, &[within(HOUR, 300)], "Too many registrations from your network.");
