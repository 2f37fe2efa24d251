//! An accepted `next` never leads to another site.
#![no_main]

use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use twostep::forms::local_path::LocalPath;
use url::Url;

fuzz_target!(|text: &str| {
    let Some(path) = LocalPath::parse(text) else {
        return;
    };
    assert_eq!(path.as_str(), text);
    let here = Url::parse("https://here.example/a/b?c").unwrap();
    let there = here.join(text).unwrap();
    assert_eq!(there.origin(), here.origin());
    assert_ne!(there.path(), "/logout");
    assert!(!there.path().contains("//"));
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    assert_eq!(here.join(&decoded).unwrap().origin(), here.origin());
});
