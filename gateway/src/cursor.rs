//! Where the next page begins: opaque to clients, and good for the list that gave it only.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::problem::{Problem, Result};

/// The lists that give cursors.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    Images,
    Imports,
    /// Entries of an import, failed ones included.
    Items,
}

impl Of {
    /// Version and list. Another order of the list takes another version.
    fn mark(self) -> &'static str {
        match self {
            Self::Images => "1.images.",
            Self::Imports => "1.imports.",
            Self::Items => "1.items.",
        }
    }

    /// The cursor of the page behind the row with this key.
    pub(crate) fn after(self, key: impl std::fmt::Display) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}{key}", self.mark()))
    }

    /// The key of the row that the page is behind.
    pub(crate) fn read<T: FromStr>(self, cursor: &str) -> Result<T> {
        let decoded = URL_SAFE_NO_PAD.decode(cursor).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        decoded
            .as_deref()
            .and_then(|text| text.strip_prefix(self.mark())?.parse().ok())
            .ok_or_else(|| {
                Problem::parameter(
                    "cursor",
                    "the next_cursor of an earlier answer of this list",
                )
            })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_key_in_its_own_list_only() {
        let cursor = Of::Images.after(4711);
        assert_eq!(Of::Images.read::<i64>(&cursor).unwrap(), 4711);
        assert!(Of::Imports.read::<String>(&cursor).is_err());
        assert!(
            cursor
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        for bad in [
            "",
            "4711",
            "=",
            "MS5pbWFnZXMueA",
            "\u{1F4F7}",
            "MS5pbWFnZXMu",
        ] {
            assert!(Of::Images.read::<i64>(bad).is_err(), "{bad}");
        }
    }
}
