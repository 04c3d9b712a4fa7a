//! Images and statistics.

use read_model::{ImageRow, ImagesQuery, Paged, ProviderStatistics};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::cursor::Of;
use crate::links::Links;

/// One image in the store.
#[derive(Serialize, ToSchema)]
#[schema(as = Image)]
pub(crate) struct ImageView {
    /// Its number: rises with each new image, and stays when the file is imported again.
    #[schema(example = 4711)]
    pub(crate) id: i64,
    /// Its name in Drive: any Unicode.
    #[schema(example = "IMG_0042.jpg")]
    pub(crate) name: String,
    /// The file's id in Drive.
    #[schema(example = "1AbC-dEf_GhIjKlMnOpQ")]
    pub(crate) google_drive_id: String,
    /// Bytes.
    #[schema(example = 183_402)]
    pub(crate) size: u64,
    /// What the bytes are, by the first of them.
    #[schema(example = "image/jpeg")]
    pub(crate) mime_type: String,
    /// An absolute URL that a browser can show.
    #[schema(example = "https://images.example.org/api/images/4711/content")]
    pub(crate) storage_path: String,
    /// `aws`, `azure` or `local`.
    #[schema(example = "aws")]
    pub(crate) storage_provider: String,
    /// When it was first stored.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    /// When it was last stored.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) updated_at: OffsetDateTime,
    /// When its content last changed in Drive.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(required)]
    pub(crate) modified_time: Option<OffsetDateTime>,
    /// Pixels, as stored: before `orientation` turns it.
    #[schema(required, example = 4032)]
    pub(crate) width: Option<u32>,
    /// Pixels, as stored.
    #[schema(required, example = 3024)]
    pub(crate) height: Option<u32>,
    /// When it was taken, by the camera's clock: RFC 3339, without the offset where that is unknown.
    #[schema(required, example = "2024-05-01T12:00:00+02:00")]
    pub(crate) taken_at: Option<String>,
    /// The Exif orientation, 1 to 8.
    #[schema(required, example = 6)]
    pub(crate) orientation: Option<u8>,
    /// MD5 of the bytes, in hexadecimal.
    pub(crate) md5: String,
    /// SHA-256 of the bytes, in hexadecimal.
    pub(crate) sha256: String,
    /// The bucket, container or directory.
    #[schema(example = "photos")]
    pub(crate) bucket: String,
    /// The object's key in the bucket.
    pub(crate) key: String,
    /// Names of the folders from the import's own down to the file, `/` between them.
    #[schema(example = "2024/summer")]
    pub(crate) path: String,
    /// The import that last stored it.
    pub(crate) import_id: String,
}

impl ImageView {
    pub(crate) fn new(row: ImageRow, links: &Links) -> Self {
        let ImageRow { id, image } = row;
        Self {
            id,
            storage_path: links.image(id, &image.object_key),
            name: image.name,
            google_drive_id: image.google_drive_id.into(),
            size: image.size,
            mime_type: image.mime_type,
            storage_provider: image.provider,
            created_at: image.created_at,
            updated_at: image.updated_at,
            modified_time: image.modified_time,
            width: image.width,
            height: image.height,
            taken_at: image.taken_at,
            orientation: image.orientation,
            md5: image.md5,
            sha256: image.sha256,
            bucket: image.bucket,
            key: image.object_key,
            path: image.path,
            import_id: image.import_id.into(),
        }
    }
}

/// Some images, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImagePage {
    images: Vec<ImageView>,
    /// Images on all pages together.
    total: u64,
    /// From 1; with a cursor it says nothing.
    page: u32,
    per_page: u32,
    total_pages: u64,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl ImagePage {
    pub(crate) fn new(found: Paged<ImageRow>, query: &ImagesQuery, links: &Links) -> Self {
        let last = found.items.last().filter(|_| found.has_more);
        Self {
            total: found.total,
            page: query.page,
            per_page: query.per_page,
            total_pages: found.total.div_ceil(u64::from(query.per_page)),
            next_cursor: last.map(|row| Of::Images.after(row.id)),
            images: found
                .items
                .into_iter()
                .map(|row| ImageView::new(row, links))
                .collect(),
        }
    }
}

/// Every image. It is written row by row, so only the schema needs it.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(crate) struct ImageExport {
    /// Always true: an export that fails is cut.
    success: bool,
    images: Vec<ImageView>,
    /// Images in this answer.
    total: u64,
}

/// A deletion that is queued.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// Always true.
    pub(crate) success: bool,
    /// The same for people.
    #[schema(example = "Image 4711 is being deleted.")]
    pub(crate) message: String,
}

/// What is stored, in all and at each provider.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Stats {
    total_images: u64,
    /// Bytes.
    total_size_bytes: u64,
    /// The same in MiB (1,048,576 bytes), with two decimals.
    #[schema(example = 17.49)]
    total_size_mb: f64,
    aws_images: u64,
    /// Bytes.
    aws_size_bytes: u64,
    azure_images: u64,
    /// Bytes.
    azure_size_bytes: u64,
    local_images: u64,
    /// Bytes.
    local_size_bytes: u64,
}

impl Stats {
    pub(crate) fn new(providers: &[ProviderStatistics]) -> Self {
        let of = |name: &str| {
            let found = providers.iter().find(|found| found.provider == name);
            found.map_or((0, 0), |found| (found.images, found.bytes))
        };
        let bytes: u64 = providers.iter().map(|found| found.bytes).sum();
        let (aws_images, aws_size_bytes) = of("aws");
        let (azure_images, azure_size_bytes) = of("azure");
        let (local_images, local_size_bytes) = of("local");
        Self {
            total_images: providers.iter().map(|found| found.images).sum(),
            total_size_bytes: bytes,
            total_size_mb: (bytes as f64 / (1024.0 * 1024.0) * 100.0).round() / 100.0,
            aws_images,
            aws_size_bytes,
            azure_images,
            azure_size_bytes,
            local_images,
            local_size_bytes,
        }
    }
}
