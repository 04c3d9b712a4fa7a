//! Identifiers, each parsed once at the edge and carried as a type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a string is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}; this is {found:?}")]
pub struct IdError {
    what: &'static str,
    rule: &'static str,
    found: String,
}

impl IdError {
    fn new(what: &'static str, rule: &'static str, found: &str) -> Self {
        // Bounded, because the value came from outside and the error may be logged.
        Self {
            what,
            rule,
            found: found.chars().take(80).collect(),
        }
    }
}

macro_rules! string_id {
    ($name:ident) => {
        impl $name {
            /// The identifier as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(value: String) -> Result<Self, IdError> {
                value.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

/// One import. Ours are `UUIDv7`; other systems may bring their own.
///
/// Invariant: 1 to 40 of `[a-z0-9-]`: exactly one NATS subject token and one KV key token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImportId(String);
string_id!(ImportId);

impl ImportId {
    /// A fresh, time-ordered id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// The id of a request that named none: the same request delivered again gets the same id.
    ///
    /// `stored_ms` is when the broker stored the request (milliseconds since 1970), `sequence` its
    /// place in the stream.
    #[must_use]
    pub fn of_stored_request(stored_ms: u64, sequence: u64) -> Self {
        let mut tail = [0u8; 10];
        tail[2..].copy_from_slice(&sequence.to_be_bytes());
        Self(
            uuid::Builder::from_unix_timestamp_millis(stored_ms, &tail)
                .into_uuid()
                .to_string(),
        )
    }
}

impl FromStr for ImportId {
    type Err = IdError;
    fn from_str(s: &str) -> Result<Self, IdError> {
        let ok = (1..=40).contains(&s.len())
            && s.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if ok {
            Ok(Self(s.to_owned()))
        } else {
            Err(IdError::new(
                "an import id",
                "1 to 40 of a-z, 0-9 and '-'",
                s,
            ))
        }
    }
}

/// A Google Drive file or folder id.
///
/// Invariant: 1 to 128 of `[A-Za-z0-9_-]`: one NATS subject token, and safe inside a Drive query.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileId(String);
string_id!(FileId);

impl FromStr for FileId {
    type Err = IdError;
    fn from_str(s: &str) -> Result<Self, IdError> {
        let ok = (1..=128).contains(&s.len())
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if ok {
            Ok(Self(s.to_owned()))
        } else {
            Err(IdError::new(
                "a Drive file id",
                "1 to 128 of A-Z, a-z, 0-9, '-' and '_'",
                s,
            ))
        }
    }
}

/// Where in the bucket an import's objects go.
///
/// Invariant: no leading or trailing slash, no empty, `.` or `..` segment, only
/// `[A-Za-z0-9._-]` between slashes, at most 200 bytes. May be empty (the bucket's root).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);
string_id!(Prefix);

impl Prefix {
    /// Whether objects go to the bucket's root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Prefix {
    type Err = IdError;
    fn from_str(s: &str) -> Result<Self, IdError> {
        let trimmed = s.trim_matches('/');
        let segment = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if trimmed.len() <= 200 && (trimmed.is_empty() || trimmed.split('/').all(segment)) {
            Ok(Self(trimmed.to_owned()))
        } else {
            Err(IdError::new(
                "a destination prefix",
                "folder names of A-Z, a-z, 0-9, '.', '_' and '-', separated by '/', at most 200 bytes",
                s,
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_import_id_is_always_one_subject_token(s in ".{0,60}") {
            if let Ok(id) = s.parse::<ImportId>() {
                prop_assert!(!id.as_str().is_empty());
                prop_assert!(!id.as_str().contains(['.', '*', '>', ' ']));
            }
        }

        #[test]
        fn a_file_id_can_stand_inside_a_drive_query(s in ".{0,140}") {
            if let Ok(id) = s.parse::<FileId>() {
                prop_assert!(!id.as_str().contains(['\'', '\\', '.', ' ', '/']));
            }
        }

        #[test]
        fn a_prefix_never_climbs(s in "[a-z./ -]{0,40}") {
            if let Ok(prefix) = s.parse::<Prefix>() {
                prop_assert!(!prefix.as_str().split('/').any(|part| part == ".."));
                prop_assert!(!prefix.as_str().starts_with('/'));
            }
        }
    }

    #[test]
    fn generated_ids_parse_and_sort_by_time() {
        let first = ImportId::generate();
        assert_eq!(first.as_str().parse::<ImportId>().as_ref(), Ok(&first));
        assert_eq!(
            ImportId::of_stored_request(7, 9),
            ImportId::of_stored_request(7, 9)
        );
        assert_ne!(
            ImportId::of_stored_request(7, 9),
            ImportId::of_stored_request(7, 10)
        );
        assert!(ImportId::of_stored_request(7, 9) < first);
    }
}
