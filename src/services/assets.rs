//! Static files, embedded in the binary and named by their content, so that
//! browsers may keep them for a year and never show an old one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use brotli::enc::BrotliEncoderParams;
use data_encoding::HEXLOWER;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The one stylesheet of every page, and what it is made of: a browser shows nothing
/// before it has every stylesheet, so there is one to wait for. The parts are not
/// served by themselves.
const STYLESHEET: &str = "css/twostep.css";
const STYLESHEET_PARTS: [&str; 2] = ["vendor/bootstrap-5.3.9/bootstrap.min.css", "css/app.css"];

/// A static file as it is served.
#[derive(Debug)]
pub struct Asset {
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `ETag`: a weak one, since compression changes the bytes.
    pub etag: String,
    /// The content compressed, from the first time on that it is asked for.
    small: OnceCell<Vec<u8>>,
}

/// Of 0 to 11: the last ones take many times as long for little.
const QUALITY: i32 = 9;

impl Asset {
    /// Whether there is any use in compressing it: pictures are small already.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.content_type.starts_with("text/") || self.content_type == "image/svg+xml"
    }

    /// The content compressed with brotli, where that makes it smaller. It is done
    /// once, on a thread that may take its time.
    pub async fn small(&'static self) -> Option<&'static [u8]> {
        if !self.is_text() {
            return None;
        }
        let compressed = || async {
            let work = tokio::task::spawn_blocking(|| compressed(&self.bytes));
            work.await.unwrap_or_default()
        };
        let small = self.small.get_or_init(compressed).await;
        let is_smaller = !small.is_empty() && small.len() < self.bytes.len();
        is_smaller.then_some(small)
    }
}

/// Empty where it cannot be done.
fn compressed(mut bytes: &[u8]) -> Vec<u8> {
    let params = BrotliEncoderParams {
        quality: QUALITY,
        ..BrotliEncoderParams::default()
    };
    let mut small = Vec::new();
    match brotli::BrotliCompress(&mut bytes, &mut small, &params) {
        Ok(_) => small,
        Err(_) => Vec::new(),
    }
}

struct Catalogue {
    /// `js/app.js` to `/static/js/app.<hash>.js`.
    urls: HashMap<String, String>,
    /// `js/app.<hash>.js` to the file.
    assets: HashMap<String, Asset>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::read);

impl Catalogue {
    fn read() -> Self {
        let mut catalogue = Self {
            urls: HashMap::new(),
            assets: HashMap::new(),
        };
        for path in Files::iter() {
            if STYLESHEET_PARTS.contains(&path.as_ref()) {
                continue;
            }
            if let Some(file) = Files::get(&path) {
                catalogue.add(&path, file.data, &file.metadata.sha256_hash());
            }
        }
        let parts = STYLESHEET_PARTS.iter().filter_map(|path| Files::get(path));
        let stylesheet: Vec<u8> = parts.flat_map(|file| file.data.into_owned()).collect();
        let hash = Sha256::digest(&stylesheet);
        catalogue.add(STYLESHEET, stylesheet.into(), &hash);
        catalogue
    }

    /// Lists a file, unless it is of a kind that is not served: licences and notes
    /// lie beside the files.
    fn add(&mut self, path: &str, bytes: Cow<'static, [u8]>, hash: &[u8]) {
        let Some((stem, extension)) = path.rsplit_once('.') else {
            return;
        };
        let Some(content_type) = content_type(extension) else {
            return;
        };
        let mut hash = HEXLOWER.encode(hash);
        hash.truncate(16);
        let hashed_path = format!("{stem}.{hash}.{extension}");
        let url = format!("/static/{hashed_path}");
        self.urls.insert(path.to_owned(), url);
        let asset = Asset {
            bytes,
            content_type,
            etag: format!("W/\"{hash}\""),
            small: OnceCell::new(),
        };
        self.assets.insert(hashed_path, asset);
    }
}

fn content_type(extension: &str) -> Option<&'static str> {
    match extension {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "webp" => Some("image/webp"),
        "ico" => Some("image/x-icon"),
        _ => None,
    }
}

/// The address of a static file, `js/app.js` for example. An unknown name
/// gives an address that answers 404: a misprint must not take a page down.
#[must_use]
pub fn url(path: &str) -> &'static str {
    CATALOGUE
        .urls
        .get(path)
        .map_or("/static/missing", String::as_str)
}

/// The file at a hashed path, `js/app.<hash>.js` for example.
#[must_use]
pub fn find(hashed_path: &str) -> Option<&'static Asset> {
    CATALOGUE.assets.get(hashed_path)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn names_carry_the_content() {
        let url = url("js/app.js");
        let hashed_path = url.strip_prefix("/static/").unwrap();
        let hash = hashed_path
            .strip_prefix("js/app.")
            .and_then(|rest| rest.strip_suffix(".js"))
            .unwrap();
        assert_eq!(hash.len(), 16);

        let asset = find(hashed_path).unwrap();
        assert_eq!(asset.content_type, "text/javascript; charset=utf-8");
        assert_eq!(asset.etag, format!("W/\"{hash}\""));
        let file = std::fs::read("static/js/app.js").unwrap();
        assert_eq!(asset.bytes.as_ref(), file);
    }

    #[test]
    fn the_stylesheet_is_its_parts_one_after_the_other() {
        let hashed_path = url(STYLESHEET).strip_prefix("/static/").unwrap();
        let mut rest = find(hashed_path).unwrap().bytes.as_ref();
        for part in STYLESHEET_PARTS {
            let file = std::fs::read(format!("static/{part}")).unwrap();
            rest = rest.strip_prefix(file.as_slice()).unwrap();
            assert_eq!(url(part), "/static/missing");
        }
        assert!(rest.is_empty());
    }

    /// ASVS 13.4.7
    #[test]
    fn only_listed_kinds_are_served() {
        assert!(find("js/app.js").is_none(), "the plain name");
        assert!(
            CATALOGUE
                .assets
                .values()
                .all(|asset| !asset.bytes.is_empty())
        );
        assert!(
            CATALOGUE
                .urls
                .keys()
                .all(|path| !path.contains("LICENSE") && !path.ends_with(".md")),
        );
        assert_eq!(url("vendor/bootstrap-5.3.9/LICENSE"), "/static/missing");
        assert!(find("missing").is_none());
    }

    #[test]
    fn every_asset_of_a_template_exists() {
        let mut seen = 0;
        for template in files_below(Path::new("templates")) {
            let text = std::fs::read_to_string(&template).unwrap();
            for rest in text.split("asset(\"").skip(1) {
                let (name, _) = rest.split_once('"').unwrap();
                assert!(
                    CATALOGUE.urls.contains_key(name),
                    "{name} in {}",
                    template.display()
                );
                seen += 1;
            }
        }
        assert!(seen > 3, "templates name their assets as asset(\"…\")");
    }

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.extend(files_below(&path));
            } else {
                files.push(path);
            }
        }
        files
    }
}
