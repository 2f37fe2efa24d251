use super::*;

fn parse(text: &str) -> Option<PhoneNumber> {
    PhoneNumber::parse(text).ok()
}

fn region_of_text(text: &str) -> Option<&'static str> {
    parse(text).map(|number| number.region)
}

fn every_region() -> impl Iterator<Item = (u16, &'static Metadata)> {
    (1..=999).flat_map(|code| {
        DATABASE
            .by_code(&code)
            .unwrap_or_default()
            .into_iter()
            .map(move |region| (code, region))
    })
}

fn examples(code: u16, descriptors: &[Option<&'static Descriptor>]) -> Vec<String> {
    descriptors
        .iter()
        .flatten()
        .filter_map(|descriptor| descriptor.example())
        .map(|example| format!("+{code}{example}"))
        .collect()
}

#[test]
fn every_regions_ordinary_numbers_are_accepted() {
    let mut seen = 0;
    let mut elsewhere = Vec::new();
    for (code, region) in every_region() {
        let descriptors = region.descriptors();
        let ordinary = [
            descriptors.fixed_line(),
            descriptors.mobile(),
            descriptors.voip(),
        ];
        if region.id() == NO_COUNTRY {
            continue;
        }
        for number in examples(code, &ordinary) {
            let parsed = parse(&number).unwrap_or_else(|| panic!("{} {number}", region.id()));
            assert_eq!(parsed.as_str(), number, "{}", region.id());
            seen += 1;
        }
        for number in examples(code, &ordinary[..2]) {
            if region_of_text(&number) != Some(region.id()) {
                elsewhere.push(region.id());
            }
        }
    }
    assert!(seen > 500, "{seen}");
    // They share a range with the main region of their code, which libphonenumber names.
    elsewhere.dedup();
    assert_eq!(
        elsewhere,
        ["VA", "IM", "SJ", "CC", "CX", "EH", "AX", "BL", "MF"]
    );
}

#[test]
fn every_regions_costly_shared_and_personal_numbers_are_refused() {
    let mut seen = 0;
    for (code, region) in every_region() {
        let types = region.descriptors();
        let costly = [
            types.personal_number(),
            types.premium_rate(),
            types.shared_cost(),
            types.toll_free(),
            types.pager(),
            types.uan(),
            types.voicemail(),
        ];
        for number in examples(code, &costly) {
            // Refused for its type: the number itself is valid.
            assert!(region_of(code, &number[1 + code.to_string().len()..]).is_some());
            assert_eq!(parse(&number), None, "{} {number}", region.id());
            seen += 1;
        }
    }
    assert!(seen > 400, "{seen}");
}

#[test]
fn every_pattern_of_the_data_compiles() {
    for (_, region) in every_region() {
        let descriptors = region.descriptors();
        let all = accepted(descriptors)
            .into_iter()
            .chain(refused(descriptors));
        for descriptor in all.flatten().chain([descriptors.general()]) {
            let whole = format!("^(?x:{})$", descriptor.national_number().as_str());
            let cache = DATABASE.cache();
            assert!(cache.lock().unwrap().compile(&whole).is_ok(), "{whole}");
        }
    }
}

#[test]
fn numbers_that_the_crates_own_functions_get_wrong() {
    for (text, region) in [
        ("+390669812345", "VA"), // leading zero, shared code
        ("+39 06 9784 1234", "IT"),
        ("+39 (0)6 9784 1234", "IT"), // the zero belongs to the number
        ("+225 01 23 45 67 89", "CI"),
        ("+250 06 593 457", "RW"), // begins like the national prefix
        ("+370 80 123 456", "LT"),
        ("+55 43 7077 7600", "BR"), // begins like shared cost
        ("+86 851 9661 8081", "CN"),
    ] {
        assert_eq!(region_of_text(text), Some(region), "{text}");
    }
    for text in ["+227 09 12 34 56", "+227 08 12 34 56"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn a_number_belongs_to_its_own_region_among_those_of_a_code() {
    for (text, region) in [
        ("+1 202 555 0110", "US"),
        ("+1 416 555 0110", "CA"),
        ("+1 876 210 1234", "JM"),
        ("+44 7400 123456", "GB"),
        ("+44 7797 712345", "JE"),
        ("+7 912 345 67 89", "RU"),
        ("+7 771 000 9998", "KZ"),
        ("+47 406 12 345", "NO"),
        ("+47 79 12 34 56", "SJ"),
        ("+61 412 345 678", "AU"),
        ("+599 9 518 1234", "CW"),
        ("+599 318 1234", "BQ"),
    ] {
        assert_eq!(region_of_text(text), Some(region), "{text}");
    }
}

#[test]
fn satellite_and_international_networks_are_refused() {
    let networks = "+870301234567 +878101234567890 +881612345678 +8823421234 +883510012345 \
                    +80012345678 +80812345678 +88812345678901 +979123456789";
    for number in networks.split_ascii_whitespace() {
        assert!(ValidNumber::parse(number).is_some(), "{number}");
        assert_eq!(parse(number), None, "{number}");
        assert_eq!(country_of(number), None, "{number}");
    }
}

#[test]
fn personal_numbers_are_refused_and_a_stored_one_keeps_its_country() {
    for (text, e164, country) in [
        ("+44 70 1234 5678", "+447012345678", "GB"),
        ("+44 (0)70 1234 5678", "+447012345678", "GB"),
        ("+41 878 123 456", "+41878123456", "CH"),
        ("+1 500 234 5678", "+15002345678", "US"),
        ("+7 808 123 45 67", "+78081234567", "RU"),
    ] {
        assert_eq!(parse(text), None, "{text}");
        assert_eq!(country_of(e164), Some(country), "{text}");
    }
    assert!(parse("+41 78 123 45 67").is_some());
}

#[test]
fn spaces_and_punctuation_are_dropped() {
    for text in [
        "+12025550110",
        "  +1 202 555 0110\t",
        "+1 (202) 555-0110",
        "+1.202.555.0110",
        "+(1)2025550110",
        "+ 1 - 202 - 555 - 0110",
    ] {
        assert_eq!(parse(text).unwrap().as_str(), "+12025550110", "{text}");
    }
}

#[test]
fn a_national_prefix_after_the_country_code_is_dropped() {
    for (text, number) in [
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+49 (0)1512 3456789", "+4915123456789"),
        ("+1 1 202 555 0110", "+12025550110"),
        ("+36 06 20 123 4567", "+36201234567"),
        ("+7 8 912 345 67 89", "+79123456789"),
    ] {
        assert_eq!(parse(text).unwrap().as_str(), number);
    }
    // Dropping it does not launder a type either: UK premium rate, US toll free.
    for text in ["+44 (0)909 879 0000", "+1 1 800 234 5678"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn anything_but_an_international_number_is_refused() {
    let refused = "| |+|++12025550110|+1+2025550110|2025550110|0012025550110|(+1)2025550110|\
        12025550110|+0112025550110|+1202555011|+120255501100|+999123456789|\
        +1 441 7530|+12025550110x5|+12025550110 ext. 5|+12025550110;ext=5|\
        +12025550110,5|+12025550110#5|tel:+12025550110|\
        +1-202-555-0110;phone-context=+1|+1800FLOWERS|+1\n2025550110|\
        +1/2025550110|+1202\u{a0}5550110|+1202555011０|+1202555011\u{664}|\
        ＋12025550110|+12025550110\0|+٤٤٧٤٠٠١٢٣٤٥٦|+1(202)555-01-1-0*|\
        +49 8381 9635 0173 889";
    for text in refused.split('|') {
        assert_eq!(parse(text), None, "{text:?}");
    }
}

#[test]
fn the_input_has_a_maximum_length() {
    let padded = |blanks: usize| format!("+{}12025550110", " ".repeat(blanks));
    assert!(parse(&padded(MAX_INPUT - 12)).is_some());
    assert_eq!(parse(&padded(MAX_INPUT - 11)), None);
    assert_eq!(parse(&"9".repeat(1_000_000)), None);
}

#[test]
fn debug_output_hides_the_number() {
    let number = parse("+44 7400 123456").unwrap();
    assert_eq!(format!("{number:?}"), "PhoneNumber { .. }");
}
