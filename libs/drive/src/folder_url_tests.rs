#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const ID: &str = "1AbC-dEf_GhIjKlMnOpQrStUvWxYz0123";

/// Every form of address; `ID` stands for the id.
const FORMS: &[&str] = &[
    "https://drive.google.com/drive/folders/ID",
    "http://drive.google.com/drive/folders/ID",
    "HTTPS://Drive.Google.com/drive/folders/ID",
    "https://drive.google.com/drive/folders/ID/",
    "https://drive.google.com//drive/folders/ID",
    "https://drive.google.com:443/drive/folders/ID",
    "https://drive.google.com./drive/folders/ID",
    "https://drive.google.com/drive/u/0/folders/ID",
    "https://drive.google.com/drive/u/17/folders/ID",
    "https://drive.google.com/u/2/drive/folders/ID",
    "https://drive.google.com/drive/mobile/folders/ID",
    "https://drive.google.com/drive/mobile/u/1/folders/ID",
    "https://drive.google.com/open?id=ID",
    "https://drive.google.com/u/3/open?id=ID",
    "https://drive.google.com/open?usp=sharing&id=ID",
    "https://drive.google.com/folderview?id=ID",
    "https://drive.google.com/embeddedfolderview?id=ID#grid",
    "https://drive.google.com/embeddedfolderview?id=ID#list",
    "https://drive.google.com/a/example.com/drive/folders/ID",
    "https://drive.google.com/a/example.com/folderview?id=ID",
    "https://drive.google.com/a/example.com/open?id=ID",
    "https://drive.google.com/drive/a/example.com/folders/ID",
    "https://drive.google.com/drive/folders/ID?usp=sharing",
    "https://drive.google.com/drive/folders/ID?usp=drive_link#top",
    "https://drive.google.com/drive/folders/ID?resourcekey=",
    "https://drive.google.com/drive/folders/ID?next=https://example.com/",
    "drive.google.com/drive/folders/ID",
    "//drive.google.com/drive/folders/ID",
    "drive.google.com/open?id=ID&next=https://example.com/",
    "ID",
];

fn wraps() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("", ""),
        ("  ", "\n"),
        ("\t\r\n", " "),
        ("<", ">"),
        (" < ", " > "),
        ("\u{a0}", "\u{3000}"),
    ])
}

proptest! {
    #[test]
    fn every_form_gives_back_the_id(
        id in "(0A|0B|1)[A-Za-z0-9_-]{6,60}",
        form in prop::sample::select(FORMS),
        key in prop::option::of("0-[A-Za-z0-9_-]{1,30}"),
        (before, after) in wraps(),
    ) {
        let mut text = form.replace("ID", &id);
        let key = key.filter(|_| form.contains('/') && !form.contains("resourcekey"));
        if let Some(key) = &key {
            let (address, fragment) = text.split_once('#').unwrap_or((&text, ""));
            let joint = if address.contains('?') { '&' } else { '?' };
            text = format!("{address}{joint}resourcekey={key}#{fragment}");
        }
        let text = format!("{before}{text}{after}");
        let folder = parse_folder(&text);
        prop_assert_eq!(
            folder,
            Ok(FolderRef { id: id.parse().unwrap(), resource_key: key }),
            "{}", text
        );
    }

    #[test]
    fn nothing_panics_and_refusals_are_bounded(text in ".{0,300}") {
        if let Err(error) = parse_folder(&text) {
            prop_assert!(error.to_string().len() < 1500);
        }
    }

    #[test]
    fn nothing_that_looks_like_a_url_panics(
        scheme in prop::sample::select(
            vec!["", "https://", "http:/", "ftp://", "<https://", "://"]),
        host in prop::sample::select(
            vec!["drive.google.com", "docs.google.com", "drive.google.com:x", "@", "[::1]", ""]),
        path in prop::collection::vec(
            prop::sample::select(
                vec!["drive", "folders", "u", "a", "0", "mobile", "open", "%ff", "file", "d", ""]),
            0..7),
        query in "[?#]?(id=|resourcekey=|&|%|#|[a-z]){0,6}",
    ) {
        let text = format!("{scheme}{host}/{}{query}", path.join("/"));
        if let Ok(folder) = parse_folder(&text) {
            prop_assert!(folder.id.as_str().len() <= 128, "{}", text);
            prop_assert!(text.contains(folder.id.as_str()), "{}", text);
        }
    }
}

