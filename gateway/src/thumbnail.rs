//! Small pictures of large ones, made when somebody looks.
//!
//! The bytes come from strangers: what a picture takes is known before it is decoded, and all that are
//! decoded at once share one budget.

use std::io::Cursor;
use std::num::NonZero;
use std::sync::Arc;

use axum::body::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits, RgbImage};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use read_model::Image;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longer side at most: pixels. One for a tile on a screen of up to two pixels each way for each of
/// CSS, one for all else.
pub(crate) const SIDES: [u32; 2] = [256, 400];
const QUALITY: u8 = 80;
const MIB: u64 = 1 << 20;
/// What all that are made at once may take: MiB. One alone may take as much.
const BUDGET: u32 = 192;
/// Bytes per pixel while decoding: up to four for the picture, and the same again for the coefficients of
/// a progressive JPEG.
const PER_PIXEL: u64 = 8;

/// What was made last is kept, for the next who looks at the same gallery: bytes.
const KEPT: u64 = 8 * MIB;
/// What one takes, about.
const TYPICAL: u64 = 10 << 10;

/// Thumbnails under way for each core: some wait for the store while others are decoded.
const PER_CORE: usize = 2;

/// The budget, and what was made last.
pub(crate) struct Thumbnails {
    made: Cache<String, Bytes, Size>,
    budget: Arc<Semaphore>,
    /// What even a small picture takes, so that there are never too many for the cores: MiB.
    least: u32,
}

#[derive(Clone)]
struct Size;

impl Weighter<String, Bytes> for Size {
    fn weight(&self, tag: &String, jpeg: &Bytes) -> u64 {
        (tag.len() + jpeg.len()) as u64
    }
}

/// A picture that a thumbnail can be made of, and what that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    format: ImageFormat,
    width: u32,
    height: u32,
    orientation: Orientation,
    mebibytes: u32,
    side: u32,
}

impl Plan {
    /// `None` if it is small as it is, of a kind that is not decoded here, or would take too much.
    pub(crate) fn of(image: &Image, side: u32) -> Option<Self> {
        let format = match image.mime_type.as_str() {
            "image/jpeg" => ImageFormat::Jpeg,
            "image/png" => ImageFormat::Png,
            "image/gif" => ImageFormat::Gif,
            "image/webp" => ImageFormat::WebP,
            _ => return None,
        };
        let (width, height) = image.width.zip(image.height)?;
        if width.max(height) <= side {
            return None;
        }
        let pixels = u64::from(width) * u64::from(height);
        let bytes = pixels.checked_mul(PER_PIXEL)?.checked_add(image.size)?;
        let mebibytes = u32::try_from(bytes.div_ceil(MIB)).ok()?;
        let orientation = image.orientation.and_then(Orientation::from_exif);
        (mebibytes <= BUDGET).then_some(Self {
            format,
            width,
            height,
            orientation: orientation.unwrap_or(Orientation::NoTransforms),
            mebibytes,
            side,
        })
    }

    /// A JPEG.
    fn carry_out(self, bytes: &[u8]) -> ImageResult<Vec<u8>> {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), self.format);
        let mut limits = Limits::default();
        // These are the numbers that the budget was asked for.
        limits.max_image_width = Some(self.width);
        limits.max_image_height = Some(self.height);
        limits.max_alloc = Some(u64::from(self.mebibytes) * MIB);
        reader.limits(limits);
        let decoder = reader.into_decoder()?;
        // 16 bits per channel double it.
        let within = decoder.total_bytes() <= u64::from(self.mebibytes) * MIB;
        if !within {
            return Err(image::ImageError::Limits(
                image::error::LimitError::from_kind(
                    image::error::LimitErrorKind::InsufficientMemory,
                ),
            ));
        }
        let whole = DynamicImage::from_decoder(decoder)?;
        let mut small = whole.thumbnail(self.side, self.side);
        drop(whole);
        small.apply_orientation(self.orientation);
        let mut out = Vec::new();
        JpegEncoder::new_with_quality(&mut out, QUALITY).encode_image(&on_white(&small))?;
        Ok(out)
    }
}

/// JPEG knows no transparency.
fn on_white(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let image = image.to_rgba8();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0.map(u32::from);
        let over = |channel: u32| {
            let sum = channel * alpha + 255 * (255 - alpha);
            u8::try_from(sum / 255).unwrap_or(u8::MAX)
        };
        image::Rgb([over(red), over(green), over(blue)])
    })
}

/// A part of the budget; given back on drop.
pub(crate) struct Leave {
    plan: Plan,
    part: OwnedSemaphorePermit,
}

