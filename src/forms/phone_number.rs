//! Phone numbers that can receive codes.
//!
//! Validity and type come from libphonenumber's data in the `phonenumber` crate, matched
//! here. The crate's own `parse`, `is_valid` and `number_type` drop leading zeros, strip
//! digits of the number (`+250 06 593 457` in Rwanda, `+370 80 123 456` in Lithuania), and
//! accept a number if only its beginning matches.

use std::fmt;

use phonenumber::Metadata;
use phonenumber::metadata::{DATABASE, Descriptor, Descriptors};

#[cfg(test)]
mod tests;

/// The maximum length of the text: 15 digits with generous spacing.
const MAX_INPUT: usize = 40;

/// The maximum number of digits in E.164, including the country code.
const MAX_DIGITS: usize = 15;

/// libphonenumber's region for satellite phones and international networks.
const NO_COUNTRY: &str = "001";

/// A valid phone number in E.164, of a type that may receive codes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber {
    e164: String,
    /// Such as `US`.
    region: &'static str,
}

/// The number can't receive codes. The page shows the same sentence for every reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid phone number")]
pub struct PhoneNumberError;

impl PhoneNumber {
    /// Parses a number in international form: a `+`, then digits, spaces and `- . ( )`. It
    /// drops a national prefix after the country code, as in `+44 (0)20 7946 0958`.
    ///
    /// # Errors
    /// Anything else; a number that is invalid in libphonenumber's data; a number of no
    /// country; and the types personal number, premium rate, shared cost, toll free, pager,
    /// UAN and voicemail. They are expensive, or hide the destination of a call.
    pub fn parse(text: &str) -> Result<Self, PhoneNumberError> {
        let number = ValidNumber::parse(text).ok_or(PhoneNumberError)?;
        match number.country() {
            Some(region) if !number.is_refused_type() => Ok(Self {
                e164: number.e164(),
                region,
            }),
            _ => Err(PhoneNumberError),
        }
    }

    /// The number in E.164: `+12025550110`.
    pub fn as_str(&self) -> &str {
        &self.e164
    }

    /// The region code of its country (`US`).
    pub fn country(&self) -> &'static str {
        self.region
    }
}

/// The region code of a stored number, even of a type that is refused today. `None` for a number
/// of no country.
pub fn country_of(e164: &str) -> Option<&'static str> {
    ValidNumber::parse(e164)?.country()
}

/// A number of any type that is valid in libphonenumber's data.
struct ValidNumber {
    code: u16,
    national: String,
    metadata: &'static Metadata,
}

impl ValidNumber {
    fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_INPUT {
            return None;
        }
        let typed = text.trim_matches(is_space).strip_prefix('+')?;
        if !typed.chars().all(|c| c.is_ascii_digit() || is_separator(c)) {
            return None;
        }
        let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
        let (code, national) = split_country_code(&digits)?;
        let (national, metadata) = match region_of(code, national) {
            Some(metadata) => (national, metadata),
            None => {
                let shorter = without_national_prefix(code, national)?;
                (shorter, region_of(code, shorter)?)
            }
        };
        let number = Self {
            code,
            national: national.to_owned(),
            metadata,
        };
        (number.e164().len() <= MAX_DIGITS + 1).then_some(number)
    }

    fn e164(&self) -> String {
        format!("+{}{}", self.code, self.national)
    }

    fn country(&self) -> Option<&'static str> {
        Some(self.metadata.id()).filter(|id| *id != NO_COUNTRY)
    }

    fn is_refused_type(&self) -> bool {
        refused(self.metadata.descriptors())
            .into_iter()
            .flatten()
            .any(|descriptor| matches(descriptor, &self.national))
    }
}

/// Hides the number from logs.
impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhoneNumber").finish_non_exhaustive()
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_separator(c: char) -> bool {
    is_space(c) || matches!(c, '-' | '.' | '(' | ')')
}

/// No country code is a prefix of another, so the first match is right.
fn split_country_code(digits: &str) -> Option<(u16, &str)> {
    if digits.starts_with('0') {
        return None;
    }
    (1..=3).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        let code = code.parse().ok()?;
        DATABASE.region(&code).map(|_| (code, national))
    })
}

fn without_national_prefix(code: u16, national: &str) -> Option<&str> {
    let regions = DATABASE.by_code(&code)?;
    national.strip_prefix(regions.first()?.national_prefix()?)
}

/// The region of a valid number, as in libphonenumber's `getRegionCodeForNumber`. The main
/// region of a country code comes first.
fn region_of(code: u16, national: &str) -> Option<&'static Metadata> {
    let regions = DATABASE.by_code(&code)?;
    let region = match regions.as_slice() {
        [only] => *only,
        several => several
            .iter()
            .copied()
            .find(|region| match region.leading_digits() {
                Some(digits) => digits.find(national).is_some_and(|m| m.start() == 0),
                None => is_valid(region, national),
            })?,
    };
    is_valid(region, national).then_some(region)
}

fn is_valid(region: &Metadata, national: &str) -> bool {
    let descriptors = region.descriptors();
    matches(descriptors.general(), national)
        && (accepted(descriptors)
            .into_iter()
            .chain(refused(descriptors))
            .flatten()
            .any(|descriptor| matches(descriptor, national)))
}

fn accepted(descriptors: &Descriptors) -> [Option<&Descriptor>; 3] {
    [
        descriptors.fixed_line(),
        descriptors.mobile(),
        descriptors.voip(),
    ]
}

fn refused(descriptors: &Descriptors) -> [Option<&Descriptor>; 7] {
    [
        descriptors.personal_number(),
        descriptors.premium_rate(),
        descriptors.shared_cost(),
        descriptors.toll_free(),
        descriptors.pager(),
        descriptors.uan(),
        descriptors.voicemail(),
    ]
}

/// Matches the whole number. `Descriptor::is_match` matches a prefix, and so takes mobiles
/// of Brazil (`+55 43 7077 7600`) for shared cost. The crate's cache keeps the patterns.
fn matches(descriptor: &Descriptor, national: &str) -> bool {
    let lengths = descriptor.possible_length();
    if !lengths.is_empty() && !lengths.iter().any(|l| usize::from(*l) == national.len()) {
        return false;
    }
    let whole = format!("^(?x:{})$", descriptor.national_number().as_str());
    let cache = DATABASE.cache();
    let Ok(mut cache) = cache.lock() else {
        return false;
    };
    cache
        .compile(&whole)
        .is_ok_and(|pattern| pattern.is_match(national))
}
