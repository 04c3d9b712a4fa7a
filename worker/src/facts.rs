//! What the bytes are: type, dimensions and what EXIF says, by their first bytes.

use crate::exif::{self, Exif};

/// What the first bytes tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The MIME type.
    pub(crate) content_type: &'static str,
    /// What the object's key ends in.
    pub(crate) extension: &'static str,
    /// Pixels as stored, when the header tells.
    pub(crate) width: Option<u32>,
    /// Pixels as stored, when the header tells.
    pub(crate) height: Option<u32>,
    /// When and how the camera says it was taken.
    pub(crate) exif: Exif,
}

/// How much of a body is looked at, at most.
pub(crate) const HEAD_BYTES: usize = 256 * 1024;

/// Recognise an image by its first bytes; `None` if it is none. Reads headers only, never pixels,
/// so a decompression bomb costs nothing.
pub(crate) fn facts(body: &[u8]) -> Option<Facts> {
    let head = &body[..body.len().min(HEAD_BYTES)];
    let (content_type, extension) = match infer::get(head) {
        Some(kind) if kind.matcher_type() == infer::MatcherType::Image => {
            (kind.mime_type(), kind.extension())
        }
        // Text formats that begin like SVG are taken for XML or HTML, or for nothing at all.
        _ if is_svg(head) => ("image/svg+xml", "svg"),
        _ => return None,
    };
    let size = imagesize::blob_size(head).ok();
    let pixels = |n: usize| u32::try_from(n).ok().filter(|n| *n > 0);
    Some(Facts {
        content_type,
        extension,
        width: size.and_then(|size| pixels(size.width)),
        height: size.and_then(|size| pixels(size.height)),
        exif: exif::read(head),
    })
}

/// The extension that [`facts`] gives to images of a type, as a listing names types; `None` for types
/// that have none of their own.
pub(crate) fn extension_of(mime_type: &str) -> Option<&'static str> {
    Some(match mime_type {
        "image/jpeg" | "image/jpg" | "image/pjpeg" => "jpg",
        "image/png" | "image/x-png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "image/heif" | "image/heic" | "image/heif-sequence" | "image/heic-sequence" => "heif",
        "image/avif" => "avif",
        "image/tiff" => "tif",
        "image/bmp" | "image/x-ms-bmp" | "image/x-bmp" => "bmp",
        "image/svg+xml" => "svg",
        "image/jp2" => "jp2",
        "image/jxl" => "jxl",
        "image/vnd.ms-photo" | "image/jxr" => "jxr",
        "image/vnd.adobe.photoshop" | "image/x-photoshop" => "psd",
        "image/vnd.microsoft.icon" | "image/x-icon" => "ico",
        "image/x-canon-cr2" => "cr2",
        "image/openraster" => "ora",
        "image/vnd.djvu" => "djvu",
        "image/vnd.dwg" => "dwg",
        _ => return None,
    })
}

/// Whether the first element is `<svg`, after an XML declaration, comments and a doctype.
fn is_svg(head: &[u8]) -> bool {
    let head = &head[..head.len().min(4096)];
    let text = String::from_utf8_lossy(head);
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            r if r.starts_with("<?") => "?>",
            r if r.starts_with("<!--") => "-->",
            r if r.starts_with("<!") => ">",
            r => {
                let name: String = r
                    .chars()
                    .skip(1)
                    .take_while(|c| c.is_alphanumeric() || *c == ':')
                    .collect();
                return r.starts_with('<') && (name == "svg" || name.ends_with(":svg"));
            }
        };
        match rest.find(end) {
            Some(at) => rest = rest[at + end.len()..].trim_start(),
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_that_claims_to_be_an_image_is_none() {
        for text in [
            "<!doctype html><html><body><svg></svg></body></html>",
            "<html>",
            "hello",
            "",
            "<?xml",
            "<!-- svg",
        ] {
            assert_eq!(facts(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn svg_is_found_behind_its_preamble() {
        let svg = "\u{feff}<?xml version=\"1.0\"?>\n<!-- a --><!DOCTYPE svg>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
        assert_eq!(
            facts(svg.as_bytes()).map(|f| f.content_type),
            Some("image/svg+xml")
        );
    }

    #[test]
    fn a_gif_tells_its_size() {
        let gif = b"GIF89a\x03\x00\x02\x00\x80\x00\x00";
        let found = facts(gif);
        assert_eq!(
            found.as_ref().map(|f| (f.content_type, f.extension)),
            Some(("image/gif", "gif"))
        );
        assert_eq!(found.and_then(|f| f.width.zip(f.height)), Some((3, 2)));
    }

    /// The shortest bytes that pass for each kind.
    const SAMPLES: &[&[u8]] = &[
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"II*\0\x10\0\0\0CR\x02\0",
        b"II*\0\x10\0\0\0\0\0\0\0",
        b"MM\0*\0\0\0\x10\0\0\0\0",
        b"BM\0\0",
        b"II\xbc\x01",
        b"8BPS\0\x01",
        b"\0\0\x01\0",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
        b"\xff\x0a",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"\0\0\0\x0cjP  \r\n\x87\n\0",
        b"AT&TFORM\0\0\0\0DJVU",
        b"AC1032",
        b"<svg/>",
    ];

    #[test]
    fn a_listing_that_names_the_type_rightly_leads_to_the_same_extension() {
        for sample in SAMPLES {
            // Some readers want a few bytes more than the magic number.
            let found = facts(&[sample, &[0; 64][..]].concat());
            let found = found.unwrap_or_else(|| panic!("not recognised: {sample:?}"));
            assert_eq!(
                extension_of(found.content_type),
                Some(found.extension),
                "{}",
                found.content_type
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = facts(&bytes);
            for magic in [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"RIFF....WEBPVP8 ", b"II*\0", b"\0\0\0\x18ftypheic"] {
                let _ = facts(&[magic, &bytes].concat());
            }
        }
    }
}
