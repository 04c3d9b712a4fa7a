//! When an image was taken and how it is turned, by its EXIF block.

mod block;

use ::exif::{In, Reader, Tag, Value};
use time::{Date, Month, Time};

/// How much of a block is parsed. kamadak-exif visits a directory once, but directories may overlap,
/// so that its memory grows with the square of the block: measured with 0.6.2, 64 KiB of hostile
/// bytes made 6 million fields, 300 MB, in 1.5 s. Of 8 KiB they make 120,000 at most, some 6 MB in
/// 20 ms. Cameras write the fields read here into the first two.
const BLOCK_BYTES: usize = 8 * 1024;

/// What EXIF tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Exif {
    /// `DateTimeOriginal`, and `OffsetTimeOriginal` where it is there, as ISO 8601: a date that
    /// exists.
    pub(crate) taken_at: Option<String>,
    /// `Orientation`, 1 to 8.
    pub(crate) orientation: Option<u8>,
}

/// Read it from the first bytes of an image: of JPEG, PNG, WebP, HEIF, AVIF, TIFF and what is built
/// on TIFF. What is not there, or makes no sense, is not told.
pub(crate) fn read(head: &[u8]) -> Exif {
    let Some(fields) = block::find(head).and_then(parse) else {
        return Exif::default();
    };
    let value = |tag| Some(&fields.get_field(tag, In::PRIMARY)?.value);
    let text = |tag| match value(tag)? {
        Value::Ascii(texts) => texts.first().map(Vec::as_slice),
        _ => None,
    };
    let orientation = value(Tag::Orientation).and_then(|value| value.get_uint(0));
    Exif {
        taken_at: text(Tag::DateTimeOriginal)
            .and_then(|taken| iso(taken, text(Tag::OffsetTimeOriginal))),
        orientation: orientation
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| (1..=8).contains(n)),
    }
}

/// The fields at the start of a block: those that lie whole within it.
fn parse(block: &[u8]) -> Option<::exif::Exif> {
    let start = &block[..block.len().min(BLOCK_BYTES)];
    Reader::new()
        .continue_on_error(true)
        .read_raw(start.to_vec())
        .or_else(|error| error.distill_partial_result(|_| {}))
        .ok()
}

/// `2024:05:01 12:00:00` and perhaps `+02:00` as ISO 8601; `None` if there is no such time. An offset
/// that is none is left out.
fn iso(taken: &[u8], offset: Option<&[u8]>) -> Option<String> {
    let mut at = ::exif::DateTime::from_ascii(taken).ok()?;
    let month = Month::try_from(at.month).ok()?;
    let date = Date::from_calendar_date(i32::from(at.year), month, at.day).ok()?;
    let time = Time::from_hms(at.hour, at.minute, at.second).ok()?;
    if at.year == 0 {
        return None;
    }
    let (hour, minute, second) = time.as_hms();
    let local = format!("{date}T{hour:02}:{minute:02}:{second:02}");
    Some(match offset.and_then(|offset| minutes(&mut at, offset)) {
        Some(minutes) => {
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
            format!("{local}{sign}{hours:02}:{minutes:02}")
        }
        None => local,
    })
}

/// Minutes east of UTC, if a clock on Earth may show them.
fn minutes(at: &mut ::exif::DateTime, offset: &[u8]) -> Option<i16> {
    at.parse_offset(offset).ok()?;
    let within_the_hour = offset.get(4).is_some_and(|tens| *tens < b'6');
    at.offset
        .filter(|minutes| within_the_hour && minutes.abs() <= 14 * 60)
}

#[cfg(test)]
mod tests;
