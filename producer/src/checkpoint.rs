//! How far listing an import got: the last message on the import's checkpoint subject.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use async_nats::header;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use contracts::{EventBody, FileId, ImportId, Message, streams, subjects};
use jetstream::Nats;
use serde::{Deserialize, Serialize};

use crate::announce;

/// A folder to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FolderNode {
    pub(crate) id: FileId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) drive_id: Option<String>,
    /// Folder names from the import's root, `/` between them; empty for the root alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) path: String,
}

impl FolderNode {
    /// Whether it is the folder that was asked for.
    pub(crate) fn is_root(&self) -> bool {
        self.path.is_empty()
    }
}

/// Where listing goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Batches published so far: a page goes out in one or several.
    pub(crate) pages: u64,
    /// Tasks in them. Only traces go by it.
    #[serde(default)]
    pub(crate) queued: u64,
    /// The page of which a part is published. It is listed again by whoever takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partial: Option<PagePart>,
    /// The folder being listed and the token of its next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<(FolderNode, String)>,
    /// Folders found and not yet listed.
    pub(crate) frontier: Vec<FolderNode>,
    /// Folders found so far: shortcuts can form cycles.
    pub(crate) visited: BTreeSet<FileId>,
    /// What is announced once this checkpoint is stored. A producer that dies between the two leaves
    /// it to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) announce: Option<EventBody>,
    /// The import is listed or has failed; nothing is left to do.
    #[serde(default)]
    pub(crate) done: bool,
}

/// A page to list, and what of it is published already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PagePart {
    pub(crate) folder: FolderNode,
    /// `None` for a folder's first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// Entries of this page that are queued or counted as skipped.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) published: BTreeSet<FileId>,
}

impl Message for Checkpoint {
    const NAME: &'static str = "checkpoint";
    const VERSION: u32 = 1;
}

impl Checkpoint {
    /// Before anything is listed.
    pub(crate) fn start(root: FolderNode) -> Self {
        Self {
            pages: 0,
            queued: 0,
            partial: None,
            current: None,
            visited: BTreeSet::from([root.id.clone()]),
            frontier: vec![root],
            announce: None,
            done: false,
        }
    }

    /// What the next call lists.
    pub(crate) fn next(&mut self) -> Option<PagePart> {
        if let Some(partial) = self.partial.take() {
            return Some(partial);
        }
        let (folder, token) = match self.current.take() {
            Some((folder, token)) => (folder, Some(token)),
            None => (self.frontier.pop()?, None),
        };
        Some(PagePart {
            folder,
            token,
            published: BTreeSet::new(),
        })
    }

    /// What [`Self::next`] will give once the page at hand is published and its folder goes on at
    /// `then`.
    pub(crate) fn upcoming(&self, then: Option<&(FolderNode, String)>) -> Option<PagePart> {
        let (folder, token) = match then {
            Some((folder, token)) => (folder, Some(token.clone())),
            None => (self.frontier.last()?, None),
        };
        Some(PagePart {
            folder: folder.clone(),
            token,
            published: BTreeSet::new(),
        })
    }

    /// Remember a subfolder, once.
    pub(crate) fn found(&mut self, folder: FolderNode) {
        if self.visited.insert(folder.id.clone()) {
            self.frontier.push(folder);
        }
    }
}

/// The last checkpoint of `import` and its stream sequence, which fences the next.
pub(crate) async fn load(
    nats: &Nats,
    import: &ImportId,
) -> anyhow::Result<Option<(Checkpoint, u64)>> {
    let stream = nats.context.get_stream_no_info(streams::TASKS).await?;
    // From the leader, not from a replica that may lag: a stale checkpoint would be fenced anyway,
    // but only after a page was listed for nothing.
    match stream
        .get_last_raw_message_by_subject(&subjects::checkpoint(import))
        .await
    {
        Ok(message) => Ok(Some((
            contracts::decode(&message.payload)?,
            message.sequence,
        ))),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replace the checkpoint by one that says that nothing is left to do, and announce why. It is kept
/// for a while, so that a request delivered again is recognised. A stale producer is refused as in a
/// batch.
pub(crate) async fn finish(
    nats: &Nats,
    import: &ImportId,
    why: EventBody,
    pages: u64,
    expected: u64,
) -> anyhow::Result<()> {
    let last = Checkpoint {
        pages,
        queued: 0,
        partial: None,
        current: None,
        frontier: Vec::new(),
        visited: BTreeSet::new(),
        announce: Some(why.clone()),
        done: true,
    };
    let mut headers = HeaderMap::new();
    headers.insert(
        header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
        expected.to_string(),
    );
    headers.insert(header::NATS_ROLLUP, "sub");
    headers.insert(
        header::NATS_MESSAGE_TTL,
        format!("{}s", streams::FINISHED_CHECKPOINT_TTL.as_secs()),
    );
    let payload = contracts::encode(&last)?;
    nats.publish_with_headers(subjects::checkpoint(import), headers, payload.into())
        .await?;
    announce::event(nats, import, pages, why).await
}

/// Whether `error`, of [`finish`], means that somebody else moved the checkpoint.
pub(crate) fn is_fenced(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<PublishError>()
            .is_some_and(|error| error.kind() == PublishErrorKind::WrongLastSequence)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn node(id: &str) -> FolderNode {
        FolderNode {
            id: id.parse().unwrap(),
            resource_key: None,
            drive_id: None,
            path: String::new(),
        }
    }

    fn part(id: &str, token: Option<&str>) -> PagePart {
        PagePart {
            folder: node(id),
            token: token.map(str::to_owned),
            published: BTreeSet::new(),
        }
    }

    #[test]
    fn a_page_half_published_comes_before_everything_else() {
        let mut checkpoint = Checkpoint::start(node("root"));
        let mut half = checkpoint.next().unwrap();
        checkpoint.found(node("a"));
        half.published.insert("x".parse().unwrap());
        checkpoint.partial = Some(half.clone());
        let bytes = contracts::encode(&checkpoint).unwrap();
        let mut resumed: Checkpoint = contracts::decode(&bytes).unwrap();
        assert_eq!(resumed.next().unwrap(), half);
        assert_eq!(resumed.next().unwrap(), part("a", None));
    }

    #[test]
    fn every_folder_is_listed_once_even_in_a_cycle() {
        let mut checkpoint = Checkpoint::start(node("root"));
        let mut listed = Vec::new();
        while let Some(page) = checkpoint.next() {
            listed.push(page.folder.id.to_string());
            for child in ["a", "b", "root"] {
                checkpoint.found(node(child));
            }
        }
        listed.sort();
        assert_eq!(listed, ["a", "b", "root"]);
    }

    #[test]
    fn a_folder_is_finished_before_the_next_begins() {
        let mut checkpoint = Checkpoint::start(node("root"));
        let first = checkpoint.next().unwrap();
        assert_eq!(first, part("root", None));
        checkpoint.found(node("a"));
        checkpoint.current = Some((first.folder, "page2".into()));
        let bytes = contracts::encode(&checkpoint).unwrap();
        let mut resumed: Checkpoint = contracts::decode(&bytes).unwrap();
        assert_eq!(resumed, checkpoint);
        let then = resumed.current.clone();
        let upcoming = resumed.upcoming(then.as_ref());
        assert_eq!(upcoming, Some(part("root", Some("page2"))));
        assert_eq!(resumed.next(), upcoming);
        assert_eq!(resumed.upcoming(None), Some(part("a", None)));
        assert_eq!(resumed.next().unwrap(), part("a", None));
        assert_eq!(resumed.upcoming(None), None);
        assert_eq!(resumed.next(), None);
    }
}
