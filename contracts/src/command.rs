//! What people and other systems ask of an import that was requested before.

use serde::{Deserialize, Serialize};

use crate::{Cause, FileId, ImportId, Message};

/// Change the course of one import. Published to [`crate::subjects::COMMANDS`]; carried out by a
/// producer, and carried out again, to the same end, should that one die over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The import.
    pub import_id: ImportId,
    /// What to do with it.
    #[serde(flatten)]
    pub action: Action,
    /// Who asks, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}

/// What to do with an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Give up what is left of it. Final: nothing after it changes the import.
    Cancel,
    /// Start nothing more of it until it is resumed. What workers hold is finished.
    Pause,
    /// Go on with a paused one.
    Resume,
    /// Re-drive: queue failed entries again, as a new run of each.
    Retry {
        /// Only those that failed for this cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
        /// Only this entry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item_id: Option<FileId>,
    },
}

impl Action {
    /// The code on the wire, in URLs and in logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry { .. } => "retry",
        }
    }
}

impl Message for Command {
    const NAME: &'static str = "import command";
    const VERSION: u32 = 1;
}
