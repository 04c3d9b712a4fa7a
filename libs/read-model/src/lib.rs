//! The read model: a pure fold of events, the tables it is kept in, and the queries on them.
//!
//! [`fold::State`] turns events into rows and does no I/O. [`ReadModel`] keeps those rows in a
//! database: one projector folds batches of events into it, any number of readers ask it.

mod ado;
mod compare;
mod error;
mod export;
pub mod fold;
mod history;
mod image;
mod import;
mod item;
mod metrics;
mod query;
mod rebuild;
mod removal;
mod settings;
mod sqlite;
mod sqlserver;
mod table;
mod touched;

use std::collections::HashSet;
use std::path::Path;

use contracts::{Cause, Event, FileId, ImportId};

pub use compare::{Comparison, Difference, DifferenceKind};
pub use error::{ReadModelError, Refusal};
pub use export::{AllFailedItems, AllImages};
pub use history::{MAX_STEPS, Step};
pub use image::{Image, ImageRow};
pub use import::{ImportRow, ImportStatus};
pub use item::{Item, ItemState, Reason, fold_item, redrive_item};
pub use query::{
    FailedItem, FailureGroup, FailureSample, Folded, FoundItem, ImagesQuery, ImportsQuery,
    MAX_PER_PAGE, MAX_SEARCH_CHARS, Paged, ProviderStatistics,
};
pub use rebuild::{Held, Look, Rebuild};
pub use removal::Removal;
pub use settings::{Address, BadSchema, ReadModelConfig, Schema, SqlServerConfig, Trust};
pub use sqlite::Sqlite;
pub use sqlserver::SqlServer;

/// What every operation of the read model may fail with.
pub type Result<T, E = ReadModelError> = std::result::Result<T, E>;

/// The name of the projection's checkpoint: the last event folded into the tables.
pub const CHECKPOINT: &str = "read-model";

/// The read model in one of the databases it can be kept in. Clones share their connections.
///
/// Every operation may answer [`ReadModelError::Unavailable`] and [`ReadModelError::Corrupt`];
/// every query may also answer [`ReadModelError::NotReady`] until the projector has made the
/// tables, and [`ReadModelError::Newer`] when a newer release made them.
#[derive(Clone, Debug)]
pub enum ReadModel {
    /// In one `SQLite` file.
    Sqlite(Sqlite),
    /// In SQL Server or Azure SQL.
    SqlServer(SqlServer),
}

impl ReadModel {
    /// Open the database for folding: makes the tables, or brings them up to date. Several processes
    /// may do so at once.
    ///
    /// # Errors
    /// [`ReadModelError::Newer`] if a newer release made the tables.
    pub async fn open(config: &ReadModelConfig) -> Result<Self> {
        match config {
            ReadModelConfig::Sqlite(path) => Self::open_sqlite(path).await,
            ReadModelConfig::SqlServer(config) => {
                SqlServer::open(config).await.map(Self::SqlServer)
            }
        }
    }

    /// A handle that only reads, from the replica if there is one. Nothing is waited for, and the
    /// database need not be there yet.
    #[must_use]
    pub fn open_read_only(config: &ReadModelConfig) -> Self {
        match config {
            ReadModelConfig::Sqlite(path) => Self::open_sqlite_read_only(path),
            ReadModelConfig::SqlServer(config) => Self::SqlServer(SqlServer::read_only(config)),
        }
    }

    /// Write with these settings, as a projector does, in a transaction that is rolled back: nothing
    /// is left of it, and a projector at work only waits for a moment.
    ///
    /// # Errors
    /// Why it cannot be written; [`ReadModelError::NotReady`] if there is no file yet.
    pub async fn rehearse(config: &ReadModelConfig) -> Result<()> {
        match config {
            ReadModelConfig::Sqlite(path) => sqlite::rehearse(path).await,
            ReadModelConfig::SqlServer(config) => SqlServer::rehearse(config).await,
        }
    }

    /// [`Self::open`] for a file, which is made with its folder if need be.
    ///
    /// # Errors
    /// [`ReadModelError::Newer`] if a newer release made the tables.
    pub async fn open_sqlite(path: &Path) -> Result<Self> {
        Sqlite::open(path).await.map(Self::Sqlite)
    }

    /// [`Self::open_read_only`] for a file.
    #[must_use]
    pub fn open_sqlite_read_only(path: &Path) -> Self {
        Self::Sqlite(Sqlite::read_only(path))
    }

