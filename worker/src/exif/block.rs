//! Where an image keeps its EXIF block (a TIFF header and what belongs to it). Nothing is copied and
//! every step goes forward, so that looking costs one pass over the first bytes at most.

/// The block, as far as it lies within `head`.
pub(super) fn find(head: &[u8]) -> Option<&[u8]> {
    match head {
        [0xff, 0xd8, ..] => jpeg(Bytes(head)),
        [0x89, b'P', b'N', b'G', ..] => png(Bytes(head)),
        [b'R', b'I', b'F', b'F', ..] => webp(Bytes(head)),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(head),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => heif(head),
        _ => None,
    }
}

/// The APP1 segment that begins with `Exif`, before the pixels.
fn jpeg(mut bytes: Bytes<'_>) -> Option<&[u8]> {
    bytes.take(2)?;
    loop {
        if bytes.number(1)? != 0xff {
            return None;
        }
        let mut marker = bytes.number(1)?;
        while marker == 0xff {
            marker = bytes.number(1)?;
        }
        match marker {
            // The pixels, or the end.
            0xda | 0xd9 => return None,
            // Markers without a segment.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let length = bytes.number(2)?.checked_sub(2)?;
        if marker == 0xe1
            && let Some(block) = bytes.up_to(length).strip_prefix(b"Exif\0\0")
        {
            return Some(block);
        }
        bytes.take(length)?;
    }
}

/// The chunk `eXIf`.
fn png(mut bytes: Bytes<'_>) -> Option<&[u8]> {
    bytes.take(8)?;
    loop {
        let length = bytes.number(4)?;
        if bytes.take(4)? == b"eXIf" {
            return Some(bytes.up_to(length));
        }
        bytes.take(length + 4)?;
    }
}

/// The chunk `EXIF`; some writers begin it as in a JPEG.
fn webp(mut bytes: Bytes<'_>) -> Option<&[u8]> {
    bytes.take(12)?;
    loop {
        let kind = bytes.take(4)?;
        let length = u64::from(u32::from_le_bytes(bytes.take(4)?.try_into().ok()?));
        if kind == b"EXIF" {
            let chunk = bytes.up_to(length);
            return Some(chunk.strip_prefix(b"Exif\0\0").unwrap_or(chunk));
        }
        bytes.take(length + length % 2)?;
    }
}

/// The item of the type `Exif` (ISO/IEC 23008-12, annex A), also of AVIF.
fn heif(head: &[u8]) -> Option<&[u8]> {
    let mut file = Bytes(head);
    let mut meta = file.find_box(b"meta")?;
    meta.version()?;
    let (mut infos, mut locations, mut data) = (None, None, None);
    while let Some((kind, body)) = meta.next_box() {
        match kind {
            b"iinf" => infos = Some(body),
            b"iloc" => locations = Some(body),
            b"idat" => data = Some(body),
            _ => {}
        }
    }
    let location = location(locations?, exif_item(infos?)?)?;
    let mut container = match location.method {
        0 => Bytes(head),
        1 => data?,
        _ => return None,
    };
    container.take(location.offset)?;
    let mut item = Bytes(container.up_to(location.length));
    let to_the_block = item.number(4)?;
    item.take(to_the_block)?;
    Some(item.0)
}

fn exif_item(mut infos: Bytes<'_>) -> Option<u64> {
    let wide = infos.version()? > 0;
    infos.number(if wide { 4 } else { 2 })?;
    loop {
        let mut entry = infos.find_box(b"infe")?;
        let id = match entry.version()? {
            2 => entry.number(2)?,
            3 => entry.number(4)?,
            _ => continue,
        };
        entry.take(2)?;
        if entry.take(4)? == b"Exif" {
            return Some(id);
        }
    }
}

struct Location {
    /// 0: in the file; 1: in the box `idat`.
    method: u64,
    offset: u64,
    length: u64,
}

/// Where an item is, if it is in one piece; writers of EXIF make one.
fn location(mut locations: Bytes<'_>, item: u64) -> Option<Location> {
    let version = locations.version()?;
    let sizes = locations.number(2)?;
    let size = |shift: u32| (sizes >> shift) & 0xf;
    let (offset_size, length_size, base_size) = (size(12), size(8), size(4));
    let index_size = if version > 0 { size(0) } else { 0 };
    let id_size = if version < 2 { 2 } else { 4 };
    for _ in 0..locations.number(id_size)? {
        let id = locations.number(id_size)?;
        let method = match version {
            0 => 0,
            _ => locations.number(2)? & 0xf,
        };
        let elsewhere = locations.number(2)? != 0;
        let base = locations.number(base_size)?;
        let pieces = locations.number(2)?;
        if id != item {
            locations.take(pieces * (index_size + offset_size + length_size))?;
            continue;
        }
        if elsewhere || pieces != 1 {
            return None;
        }
        locations.number(index_size)?;
        return Some(Location {
            method,
            offset: base.checked_add(locations.number(offset_size)?)?,
            length: locations.number(length_size)?,
        });
    }
    None
}

/// What is still to be read.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// What is there of the next `count` bytes; they are not taken.
    fn up_to(&self, count: u64) -> &'a [u8] {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        &self.0[..self.0.len().min(count)]
    }

    /// A big-endian number of 0 to 8 bytes.
    fn number(&mut self, width: u64) -> Option<u64> {
        if width > 8 {
            return None;
        }
        let digits = self.take(width)?;
        Some(digits.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    /// The version of an ISO "full box"; its flags are passed over.
    fn version(&mut self) -> Option<u64> {
        let version = self.number(1)?;
        self.take(3)?;
        Some(version)
    }

    /// The next ISO box, type and content; the content as far as it is there.
    fn next_box(&mut self) -> Option<(&'a [u8], Self)> {
        let size = self.number(4)?;
        let kind = self.take(4)?;
        let length = match size {
            0 => u64::MAX,
            1 => self.number(8)?.checked_sub(16)?,
            size => size.checked_sub(8)?,
        };
        let body = self.up_to(length);
        self.0 = &self.0[body.len()..];
        Some((kind, Self(body)))
    }

    fn find_box(&mut self, wanted: &[u8; 4]) -> Option<Self> {
        loop {
            let (kind, body) = self.next_box()?;
            if kind == wanted {
                return Some(body);
            }
        }
    }
}
