//! Authenticator apps: one-time codes by the clock (TOTP, RFC 6238). SHA-1, six digits and
//! 30 seconds, because many apps silently ignore other values.

mod setup;

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use totp_rs::{Builder, Totp};

pub use setup::{SetupExpired, open_setup, seal_setup};

/// Seconds that a code is valid for, without clock skew.
const STEP: u64 = 30;

/// The length of a secret: 160 bits, as RFC 4226 recommends.
const LENGTH: usize = 20;

/// Symbols between two spaces of a displayed secret.
const GROUP: usize = 4;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The issuer or the username contains a colon, or the username is empty.
    #[error("no otpauth URL: {0}")]
    Url(#[from] totp_rs::TotpError),
    #[error("no QR code: {0}")]
    QrCode(#[from] qrcode::types::QrError),
}

/// The secret that an authenticator app shares with Twostep.
pub struct TotpSecret(SecretBox<[u8; LENGTH]>);

impl TotpSecret {
    pub fn generate() -> Result<Self, getrandom::Error> {
        let secret = SecretBox::try_init_with(|| {
            let mut bytes = [0; LENGTH];
            getrandom::fill(&mut bytes).map(|()| bytes)
        });
        secret.map(Self)
    }

    /// `None` if these are not 20 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = <[u8; LENGTH]>::try_from(bytes).ok()?;
        Some(Self(SecretBox::init_with(|| bytes)))
    }

    /// The plain bytes, for sealing.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// The secret as apps take it: 32 symbols of base32.
    pub fn base32(&self) -> SecretString {
        totp_rs::Secret::from(*self.0.expose_secret())
            .to_base32()
            .into()
    }

    /// The same for typing: in groups of four with spaces, which apps ignore.
    pub fn grouped_base32(&self) -> SecretString {
        let base32 = self.base32();
        let mut grouped = String::with_capacity(2 * LENGTH);
        for (at, symbol) in base32.expose_secret().chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                grouped.push(' ');
            }
            grouped.push(symbol);
        }
        grouped.into()
    }

    /// The URL that adds the app, as a link or QR code. The app shows `issuer:username`.
    pub fn otpauth_url(&self, issuer: &str, username: &str) -> Result<SecretString, Error> {
        let builder = self.builder().with_issuer(Some(issuer));
        let totp = builder.with_account_name(username).build()?;
        Ok(totp.to_url()?.into())
    }

    /// The code at this time, in Unix seconds.
    pub fn code(&self, at: i64) -> SecretString {
        let at = u64::try_from(at).unwrap_or_default();
        self.totp().generate(at).to_string().into()
    }

    /// Checks a code at this time, in Unix seconds, with one step of clock skew either way.
    /// Returns the matching step. The caller stores it and accepts only later ones, so that no
    /// code counts twice. If two steps have the same code, this returns the later one: after the
    /// earlier one, the code would count again.
    pub fn check(&self, code: &str, now: i64) -> Option<i64> {
        let step = u64::try_from(now).ok()? / STEP;
        let steps = [step.saturating_add(1), step, step.saturating_sub(1)];
        let totp = self.totp();
        let step = steps
            .into_iter()
            .find_map(|step| totp.check(code, step.saturating_mul(STEP)));
        i64::try_from(step?).ok()
    }

    /// Codes of exactly one step: totp-rs's own window returns the earliest match.
    fn totp(&self) -> Totp {
        // Not checked: only what the functions above set could be wrong.
        self.builder().build_noncompliant()
    }

    /// The defaults of totp-rs are SHA-1 and six digits.
    fn builder(&self) -> Builder {
        Builder::new()
            .with_step_duration(STEP)
            .with_skew(0)
            .with_secret(*self.0.expose_secret())
    }
}