    /// The sequence of the last event folded under `name`; 0 if none was.
    ///
    /// # Errors
    /// As every query.
    pub async fn checkpoint(&self, name: &str) -> Result<u64> {
        match self {
            Self::Sqlite(store) => store.checkpoint(name).await,
            Self::SqlServer(store) => store.checkpoint(name).await,
        }
    }

    /// Fold `events`, each with its sequence in the stream and in its order, and move the checkpoint
    /// `name` from `expected` to `new_checkpoint`, all in one transaction. Events up to `expected`
    /// are passed over. A caller that stops waiting does not know whether the fold happened and must
    /// read the checkpoint.
    ///
    /// # Errors
    /// [`ReadModelError::Fenced`] if the checkpoint is not at `expected`, and
    /// [`ReadModelError::ReadOnly`] on a handle that only reads. After any error nothing was changed,
    /// but after [`ReadModelError::Unavailable`] read the checkpoint before folding again.
    pub async fn fold(
        &self,
        name: &str,
        expected: u64,
        events: Vec<(u64, Event)>,
        new_checkpoint: u64,
    ) -> Result<Folded> {
        match self {
            Self::Sqlite(store) => store.fold(name, expected, events, new_checkpoint).await,
            Self::SqlServer(store) => store.fold(name, expected, events, new_checkpoint).await,
        }
    }

    /// One import.
    ///
    /// # Errors
    /// As every query.
    pub async fn import(&self, id: &ImportId) -> Result<Option<ImportRow>> {
        match self {
            Self::Sqlite(store) => store.import(id).await,
            Self::SqlServer(store) => store.import(id).await,
        }
    }

    /// Imports, the newest first.
    ///
    /// # Errors
    /// As every query.
    pub async fn imports(&self, query: ImportsQuery) -> Result<Paged<ImportRow>> {
        match self {
            Self::Sqlite(store) => store.imports(query).await,
            Self::SqlServer(store) => store.imports(query).await,
        }
    }

    /// Imports into which an event after `revision` was folded, in the order of their revisions.
    ///
    /// # Errors
    /// As every query.
    pub async fn changed_imports(&self, revision: u64, limit: u32) -> Result<Vec<ImportRow>> {
        match self {
            Self::Sqlite(store) => store.changed_imports(revision, limit).await,
            Self::SqlServer(store) => store.changed_imports(revision, limit).await,
        }
    }

    /// How many imports have each status; a status that none has is left out.
    ///
    /// # Errors
    /// As every query.
    pub async fn count_imports(&self) -> Result<Vec<(ImportStatus, u64)>> {
        match self {
            Self::Sqlite(store) => store.count_imports().await,
            Self::SqlServer(store) => store.count_imports().await,
        }
    }

    /// The images that an import stored last, the latest first.
    ///
    /// # Errors
    /// As every query.
    pub async fn latest_images(&self, import: &ImportId, limit: u32) -> Result<Vec<ImageRow>> {
        match self {
            Self::Sqlite(store) => store.latest_images(import, limit).await,
            Self::SqlServer(store) => store.latest_images(import, limit).await,
        }
    }

    /// Images, the newest first.
    ///
    /// # Errors
    /// As every query.
    pub async fn images(&self, query: ImagesQuery) -> Result<Paged<ImageRow>> {
        match self {
            Self::Sqlite(store) => store.images(query).await,
            Self::SqlServer(store) => store.images(query).await,
        }
    }

    /// The page that [`Self::images`] gives, without counting all that match.
    ///
    /// # Errors
    /// As every query.
    pub async fn page_of_images(&self, query: ImagesQuery) -> Result<Vec<ImageRow>> {
        match self {
            Self::Sqlite(store) => store.page_of_images(query).await,
            Self::SqlServer(store) => store.page_of_images(query).await,
        }
    }

    /// How many images match, whatever the page. Without a filter, or with the provider alone, the
    /// statistics know it; else the matching rows are counted, and with `q` every name is read.
    ///
    /// # Errors
    /// As every query.
    pub async fn count_images(&self, query: ImagesQuery) -> Result<u64> {
        match self {
            Self::Sqlite(store) => store.count_images(query).await,
            Self::SqlServer(store) => store.count_images(query).await,
        }
    }

    /// Those images of `ids` that there are, in no order.
    ///
    /// # Errors
    /// As every query.
    pub async fn images_with(&self, ids: &[i64]) -> Result<Vec<ImageRow>> {
        match self {
            Self::Sqlite(store) => store.images_with(ids).await,
            Self::SqlServer(store) => store.images_with(ids).await,
        }
    }

