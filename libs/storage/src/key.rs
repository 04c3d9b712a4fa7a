//! Object keys.

use std::fmt;
use std::str::FromStr;

/// The name of one object.
///
/// Invariant: 1 to 1024 bytes (the limit of S3), segments of `[A-Za-z0-9._-]` separated by `/`, no
/// empty, `.` or `..` segment. So a key is safe in a URL, in a header and as a relative path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

/// Why a string is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an object key must be 1 to 1024 bytes of A-Z, a-z, 0-9, '.', '_' and '-' in segments \
     separated by '/'; this is {0:?}"
)]
pub struct KeyError(String);

impl Key {
    /// Parses `key`.
    ///
    /// # Errors
    /// [`KeyError`] when the invariant does not hold.
    pub fn new(key: impl Into<String>) -> Result<Self, KeyError> {
        let key = key.into();
        let segment = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if key.len() <= 1024 && key.split('/').all(segment) {
            Ok(Self(key))
        } else {
            // Bounded, because the error may be logged.
            Err(KeyError(key.chars().take(80).collect()))
        }
    }

    /// The key as the store sees it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Key {
    type Err = KeyError;
    fn from_str(s: &str) -> Result<Self, KeyError> {
        Self::new(s)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    proptest! {
        #[test]
        fn a_key_is_a_relative_path_that_never_climbs(s in "[a-zA-Z0-9./_\\\\ -]{0,40}|.{0,40}") {
            if let Ok(key) = Key::new(s) {
                let mut parts = Path::new(key.as_str()).components();
                prop_assert!(parts.all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(key.as_str().is_ascii());
            }
        }
    }

    #[test]
    fn the_limits_hold() {
        assert!(Key::new("a".repeat(1024)).is_ok());
        assert!(Key::new("a".repeat(1025)).is_err());
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "a/../b", "a/./b", "a b", "ä", "a\\b", "a\0",
        ] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
        assert!(Key::new("photos/2024/.hidden/a-b_c.JPG").is_ok());
    }
}
