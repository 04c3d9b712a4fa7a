//! The bytes of files: a head shared by many files, hashed once, and a short tail of each file's own.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use md5::{Digest, Md5};
use sha2::Sha256;

use crate::{encode, render};

/// Shared heads kept in memory, in bytes; beyond it all are dropped and built again when asked for.
const HEADS_LIMIT: u64 = 512 << 20;

/// Everything that files of one kind have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) head: Bytes,
    md5: Md5,
    sha256: Sha256,
    /// Width and height in pixels, if it is an image.
    pub(crate) dimensions: Option<(u32, u32)>,
}

impl Shared {
    pub(crate) fn new(head: Vec<u8>, dimensions: Option<(u32, u32)>) -> Self {
        let (md5, sha256) = (
            Md5::new().chain_update(&head),
            Sha256::new().chain_update(&head),
        );
        Self {
            head: Bytes::from(head),
            md5,
            sha256,
            dimensions,
        }
    }
}

/// The whole content of one file.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    shared: Arc<Shared>,
    tail: Bytes,
}

impl Content {
    pub(crate) fn whole(bytes: impl Into<Vec<u8>>, dimensions: Option<(u32, u32)>) -> Self {
        Self {
            shared: Arc::new(Shared::new(bytes.into(), dimensions)),
            tail: Bytes::new(),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        (self.shared.head.len() + self.tail.len()) as u64
    }

    pub(crate) fn dimensions(&self) -> Option<(u32, u32)> {
        self.shared.dimensions
    }

    pub(crate) fn md5(&self) -> String {
        hex::encode(self.shared.md5.clone().chain_update(&self.tail).finalize())
    }

    pub(crate) fn sha256(&self) -> String {
        hex::encode(
            self.shared
                .sha256
                .clone()
                .chain_update(&self.tail)
                .finalize(),
        )
    }

    /// The bytes of a range, as at most two chunks that share memory with every other reader.
    pub(crate) fn slice(&self, range: Range<u64>) -> [Bytes; 2] {
        let head = self.shared.head.len();
        let (start, end) = (range.start as usize, range.end as usize);
        [
            self.shared.head.slice(start.min(head)..end.min(head)),
            self.tail
                .slice(start.max(head) - head..end.max(head) - head),
        ]
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let [head, tail] = self.slice(0..self.len());
        if tail.is_empty() {
            head
        } else {
            [head, tail].concat().into()
        }
    }
}

/// Names content without building it, so that listings can be filtered cheaply.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// No bytes: folders, shortcuts, Google documents.
    None,
    /// Held in memory.
    Memory(Content),
    /// An image of an exact size.
    Padded { size: u64, variant: u8, tail: Bytes },
    /// A photograph, rendered when first asked for.
    Photo { photo: u32, tail: Bytes },
    /// A file of the local folder.
    Disk(crate::local::DiskFile),
}

impl Source {
    /// An image of exactly `size` bytes, told apart from all others by `owner` and `index`.
    pub(crate) fn padded(size: u64, variant: u8, owner: u64, index: u64) -> Self {
        let tail = encode::tail(encode::format(size, variant), owner, index);
        Self::Padded {
            size,
            variant,
            tail,
        }
    }

    pub(crate) fn photo(photo: u32, owner: u64, index: u64) -> Self {
        Self::Photo {
            photo,
            tail: encode::tail(encode::Format::Jpeg, owner, index),
        }
    }

    /// Whether [`Self::content`] answers without rendering or hashing much.
    pub(crate) fn is_warm(&self) -> bool {
        match self {
            Self::None | Self::Memory(_) | Self::Disk(_) => true,
            Self::Padded { size, variant, .. } => padded_slot(*size, *variant).get().is_some(),
            Self::Photo { photo, .. } => PHOTOS
                .get(*photo as usize)
                .is_some_and(|slot| slot.get().is_some()),
        }
    }

    /// The content, built on first use; none for what has no bytes or is on disk. May take some
    /// milliseconds of processor time.
    pub(crate) fn content(&self) -> Option<Content> {
        let (shared, tail) = match self {
            Self::None | Self::Disk(_) => return None,
            Self::Memory(content) => return Some(content.clone()),
            Self::Padded {
                size,
                variant,
                tail,
            } => {
                let slot = padded_slot(*size, *variant);
                let build = || Arc::new(encode::padded(*size, *variant));
                (Arc::clone(slot.get_or_init(build)), tail)
            }
            Self::Photo { photo, tail } => {
                let build = || Arc::new(encode::photograph(&render::photo(*photo)));
                (
                    Arc::clone(PHOTOS.get(*photo as usize)?.get_or_init(build)),
                    tail,
                )
            }
        };
        Some(Content {
            shared,
            tail: tail.clone(),
        })
    }
}

/// Distinct photographs; larger demo folders show them again, each time with other bytes.
pub(crate) const PHOTO_COUNT: u32 = 300;

static PHOTOS: LazyLock<Vec<OnceLock<Arc<Shared>>>> =
    LazyLock::new(|| (0..PHOTO_COUNT).map(|_| OnceLock::new()).collect());

type Slot = Arc<OnceLock<Arc<Shared>>>;

static PADDED: LazyLock<Mutex<HashMap<(u64, u8), Slot>>> = LazyLock::new(Mutex::default);

fn padded_slot(size: u64, variant: u8) -> Slot {
    let mut slots = PADDED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(slot) = slots.get(&(size, variant)) {
        return Arc::clone(slot);
    }
    if slots.keys().map(|(size, _)| size).sum::<u64>() + size > HEADS_LIMIT {
        slots.clear();
    }
    Arc::clone(slots.entry((size, variant)).or_default())
}
