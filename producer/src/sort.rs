//! Sorting a page: what is queued, what is skipped, which folders come later.

use std::collections::{BTreeSet, HashSet};

use contracts::event::SkippedEntry;
use contracts::{
    EventBody, FileId, ImportId, ImportImage, ImportRequest, Prefix, SkipReason, SourceFile, Task,
};
use drive::{DriveError, Entry, Page};
use read_model::ReadModelError;

use crate::Producer;
use crate::checkpoint::{Checkpoint, FolderNode};
use crate::entries::{self, Verdict};

/// A page, sorted.
#[derive(Default)]
pub(crate) struct Sorted {
    queued: Vec<SourceFile>,
    pub(crate) skipped: Vec<SkippedEntry>,
}

impl Sorted {
    /// The only thing to say of a subfolder that cannot be listed.
    pub(crate) fn unreadable(folder: &FolderNode) -> Self {
        let entry = SkippedEntry {
            item_id: folder.id.clone(),
            name: folder.path.clone(),
            reason: SkipReason::FolderUnreadable,
        };
        Self {
            skipped: vec![entry],
            ..Self::default()
        }
    }

    /// Whether nothing of it is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.skipped.is_empty()
    }

    /// Forget the entries that are published already.
    pub(crate) fn without(&mut self, published: &BTreeSet<FileId>) {
        self.queued
            .retain(|file| !published.contains(&file.item_id));
        self.skipped
            .retain(|entry| !published.contains(&entry.item_id));
    }

    /// Split off what is published next: at most `tasks` tasks, and all that is skipped.
    pub(crate) fn split(&mut self, tasks: usize) -> Self {
        let rest = self.queued.split_off(tasks.min(self.queued.len()));
        Self {
            queued: std::mem::replace(&mut self.queued, rest),
            skipped: std::mem::take(&mut self.skipped),
        }
    }

    /// Every entry in it.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FileId> {
        let queued = self.queued.iter().map(|file| file.item_id.clone());
        queued.chain(self.skipped.iter().map(|entry| entry.item_id.clone()))
    }

    /// The tasks to publish.
    pub(crate) fn tasks(&self, import: &ImportId, prefix: &Prefix) -> Vec<Task> {
        self.queued
            .iter()
            .map(|file| {
                Task::ImportImage(ImportImage {
                    import_id: import.clone(),
                    run: 1,
                    attempt: 1,
                    file: file.clone(),
                    destination_prefix: prefix.clone(),
                })
            })
            .collect()
    }

    /// What is announced once the tasks are stored.
    pub(crate) fn event(self, page: u64) -> EventBody {
        EventBody::ImportListed {
            page,
            queued: self.queued.into_iter().map(|file| file.item_id).collect(),
            skipped: self.skipped,
        }
    }

    fn take(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Queue(file) => self.queued.push(file),
            Verdict::Skip(entry) => self.skipped.push(entry),
        }
    }
}

impl Producer {
    /// Sort `page` of `folder`; subfolders go to the frontier of `at`.
    pub(crate) async fn sort_out(
        &self,
        request: &ImportRequest,
        folder: &FolderNode,
        page: Page,
        at: &mut Checkpoint,
    ) -> Sorted {
        let mut sorted = Sorted::default();
        for entry in page.malformed {
            tracing::warn!(folder.id = %folder.id, error = %entry, "entry with unreadable metadata");
            sorted.skipped.extend(entries::malformed(&entry));
        }
        for entry in page.entries {
            if !request.recursive && entries::leads_to_folder(&entry) {
                continue;
            }
            match entry {
                Entry::File(file) => {
                    sorted.take(entries::judge(
                        file.id.clone(),
                        file.name.clone(),
                        file,
                        &folder.path,
                    ));
                }
                Entry::Folder(found) => at.found(FolderNode {
                    path: entries::child_path(&folder.path, &found.name),
                    id: found.id,
                    resource_key: found.resource_key,
                    drive_id: found.drive_id,
                }),
                Entry::Shortcut(shortcut) => self.follow(shortcut, folder, at, &mut sorted).await,
            }
        }
        if request.skip_unchanged {
            self.drop_unchanged(&mut sorted).await;
        }
        sorted
    }

    async fn follow(
        &self,
        shortcut: drive::Shortcut,
        folder: &FolderNode,
        at: &mut Checkpoint,
        sorted: &mut Sorted,
    ) {
        if !shortcut.targets_folder() {
            if let Some(skipped) = entries::shortcut_verdict(&shortcut) {
                sorted.skipped.push(skipped);
                return;
            }
        } else if at.visited.contains(&shortcut.target_id) {
            return;
        }
        match self.target(&shortcut).await {
            Ok(Entry::Folder(found)) => at.found(FolderNode {
                path: entries::child_path(&folder.path, &shortcut.name),
                id: found.id,
                resource_key: found.resource_key.or(shortcut.target_resource_key),
                drive_id: found.drive_id,
            }),
            Ok(Entry::File(mut file)) => {
                file.resource_key = file.resource_key.or(shortcut.target_resource_key);
                sorted.take(entries::judge(
                    shortcut.id,
                    shortcut.name,
                    file,
                    &folder.path,
                ));
            }
            // Drive makes no shortcuts to shortcuts; one that appears all the same leads nowhere.
            Ok(Entry::Shortcut(_)) => sorted
                .skipped
                .push(skip(shortcut, SkipReason::BrokenShortcut)),
            Err(DriveError::NotFound) => sorted
                .skipped
                .push(skip(shortcut, SkipReason::BrokenShortcut)),
            Err(error) => {
                tracing::warn!(shortcut.id = %shortcut.id, error = %error, "shortcut cannot be followed");
                let reason = match error {
                    DriveError::Protocol(_) => SkipReason::UnreadableMetadata,
                    _ => SkipReason::BrokenShortcut,
                };
                sorted.skipped.push(skip(shortcut, reason));
            }
        }
    }

    /// Move files that are stored with the same content from `queued` to `skipped`.
    async fn drop_unchanged(&self, sorted: &mut Sorted) {
        if sorted.queued.is_empty() {
            return;
        }
        let asked: Vec<_> = sorted
            .queued
            .iter()
            .map(|file| (file.id.clone(), file.content_tag()))
            .collect();
        // Waited for even if it takes long: to list the page again would only spend quota.
        let unchanged = self
            .ask(|| async {
                match self.read_model.imported_unchanged(&asked).await {
                    // No tables yet: nothing was ever imported here.
                    Err(ReadModelError::NotReady) => Ok(HashSet::new()),
                    answer => answer,
                }
            })
            .await;
        let (skipped, queued) = std::mem::take(&mut sorted.queued)
            .into_iter()
            .partition(|file| unchanged.contains(&file.id));
        sorted.queued = queued;
        sorted.skipped.extend(
            Vec::<SourceFile>::into_iter(skipped).map(|file| SkippedEntry {
                item_id: file.item_id,
                name: file.name,
                reason: SkipReason::Unchanged,
            }),
        );
    }
}

fn skip(shortcut: drive::Shortcut, reason: SkipReason) -> SkippedEntry {
    SkippedEntry {
        item_id: shortcut.id,
        name: shortcut.name,
        reason,
    }
}
