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

    /// Whether a worker may have made this key: its last segment is a UUID of version 5 and an
    /// extension.
    pub(crate) fn is_generated(&self) -> bool {
        let name = self.0.rsplit('/').next().unwrap_or_default();
        let stem = name.split_once('.').map(|(stem, _)| stem);
        let uuid = stem.and_then(|stem| uuid::Uuid::try_parse(stem).ok());
        uuid.is_some_and(|uuid| uuid.get_version_num() == 5)
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
    fn only_names_like_ours_are_ours() {
        let ours = "a/b/c6cbb8e0-8ad8-5b4f-9c5c-0b7f0a7f6c11.jpg";
        assert!(Key::new(ours).is_ok_and(|key| key.is_generated()));
        for other in [
            "a/b/backup.tar",
            "c6cbb8e0-8ad8-5b4f-9c5c-0b7f0a7f6c11.d/b.jpg",
            "c6cbb8e0-8ad8-4b4f-9c5c-0b7f0a7f6c11.jpg",
            "c6cbb8e0-8ad8-5b4f-9c5c-0b7f0a7f6c11",
        ] {
            assert!(
                Key::new(other).is_ok_and(|key| !key.is_generated()),
                "{other}"
            );
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
