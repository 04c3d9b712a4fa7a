//! What goes into a store and what comes out.

use std::fmt;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt};

use crate::StoreError;

/// What is said about an object when it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Becomes the `Content-Type`.
    pub content_type: String,
    /// The file's name at its source; any text. Stores keep about 1 KB of it, percent-encoded.
    pub source_name: String,
    /// The Drive file it came from.
    pub drive_id: String,
    /// The import that stores it.
    pub import_id: String,
    /// MD5 of the bytes, when known. The store refuses other bytes.
    pub md5: Option<[u8; 16]>,
    /// Lower-case hex SHA-256 of the bytes, when known.
    pub sha256: Option<String>,
}

/// What a store says about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes.
    pub size: u64,
    /// The `Content-Type`.
    pub content_type: String,
    /// MD5 of the bytes, when it was known at the time of storing.
    pub md5: Option<[u8; 16]>,
    /// Lower-case hex SHA-256 of the bytes, when it was known at the time of storing.
    pub sha256: Option<String>,
    /// The file's name at its source, perhaps cut short.
    pub source_name: String,
    /// The Drive file it came from.
    pub drive_id: String,
    /// The import that stored it last; empty when nobody said so.
    pub import_id: String,
}

/// A part of an object, as in the HTTP header `Range` (RFC 9110, section 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// From the first to the last byte named, both included; the end may lie beyond the object's.
    Between(u64, u64),
    /// From this byte to the end.
    From(u64),
    /// The last so many bytes.
    Last(u64),
}

impl Range {
    /// Reads the value of a `Range` header. `None` means: serve the whole object, as RFC 9110 asks
    /// for units, lists and mistakes that a server does not understand.
    #[must_use]
    pub fn parse_header(value: &str) -> Option<Self> {
        let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
        match (first.trim(), last.trim()) {
            ("", last) => Some(Self::Last(last.parse().ok()?)),
            (first, "") => Some(Self::From(first.parse().ok()?)),
            (first, last) => {
                let (first, last) = (first.parse().ok()?, last.parse().ok()?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The offset and length of this range in an object of `size` bytes; `None` if it has no byte.
    pub(crate) fn within(self, size: u64) -> Option<(u64, u64)> {
        let (offset, end) = match self {
            Self::Between(first, last) => (first, size.min(last.saturating_add(1))),
            Self::From(first) => (first, size),
            Self::Last(count) => (size - size.min(count), size),
        };
        (offset < end).then(|| (offset, end - offset))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between(first, last) => write!(f, "bytes={first}-{last}"),
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

/// Reads the `Content-Range` `bytes 2-5/10` as an offset and the total size.
pub(crate) fn content_range(value: &str) -> Option<(u64, u64)> {
    let (first, rest) = value.strip_prefix("bytes ")?.split_once('-')?;
    let (_, total) = rest.split_once('/')?;
    Some((first.parse().ok()?, total.parse().ok()?))
}

/// The stream inside a [`Body`].
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, StoreError>> + Send>>;

/// An object's bytes, or a range of them, on their way.
pub struct Body {
    /// Where in the object these bytes begin.
    pub offset: u64,
    /// Bytes that the stream will deliver.
    pub size: u64,
    /// Bytes of the whole object.
    pub total_size: u64,
    /// The `Content-Type`.
    pub content_type: String,
    /// The bytes; an error ends them.
    pub stream: BodyStream,
}

impl Body {
    /// All bytes in memory: for small objects.
    ///
    /// # Errors
    /// Whatever ended the stream.
    pub async fn collect(self) -> Result<Bytes, StoreError> {
        let all: BytesMut = self.stream.try_collect().await?;
        Ok(all.freeze())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("offset", &self.offset)
            .field("size", &self.size)
            .field("total_size", &self.total_size)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_headers_are_read_as_rfc_9110_says() {
        assert_eq!(Range::parse_header("bytes=0-9"), Some(Range::Between(0, 9)));
        assert_eq!(Range::parse_header("bytes=10-"), Some(Range::From(10)));
        assert_eq!(Range::parse_header("bytes=-5"), Some(Range::Last(5)));
        for ignored in [
            "bytes=9-0",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=-",
            "bytes",
            "",
            "0-9",
        ] {
            assert_eq!(Range::parse_header(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn ranges_are_cut_to_the_object() {
        assert_eq!(Range::Between(2, 5).within(10), Some((2, 4)));
        assert_eq!(Range::Between(2, u64::MAX).within(10), Some((2, 8)));
        assert_eq!(Range::From(9).within(10), Some((9, 1)));
        assert_eq!(Range::From(10).within(10), None);
        assert_eq!(Range::Last(3).within(10), Some((7, 3)));
        assert_eq!(Range::Last(30).within(10), Some((0, 10)));
        assert_eq!(Range::Last(0).within(10), None);
        assert_eq!(Range::From(0).within(0), None);
    }
}
