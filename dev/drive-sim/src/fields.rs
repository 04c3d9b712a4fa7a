//! The `fields` parameter: which parts of an answer a client wants
//! (<https://developers.google.com/workspace/drive/api/guides/fields-parameter>).

use std::collections::BTreeMap;

use serde_json::Value;

/// A parsed selection. Without children it selects everything beneath.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<String, Fields>);

const LIST: &[&str] = &["kind", "nextPageToken", "incompleteSearch", "files"];

/// The fields of a file, <https://developers.google.com/workspace/drive/api/reference/rest/v3/files>.
#[rustfmt::skip]
const FILE: &[&str] = &[
    "appProperties", "capabilities", "contentHints", "contentRestrictions", "copyRequiresWriterPermission",
    "createdTime", "description", "downloadRestrictions", "driveId", "explicitlyTrashed", "exportLinks",
    "fileExtension", "folderColorRgb", "fullFileExtension", "hasAugmentedPermissions", "hasThumbnail",
    "headRevisionId", "iconLink", "id", "imageMediaMetadata", "inheritedPermissionsDisabled", "isAppAuthorized",
    "kind", "labelInfo", "lastModifyingUser", "linkShareMetadata", "md5Checksum", "mimeType", "modifiedByMe",
    "modifiedByMeTime", "modifiedTime", "name", "originalFilename", "ownedByMe", "owners", "parents",
    "permissionIds", "permissions", "properties", "quotaBytesUsed", "resourceKey", "sha1Checksum",
    "sha256Checksum", "shared", "sharedWithMeTime", "sharingUser", "shortcutDetails", "size", "spaces",
    "starred", "teamDriveId", "thumbnailLink", "thumbnailVersion", "trashed", "trashedTime", "trashingUser",
    "version", "videoMediaMetadata", "viewedByMe", "viewedByMeTime", "viewersCanCopyContent",
    "webContentLink", "webViewLink", "writersCanShare",
];

const SHORTCUT: &[&str] = &["targetId", "targetMimeType", "targetResourceKey"];

#[rustfmt::skip]
const IMAGE: &[&str] = &[
    "aperture", "cameraMake", "cameraModel", "colorSpace", "date", "exposureBias", "exposureMode",
    "exposureTime", "flashUsed", "focalLength", "height", "isoSpeed", "lens", "location",
    "maxApertureValue", "meteringMode", "rotation", "sensor", "subjectDistance", "time", "whiteBalance", "width",
];

impl Fields {
    /// Parses and checks a selection from a list of files. The error is the part that Drive would
    /// name in its answer.
    pub(crate) fn of_list(text: Option<&str>) -> Result<Self, String> {
        let fields = Self::parse(text.unwrap_or(
            "kind,incompleteSearch,nextPageToken,files(kind,id,name,mimeType,resourceKey)",
        ))?;
        fields.check(LIST)?;
        fields.0.get("files").map_or(Ok(()), Self::check_file)?;
        Ok(fields)
    }

    /// Parses and checks a selection from one file.
    pub(crate) fn of_file(text: Option<&str>) -> Result<Self, String> {
        let fields = Self::parse(text.unwrap_or("kind,id,name,mimeType,resourceKey"))?;
        fields.check_file()?;
        Ok(fields)
    }

