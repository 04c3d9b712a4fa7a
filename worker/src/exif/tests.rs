use proptest::prelude::*;

use super::*;

const TAKEN: &str = "2024:05:01 12:00:00";

/// A block as cameras write it: the first directory with orientation and a pointer, the second with
/// the date and its offset, the texts behind them.
fn block(little: bool, orientation: u16, taken: &str, offset: Option<&str>) -> Vec<u8> {
    let two = |n: u16| {
        if little {
            n.to_le_bytes()
        } else {
            n.to_be_bytes()
        }
    };
    let four = |n: u32| {
        if little {
            n.to_le_bytes()
        } else {
            n.to_be_bytes()
        }
    };
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&two(tag)[..], &two(kind), &four(count), &value].concat()
    };
    let text = |text: &str| [text.as_bytes(), b"\0"].concat();
    let length = |text: &str| u32::try_from(text.len() + 1).unwrap();
    let first = 8;
    let second = first + 2 + 2 * 12 + 4;
    let texts = second + 2 + 2 * 12 + 4;
    let short = [two(orientation), [0, 0]].concat().try_into().unwrap();
    let offset = offset.unwrap_or("");
    [
        if little { &b"II"[..] } else { b"MM" },
        &two(42),
        &four(first),
        &two(2),
        &entry(0x0112, 3, 1, short),
        &entry(0x8769, 4, 1, four(second)),
        &four(0),
        &two(2),
        &entry(0x9003, 2, length(taken), four(texts)),
        &entry(0x9011, 2, length(offset), four(texts + length(taken))),
        &four(0),
        &text(taken),
        &text(offset),
    ]
    .concat()
}

fn jpeg(block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len() + 8).unwrap().to_be_bytes();
    [
        // With JFIF's segment first, and padding between markers, as is allowed.
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xff\xff\xe1",
        &length[..],
        b"Exif\0\0",
        block,
        b"\xff\xda\0\x02scan\xff\xd9",
    ]
    .concat()
}

fn png(block: &[u8]) -> Vec<u8> {
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0CRC_",
        &length[..],
        b"eXIf",
        block,
        b"CRC_",
    ]
    .concat()
}

fn webp(block: &[u8], prefix: &[u8]) -> Vec<u8> {
    let length = u32::try_from(block.len() + prefix.len()).unwrap();
    let pixels = b"VP8 \x03\0\0\0abc\0";
    let riff = (4 + 12 + 8 + length).to_le_bytes();
    let length = length.to_le_bytes();
    [
        b"RIFF",
        &riff[..],
        b"WEBP",
        pixels,
        b"EXIF",
        &length,
        prefix,
        block,
    ]
    .concat()
}

fn iso_box(kind: &[u8; 4], body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&size[..], kind, &body].concat()
}

/// With the item in `mdat`, or in `idat`.
fn heif(brand: &[u8; 4], block: &[u8], inside: bool) -> Vec<u8> {
    let item = [&6_u32.to_be_bytes()[..], b"Exif\0\0", block].concat();
    let length = u32::try_from(item.len()).unwrap().to_be_bytes();
    let ftyp = iso_box(b"ftyp", &[brand, &[0; 4], b"mif1", brand]);
    let infe = |id: u8, kind: &[u8; 4]| iso_box(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], kind, &[0]]);
    let iinf = iso_box(
        b"iinf",
        &[&[0, 0, 0, 0, 0, 2], &infe(1, b"hvc1"), &infe(7, b"Exif")],
    );
    let meta = |offset: u32| {
        let method = [0, u8::from(inside)];
        let place = |id: u8, offset: u32| {
            let offset = offset.to_be_bytes();
            [&[0, id][..], &method, &[0, 0, 0, 1], &offset, &length].concat()
        };
        let (image, exif) = (place(1, 0), place(7, offset));
        let iloc = iso_box(b"iloc", &[&[1, 0, 0, 0, 0x44, 0, 0, 2], &image, &exif]);
        let idat = if inside {
            iso_box(b"idat", &[&item])
        } else {
            Vec::new()
        };
        iso_box(b"meta", &[&[0; 4], &iinf, &iloc, &idat])
    };
    if inside {
        return [ftyp, meta(0)].concat();
    }
    let before = ftyp.len() + meta(0).len() + 8;
    let mdat = iso_box(b"mdat", &[&item]);
    [ftyp, meta(u32::try_from(before).unwrap()), mdat].concat()
}

/// `block` in everything that can hold one.
fn containers(block: &[u8]) -> Vec<Vec<u8>> {
    vec![
        block.to_vec(),
        jpeg(block),
        png(block),
        webp(block, b""),
        webp(block, b"Exif\0\0"),
        heif(b"heic", block, false),
        heif(b"avif", block, false),
        heif(b"heic", block, true),
    ]
}

fn taken_at(taken: &str, offset: Option<&str>) -> Option<String> {
    read(&block(false, 1, taken, offset)).taken_at
}

#[test]
fn date_offset_and_orientation_are_found_in_every_container() {
    for little in [false, true] {
        let block = block(little, 6, TAKEN, Some("+02:00"));
        for (n, head) in containers(&block).iter().enumerate() {
            let found = read(head);
            let taken_at = found.taken_at.as_deref();
            assert_eq!(taken_at, Some("2024-05-01T12:00:00+02:00"), "container {n}");
            assert_eq!(found.orientation, Some(6), "container {n}");
        }
    }
}

