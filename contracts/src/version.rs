//! The version field that every message carries.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A message with a place on the wire.
pub trait Message: Serialize + DeserializeOwned {
    /// The name used in errors and logs.
    const NAME: &'static str;
    /// The version written today; readers accept this one and treat a missing `v` as 1.
    const VERSION: u32;
}

/// Why bytes could not be read as a message. Neither kind is ever cured by trying again.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no JSON object of the expected shape.
    #[error("this is not a valid {name} message: {source}")]
    Malformed {
        /// Which message was expected.
        name: &'static str,
        /// What the JSON reader said.
        #[source]
        source: serde_json::Error,
    },
    /// A newer publisher wrote a version this reader does not know.
    #[error(
        "{name} version {found} is unknown to this release (it reads version {known}); upgrade it"
    )]
    UnknownVersion {
        /// Which message was expected.
        name: &'static str,
        /// The version found.
        found: u32,
        /// The version this release reads.
        known: u32,
    },
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u32,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default = "first_version")]
    v: u32,
}

fn first_version() -> u32 {
    1
}

/// The JSON bytes of `message`, with its version.
///
/// # Errors
/// Only if a `Serialize` implementation fails, which none of this crate's does.
pub fn encode<T: Message>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Versioned {
        v: T::VERSION,
        body: message,
    })
}

/// Read a message, checking its version first. Unknown fields are ignored.
///
/// # Errors
/// [`DecodeError`] says whether the bytes are malformed or of a version this release cannot read.
pub fn decode<T: Message>(bytes: &[u8]) -> Result<T, DecodeError> {
    let malformed = |source| DecodeError::Malformed {
        name: T::NAME,
        source,
    };
    let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
    if head.v != T::VERSION {
        return Err(DecodeError::UnknownVersion {
            name: T::NAME,
            found: head.v,
            known: T::VERSION,
        });
    }
    serde_json::from_slice(bytes).map_err(malformed)
}
