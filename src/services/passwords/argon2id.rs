//! Hashes and comparisons with argon2id.

use argon2::password_hash::phc::{self, Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret, SecretString};

use super::{Comparison, Error};

/// Memory of one hash in KiB, passes, lanes: the OWASP password storage cheat
/// sheet's first choice for argon2id (ASVS 11.4.2).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Bytes of a hash and of its salt.
const HASH_LENGTH: usize = 32;
const SALT_LENGTH: usize = 16;

/// Upper bounds for a stored hash, in KiB and passes. No version of this program made one
/// that asks for more.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 64;

fn params() -> Result<Params, Error> {
    Ok(Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_LENGTH))?)
}

/// Hashes with a new salt, to a PHC string.
pub(super) fn hash(password: &SecretString, memory: &mut Vec<Block>) -> Result<String, Error> {
    let mut salt = [0; SALT_LENGTH];
    getrandom::fill(&mut salt)?;
    let mut output = [0; HASH_LENGTH];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params()?);
    derive(&argon2, password, &salt, &mut output, memory)?;
    to_phc(&salt, &output)
}

fn to_phc(salt: &[u8], output: &[u8]) -> Result<String, Error> {
    let phc = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params()?)?,
        salt: Some(Salt::new(salt).map_err(format_error)?),
        hash: Some(Output::new(output).map_err(format_error)?),
    };
    Ok(phc.to_string())
}

fn format_error(error: phc::Error) -> Error {
    Error::Format(error.into())
}

/// A hash that matches no password: random bytes with today's parameters.
pub(super) fn dummy_hash() -> Result<String, Error> {
    let (mut salt, mut output) = ([0; SALT_LENGTH], [0; HASH_LENGTH]);
    getrandom::fill(&mut salt)?;
    getrandom::fill(&mut output)?;
    to_phc(&salt, &output)
}

/// Compares with a PHC string. A string that cannot be read matches nothing.
pub(super) fn compare(
    password: &SecretString,
    phc: &str,
    memory: &mut Vec<Block>,
) -> Result<Comparison, Error> {
    let Some(stored) = Stored::read(phc) else {
        tracing::error!(
            event = "password_hash_unreadable",
            "a stored password hash cannot be read"
        );
        return Ok(Comparison {
            matches: false,
            outdated: false,
        });
    };
    let outdated = stored.algorithm != Algorithm::Argon2id
        || stored.version != Version::V0x13
        || stored.params != params()?;
    let mut output = vec![0; stored.output.len()];
    let argon2 = Argon2::new(stored.algorithm, stored.version, stored.params);
    derive(&argon2, password, &stored.salt, &mut output, memory)?;
    // Output compares in constant time.
    Ok(Comparison {
        matches: Output::new(&output).map_err(format_error)? == stored.output,
        outdated,
    })
}

struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    output: Output,
}

impl Stored {
    fn read(phc: &str) -> Option<Self> {
        let hash = PasswordHash::new(phc).ok()?;
        let params = Params::try_from(&hash).ok()?;
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
            return None;
        }
        Some(Self {
            algorithm: hash.algorithm.as_str().parse().ok()?,
            version: Version::try_from(hash.version?).ok()?,
            params,
            salt: hash.salt?,
            output: hash.hash?,
        })
    }
}

fn derive(
    argon2: &Argon2<'_>,
    password: &SecretString,
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Vec<Block>,
) -> Result<(), Error> {
    let blocks = argon2.params().block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let password = password.expose_secret().as_bytes();
    argon2.hash_password_into_with_memory(password, salt, output, memory.as_mut_slice())?;
    Ok(())
}
