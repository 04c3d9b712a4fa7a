//! One image from Drive into the store: streamed, hashed on the way, visible only when it is right.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use contracts::{Cause, ImportImage, Prefix, SourceFile};
use drive::{DriveError, cost};
use md5::{Digest as _, Md5};
use runtime::Ticket;
use runtime::trace::{Kind, Span};
use sha2::Sha256;
use storage::{Key, ObjectInfo, StoreError};

use crate::Worker;
use crate::control::Writing;
use crate::facts::{self, Facts};
use crate::fetch::Fetch;
use crate::import::chain;
use crate::key;

/// Bodies up to this size are held whole and stored in one request; larger ones go in parts.
const SMALL: usize = 8 << 20;

/// An image that is whole in the store.
pub(crate) struct Stored {
    pub(crate) key: Key,
    pub(crate) size: u64,
    pub(crate) md5: String,
    pub(crate) sha256: String,
    pub(crate) facts: Facts,
    /// `None` if it was there already.
    pub(crate) took: Option<Took>,
}

/// Where the time went.
pub(crate) struct Took {
    pub(crate) quota: Duration,
    pub(crate) download: Duration,
    /// After the last byte: is it what was listed, and, of a small one, what is it? Hashing is a part
    /// of downloading.
    pub(crate) verify: Duration,
    pub(crate) upload: Duration,
}

/// Why it is not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Drive did not deliver.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// All bytes came and are not those that were listed; holds the MD5 of what came.
    #[error("the bytes do not match what Drive listed: {0}")]
    Mismatch(Mismatch),
    /// This image will never do.
    #[error("{1}")]
    Rejected(Cause, String),
}

/// How bytes differ from what was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Which of Drive's facts they contradict.
    pub(crate) fact: &'static str,
    /// What Drive said.
    pub(crate) listed: String,
    /// What came.
    pub(crate) received: String,
    /// Lower-case hex of what came, whatever fact it contradicts.
    pub(crate) md5: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} is {}, listed as {}",
            self.fact, self.received, self.listed
        )
    }
}

/// Hashes of the bytes so far.
#[derive(Default)]
struct Hashes {
    md5: Md5,
    sha256: Sha256,
    size: u64,
}

impl Hashes {
    fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }

    fn finish(self) -> Sums {
        Sums {
            md5: self.md5.finalize().into(),
            sha256: hex::encode(self.sha256.finalize()),
            size: self.size,
        }
    }
}

struct Sums {
    md5: [u8; 16],
    sha256: String,
    size: u64,
}

impl Sums {
    /// Hold the bytes against the strongest thing Drive listed.
    fn check(&self, file: &SourceFile) -> Result<(), Failure> {
        let md5 = hex::encode(self.md5);
        let (fact, listed, received) = match (&file.md5, &file.sha256, file.size) {
            (Some(listed), _, _) => ("md5", listed.clone(), md5.clone()),
            (None, Some(listed), _) => ("sha256", listed.clone(), self.sha256.clone()),
            (None, None, Some(listed)) => ("size", listed.to_string(), self.size.to_string()),
            (None, None, None) => return Ok(()),
        };
        if listed == received {
            return Ok(());
        }
        Err(Failure::Mismatch(Mismatch {
            fact,
            listed,
            received,
            md5,
        }))
    }
}

impl Worker {
    /// Download `file`, as the task's is now, and store it under its key. The download is paid with
    /// `ticket`, if there is still one.
    pub(crate) async fn transfer(
        &self,
        task: &ImportImage,
        file: &SourceFile,
        ticket: &mut Option<Ticket>,
        writing: &Writing,
    ) -> Result<Stored, Failure> {
        let prefix = &task.destination_prefix;
        let begun = Instant::now();
        let paid = Span::begin(Kind::Internal, "wait for quota");
        match ticket.take() {
            Some(ticket) => ticket.redeem().await,
            None => self.quota.acquire(cost::DOWNLOAD).await,
        }
        drop(paid);
        let quota = begun.elapsed();
        let begun = Instant::now();
        let download = Span::begin(Kind::Internal, "download");
        let mut hashes = Hashes::default();
        let (mut body, start) = download
            .is(async {
                let mut body = self.fetch(file).await?;
                // What will go in parts anyway is held no longer than it takes to recognise it.
                let large = body.length().is_some_and(|length| length > SMALL as u64);
                let limit = if large { facts::HEAD_BYTES } else { SMALL };
                let start = read_up_to(&mut body, &mut hashes, limit).await?;
                Ok::<_, Failure>((body, start))
            })
            .await?;
        match start {
            Start::Whole(bytes) => {
                let download = begun.elapsed();
                let begun = Instant::now();
                let sums = hashes.finish();
                sums.check(file)?;
                let facts = recognise(file, &bytes)?;
                let key = self.key(prefix, file, &facts)?;
                let info = info(
                    task,
                    file,
                    &facts,
                    Some(sums.md5),
                    Some(sums.sha256.clone()),
                );
                let verify = begun.elapsed();
                let begun = Instant::now();
                writing.begin();
                let upload = self.upload_span("upload", &key);
                upload.is(self.store.put(&key, bytes, &info)).await?;
                let upload = begun.elapsed();
                let took = Took {
                    quota,
                    download,
                    verify,
                    upload,
                };
                Ok(stored(key, sums, facts, took))
            }
            Start::Part(bytes) => {
                let facts = recognise(file, &bytes)?;
                let key = self.key(prefix, file, &facts)?;
                let listed_md5 = file
                    .md5
                    .as_deref()
                    .and_then(|md5| hex::decode(md5).ok()?.try_into().ok());
                let info = info(task, file, &facts, listed_md5, file.sha256.clone());
                let span = self.upload_span("download and upload in parts", &key);
                let transfer = async {
                    let mut upload = self.store.upload(&key, &info).await?;
                    upload.write(bytes).await?;
                    while let Some(bytes) = body.chunk().await? {
                        hashes.update(&bytes);
                        upload.write(bytes).await?;
                    }
                    let download = begun.elapsed();
                    let begun = Instant::now();
                    let sums = hashes.finish();
                    if let Err(mismatch) = sums.check(file) {
                        // Also done when the upload is dropped; here it is awaited. That it fails is
                        // no fault of the image's.
                        if let Err(error) = upload.abort().await {
                            tracing::warn!(%key, error = %chain(&error), "an unfinished upload is left in the store");
                        }
                        return Err(mismatch);
                    }
                    let verify = begun.elapsed();
                    let begun = Instant::now();
                    writing.begin();
                    upload.complete().await?;
                    let upload = begun.elapsed();
                    let took = Took {
                        quota,
                        download,
                        verify,
                        upload,
                    };
                    Ok((sums, took))
                };
                let (sums, took) = span.is(transfer).await?;
                Ok(stored(key, sums, facts, took))
            }
        }
    }

