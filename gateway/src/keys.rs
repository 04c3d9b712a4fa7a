//! The API's keys: how a setting names them, how they are kept, and how one is found again.
//!
//! Only digests are kept. The keys that [`ApiKey::generate`] makes are 256 random bits: nobody can
//! guess one, with or without its digest, so that a fast hash serves. Salt and slowness protect
//! secrets that people choose, and would cost every request.

use std::fmt;
use std::sync::Arc;

use runtime::ConfigError;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

const SETTING: &str = "API_KEYS";
const LONGEST_NAME: usize = 64;

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything that changes nothing.
    Read,
    /// Everything.
    Write,
}

impl Scope {
    /// As the setting writes it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        [Self::Read, Self::Write]
            .into_iter()
            .find(|scope| scope.code() == code)
    }
}

/// One entry of `API_KEYS`: a key that opens the API, as its digest.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    name: Option<Arc<str>>,
    scope: Scope,
    digest: [u8; 32],
    /// The setting holds the key itself.
    plain: bool,
}

impl ApiKey {
    /// A fresh random key, and the entry that lets it in.
    ///
    /// # Errors
    /// `name` is not one that an entry can hold.
    pub fn generate(scope: Scope, name: Option<&str>) -> Result<(SecretString, Self), ConfigError> {
        let name = name.map(checked).transpose()?;
        // The prefix tells scanners of leaked secrets, and people, what they have found.
        let key = format!("imagefleet_{}", hex::encode(rand::random::<[u8; 32]>()));
        let entry = Self {
            name,
            scope,
            digest: digest(key.as_bytes()),
            plain: false,
        };
        Ok((key.into(), entry))
    }

    /// Reads one entry: `SCOPE:sha256:HEX` or `NAME:SCOPE:sha256:HEX`, else a plain key, which may
    /// write and has no name.
    ///
    /// # Errors
    /// An entry that names a digest and is none of these. The entry itself is not shown.
    pub(crate) fn parse(entry: &str) -> Result<Self, ConfigError> {
        let Some((head, hex)) = entry.split_once(":sha256:") else {
            return Ok(entry.into());
        };
        let (name, scope) = match head.rsplit_once(':') {
            Some((name, scope)) => (Some(checked(name)?), scope),
            None => (None, head),
        };
        let scope = Scope::from_code(scope)
            .ok_or_else(|| refused("before ':sha256:' there must be read or write"))?;
        let mut digest = [0; 32];
        hex::decode_to_slice(hex, &mut digest)
            .map_err(|_| refused("after ':sha256:' there must be 64 hexadecimal digits"))?;
        Ok(Self {
            name,
            scope,
            digest,
            plain: false,
        })
    }

    /// Who holds it, for people.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// What it opens.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }
}

/// A plain key.
impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self {
            name: None,
            scope: Scope::Write,
            digest: digest(key.as_bytes()),
            plain: true,
        }
    }
}

/// The entry, as the setting holds it.
impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}:")?;
        }
        write!(
            f,
            "{}:sha256:{}",
            self.scope.code(),
            hex::encode(self.digest)
        )
    }
}

/// Without the digest: that of a plain key could be tried against likely ones.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Which of `keys` was given. Takes as long whichever it is, and if it is none.
pub(crate) fn find(keys: &[ApiKey], given: &[u8]) -> Option<usize> {
    let given = digest(given);
    let mut found = u64::MAX;
    for (at, key) in (0_u64..).zip(keys) {
        found.conditional_assign(&at, key.digest.ct_eq(&given));
    }
    usize::try_from(found).ok().filter(|at| *at < keys.len())
}

/// Whoever reads the setting, a manifest or a process's environment has a plain key, but nothing by a
/// digest.
pub(crate) fn warn_of_plain(keys: &[ApiKey]) {
    let plain = keys.iter().filter(|key| key.plain).count();
    if plain > 0 {
        tracing::warn!(
            keys = plain,
            "API_KEYS holds plain keys; write write:sha256:HEX in their place, with the HEX of \
             `printf %s KEY | sha256sum`, or make new keys with `imagefleet api-key`"
        );
    }
}

fn checked(name: &str) -> Result<Arc<str>, ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain) {
        Ok(name.into())
    } else {
        Err(refused(
            "a key's name must be 1 to 64 of A-Z, a-z, 0-9, '-', '_', '.' and '@'",
        ))
    }
}

fn refused(problem: &str) -> ConfigError {
    ConfigError::new(
        SETTING,
        format!("{problem}; write a plain key, SCOPE:sha256:HEX or NAME:SCOPE:sha256:HEX"),
    )
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_fresh_key_opens_its_own_entry_and_no_other() {
        let (key, entry) = ApiKey::generate(Scope::Read, Some("ci")).unwrap();
        let (other, _) = ApiKey::generate(Scope::Read, Some("ci")).unwrap();
        assert_ne!(key.expose_secret(), other.expose_secret());
        assert_eq!(key.expose_secret().len(), "imagefleet_".len() + 64);
        assert!(!entry.to_string().contains(key.expose_secret()));

        let read = ApiKey::parse(&entry.to_string()).unwrap();
        assert_eq!(read, entry);
        assert_eq!(read.name().map(|name| &**name), Some("ci"));
        let keys = ["plain".into(), read];
        assert_eq!(find(&keys, key.expose_secret().as_bytes()), Some(1));
        assert_eq!(find(&keys, b"plain"), Some(0));
        assert_eq!(find(&keys, other.expose_secret().as_bytes()), None);
        assert_eq!(find(&keys, b""), None);
        assert_eq!(find(&[], b""), None);
    }

    #[test]
    fn entries_are_read_or_refused_without_being_shown() {
        let hex = "ab".repeat(32);
        let unnamed = ApiKey::parse(&format!("read:sha256:{hex}")).unwrap();
        assert_eq!((unnamed.scope(), unnamed.name()), (Scope::Read, None));
        let plain = ApiKey::parse("with:colons").unwrap();
        assert_eq!(plain, "with:colons".into());
        assert_eq!(plain.scope(), Scope::Write);
        for entry in [
            format!("admin:sha256:{hex}"),
            format!("a name:read:sha256:{hex}"),
            format!(":read:sha256:{hex}"),
            format!("{}:read:sha256:{hex}", "n".repeat(65)),
            format!("read:sha256:{hex}00"),
            "read:sha256:hunter2".to_owned(),
            format!(":sha256:{hex}"),
        ] {
            let error = ApiKey::parse(&entry).unwrap_err();
            assert_eq!(error.setting(), "API_KEYS", "{entry}");
            let error = error.to_string();
            assert!(
                !error.contains("hunter2") && !error.contains(&hex),
                "{error}"
            );
        }
        assert!(!format!("{unnamed:?}").contains("abab"));
    }
}
