//! The keys of `SECRET_KEY`, or in development of a file that the first start creates.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use tempfile::NamedTempFile;

use super::{Config, ConfigError, Environment};

const FILE: &str = "twostep.key";

/// The length of a key in bytes.
const LENGTH: usize = 32;

impl Config {
    /// The keys of `SECRET_KEY`, the first of which seals. Without the setting, development
    /// reads them from `twostep.key` in `folder`, and creates it if it is missing. `None` in
    /// production without the setting.
    pub fn load_secret_keys(
        &self,
        folder: &Path,
    ) -> Result<Option<Vec<SecretSlice<u8>>>, ConfigError> {
        if self.secret_keys.is_some() || self.environment == Environment::Production {
            return Ok(self.secret_keys.clone());
        }
        let error = |problem| ConfigError::new(FILE, format!("in {folder:?} {problem}"));
        let text = read_or_create(folder);
        let text = text.map_err(|cause| error(format!("cannot be read or created: {cause}")))?;
        let keys = decode(text.expose_secret().trim_end());
        let problem = || error("must be one line: base64 of 32 bytes".into());
        keys.ok_or_else(problem).map(Some)
    }
}

/// Parses the value of `SECRET_KEY`. Errors don't show it.
pub(super) fn parse(value: &str) -> Result<Vec<SecretSlice<u8>>, ConfigError> {
    let problem = "must be base64 of 32 bytes, or several such keys between commas (openssl rand \
                   -base64 32 makes one)";
    decode(value).ok_or_else(|| ConfigError::new("SECRET_KEY", problem))
}

fn decode(text: &str) -> Option<Vec<SecretSlice<u8>>> {
    let keys = text.split(',').map(|key| {
        let bytes = BASE64.decode(key.trim().as_bytes()).ok()?;
        (bytes.len() == LENGTH).then(|| bytes.into())
    });
    keys.collect()
}

fn read_or_create(folder: &Path) -> io::Result<SecretString> {
    let path = folder.join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create(folder, &path)?;
            fs::read_to_string(&path)?
        }
        text => text?,
    };
    Ok(text.into())
}

/// Creates the file with a random key, unless another instance was faster. The file gets its
/// name when it is complete, so that no other instance reads half a key.
fn create(folder: &Path, path: &Path) -> io::Result<()> {
    let mut key = [0; LENGTH];
    getrandom::fill(&mut key)?;
    let line = SecretString::from(BASE64.encode(&key) + "\n");
    let mut file = NamedTempFile::new_in(folder)?; // readable only by its owner
    file.write_all(line.expose_secret().as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}
