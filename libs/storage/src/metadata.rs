//! What stores keep beside an object, as ASCII headers of 2 KB in all.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{ObjectHead, ObjectInfo};

pub(crate) const SOURCE_NAME: &str = "source-name";
pub(crate) const DRIVE_ID: &str = "drive-id";
pub(crate) const IMPORT_ID: &str = "import-id";
pub(crate) const MD5: &str = "md5";
const SHA256: &str = "sha256";

/// S3 allows 2 KB of user metadata (Amazon S3 User Guide, "Working with object metadata"), Azure
/// 8 KB; the other entries need about 350 bytes.
const LONGEST: usize = 1024;

/// What may stand in a header as it is. Spaces may not: signatures collapse runs of them.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Names, of letters and `-`, and values.
pub(crate) fn encode(info: &ObjectInfo, md5: Option<[u8; 16]>) -> Vec<(&'static str, String)> {
    let mut metadata = vec![
        (SOURCE_NAME, encode_text(&info.source_name)),
        (DRIVE_ID, encode_text(&info.drive_id)),
        (IMPORT_ID, encode_text(&info.import_id)),
    ];
    if let Some(md5) = md5 {
        metadata.push((MD5, hex::encode(md5)));
    }
    if let Some(sha256) = &info.sha256 {
        metadata.push((SHA256, encode_text(sha256)));
    }
    metadata
}

/// Reads it back through `entry`, which finds a value by its name.
pub(crate) fn decode<'a>(
    entry: impl Fn(&str) -> Option<&'a str>,
    size: u64,
    content_type: &str,
) -> ObjectHead {
    let text = |name: &str| entry(name).map(decode_text).unwrap_or_default();
    let md5 = entry(MD5).and_then(|value| {
        let mut md5 = [0; 16];
        hex::decode_to_slice(value, &mut md5).ok().map(|()| md5)
    });
    ObjectHead {
        size,
        content_type: content_type.to_owned(),
        md5,
        sha256: entry(SHA256).map(str::to_owned),
        source_name: text(SOURCE_NAME),
        drive_id: text(DRIVE_ID),
        import_id: text(IMPORT_ID),
    }
}

/// Percent-encodes as many whole characters as fit.
fn encode_text(text: &str) -> String {
    let mut encoded = String::new();
    let mut buffer = [0; 4];
    for character in text.chars() {
        let start = encoded.len();
        encoded.extend(utf8_percent_encode(
            character.encode_utf8(&mut buffer),
            ENCODED,
        ));
        if encoded.len() > LONGEST {
            encoded.truncate(start);
            break;
        }
    }
    encoded
}

fn decode_text(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_name_becomes_a_short_visible_ascii_header(name in ".{0,300}") {
            let encoded = encode_text(&name);
            prop_assert!(encoded.len() <= LONGEST);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(name.starts_with(&decode_text(&encoded)));
            if name.len() * 3 <= LONGEST {
                prop_assert_eq!(decode_text(&encoded), name);
            }
        }
    }
}