#[test]
fn a_block_that_is_cut_off_tells_what_it_still_holds() {
    let block = block(true, 3, TAKEN, None);
    // A thumbnail behind the fields, of which the first bytes hold only a part.
    let long = [&block[..], &[0xab; 40_000]].concat();
    for head in containers(&long) {
        let found = read(&head[..head.len() - 20_000]);
        assert_eq!(found.taken_at.as_deref(), Some("2024-05-01T12:00:00"));
        assert_eq!(found.orientation, Some(3));
    }
    let without_texts = &block[..block.len() - 5];
    assert_eq!(read(without_texts).taken_at, None);
    assert_eq!(read(without_texts).orientation, Some(3));
}

#[test]
fn what_makes_no_sense_is_dropped() {
    for orientation in [0, 9, 255, 65_535] {
        let block = block(true, orientation, TAKEN, None);
        assert_eq!(read(&jpeg(&block)).orientation, None, "{orientation}");
    }
    for taken in [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2023:02:29 10:00:00",
        "2024:13:01 10:00:00",
        "2024:04:31 10:00:00",
        "2024:05:01 24:00:00",
        "2024:05:01 12:60:00",
        "2024-05-01 12:00:00",
        "2024:05:01",
        "",
        "yesterday, at noon.",
    ] {
        assert_eq!(taken_at(taken, None), None, "{taken}");
    }
    let local = Some("2024-02-29T23:59:59".to_owned());
    for offset in [
        "", "+99:00", "+01:75", "+14:01", "   :  ", "CEST", "+1:00", "+ab:cd",
    ] {
        assert_eq!(
            taken_at("2024:02:29 23:59:59", Some(offset)),
            local,
            "{offset}"
        );
    }
    for offset in ["+00:00", "-03:30", "+14:00", "-12:00"] {
        let expected = format!("2024-05-01T12:00:00{offset}");
        assert_eq!(taken_at(TAKEN, Some(offset)), Some(expected));
    }
}

#[test]
fn images_without_exif_tell_nothing() {
    let nothing = Exif::default();
    for head in [
        &b""[..],
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0\0\x04ab\xff\xda",
        b"\xff\xd8\xff\xe1\0\x01",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBP",
        b"GIF89a",
        b"\0\0\0\x10ftypheic\0\0\0\0",
        b"\0\0\0\x10ftypheic\0\0\0\0\0\0\0\x08meta",
    ] {
        assert_eq!(read(head), nothing, "{head:?}");
    }
}

/// Directories on top of each other: `pointers` in the first, each to a place of its own in a field
/// that reads as a directory of `entries` wherever one begins.
fn bomb(pointers: u16, entries: u16, size: usize) -> Vec<u8> {
    let field = 8 + 2 + 12 * u32::from(pointers) + 4;
    let mut block = [&b"MM\0\x2a\0\0\0\x08"[..], &pointers.to_be_bytes()].concat();
    for n in 0..u32::from(pointers) {
        block.extend(b"\x87\x69\0\x04\0\0\0\x01");
        block.extend((field + 2 * n).to_be_bytes());
    }
    block.extend([0; 4]);
    while block.len() < size {
        block.extend(entries.to_be_bytes());
    }
    block
}

/// The whole block would make six million fields of the first of these.
#[test]
fn overlapping_directories_cost_no_more_than_the_start_of_the_block_can_hold() {
    let most = 120_000;
    for (pointers, entries) in [
        (2700, 2480),
        (341, 326),
        (200, 450),
        (600, 60),
        (5400, 0xffff),
    ] {
        for size in [8_192, 65_000] {
            let block = bomb(pointers, entries, size);
            let fields = parse(&block).map_or(0, |fields| fields.fields().len());
            assert!(fields <= most, "{fields} fields of {pointers} × {entries}");
        }
    }
    // The limit is one that a bomb does reach.
    let heavy = parse(&bomb(341, 326, 8_192)).unwrap();
    assert!(heavy.fields().len() > most / 2);
}

#[test]
fn directories_in_a_circle_and_huge_counts_end() {
    let mut circle = block(false, 6, TAKEN, None);
    // The first directory follows itself, the second is the first.
    circle[8 + 2 + 24..][..4].copy_from_slice(&8_u32.to_be_bytes());
    assert_eq!(read(&circle).orientation, Some(6));
    circle[8 + 2 + 12 + 8..][..4].copy_from_slice(&8_u32.to_be_bytes());
    assert_eq!(read(&circle).orientation, Some(6));
    assert_eq!(read(&circle).taken_at, None);
    // A text of 4 GiB, and a directory of 65,535 entries.
    let mut huge = block(false, 6, TAKEN, None);
    let count = 8 + 2 + 24 + 4 + 2 + 4;
    huge[count..][..4].copy_from_slice(&[0xff; 4]);
    huge[8..][..2].copy_from_slice(&[0xff; 2]);
    assert_eq!(read(&huge).taken_at, None);
    assert_eq!(read(&huge).orientation, Some(6));
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(
        little: bool,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut: prop::sample::Index,
    ) {
        for mut head in containers(&block(little, 6, TAKEN, Some("+02:00"))) {
            for (at, byte) in &flips {
                let at = at.index(head.len());
                head[at] = *byte;
            }
            read(&head);
            head.truncate(cut.index(head.len()));
            read(&head);
        }
    }

    #[test]
    fn no_block_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for start in [&b"II*\0\x08\0\0\0"[..], b"MM\0*\0\0\0\x08"] {
            for head in containers(&[start, &bytes].concat()) {
                read(&head);
            }
        }
    }
}