    fn upload_span(&self, name: &'static str, key: &Key) -> Span {
        let span = Span::begin(Kind::Client, name);
        if span.is_recorded() {
            span.set("storage.provider", self.store.provider().to_owned());
            span.set("storage.key", key.as_str().to_owned());
        }
        span
    }

    fn key(&self, prefix: &Prefix, file: &SourceFile, facts: &Facts) -> Result<Key, Failure> {
        key::object_key(prefix, file, facts.extension)
            .map_err(|error| Failure::Rejected(Cause::InternalError, error.to_string()))
    }

    /// What an earlier delivery of the same task may have stored already. Another import's object
    /// does not do: it may be about to be removed.
    pub(crate) async fn already_stored(
        &self,
        task: &ImportImage,
    ) -> Result<Option<Stored>, StoreError> {
        let (file, prefix) = (&task.file, &task.destination_prefix);
        // The extension comes from the bytes; the listed type says which to try first.
        let (Some(md5), Some(extension)) = (&file.md5, facts::extension_of(&file.mime_type)) else {
            return Ok(None);
        };
        let Ok(key) = key::object_key(prefix, file, extension) else {
            return Ok(None);
        };
        let Some(head) = self.store.head(&key).await? else {
            return Ok(None);
        };
        let (Some(found), Some(sha256)) = (head.md5, head.sha256) else {
            return Ok(None);
        };
        if hex::encode(found) != *md5 || head.import_id != task.import_id.as_str() {
            return Ok(None);
        }
        let last = facts::HEAD_BYTES as u64 - 1;
        let Some(body) = self
            .store
            .get(&key, Some(storage::Range::Between(0, last)))
            .await?
        else {
            return Ok(None);
        };
        let Some(facts) = facts::facts(&body.collect().await?) else {
            return Ok(None);
        };
        Ok(Some(Stored {
            key,
            size: head.size,
            md5: md5.clone(),
            sha256,
            facts,
            took: None,
        }))
    }
}

enum Start {
    /// The whole body.
    Whole(Bytes),
    /// More than the limit; there may be more.
    Part(Bytes),
}

async fn read_up_to(
    body: &mut Fetch<'_>,
    hashes: &mut Hashes,
    limit: usize,
) -> Result<Start, DriveError> {
    let announced = body
        .length()
        .and_then(|length| usize::try_from(length).ok());
    let mut buffer = BytesMut::new();
    while let Some(bytes) = body.chunk().await? {
        hashes.update(&bytes);
        if buffer.is_empty() {
            if announced == Some(bytes.len()) && bytes.len() <= limit {
                // One chunk is the whole body: nothing to copy.
                return Ok(Start::Whole(bytes));
            }
            buffer.reserve(announced.unwrap_or(64 * 1024).min(limit) + 1);
        }
        buffer.extend_from_slice(&bytes);
        if buffer.len() > limit {
            return Ok(Start::Part(buffer.freeze()));
        }
    }
    Ok(Start::Whole(buffer.freeze()))
}

fn recognise(file: &SourceFile, bytes: &[u8]) -> Result<Facts, Failure> {
    if bytes.is_empty() {
        return Err(Failure::Rejected(
            Cause::EmptyFile,
            "the file has zero bytes".into(),
        ));
    }
    facts::facts(bytes).ok_or_else(|| {
        Failure::Rejected(
            Cause::NotAnImage,
            format!(
                "Drive calls it {}, but its bytes are no image",
                file.mime_type
            ),
        )
    })
}

fn info(
    task: &ImportImage,
    file: &SourceFile,
    facts: &Facts,
    md5: Option<[u8; 16]>,
    sha256: Option<String>,
) -> ObjectInfo {
    ObjectInfo {
        content_type: facts.content_type.to_owned(),
        source_name: file.name.clone(),
        drive_id: file.id.to_string(),
        import_id: task.import_id.to_string(),
        md5,
        sha256,
    }
}

fn stored(key: Key, sums: Sums, facts: Facts, took: Took) -> Stored {
    Stored {
        key,
        size: sums.size,
        md5: hex::encode(sums.md5),
        sha256: sums.sha256,
        facts,
        took: Some(took),
    }
}
