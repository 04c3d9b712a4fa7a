//! What is said about a local object, as JSON beside it.

use serde::{Deserialize, Serialize};

use crate::{ObjectHead, ObjectInfo};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sidecar {
    content_type: String,
    source_name: String,
    drive_id: String,
    #[serde(default)]
    import_id: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl Sidecar {
    pub(super) fn new(info: &ObjectInfo, md5: Option<[u8; 16]>, size: u64) -> Self {
        Self {
            content_type: info.content_type.clone(),
            source_name: info.source_name.clone(),
            drive_id: info.drive_id.clone(),
            import_id: info.import_id.clone(),
            size,
            md5: md5.map(hex::encode),
            sha256: info.sha256.clone(),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What to say about an object of `size` bytes, given what lies beside it. A power failure can
    /// leave a sidecar damaged, or newer than its object; checksums and the import are then unknown,
    /// not wrong.
    pub(super) fn head(json: Option<&[u8]>, size: u64) -> ObjectHead {
        let sidecar = json.and_then(|json| serde_json::from_slice::<Self>(json).ok());
        let mut sidecar = sidecar.unwrap_or_default();
        if sidecar.size != size {
            (sidecar.md5, sidecar.sha256) = (None, None);
            sidecar.import_id.clear();
        }
        if sidecar.content_type.is_empty() {
            sidecar.content_type = "application/octet-stream".to_owned();
        }
        let md5 = sidecar.md5.and_then(|text| {
            let mut md5 = [0; 16];
            hex::decode_to_slice(text, &mut md5).ok().map(|()| md5)
        });
        ObjectHead {
            size,
            content_type: sidecar.content_type,
            md5,
            sha256: sidecar.sha256,
            source_name: sidecar.source_name,
            drive_id: sidecar.drive_id,
            import_id: sidecar.import_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_or_foreign_sidecar_vouches_for_nothing() {
        let info = ObjectInfo {
            content_type: "image/png".to_owned(),
            sha256: Some("ab".to_owned()),
            import_id: "i1".to_owned(),
            ..ObjectInfo::default()
        };
        let json = Sidecar::new(&info, Some([7; 16]), 10).to_json();
        let head = Sidecar::head(Some(&json), 10);
        assert_eq!((head.md5, head.import_id.as_str()), (Some([7; 16]), "i1"));
        for (json, size) in [(Some(&json[..]), 11), (Some(&json[..5]), 10), (None, 10)] {
            let head = Sidecar::head(json, size);
            assert_eq!((head.size, head.md5, head.sha256), (size, None, None));
            assert_eq!(head.import_id, "");
        }
    }
}
