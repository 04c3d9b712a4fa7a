//! What stands in the museum.

use std::sync::LazyLock;

use super::{CHANGING, MUSEUM};
use crate::{
    content::{Content, Source},
    demo::html,
    encode::{self, VARIANTS},
    entry::{DOCUMENT, Described, Entry, FOLDER, Media, SHORTCUT, Shortcut},
    hash::hash,
};
use Verdict::{Failed, Imported, Skipped};

/// Bytes of the exhibit that is too large for one request to a store.
const LARGE: u64 = 12 << 20;

const ROOM_KEY: &str = "0-roomKEY_x7Qm";
const CASE_KEY: &str = "0-caseKEY_b2Zt";
const LENT_KEY: &str = "0-lentKEY_p9Wc";

/// An item, and what must become of it.
pub(super) struct Item {
    pub(super) entry: Entry,
    /// None for folders, and for what lies outside the museum.
    pub(super) verdict: Option<Verdict>,
}

/// How an import must end; the sums are computed when asked for.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Imported,
    Skipped(&'static str),
    Failed(&'static str),
}

pub(super) static ITEMS: LazyLock<Vec<Item>> = LazyLock::new(|| {
    let mut items = Vec::new();
    folders(&mut items);
    names(&mut items);
    contents(&mut items);
    checksums(&mut items);
    shortcuts(&mut items);
    items
});

fn folders(items: &mut Vec<Item>) {
    let mut folder = |id: &str, name: &str, parent: Option<&str>, key: Option<&'static str>| {
        let entry = Entry {
            resource_key: key,
            ..Entry::folder(id, name, parent)
        };
        items.push(Item {
            entry,
            verdict: None,
        });
    };
    folder(MUSEUM, "Museum", None, None);
    folder("museum-hall", "Hall of names", Some(MUSEUM), None);
    folder("museum-cabinet", "Cabinet: α/β", Some("museum-hall"), None);
    folder("museum-drawer", "Drawer 🗄️", Some("museum-cabinet"), None);
    folder("museum-bare", "Bare room", Some("museum-hall"), None);
    folder("museum-room", "Locked room", Some(MUSEUM), Some(ROOM_KEY));
    // Not in the museum: only a shortcut leads there.
    folder("museum-annex", "Annex", None, None);
    let mut put = |id: &str, name: &str, parent: &str, key: Option<&'static str>| {
        let entry = Entry {
            resource_key: key,
            ..image(id, name, parent, 0)
        };
        items.push(Item {
            entry,
            verdict: Some(Imported),
        });
    };
    put("museum-in-room", "Behind the door.jpg", "museum-room", None);
    put(
        "museum-in-case",
        "In the locked case.jpg",
        "museum-room",
        Some(CASE_KEY),
    );
    put("museum-in-annex", "Annex.jpg", "museum-annex", None);
    put(
        "museum-deep",
        "Three floors down.jpg",
        "museum-drawer",
        None,
    );
}

fn names(items: &mut Vec<Item>) {
    // 255 bytes: the most that common file systems take. Two bytes a letter, so that cutting it
    // anywhere may cut a letter.
    let longest = format!("{}x.jpg", "ü".repeat(125));
    for (id, name, folder) in [
        ("museum-twin-1", "twin.jpg", "museum-hall"),
        ("museum-twin-2", "twin.jpg", "museum-hall"),
        ("museum-emoji", "🌋 Eyjafjallajökull 👩‍🚀.jpg", "museum-hall"),
        ("museum-longest", &longest, "museum-hall"),
        ("museum-slash", "2024/05/before/after.jpg", "museum-hall"),
        (
            "museum-newline",
            "first line\nsecond line.jpg",
            "museum-hall",
        ),
        (
            "museum-climber",
            "../../../etc/passwd.jpg",
            "museum-cabinet",
        ),
        ("museum-dots", "..", "museum-cabinet"),
        ("museum-control", "bell\u{7}tab\t.jpg", "museum-cabinet"),
        ("museum-rtl", "\u{202e}gpj.photo.jpg", "museum-cabinet"),
        ("museum-spaces", " spaced .jpg ", "museum-cabinet"),
        (
            "museum-markup",
            "<img src=x onerror=alert(1)>.jpg",
            "museum-cabinet",
        ),
        (
            "museum-quote",
            "Robert'); DROP TABLE images;--.jpg",
            "museum-cabinet",
        ),
        ("museum-percent", "100%25 ?#&.jpg", "museum-cabinet"),
        ("museum-bare-name", "no extension", "museum-cabinet"),
    ] {
        items.push(Item {
            entry: image(id, name, folder, 0),
            verdict: Some(Imported),
        });
    }
}