    /// One image, by the number the API knows it by.
    ///
    /// # Errors
    /// As every query.
    pub async fn image(&self, id: i64) -> Result<Option<ImageRow>> {
        match self {
            Self::Sqlite(store) => store.image(id).await,
            Self::SqlServer(store) => store.image(id).await,
        }
    }

    /// Replaced objects whose removal is still to be asked for, the oldest first.
    ///
    /// # Errors
    /// As every query.
    pub async fn removals(&self, limit: u32) -> Result<Vec<Removal>> {
        match self {
            Self::Sqlite(store) => store.removals(limit).await,
            Self::SqlServer(store) => store.removals(limit).await,
        }
    }

    /// Forget the removals that were noted at these sequences: they were asked for.
    ///
    /// # Errors
    /// [`ReadModelError::ReadOnly`] on a handle that only reads; else as every query.
    pub async fn forget_removals(&self, sequences: Vec<u64>) -> Result<()> {
        match self {
            Self::Sqlite(store) => store.forget_removals(sequences).await,
            Self::SqlServer(store) => store.forget_removals(sequences).await,
        }
    }

    /// Every image that matches, the newest first, a bounded number at a time; `page` and `per_page`
    /// are ignored. Images stored after the first read are not among them.
    #[must_use]
    pub fn all_images(&self, filter: ImagesQuery) -> AllImages {
        AllImages::new(self.clone(), filter)
    }

    /// What is stored at each provider.
    ///
    /// # Errors
    /// As every query.
    pub async fn statistics(&self) -> Result<Vec<ProviderStatistics>> {
        match self {
            Self::Sqlite(store) => store.statistics().await,
            Self::SqlServer(store) => store.statistics().await,
        }
    }

    /// Why entries of an import failed, the most frequent cause first.
    ///
    /// # Errors
    /// As every query.
    pub async fn failures(&self, import: &ImportId) -> Result<Vec<FailureGroup>> {
        match self {
            Self::Sqlite(store) => store.failures(import).await,
            Self::SqlServer(store) => store.failures(import).await,
        }
    }

    /// Failed entries of an import, in the order of their ids, from the one after `after` on.
    ///
    /// # Errors
    /// As every query.
    pub async fn failed_items(
        &self,
        import: &ImportId,
        cause: Option<Cause>,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<FailedItem>> {
        match self {
            Self::Sqlite(store) => store.failed_items(import, cause, after, limit).await,
            Self::SqlServer(store) => store.failed_items(import, cause, after, limit).await,
        }
    }

    /// Every failed entry of an import, in the order of their ids, a bounded number at a time.
    #[must_use]
    pub fn all_failed_items(&self, import: &ImportId, cause: Option<Cause>) -> AllFailedItems {
        AllFailedItems::new(self.clone(), import.clone(), cause)
    }

    /// One entry of an import.
    ///
    /// # Errors
    /// As every query.
    pub async fn item(&self, import: &ImportId, item: &FileId) -> Result<Option<FoundItem>> {
        match self {
            Self::Sqlite(store) => store.item(import, item).await,
            Self::SqlServer(store) => store.item(import, item).await,
        }
    }

    /// Entries of an import in `state`, in the order of their ids, from the one after `after` on.
    ///
    /// # Errors
    /// As every query.
    pub async fn items_in(
        &self,
        import: &ImportId,
        state: ItemState,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<Item>> {
        match self {
            Self::Sqlite(store) => store.items_in(import, state, after, limit).await,
            Self::SqlServer(store) => store.items_in(import, state, after, limit).await,
        }
    }

    /// Entries of an import, in the order of their ids, from the one after `after` on.
    ///
    /// # Errors
    /// As every query.
    pub async fn items(
        &self,
        import: &ImportId,
        after: Option<&FileId>,
        limit: u32,
    ) -> Result<Vec<Item>> {
        match self {
            Self::Sqlite(store) => store.items(import, after, limit).await,
            Self::SqlServer(store) => store.items(import, after, limit).await,
        }
    }

    /// Of these files, each with its [`contracts::SourceFile::content_tag`], those that are stored
    /// with the same content.
    ///
    /// # Errors
    /// As every query.
    pub async fn imported_unchanged(&self, files: &[(FileId, String)]) -> Result<HashSet<FileId>> {
        match self {
            Self::Sqlite(store) => store.imported_unchanged(files).await,
            Self::SqlServer(store) => store.imported_unchanged(files).await,
        }
    }
}
