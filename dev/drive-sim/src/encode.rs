//! Real JPEG and PNG files of an exact size. Padding goes behind the headers that hold the dimensions,
//! so that a reader of the first kilobytes still finds them; what tells two files apart goes last.

use bytes::Bytes;
use image::{
    ExtendedColorType, ImageEncoder as _, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
};

use crate::{
    content::Shared,
    hash::{hash, mix},
};

/// The smallest size of a generated image, in bytes.
pub(crate) const MIN_SIZE: u64 = 256;
/// The largest, in bytes: a head of that size is held in memory per variant.
pub(crate) const MAX_SIZE: u64 = 256 << 20;
/// How many different pictures stand behind the files of one size.
pub(crate) const VARIANTS: u8 = 4;

const SOS: u8 = 0xda;
const COM: u8 = 0xfe;
const JPEG_END: [u8; 2] = [0xff, 0xd9];
const PNG_END_LEN: usize = 12;

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Jpeg,
    Png,
}

impl Format {
    pub(crate) fn mime_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

/// Each fourth picture is a PNG; so are all very small ones, where a JPEG's tables do not fit.
pub(crate) fn format(size: u64, variant: u8) -> Format {
    if size < 2048 || variant % VARIANTS == 3 {
        Format::Png
    } else {
        Format::Jpeg
    }
}

/// What follows the shared head: a comment that no other file has, and the end of the image. Always
/// equally long.
pub(crate) fn tail(format: Format, owner: u64, index: u64) -> Bytes {
    let comment = format!("drive-sim {owner:016x} {index:012}");
    let mut tail = Vec::with_capacity(96);
    match format {
        Format::Jpeg => {
            tail.extend([0xff, COM]);
            tail.extend((comment.len() as u16 + 2).to_be_bytes());
            tail.extend(comment.as_bytes());
            tail.extend(JPEG_END);
        }
        Format::Png => {
            push_chunk(
                &mut tail,
                *b"tEXt",
                format!("Comment\0{comment}").as_bytes(),
            );
            push_chunk(&mut tail, *b"IEND", &[]);
        }
    }
    tail.into()
}

/// The head of an image that is `size` bytes long together with its tail.
pub(crate) fn padded(size: u64, variant: u8) -> Shared {
    let format = format(size, variant);
    let room = size as usize - tail(format, 0, 0).len();
    let (bytes, dimensions) = [(640, 480), (200, 150), (48, 36), (4, 4)]
        .into_iter()
        .map(|(width, height)| {
            let picture = pattern(width, height, variant);
            let bytes = match format {
                Format::Jpeg => jpeg(&picture, 75),
                Format::Png => png(&picture),
            };
            (bytes, (width, height))
        })
        // A segment has a header of its own: a gap smaller than that cannot be filled.
        .find(|(bytes, _)| bytes.len() == room || bytes.len() + 16 <= room)
        .unwrap_or_default();
    let gap = room.saturating_sub(bytes.len());
    let head = match format {
        Format::Jpeg => pad_jpeg(&bytes, gap),
        Format::Png => pad_png(&bytes, gap),
    };
    Shared::new(head, Some(dimensions))
}

/// The head of a rendered photograph.
pub(crate) fn photograph(picture: &RgbImage) -> Shared {
    Shared::new(jpeg(picture, 80), Some(picture.dimensions()))
}

/// A complete PNG.
pub(crate) fn whole_png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = png(picture);
    push_chunk(&mut bytes, *b"IEND", &[]);
    bytes
}

/// A JPEG without its end marker.
#[expect(clippy::expect_used, reason = "writing to memory cannot fail")]
fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(
            picture,
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        )
        .expect("a JPEG in memory");
    bytes.truncate(bytes.len() - JPEG_END.len());
    bytes
}

/// A PNG without its end chunk.
#[expect(clippy::expect_used, reason = "writing to memory cannot fail")]
fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(
            picture,
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        )
        .expect("a PNG in memory");
    bytes.truncate(bytes.len() - PNG_END_LEN);
    bytes
}