    /// What is selected beneath a field; none if the field itself is not selected.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        if self.0.is_empty() {
            return Some(self);
        }
        self.0.get(name).or_else(|| self.0.get("*"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Removes what is not selected.
    pub(crate) fn prune(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|name, value| match self.get(name) {
                    Some(fields) => {
                        fields.prune(value);
                        true
                    }
                    None => false,
                });
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.prune(value)),
            _ => {}
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let fields = Self::parse_list(&mut rest)?;
        if rest.is_empty() {
            Ok(fields)
        } else {
            Err(rest.to_owned())
        }
    }

    fn parse_list(rest: &mut &str) -> Result<Self, String> {
        let mut fields = Self::default();
        loop {
            fields.parse_item(rest)?;
            match rest.strip_prefix(',') {
                Some(after) => *rest = after,
                None => return Ok(fields),
            }
        }
    }

    /// `name`, `name/item`, `name(list)`; names may be `*`.
    fn parse_item(&mut self, rest: &mut &str) -> Result<(), String> {
        let text = rest.trim_start();
        let end = text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '*')
            .unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        if name.is_empty() {
            return Err(text.to_owned());
        }
        *rest = after.trim_start();
        let mut beneath = Self::default();
        if let Some(after) = rest.strip_prefix('/') {
            *rest = after;
            beneath.parse_item(rest)?;
        } else if let Some(after) = rest.strip_prefix('(') {
            *rest = after;
            beneath = Self::parse_list(rest)?;
            *rest = rest
                .strip_prefix(')')
                .ok_or_else(|| name.to_owned())?
                .trim_start();
        }
        self.add(name.to_owned(), beneath);
        Ok(())
    }

    fn add(&mut self, name: String, beneath: Self) {
        match self.0.get_mut(&name) {
            // Everything beneath was selected before, or is now.
            Some(known) if known.0.is_empty() || beneath.0.is_empty() => *known = Self::default(),
            Some(known) => {
                beneath
                    .0
                    .into_iter()
                    .for_each(|(name, fields)| known.add(name, fields));
            }
            None => {
                self.0.insert(name, beneath);
            }
        }
    }

    fn check_file(&self) -> Result<(), String> {
        self.check(FILE)?;
        self.0
            .get("shortcutDetails")
            .map_or(Ok(()), |fields| fields.check(SHORTCUT))?;
        self.0
            .get("imageMediaMetadata")
            .map_or(Ok(()), |fields| fields.check(IMAGE))?;
        self.0.get("capabilities").map_or(Ok(()), |fields| {
            let unknown = fields
                .0
                .keys()
                .find(|name| !name.starts_with("can") && *name != "*");
            unknown.map_or(Ok(()), |name| Err(name.clone()))
        })
    }

    fn check(&self, known: &[&str]) -> Result<(), String> {
        let unknown = self
            .0
            .keys()
            .find(|name| *name != "*" && !known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |name| Err(name.clone()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pruned(fields: &str) -> Value {
        let mut value = json!({
            "kind": "drive#fileList",
            "nextPageToken": "t",
            "files": [{
                "id": "a",
                "name": "b",
                "capabilities": {"canDownload": true, "canEdit": false},
                "shortcutDetails": {"targetId": "c", "targetMimeType": "d"},
            }],
        });
        Fields::of_list(Some(fields)).unwrap().prune(&mut value);
        value
    }

    #[test]
    fn selects_nested_parts() {
        assert_eq!(pruned("nextPageToken"), json!({"nextPageToken": "t"}));
        assert_eq!(
            pruned("files(id, capabilities/canDownload,shortcutDetails(targetId))"),
            json!({"files": [{
                "id": "a",
                "capabilities": {"canDownload": true},
                "shortcutDetails": {"targetId": "c"},
            }]})
        );
        assert_eq!(pruned("files/id"), json!({"files": [{"id": "a"}]}));
        assert_eq!(
            pruned("files/id,files/name"),
            json!({"files": [{"id": "a", "name": "b"}]})
        );
        assert_eq!(
            pruned("files/capabilities/canEdit,files/capabilities/canDownload"),
            pruned("files(capabilities)")
        );
        assert_eq!(pruned("files(id),files"), pruned("files"));
        assert_eq!(pruned("*"), pruned("kind,nextPageToken,files(*)"));
    }

    #[test]
    fn refuses_what_drive_does_not_know() {
        for (fields, culprit) in [
            ("files(id,nam)", "nam"),
            ("file(id)", "file"),
            ("files(capabilities/download)", "download"),
            ("files(id", "files"),
            ("files(id))", ")"),
            ("", ""),
            ("files(shortcutDetails(target))", "target"),
        ] {
            assert_eq!(
                Fields::of_list(Some(fields)),
                Err(culprit.to_owned()),
                "{fields}"
            );
        }
        assert_eq!(Fields::of_file(Some("files")), Err("files".to_owned()));
    }
}