impl Thumbnails {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let at_once = u32::try_from(cores * PER_CORE).unwrap_or(BUDGET);
        Self {
            made: Cache::with_weighter((KEPT / TYPICAL) as usize, KEPT, Size),
            budget: Arc::new(Semaphore::new(BUDGET as usize)),
            least: (BUDGET / at_once).max(1),
        }
    }

    /// The one that was made as `tag`, if it is still here.
    pub(crate) fn known(&self, tag: &str) -> Option<Bytes> {
        self.made.get(tag)
    }

    /// Keep one for a while.
    pub(crate) fn keep(&self, tag: String, jpeg: Bytes) {
        self.made.insert(tag, jpeg);
    }

    /// Wait for a part of the budget; first come, first served. To be asked before the bytes are read.
    pub(crate) async fn admit(&self, plan: Plan) -> Option<Leave> {
        let budget = Arc::clone(&self.budget);
        let part = budget.acquire_many_owned(plan.mebibytes.max(self.least));
        let part = part.await.ok()?;
        Some(Leave { plan, part })
    }
}

impl Leave {
    /// `None` if the bytes cannot be decoded. Goes on to its end even if nobody waits any more, and keeps
    /// its part of the budget until then.
    pub(crate) async fn make(self, bytes: Bytes) -> Option<Vec<u8>> {
        let made = tokio::task::spawn_blocking(move || {
            let _part = self.part;
            self.plan.carry_out(&bytes)
        });
        match made.await {
            Ok(Ok(thumbnail)) => Some(thumbnail),
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "no thumbnail can be made");
                None
            }
            Err(error) => {
                tracing::warn!(error = %error, "a decoder gave up");
                None
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;

    fn plan(format: ImageFormat, width: u32, height: u32, orientation: u8) -> Plan {
        Plan {
            format,
            width,
            height,
            orientation: Orientation::from_exif(orientation).unwrap(),
            mebibytes: 16,
            side: 400,
        }
    }

    /// The left half red, the right half transparent.
    fn halves(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let image = RgbaImage::from_fn(width, height, |x, _| {
            if x < width / 2 {
                Rgba([255, 0, 0, 255])
            } else {
                Rgba([0, 0, 255, 0])
            }
        });
        let image = DynamicImage::from(image);
        let image = match format {
            ImageFormat::Jpeg => DynamicImage::from(on_white(&image)),
            _ => image,
        };
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn read(jpeg: &[u8]) -> RgbImage {
        let image = image::load_from_memory_with_format(jpeg, ImageFormat::Jpeg);
        image.unwrap().to_rgb8()
    }

    #[test]
    fn every_format_is_scaled_and_laid_on_white() {
        for format in [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::Gif,
            ImageFormat::WebP,
        ] {
            let bytes = halves(1000, 500, format);
            let small = read(&plan(format, 1000, 500, 1).carry_out(&bytes).unwrap());
            assert_eq!(small.dimensions(), (400, 200), "{format:?}");
            let [red, green, blue] = small.get_pixel(100, 100).0;
            assert!(red > 240 && green < 15 && blue < 15, "{format:?}");
            let white = small.get_pixel(300, 100).0;
            assert!(white.iter().all(|channel| *channel > 240), "{format:?}");
        }
    }

    #[test]
    fn it_stands_as_the_camera_was_held() {
        let bytes = halves(1000, 500, ImageFormat::Png);
        let plan = plan(ImageFormat::Png, 1000, 500, 6);
        let small = read(&plan.carry_out(&bytes).unwrap());
        assert_eq!(small.dimensions(), (200, 400));
        // A quarter turn to the right: what was left is on top.
        assert!(small.get_pixel(100, 50).0[2] < 15);
        assert!(small.get_pixel(100, 350).0[2] > 240);
    }

    #[test]
    fn what_is_larger_than_was_said_is_not_decoded() {
        let bytes = halves(1000, 500, ImageFormat::Png);
        assert!(
            plan(ImageFormat::Png, 900, 500, 1)
                .carry_out(&bytes)
                .is_err()
        );
        let tight = Plan {
            mebibytes: 1,
            ..plan(ImageFormat::Png, 1000, 500, 1)
        };
        assert!(tight.carry_out(&bytes).is_err());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let thumbnails = Thumbnails::new();
        let one = Bytes::from(vec![0; 100 << 10]);
        for n in 0..1_000 {
            thumbnails.keep(format!("{n}"), one.clone());
        }
        let kept = (0..1_000).filter(|n| thumbnails.known(&n.to_string()).is_some());
        let bytes = kept.count() as u64 * one.len() as u64;
        assert!((KEPT / 2..=KEPT).contains(&bytes), "{bytes}");
    }

    #[test]
    fn broken_bytes_are_an_error() {
        for format in [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::Gif,
            ImageFormat::WebP,
        ] {
            let bytes = halves(1000, 500, format);
            let plan = plan(format, 1000, 500, 1);
            for cut in [0, 1, 10, 60] {
                assert!(plan.carry_out(&bytes[..cut.min(bytes.len() / 2)]).is_err());
            }
            let mut other = bytes.clone();
            for (at, byte) in other.iter_mut().enumerate().skip(30) {
                *byte ^= u8::try_from(at * 7 % 251).unwrap();
            }
            // Whatever comes of it, it does not panic.
            let _ = plan.carry_out(&other);
        }
    }
}