type Check = fn(&FolderUrlError) -> bool;

#[test]
fn refusals_say_what_is_wrong() {
    let cases: &[(&str, Check)] = &[
        ("", |e| matches!(e, FolderUrlError::Empty)),
        (" <> ", |e| matches!(e, FolderUrlError::Empty)),
        ("my photos", |e| matches!(e, FolderUrlError::NotAUrl { .. })),
        ("javascript:alert(1)", |e| {
            matches!(e, FolderUrlError::NotAUrl { .. })
        }),
        ("photos/2024", |e| {
            matches!(e, FolderUrlError::NotAUrl { .. })
        }),
        ("ftp://drive.google.com/drive/folders/ID", |e| {
            matches!(e, FolderUrlError::Scheme { .. })
        }),
        ("file:///etc/passwd", |e| {
            matches!(e, FolderUrlError::Scheme { .. })
        }),
        ("https://example.com/drive/folders/ID", |e| {
            matches!(e, FolderUrlError::OtherHost { .. })
        }),
        (
            "https://drive.google.com@evil.example/drive/folders/ID",
            |e| matches!(e, FolderUrlError::OtherHost { host } if host == "evil.example"),
        ),
        (
            "https://drive.google.com.evil.example/drive/folders/ID",
            |e| matches!(e, FolderUrlError::OtherHost { .. }),
        ),
        ("http://localhost/drive/folders/ID", |e| {
            matches!(e, FolderUrlError::OtherHost { .. })
        }),
        ("www.dropbox.com/sh/ID", |e| {
            matches!(e, FolderUrlError::OtherHost { .. })
        }),
        ("https://drive.google.com/file/d/ID/view?usp=sharing", |e| {
            matches!(e, FolderUrlError::File)
        }),
        ("https://drive.google.com/a/example.com/file/d/ID", |e| {
            matches!(e, FolderUrlError::File)
        }),
        ("https://drive.google.com/uc?id=ID&export=download", |e| {
            matches!(e, FolderUrlError::File)
        }),
        ("https://docs.google.com/document/d/ID/edit", |e| {
            matches!(e, FolderUrlError::Document)
        }),
        (
            "https://docs.google.com/spreadsheets/d/ID/edit#gid=0",
            |e| matches!(e, FolderUrlError::Document),
        ),
        ("https://drive.google.com", |e| {
            matches!(e, FolderUrlError::DriveRoot)
        }),
        ("https://drive.google.com/drive", |e| {
            matches!(e, FolderUrlError::DriveRoot)
        }),
        ("https://drive.google.com/drive/u/0/my-drive", |e| {
            matches!(e, FolderUrlError::DriveRoot)
        }),
        ("https://drive.google.com/drive/folders/root", |e| {
            matches!(e, FolderUrlError::DriveRoot)
        }),
        ("root", |e| matches!(e, FolderUrlError::DriveRoot)),
        ("https://drive.google.com/drive/shared-with-me", |e| {
            matches!(e, FolderUrlError::NotAFolderPage)
        }),
        ("https://drive.google.com/drive/search?q=cats", |e| {
            matches!(e, FolderUrlError::NotAFolderPage)
        }),
        ("https://drive.google.com/drive/folders/", |e| {
            matches!(e, FolderUrlError::MissingId)
        }),
        ("https://drive.google.com/open?id=", |e| {
            matches!(e, FolderUrlError::MissingId)
        }),
        ("https://drive.google.com/folderview", |e| {
            matches!(e, FolderUrlError::MissingId)
        }),
        ("https://drive.google.com/drive/folders/a.b", |e| {
            matches!(e, FolderUrlError::BadId(_))
        }),
        ("https://drive.google.com/open?id=a'%20or%20'b", |e| {
            matches!(e, FolderUrlError::BadId(_))
        }),
        (
            "https://drive.google.com/drive/folders/ID?resourcekey=a,b/c",
            |e| matches!(e, FolderUrlError::BadResourceKey),
        ),
    ];
    for (text, expected) in cases {
        let error = parse_folder(&text.replace("ID", ID)).unwrap_err();
        assert!(expected(&error), "{text:?} gave {error:?}");
        let message = error.to_string();
        assert!(message.contains("opy the"), "no advice in: {message}");
    }
}
