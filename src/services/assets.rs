//! Static files, embedded in the binary and named by their content, so that
//! browsers may keep them for a year and never show an old one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use include_dir::{Dir, DirEntry, File, include_dir};
use sha2::{Digest, Sha256};

/// What `build.rs` makes of `static/`: the files, the one stylesheet, and of each text a
/// compressed one beside it.
static FILES: Dir<'_> = include_dir!("$OUT_DIR/static");

/// A static file as it is served.
pub struct Asset {
    /// Its content.
    pub bytes: &'static [u8],
    /// The content compressed with brotli, where that makes it smaller.
    pub small: Option<&'static [u8]>,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `ETag`: a weak one, since compression changes the bytes.
    pub etag: String,
}

struct Catalogue {
    /// `js/app.js` to `/static/js/app.<hash>.js`.
    urls: BTreeMap<String, String>,
    /// `js/app.<hash>.js` to the file.
    assets: BTreeMap<String, Asset>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::read);

impl Catalogue {
    fn read() -> Self {
        let mut catalogue = Self {
            urls: BTreeMap::new(),
            assets: BTreeMap::new(),
        };
        catalogue.add_all(&FILES);
        catalogue
    }

    fn add_all(&mut self, folder: &'static Dir<'_>) {
        for entry in folder.entries() {
            match entry {
                DirEntry::Dir(folder) => self.add_all(folder),
                DirEntry::File(file) => self.add(file),
            }
        }
    }

    /// Lists a file, unless it is of a kind that is not served: licences and notes
    /// lie beside the files.
    fn add(&mut self, file: &'static File<'_>) {
        let Some(path) = file.path().to_str() else {
            return;
        };
        let Some((stem, extension)) = path.rsplit_once('.') else {
            return;
        };
        let Some(content_type) = content_type(extension) else {
            return;
        };
        let bytes = file.contents();
        let mut hash = HEXLOWER.encode(&Sha256::digest(bytes));
        hash.truncate(16);
        let hashed_path = format!("{stem}.{hash}.{extension}");
        let url = format!("/static/{hashed_path}");
        self.urls.insert(path.to_owned(), url);
        let small = FILES.get_file(format!("{path}.br")).map(File::contents);
        let asset = Asset {
            bytes,
            small: small.filter(|small| small.len() < bytes.len()),
            content_type,
            etag: format!("W/\"{hash}\""),
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
pub fn url(path: &str) -> &'static str {
    CATALOGUE
        .urls
        .get(path)
        .map_or("/static/missing", String::as_str)
}

/// The file at a hashed path, `js/app.<hash>.js` for example.
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
        assert_eq!(asset.bytes, file);
    }

    #[test]
    fn the_stylesheet_is_its_parts_one_after_the_other() {
        let hashed_path = url("css/twostep.css").strip_prefix("/static/").unwrap();
        let mut rest = find(hashed_path).unwrap().bytes;
        for part in ["vendor/bootstrap-5.3.9/bootstrap.min.css", "css/app.css"] {
            let file = std::fs::read(format!("static/{part}")).unwrap();
            rest = rest.strip_prefix(file.as_slice()).unwrap();
            assert_eq!(url(part), "/static/missing");
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_text_is_there_compressed_as_well_and_a_picture_is_not() {
        let asset = |path: &str| find(url(path).strip_prefix("/static/").unwrap()).unwrap();
        let text = asset("css/twostep.css");
        let small = text.small.as_ref().unwrap();
        assert!(small.len() < text.bytes.len() / 4, "{}", small.len());
        let picture = "vendor/intl-tel-input-29.5.1/flags.webp";
        assert!(asset(picture).small.is_none());
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
