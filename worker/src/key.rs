//! Object keys: never from file names, always the same for the same content of the same file.

use contracts::{Prefix, SourceFile};
use storage::{Key, KeyError};
use uuid::Uuid;

/// Namespace of our keys; never changes, because re-imports find their objects by it.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d0f_4f1c_5f0e_4b0e_9a54_21e1_7f1b_8c3a);

/// `<prefix>/<uuidv5(file id, content)>.<extension>`.
///
/// # Errors
/// None for prefixes and ids of the right type; the error is kept for defects.
pub(crate) fn object_key(
    prefix: &Prefix,
    file: &SourceFile,
    extension: &str,
) -> Result<Key, KeyError> {
    let name = format!("{}\n{}", file.id, file.content_tag());
    let id = Uuid::new_v5(&NAMESPACE, name.as_bytes());
    let slash = if prefix.is_empty() { "" } else { "/" };
    Key::new(format!("{prefix}{slash}{id}.{extension}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(id: &str, md5: &str, name: &str) -> SourceFile {
        SourceFile {
            item_id: id.parse().unwrap(),
            id: id.parse().unwrap(),
            name: name.to_owned(),
            mime_type: "image/jpeg".into(),
            size: Some(1),
            md5: Some(md5.to_owned()),
            sha256: None,
            modified_time: None,
            resource_key: None,
            path: String::new(),
        }
    }

    proptest! {
        #[test]
        fn names_never_reach_keys(name in ".{0,80}", other in ".{0,80}") {
            let prefix: Prefix = "a/b".parse().unwrap();
            let key = object_key(&prefix, &file("f", "m", &name), "jpg").unwrap();
            prop_assert_eq!(&key, &object_key(&prefix, &file("f", "m", &other), "jpg").unwrap());
        }

        #[test]
        fn content_and_file_tell_keys_apart(a in "[a-z]{1,8}", b in "[a-z]{1,8}", m in "[0-9a-f]{32}", n in "[0-9a-f]{32}") {
            let prefix = Prefix::default();
            let same = a == b && m == n;
            let equal = object_key(&prefix, &file(&a, &m, ""), "jpg").unwrap()
                == object_key(&prefix, &file(&b, &n, ""), "jpg").unwrap();
            prop_assert_eq!(same, equal);
        }
    }

    #[test]
    fn a_key_never_changes_between_releases() {
        let key = object_key(&"photos".parse().unwrap(), &file("f1", "00", "x"), "png").unwrap();
        assert_eq!(
            key.as_str(),
            "photos/fc35dedc-866b-5e5f-a653-3dabb91947ba.png"
        );
    }
}