/// Comments before the scan: each holds at most 65,533 bytes behind four of its own.
fn pad_jpeg(bytes: &[u8], mut gap: usize) -> Vec<u8> {
    let mut scan = 2;
    while bytes[scan + 1] != SOS {
        scan += 2 + usize::from(u16::from_be_bytes([bytes[scan + 2], bytes[scan + 3]]));
    }
    let mut out = Vec::with_capacity(bytes.len() + gap);
    out.extend(&bytes[..scan]);
    while gap > 0 {
        let mut segment = gap.min(65_537);
        if (1..4).contains(&(gap - segment)) {
            segment -= 4;
        }
        out.extend([0xff, COM]);
        out.extend((segment as u16).wrapping_sub(2).to_be_bytes());
        push_noise(&mut out, segment - 4);
        gap -= segment;
    }
    out.extend(&bytes[scan..]);
    out
}

/// One private ancillary chunk behind the header chunk.
fn pad_png(bytes: &[u8], gap: usize) -> Vec<u8> {
    const HEADER: usize = 8 + 25;
    let mut out = Vec::with_capacity(bytes.len() + gap);
    out.extend(&bytes[..HEADER]);
    if gap > 0 {
        let mut noise = Vec::with_capacity(gap - 12);
        push_noise(&mut noise, gap - 12);
        push_chunk(&mut out, *b"paDd", &noise);
    }
    out.extend(&bytes[HEADER..]);
    out
}

fn push_chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(kind);
    out.extend(data);
    let crc = kind.iter().chain(data).fold(u32::MAX, crc_step);
    out.extend((!crc).to_be_bytes());
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                0xedb8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
};

fn crc_step(crc: u32, byte: &u8) -> u32 {
    CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
}

/// Incompressible, so that nothing on the way gains by compressing it.
fn push_noise(out: &mut Vec<u8>, len: usize) {
    let end = out.len() + len;
    let mut state = hash(&["padding"]);
    while out.len() < end {
        state = mix(state);
        out.extend(state.to_le_bytes());
    }
    out.truncate(end);
}

/// A plain picture: two gradients and some discs.
fn pattern(width: u32, height: u32, variant: u8) -> RgbImage {
    let hues: [[f32; 3]; VARIANTS as usize] = [
        [0.9, 0.5, 0.3],
        [0.2, 0.6, 0.9],
        [0.4, 0.8, 0.4],
        [0.8, 0.4, 0.8],
    ];
    let hue = hues[usize::from(variant % VARIANTS)];
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        let disc = ((u * 4.0).fract() - 0.5).hypot((v * 3.0).fract() - 0.5) < 0.3;
        let light = 0.35 + 0.4 * u + 0.25 * v * if disc { 1.0 } else { -0.4 };
        image::Rgb(hue.map(|channel| (255.0 * (channel * light + 0.1)).clamp(0.0, 255.0) as u8))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_met_exactly_and_decodes() {
        // 65,537 is a whole comment segment: sizes around multiples of it are where a gap can be lost.
        let sizes = (256..300)
            .chain([2047, 2048, 5000, 65_537])
            .chain(90_000..90_030);
        for size in sizes.chain(131_000..131_100).step_by(3) {
            for variant in [0, 3] {
                let shared = padded(size, variant);
                let tail = tail(format(size, variant), 7, 9);
                let whole = [shared.head.as_ref(), &tail].concat();
                assert_eq!(whole.len() as u64, size, "variant {variant}");
                let picture = image::load_from_memory(&whole).unwrap();
                assert_eq!(Some((picture.width(), picture.height())), shared.dimensions);
            }
        }
    }

    #[test]
    fn checksums_of_chunks_are_right() {
        let mut end = Vec::new();
        push_chunk(&mut end, *b"IEND", &[]);
        assert_eq!(
            end,
            [0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82]
        );
    }
}
