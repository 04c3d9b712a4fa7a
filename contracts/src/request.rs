//! The import request: what a person or another system asks for.

use serde::{Deserialize, Serialize};

use crate::{ImportId, Message, Prefix};

/// Import one folder. Published to [`crate::subjects::REQUESTS`] with `Nats-Msg-Id` = the import
/// id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRequest {
    /// The requester's own id; one is derived from the stored message when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_id: Option<ImportId>,
    /// What to import.
    pub source: Source,
    /// Whether subfolders are imported too.
    #[serde(default = "yes")]
    pub recursive: bool,
    /// Prepended to every object key.
    #[serde(default, skip_serializing_if = "Prefix::is_empty")]
    pub destination_prefix: Prefix,
    /// Skip files whose content was imported before.
    #[serde(default = "yes")]
    pub skip_unchanged: bool,
    /// Who asks, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A Google Drive folder.
    GoogleDrive {
        /// A folder URL in any of Drive's forms, or a bare folder id.
        folder: String,
    },
}

impl Source {
    /// The folder as the requester wrote it.
    #[must_use]
    pub fn folder(&self) -> &str {
        match self {
            Self::GoogleDrive { folder } => folder,
        }
    }
}

fn yes() -> bool {
    true
}

impl ImportRequest {
    /// A request for `folder` with every option at its default.
    #[must_use]
    pub fn google_drive(folder: impl Into<String>) -> Self {
        Self {
            import_id: None,
            source: Source::GoogleDrive {
                folder: folder.into(),
            },
            recursive: true,
            destination_prefix: Prefix::default(),
            skip_unchanged: true,
            requested_by: None,
        }
    }
}

impl Message for ImportRequest {
    const NAME: &'static str = "import request";
    const VERSION: u32 = 1;
}