/// The QR code of a text as an SVG element: black on white, with a white margin of four
/// modules (ISO/IEC 18004), so that it can be scanned on a dark page. It has no styles, which
/// the CSP forbids, and a module is one unit of its `viewBox`.
pub fn qr_code_svg(text: &str) -> Result<SecretString, Error> {
    // A screen has no scratches, so the lowest error correction makes the largest modules.
    let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
    let mut renderer = code.render::<svg::Color<'_>>();
    let svg = renderer.module_dimensions(1, 1).build();
    // An XML declaration is an error within HTML.
    let element = svg.find("<svg").and_then(|start| svg.get(start..));
    Ok(element.unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the vectors in RFC 6238, appendix B.
    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // The RFC has eight digits, of which these are the last six.
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret().code(time).expose_secret(), code, "{time}");
            assert_eq!(secret().check(code, time), Some(time / 30), "{time}");
        }
    }

    #[test]
    fn a_code_is_valid_for_its_step_and_one_step_before_and_after() {
        let code = secret().code(1_790_000_010); // the first second of its step
        let step = 1_790_000_010 / 30;
        for (seconds, expected) in [
            (-31, None),
            (-30, Some(step)),
            (-29, Some(step)),
            (0, Some(step)),
            (29, Some(step)),
            (30, Some(step)),
            (31, Some(step)),
            (59, Some(step)),
            (60, None),
        ] {
            let found = secret().check(code.expose_secret(), 1_790_000_010 + seconds);
            assert_eq!(found, expected, "{seconds} s");
        }
    }

    #[test]
    fn of_two_steps_with_the_same_code_the_later_one_counts() {
        const STEP: i64 = 910_737; // found by trying
        let code = secret().code(STEP * 30);
        let code = code.expose_secret();
        assert_eq!(secret().code((STEP + 1) * 30).expose_secret(), code);
        for (offset, expected) in [
            (-2, None),
            (-1, Some(STEP)),
            (0, Some(STEP + 1)),
            (1, Some(STEP + 1)),
            (2, Some(STEP + 1)),
            (3, None),
        ] {
            let found = secret().check(code, (STEP + offset) * 30);
            assert_eq!(found, expected, "{offset}");
        }
    }

    #[test]
    fn only_six_ascii_digits_can_match() {
        let code = "287082";
        assert_eq!(secret().check(code, 59), Some(1));
        for wrong in [
            "",
            "28708",
            "2870820",
            "0287082",
            " 287082",
            "287082 ",
            "287 082",
            "28708a",
            "+87082",
            "-87082",
            "２８７０８２",
            "٢٨٧",
            "287083",
            "187082",
            "0x1234",
            "2.7082",
        ] {
            assert_eq!(secret().check(wrong, 59), None, "{wrong:?}");
        }
        // Leading zeros are digits, too.
        assert_eq!(secret().check("81804", 1_111_111_109), None);
    }

    #[test]
    fn no_time_panics() {
        for time in [i64::MIN, -1, 0, 29, i64::MAX] {
            let code = secret().code(time);
            let step = secret().check(code.expose_secret(), time);
            assert_eq!(step.is_some(), time >= 0, "{time}");
        }
    }

    #[test]
    fn secrets_are_random_and_have_160_bits() {
        let [one, other] = [(); 2].map(|()| TotpSecret::generate().unwrap());
        assert_eq!(one.expose().len(), 20);
        assert_ne!(one.expose(), other.expose());
        for length in [0, 19, 21] {
            assert!(
                TotpSecret::from_bytes(&vec![7; length]).is_none(),
                "{length}"
            );
        }
    }

    #[test]
    fn a_secret_is_shown_as_base32_without_padding() {
        let base32 = secret().base32();
        assert_eq!(base32.expose_secret(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let grouped = secret().grouped_base32();
        let expected = "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ";
        assert_eq!(grouped.expose_secret(), expected);
    }

    #[test]
    fn the_url_names_issuer_and_user_escaped() {
        let base32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        for (issuer, username, label, parameter) in [
            ("Twostep", "alice", "Twostep:alice", "Twostep"),
            ("Two step", "a.b-c_d", "Two%20step:a.b-c_d", "Two%20step"),
            (
                "A&B",
                "x?y#z/&=%é",
                "A%26B:x%3Fy%23z%2F%26%3D%25%C3%A9",
                "A%26B",
            ),
        ] {
            let url = secret().otpauth_url(issuer, username).unwrap();
            let expected = format!("otpauth://totp/{label}?secret={base32}&issuer={parameter}");
            assert_eq!(url.expose_secret(), expected);
        }
        for (issuer, username) in [("Two:step", "alice"), ("Twostep", "a:b"), ("Twostep", "")] {
            assert!(
                secret().otpauth_url(issuer, username).is_err(),
                "{issuer} {username}"
            );
        }
    }

    #[test]
    fn a_qr_code_is_black_on_white_with_a_margin_and_no_style() {
        let url = secret().otpauth_url("Twostep", &"a".repeat(32)).unwrap();
        let svg = qr_code_svg(url.expose_secret()).unwrap();
        let path = svg.expose_secret().strip_prefix(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"45\" height=\"45\" \
             viewBox=\"0 0 45 45\" shape-rendering=\"crispEdges\">\
             <rect x=\"0\" y=\"0\" width=\"45\" height=\"45\" fill=\"#fff\"/>\
             <path fill=\"#000\" d=\"",
        );
        let path = path.unwrap().strip_suffix("\"/></svg>").unwrap();
        let is_drawing = |byte: u8| byte.is_ascii_digit() || b" MhvHV".contains(&byte);
        assert!(path.bytes().all(is_drawing), "{path}");
        let modules = path.split('M').skip(1).map(|module| {
            let (at, _) = module.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            (x.parse::<u32>().unwrap(), y.parse::<u32>().unwrap())
        });
        let modules: Vec<(u32, u32)> = modules.collect();
        let margin = |at: u32| !(4..41).contains(&at);
        assert!(
            !modules.iter().any(|(x, y)| margin(*x) || margin(*y)),
            "{path}"
        );
        // The edges of the three squares in the corners.
        for (x, y) in [(4, 4), (40, 4), (4, 40), (10, 10), (34, 10), (10, 34)] {
            assert!(modules.contains(&(x, y)), "{x} {y}: {path}");
        }
        let long = "a".repeat(5000);
        assert!(matches!(qr_code_svg(&long), Err(Error::QrCode(_))));
    }
}
