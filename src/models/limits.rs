//! Every limit, in one place. They are counted in the database, so that neither a
//! restart nor a second instance sets them back; `throttle.rs` says how.

const SECOND: i64 = 1;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// So many within so many seconds, whenever one begins to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The attempts that are let through.
    pub most: i64,
    /// The length in seconds.
    pub seconds: i64,
}

const fn within(seconds: i64, most: i64) -> Window {
    Window { most, seconds }
}

/// A limit on attempts, each window of which holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What the log and the database call it.
    pub name: &'static str,
    /// From the shortest to the longest.
    pub windows: &'static [Window],
}

/// Wrong passwords, by name (known or not) and client address: at a log-in, a
/// re-authentication, a change of password.
pub const WRONG_PASSWORDS: Limit = Limit {
    name: "wrong_passwords",
    windows: &[within(15 * MINUTE, 10)],
};

/// The same by the site of an IPv6 address: a line may have 256 networks or more, each
/// of which has the limit above to itself.
pub const WRONG_PASSWORDS_OF_SITE: Limit = Limit {
    name: "wrong_passwords_of_site",
    windows: &[within(15 * MINUTE, 50)],
};

/// Wrong passwords by client address, over all names.
pub const WRONG_PASSWORDS_OF_ADDRESS: Limit = Limit {
    name: "wrong_passwords_of_address",
    windows: &[within(10 * MINUTE, 60)],
};

/// Wrong codes by account, over all its sessions (ASVS 6.6.3). A right code is
/// refused too once they are used up.
pub const WRONG_CODES: Limit = Limit {
    name: "wrong_codes",
    windows: &[within(HOUR, 10), within(DAY, 20)],
};

/// Wrong recovery codes by account and client address.
pub const WRONG_RECOVERY_CODES: Limit = Limit {
    name: "wrong_recovery_codes",
    windows: &[within(15 * MINUTE, 5)],
};

/// New sets of recovery codes, by account: each is mailed to its address, which
/// nobody has proved to be theirs.
pub const RECOVERY_CODE_SETS: Limit = Limit {
    name: "recovery_code_sets",
    windows: &[within(HOUR, 10)],
};

/// Codes that were sent and never entered rightly, by account.
pub const SENDS_OF_ACCOUNT: Limit = Limit {
    name: "sends_of_account",
    windows: &[within(HOUR, 6), within(DAY, 12)],
};

/// Codes that were sent while enabling and never entered rightly, by number, over
/// all accounts. A log-in does not count in it, so that no stranger who tries a number
/// can hold back its owner.
pub const SENDS_TO_NUMBER: Limit = Limit {
    name: "sends_to_number",
    windows: &[within(HOUR, 6), within(DAY, 12)],
};

/// Codes that were sent while enabling and never entered rightly, by client address.
pub const SENDS_OF_ADDRESS: Limit = Limit {
    name: "sends_of_address",
    windows: &[within(HOUR, 15)],
};

/// Different numbers that an account tries.
pub const NUMBERS_OF_ACCOUNT: Limit = Limit {
    name: "numbers_of_account",
    windows: &[within(DAY, 5)],
};

/// Calls that "call me" asked for, by account.
pub const CALLS_OF_ACCOUNT: Limit = Limit {
    name: "calls_of_account",
    windows: &[within(DAY, 6)],
};

/// Mails with a link to a new password, by account. Beyond it nothing is mailed,
/// and nobody is told. As long as such a link lives: a stranger who asks for all of
/// them leaves the owner with a link that works.
pub const RESET_MAILS_OF_ACCOUNT: Limit = Limit {
    name: "reset_mails_of_account",
    windows: &[within(RESET_LIFE, 3)],
};

/// A link to a new password lives so many seconds (ASVS 6.4.1).
pub const RESET_LIFE: i64 = 30 * MINUTE;

/// Requests for such a mail, by client address.
pub const RESET_MAILS_OF_ADDRESS: Limit = Limit {
    name: "reset_mails_of_address",
    windows: &[within(HOUR, 10)],
};

/// Registrations, by client address.
pub const REGISTRATIONS_OF_ADDRESS: Limit = Limit {
    name: "registrations_of_address",
    windows: &[within(HOUR, 100)],
};

/// The limits that count accounts alone.
pub const OF_ACCOUNT: [Limit; 6] = [
    WRONG_CODES,
    RECOVERY_CODE_SETS,
    SENDS_OF_ACCOUNT,
    NUMBERS_OF_ACCOUNT,
    CALLS_OF_ACCOUNT,
    RESET_MAILS_OF_ACCOUNT,
];

/// Codes that the whole service sends, entered or not: `SMS_DAILY_LIMIT` within a
/// day, of which the last [`LOGINS_SHARE`]th is for log-ins only.
pub const SENDS_OF_SERVICE: &str = "sends_of_service";

/// The day of `SMS_DAILY_LIMIT`, in seconds: any 24 hours.
pub const SERVICE_DAY: i64 = DAY;

/// The part of `SMS_DAILY_LIMIT` that strangers who try numbers cannot use up is
/// one in so many.
pub const LOGINS_SHARE: i64 = 5;

/// Codes that one account is sent, entered or not: a share of `SMS_DAILY_LIMIT`
/// within a day. Who enters each code, or a recovery code each time, could else use
/// up all of it, and nobody else would get in any more.
pub const ALL_SENDS_OF_ACCOUNT: &str = "all_sends_of_account";

/// The same by number, over all accounts: one person may have many, with one phone. What
/// is sent while enabling counts by itself, so that no stranger who tries a number can
/// hold back its owner's log-in.
pub const ALL_SENDS_TO_NUMBER: &str = "all_sends_to_number";

/// An account's and a number's part of `SMS_DAILY_LIMIT` is one in so many, or
/// [`LEAST_OF_ACCOUNT`] codes where that is more.
pub const ACCOUNT_SHARE: i64 = 10;

/// More than anybody logs in on a day.
pub const LEAST_OF_ACCOUNT: i64 = 20;

/// A verification lives so many seconds from its beginning, whatever is sent
/// again meanwhile (ASVS 6.5.5).
pub const CHALLENGE_LIFE: i64 = 10 * MINUTE;

/// Wrong codes that one verification takes (ASVS 6.6.3).
pub const CHECKS_OF_CHALLENGE: i64 = 5;

/// Codes that one verification sends; an SMS and the call it fell back to count
/// as one.
pub const SENDS_OF_CHALLENGE: i64 = 3;

/// Calls among them that the person asked for.
pub const CALLS_OF_CHALLENGE: i64 = 1;

/// Seconds between two sends to one user for one purpose.
pub const SEND_INTERVAL: i64 = 30 * SECOND;
