//! Whether a demo ended as planned: every count, and every stored byte.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use storage::{Key, Store, StoreConfig};

use crate::api::{Api, Image, Progress};
use crate::output;

/// Differences that are named one by one.
const NAMED: usize = 10;

/// What a demo imports.
pub(crate) enum Source {
    /// Generated photographs.
    Generated { files: u64 },
    /// The user's files, by folder path and name as Drive tells them.
    Photos {
        root: PathBuf,
        files: BTreeMap<(String, String), PathBuf>,
    },
}

impl Source {
    /// Every file beneath `root`. Symbolic links are left out, as the simulated Drive does.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![(root.to_owned(), String::new())];
        while let Some((folder, path)) = folders.pop() {
            let cannot = || format!("cannot read {}", folder.display());
            for entry in std::fs::read_dir(&folder).with_context(cannot)? {
                let entry = entry.with_context(cannot)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let kind = entry.file_type().with_context(cannot)?;
                if kind.is_dir() {
                    let path = if path.is_empty() {
                        name
                    } else {
                        format!("{path}/{name}")
                    };
                    folders.push((entry.path(), path));
                } else if kind.is_file() {
                    files.insert((path.clone(), name), entry.path());
                }
            }
        }
        Ok(Self::Photos {
            root: root.to_owned(),
            files,
        })
    }

    pub(crate) fn files(&self) -> u64 {
        match self {
            Self::Generated { files } => *files,
            Self::Photos { files, .. } => files.len() as u64,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Generated { files } => format!("{files} generated files, some planned to fail"),
            Self::Photos { root, files } => {
                format!("the {} files of {}", files.len(), root.display())
            }
        }
    }

    /// The bytes that an image must have.
    fn bytes(&self, image: &Image) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Generated { .. } => drive_sim::content(&image.google_drive_id)
                .map(|bytes| bytes.to_vec())
                .context("it is none of the generated files"),
            Self::Photos { files, .. } => {
                let path = files
                    .get(&(image.path.clone(), image.name.clone()))
                    .context("it is none of the folder's files")?;
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
            }
        }
    }
}

/// Everything that is not as planned, for people; nothing if all is well.
///
/// # Errors
/// When the gateway or the store does not answer.
pub(crate) async fn verify(
    api: &Api,
    source: &Source,
    import: &str,
    progress: &Progress,
    causes: &BTreeMap<String, u64>,
    data: &Path,
) -> anyhow::Result<Vec<String>> {
    let images = api.images_of(import).await?;
    let mut counts = vec![
        ("files", source.files(), progress.total),
        (
            "images listed by the API",
            progress.imported_count,
            images.len() as u64,
        ),
    ];
    let mut wrong = Vec::new();
    match source {
        Source::Generated { files } => {
            let folder = format!("{}-n{files}", drive_sim::DEMO_FOLDER);
            let planned = drive_sim::planned(&folder).context("the folder has no plan")?;
            counts.push(("imported", planned.imported, progress.imported_count));
            counts.push(("skipped", planned.skipped, progress.skipped));
            let known = planned.failed.keys().copied();
            let known: BTreeSet<&str> = known.chain(causes.keys().map(String::as_str)).collect();
            let count = |count: Option<&u64>| count.copied().unwrap_or_default();
            counts.extend(known.into_iter().map(|cause| {
                (
                    cause,
                    count(planned.failed.get(cause)),
                    count(causes.get(cause)),
                )
            }));
        }
        Source::Photos { files, .. } => {
            counts.push(("failed", 0, progress.failed));
            let found: BTreeSet<_> = images
                .iter()
                .map(|image| (&image.path, &image.name))
                .collect();
            let missing = files
                .keys()
                .filter(|(path, name)| is_image(name) && !found.contains(&(path, name)));
            wrong.extend(missing.take(NAMED).map(|(path, name)| {
                output::printable(&format!(
                    "{} was not imported",
                    Path::new(path).join(name).display()
                ))
            }));
        }
    }
    if progress.status != "completed" {
        wrong.push(format!("the import is {}", progress.status));
    }
    let differ = counts
        .into_iter()
        .filter(|(_, planned, found)| planned != found);
    wrong
        .extend(differ.map(|(what, planned, found)| format!("{what}: {found}, planned {planned}")));
    let root = data.join("images");
    let store = Store::open(StoreConfig::Local { root }).await?;
    let mut named = 0;
    for image in &images {
        if let Err(error) = compare(&store, source, image).await {
            wrong.push(format!("{}: {error:#}", output::printable(&image.name)));
            named += 1;
        }
        if named == NAMED {
            break;
        }
    }
    Ok(wrong)
}

fn is_image(name: &str) -> bool {
    mime_guess::from_path(name)
        .first_raw()
        .is_some_and(|mime| mime.starts_with("image/"))
}

async fn compare(store: &Store, source: &Source, image: &Image) -> anyhow::Result<()> {
    let key = Key::new(image.key.as_str())?;
    let stored = store
        .get(&key, None)
        .await?
        .context("its object is missing")?;
    let stored = stored.collect().await?;
    anyhow::ensure!(
        stored == source.bytes(image)?,
        "its object has other bytes than its source"
    );
    Ok(())
}