fn contents(items: &mut Vec<Item>) {
    let mut put = |name: &str, mime, source, verdict| {
        let id = format!("museum-{}", name.replace(['.', ' '], "-"));
        let entry = Entry {
            source,
            ..Entry::file(id, name.to_owned(), MUSEUM, mime)
        };
        items.push(Item {
            entry,
            verdict: Some(verdict),
        });
    };
    let bytes = |bytes: &[u8]| Source::Memory(Content::whole(bytes, None));
    let sized = |bytes: &[u8]| Source::Memory(Content::whole(bytes, Some((1, 1))));
    let pixel = encode::whole_png(&image::RgbImage::from_pixel(
        1,
        1,
        image::Rgb([200, 90, 40]),
    ));
    put("pixel.png", "image/png", sized(&pixel), Imported);
    put("dot.gif", "image/gif", sized(GIF), Imported);
    put("dot.webp", "image/webp", sized(WEBP), Imported);
    put(
        "large.jpg",
        "image/jpeg",
        Source::padded(LARGE, 0, hash(&[MUSEUM]), 0),
        Imported,
    );
    put(
        "untyped.png",
        "application/octet-stream",
        picture("untyped", 3),
        Imported,
    );
    put("drawing.svg", "image/svg+xml", bytes(SVG), Imported);
    put("empty.jpg", "image/jpeg", bytes(&[]), Failed("empty_file"));
    put(
        "error-page.jpg",
        "image/jpeg",
        bytes(&html("museum")),
        Failed("not_an_image"),
    );
    put(
        "readme.txt",
        "text/plain",
        bytes(b"Please do not touch.\n"),
        Skipped("not_an_image"),
    );
    put(
        "catalogue.pdf",
        "application/pdf",
        bytes(b"%PDF-1.4\n%%EOF\n"),
        Skipped("not_an_image"),
    );
    put(
        "Guided tour",
        DOCUMENT,
        Source::None,
        Skipped("google_native"),
    );

    let mut closed = |id: &str, name: &str, media, cause| {
        let entry = Entry {
            media,
            ..image(id, name, MUSEUM, 0)
        };
        items.push(Item {
            entry,
            verdict: Some(Failed(cause)),
        });
    };
    closed("museum-gone", "stolen.jpg", Media::Gone, "source_gone");
    closed(
        "museum-abusive",
        "cursed amulet.jpg",
        Media::Abusive,
        "source_abusive",
    );
    closed(
        "museum-disabled",
        "no cameras.jpg",
        Media::DownloadDisabled,
        "source_forbidden",
    );
    closed(
        "museum-forbidden",
        "staff only.jpg",
        Media::Forbidden,
        "source_forbidden",
    );
}

fn checksums(items: &mut Vec<Item>) {
    let mut put = |id: &str, name: &str, described, verdict| {
        let entry = Entry {
            described,
            ..image(id, name, MUSEUM, 0)
        };
        items.push(Item {
            entry,
            verdict: Some(verdict),
        });
    };
    put(CHANGING, "restored.jpg", Described::Truly, Imported);
    let sha256_only = Described::Partly {
        md5: false,
        sha256: true,
    };
    put("museum-no-md5", "no md5.jpg", sha256_only, Imported);
    let size_only = Described::Partly {
        md5: false,
        sha256: false,
    };
    put("museum-no-sum", "no checksum.jpg", size_only, Imported);
    // As Google Photos does: the checksum of the original, the bytes of a re-encoded one.
    let forged = Described::As {
        size: PICTURE_SIZE,
        md5: Some(format!("{:032x}", hash(&["forged"]))),
        sha256: None,
    };
    put(
        "museum-forged",
        "forgery.jpg",
        forged,
        Failed("checksum_mismatch"),
    );
}

fn shortcuts(items: &mut Vec<Item>) {
    // Targets outside the museum.
    for (id, key) in [
        ("museum-outside", None),
        ("museum-outside-locked", Some(LENT_KEY)),
    ] {
        let mut entry = Entry {
            resource_key: key,
            ..image(id, "original.jpg", "", 1)
        };
        entry.parent = None;
        items.push(Item {
            entry,
            verdict: None,
        });
    }
    let document = Entry::file(
        "museum-outside-doc".to_owned(),
        "Lease".to_owned(),
        "",
        DOCUMENT,
    );
    items.push(Item {
        entry: Entry {
            parent: None,
            ..document
        },
        verdict: None,
    });
    let mut put = |id: &str, name: &str, parent, (target, mime_type, key), verdict| {
        let target = String::from(target);
        let shortcut = Some(Shortcut {
            target,
            mime_type,
            resource_key: key,
        });
        let entry = Entry {
            shortcut,
            ..Entry::file(id.to_owned(), name.to_owned(), parent, SHORTCUT)
        };
        items.push(Item { entry, verdict });
    };
    let jpeg = "image/jpeg";
    put(
        "museum-way-back",
        "Way back",
        "museum-drawer",
        (MUSEUM, FOLDER, None),
        None,
    );
    put(
        "museum-to-hall",
        "To the hall",
        "museum-drawer",
        ("museum-hall", FOLDER, None),
        None,
    );
    put(
        "museum-to-annex",
        "Annex",
        MUSEUM,
        ("museum-annex", FOLDER, None),
        None,
    );
    let lent = ("museum-outside", jpeg, None);
    put("museum-lent", "on loan.jpg", MUSEUM, lent, Some(Imported));
    let locked = ("museum-outside-locked", jpeg, Some(LENT_KEY));
    put(
        "museum-lent-locked",
        "on loan, locked.jpg",
        MUSEUM,
        locked,
        Some(Imported),
    );
    let broken = ("museum-nowhere", jpeg, None);
    put(
        "museum-broken",
        "lost.jpg",
        MUSEUM,
        broken,
        Some(Skipped("broken_shortcut")),
    );
    let lease = ("museum-outside-doc", DOCUMENT, None);
    put(
        "museum-lease",
        "Lease",
        MUSEUM,
        lease,
        Some(Skipped("google_native")),
    );
}

pub(super) const PICTURE_SIZE: u64 = 24_000;

fn picture(owner: &str, variant: u8) -> Source {
    Source::padded(PICTURE_SIZE, variant % VARIANTS, hash(&[owner]), 0)
}

fn image(id: &str, name: &str, parent: &str, variant: u8) -> Entry {
    let source = picture(id, variant);
    Entry {
        source,
        ..Entry::file(id.to_owned(), name.to_owned(), parent, "image/jpeg")
    }
}

const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\">\
    <circle cx=\"4\" cy=\"4\" r=\"3\"/></svg>\n";

/// One transparent pixel.
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\
    \x01\0\x01\0\0\x02\x01D\0;";

/// One transparent pixel, lossless.
const WEBP: &[u8] =
    b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0";
