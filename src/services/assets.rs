//! Static files, embedded in the binary and served under names that contain a hash of their
//! content: browsers keep them for a year and never show an old one. `build.rs` compresses
//! them.

use std::collections::HashMap;
use std::sync::LazyLock;

use memory_serve::{CacheControl, MemoryServe};

/// Maps `js/app.js` to `/static/js/app.<hash>.js`.
static URLS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let manifest = files().manifest();
    let url = |(path, hashed): (&str, &str)| {
        let path = path.trim_start_matches('/');
        (path.to_owned(), format!("/static{hashed}"))
    };
    manifest.iter().map(url).collect()
});

/// All files, under their hashed names and, never cached, their plain names.
pub fn files() -> MemoryServe {
    MemoryServe::new(include!(concat!(env!("OUT_DIR"), "/assets.rs")))
        .enable_hashed_routes(true)
        .cache_control(CacheControl::NoCache) // of the plain names
        .enable_brotli(true)
        .enable_gzip(false)
        .index_file(None)
}

/// The URL of a static file, `js/app.js` for example. An unknown name gives a URL that
/// answers 404, so a typo doesn't break a page.
pub fn url(path: &str) -> &'static str {
    URLS.get(path).map_or("/static/missing", String::as_str)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// ASVS 13.4.7
    #[test]
    fn only_files_of_known_kinds_are_served() {
        let served: Vec<_> = URLS.keys().collect();
        assert!(served.len() > 10, "{served:?}");
        for path in served {
            let extension = Path::new(path).extension().unwrap().to_str().unwrap();
            let kinds = ["css", "js", "svg", "webp"];
            assert!(kinds.contains(&extension), "{path}");
        }
        assert_eq!(url("vendor/bootstrap-5.3.9/LICENSE"), "/static/missing");
    }

    #[test]
    fn every_asset_that_a_template_names_exists() {
        let mut count = 0;
        for template in files_below(Path::new("templates")) {
            let text = std::fs::read_to_string(&template).unwrap();
            for rest in text.split("asset(\"").skip(1) {
                let (name, _) = rest.split_once('"').unwrap();
                assert_ne!(url(name), "/static/missing", "{}", template.display());
                count += 1;
            }
        }
        assert!(count > 3, "templates name their assets as asset(\"…\")");
    }

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .flat_map(|path| match path.is_dir() {
                true => files_below(&path),
                false => vec![path],
            })
            .collect()
    }
}
