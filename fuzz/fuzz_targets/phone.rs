//! An accepted phone number is E.164, and is accepted again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twostep::forms::phone_number::{PhoneNumber, country_of};

fuzz_target!(|text: &str| {
    let Ok(number) = PhoneNumber::parse(text) else {
        return;
    };
    let digits = number.as_str().strip_prefix('+').unwrap();
    assert!((2..=15).contains(&digits.len()) && !digits.starts_with('0'));
    assert!(digits.bytes().all(|it| it.is_ascii_digit()));
    assert!(PhoneNumber::parse(number.as_str()).as_ref() == Ok(&number));
    assert_eq!(country_of(number.as_str()), Some(number.country()));
});
