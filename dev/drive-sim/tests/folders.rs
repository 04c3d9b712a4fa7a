//! What folders hold, byte by byte.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Drive, healthy, json, md5, refused, sha256, start, text};
use drive_sim::{DEMO_FOLDER, Exhibit, Expect, LOCAL_FOLDER, MUSEUM, Options};
use serde_json::Value;

const FIELDS: (&str, &str) = ("fields", "nextPageToken,files");
const FOLDER_TYPE: &str = "application/vnd.google-apps.folder";
const SHORTCUT_TYPE: &str = "application/vnd.google-apps.shortcut";

async fn download(drive: &Drive, id: &str) -> Vec<u8> {
    let response = drive.media(id).send().await.unwrap();
    assert_eq!(response.status(), 200, "{id}");
    response.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn generated_files_are_what_their_metadata_says() {
    let drive = healthy().await;
    for (folder, size) in [
        ("sim-n8-s256", 256),
        ("sim-n8-s2500", 2500),
        ("sim-n8-s100k", 102_400),
        ("sim-n5-s3m", 3 << 20),
    ] {
        let (files, _) = drive.list_all(folder, &[FIELDS]).await;
        let mut contents = BTreeSet::new();
        for file in &files {
            let id = text(file, "id");
            let bytes = download(&drive, id).await;
            assert_eq!(
                (bytes.len(), text(file, "size")),
                (size, size.to_string().as_str())
            );
            assert_eq!(md5(&bytes), text(file, "md5Checksum"));
            assert_eq!(sha256(&bytes), text(file, "sha256Checksum"));
            assert_eq!(drive_sim::content(id).unwrap(), bytes);
            let format = image::guess_format(&bytes).unwrap();
            assert_eq!(format.to_mime_type(), text(file, "mimeType"));
            let picture = image::load_from_memory(&bytes).unwrap();
            assert_eq!(file["imageMediaMetadata"]["width"], picture.width());
            assert_eq!(file["imageMediaMetadata"]["height"], picture.height());
            contents.insert(bytes);
        }
        assert_eq!(
            contents.len(),
            files.len(),
            "two files of {folder} are equal"
        );
    }
}

#[tokio::test]
async fn folders_are_the_same_in_every_server_and_differ_by_seed() {
    let (one, other) = tokio::join!(healthy(), healthy());
    let params = [FIELDS, ("pageSize", "1000")];
    let (first, _) = one.list_all("sim-n1200-s20k-seed7", &params).await;
    let (second, _) = other.list_all("sim-n1200-s20k-seed7", &params).await;
    assert_eq!(first, second);
    let (third, _) = one.list_all("sim-n1200-s20k-seed8", &params).await;
    let sums = first
        .iter()
        .chain(&third)
        .map(|file| text(file, "md5Checksum"));
    assert_eq!(sums.collect::<BTreeSet<_>>().len(), 2400);
}

#[tokio::test]
async fn the_demo_ends_as_planned() {
    let drive = healthy().await;
    let root = format!("{DEMO_FOLDER}-n40");
    let plan = drive_sim::planned(&root).unwrap();
    let (folders, _) = drive.list_all(&root, &[FIELDS]).await;
    assert!(
        folders
            .iter()
            .all(|folder| text(folder, "mimeType") == FOLDER_TYPE)
    );
    let (mut imported, mut skipped, mut failed) = (0, 0, BTreeMap::new());
    let mut sums = BTreeSet::new();
    for folder in &folders {
        for file in drive.list_all(text(folder, "id"), &[FIELDS]).await.0 {
            if !text(&file, "mimeType").starts_with("image/") {
                skipped += 1;
                continue;
            }
            let id = text(&file, "id");
            let response = drive.media(id).send().await.unwrap();
            let cause = if response.status() == 404 {
                "source_gone"
            } else {
                let bytes = response.bytes().await.unwrap();
                assert_eq!(md5(&bytes), text(&file, "md5Checksum"));
                if bytes.is_empty() {
                    "empty_file"
                } else if image::load_from_memory(&bytes).is_err() {
                    "not_an_image"
                } else {
                    imported += 1;
                    assert!(sums.insert(md5(&bytes)), "{id} is a copy");
                    continue;
                }
            };
            *failed.entry(cause).or_default() += 1;
        }
    }
    assert_eq!(
        drive_sim::Planned {
            imported,
            skipped,
            failed
        },
        plan
    );
    assert_eq!(drive_sim::planned(DEMO_FOLDER).unwrap().imported, 295);
}

/// Lists the museum as a client must: into subfolders, through shortcuts, with resource keys, never
/// into a folder twice. Answers with (path, entry).
async fn walk(drive: &Drive) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut visited = BTreeSet::from([MUSEUM.to_owned()]);
    let mut folders = vec![(MUSEUM.to_owned(), String::new(), None::<String>)];
    while let Some((folder, path, key)) = folders.pop() {
        let mut request = drive.list(&folder, &[FIELDS, ("pageSize", "1000")]);
        if let Some(key) = key {
            request = request.header("x-goog-drive-resource-keys", format!("{folder}/{key}"));
        }
        for file in json(request, 200).await["files"].as_array().unwrap() {
            let details = &file["shortcutDetails"];
            let (id, mime, key) = match text(file, "mimeType") {
                SHORTCUT_TYPE => (
                    text(details, "targetId"),
                    text(details, "targetMimeType"),
                    details["targetResourceKey"].as_str(),
                ),
                mime => (text(file, "id"), mime, file["resourceKey"].as_str()),
            };
            if mime != FOLDER_TYPE {
                found.push((path.clone(), file.clone()));
            } else if visited.insert(id.to_owned()) {
                let name = text(file, "name");
                let path = if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path}/{name}")
                };
                folders.push((id.to_owned(), path, key.map(str::to_owned)));
            }
        }
    }
    found
}

/// What a careful importer makes of one entry.
async fn import(drive: &Drive, file: &Value) -> Expect {
    let details = &file["shortcutDetails"];
    let (id, key) = match details["targetId"].as_str() {
        Some(target) => (target, details["targetResourceKey"].as_str()),
        None => (text(file, "id"), file["resourceKey"].as_str()),
    };
    let keys = key.map(|key| format!("{id}/{key}")).unwrap_or_default();
    let get = drive
        .get(&format!("/drive/v3/files/{id}"))
        .query(&[("fields", "*")]);
    let get = get
        .header("x-goog-drive-resource-keys", &keys)
        .send()
        .await
        .unwrap();
    if get.status() == 404 {
        let broken = details.is_object();
        return if broken {
            Expect::Skipped("broken_shortcut")
        } else {
            Expect::Failed("source_gone")
        };
    }
    let file: Value = get.json().await.unwrap();
    let mime = text(&file, "mimeType");
    if mime.starts_with("application/vnd.google-apps.") {
        assert_eq!(refused(drive.media(id), 403).await, "fileNotDownloadable");
        return Expect::Skipped("google_native");
    }
    let named = [".png", ".jpg"]
        .iter()
        .any(|end| text(&file, "name").ends_with(end));
    if !mime.starts_with("image/") && !named {
        return Expect::Skipped("not_an_image");
    }
    let media = drive
        .media(id)
        .header("x-goog-drive-resource-keys", &keys)
        .send()
        .await
        .unwrap();
    if media.status() == 403 {
        let error: Value = media.json().await.unwrap();
        return Expect::Failed(match text(&error["error"]["errors"][0], "reason") {
            "cannotDownloadAbusiveFile" => "source_abusive",
            "cannotDownloadFile" | "insufficientFilePermissions" => "source_forbidden",
            other => panic!("{other}"),
        });
    }
    let bytes = media.bytes().await.unwrap();
    assert_eq!(text(&file, "size"), bytes.len().to_string());
    let sums = [
        ("md5Checksum", md5(&bytes)),
        ("sha256Checksum", sha256(&bytes)),
    ];
    if sums
        .iter()
        .any(|(name, sum)| file[*name].as_str().is_some_and(|told| told != sum))
    {
        return Expect::Failed("checksum_mismatch");
    }
    if bytes.is_empty() {
        return Expect::Failed("empty_file");
    }
    if mime != "image/svg+xml" && image::guess_format(&bytes).is_err() {
        return Expect::Failed("not_an_image");
    }
    Expect::Imported {
        md5: md5(&bytes),
        size: bytes.len() as u64,
    }
}

#[tokio::test]
async fn the_museum_is_as_its_catalogue_says() {
    let drive = healthy().await;
    let mut exhibits: BTreeMap<_, _> = drive_sim::museum()
        .into_iter()
        .map(|exhibit| (exhibit.item_id.clone(), exhibit))
        .collect();
    for (path, file) in walk(&drive).await {
        let item_id = text(&file, "id").to_owned();
        let expected = exhibits
            .remove(&item_id)
            .unwrap_or_else(|| panic!("{item_id} is no exhibit"));
        let name = text(&file, "name").to_owned();
        let expect = import(&drive, &file).await;
        assert_eq!(
            Exhibit {
                item_id,
                name,
                path,
                expect
            },
            expected
        );
    }
    assert!(exhibits.is_empty(), "not found: {exhibits:?}");
}

#[tokio::test]
async fn the_museum_holds_what_it_promises() {
    let exhibits = drive_sim::museum();
    let ids: BTreeSet<_> = exhibits.iter().map(|exhibit| &exhibit.item_id).collect();
    assert_eq!(ids.len(), exhibits.len());
    assert!(ids.iter().all(|id| {
        id.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    }));
    let has = |test: &dyn Fn(&Exhibit) -> bool| exhibits.iter().any(test);
    assert!(has(&|exhibit| exhibit.path.matches('/').count() >= 2));
    assert!(has(&|exhibit| exhibit.name.len() == 255));
    assert!(has(&|exhibit| exhibit.name.contains('\n')));
    assert!(has(&|exhibit| exhibit.name == ".."));
    assert!(has(
        &|exhibit| matches!(exhibit.expect, Expect::Imported { size, .. } if size == 12 << 20)
    ));
    let verdicts: BTreeSet<_> = exhibits
        .iter()
        .map(|exhibit| match &exhibit.expect {
            Expect::Imported { .. } => "imported",
            Expect::Skipped(reason) => reason,
            Expect::Failed(cause) => cause,
        })
        .collect();
    let expected = [
        "imported",
        "google_native",
        "broken_shortcut",
        "source_gone",
        "not_an_image",
        "empty_file",
        "checksum_mismatch",
        "source_abusive",
        "source_forbidden",
    ];
    assert_eq!(verdicts, expected.into());
}

#[tokio::test]
async fn a_file_changes_once_it_was_listed() {
    let drive = healthy().await;
    let of = |files: Vec<Value>| {
        let found = files
            .into_iter()
            .find(|file| file["id"] == "museum-changing")
            .unwrap();
        (
            text(&found, "md5Checksum").to_owned(),
            text(&found, "size").to_owned(),
        )
    };
    let before = of(drive
        .list_all(MUSEUM, &[FIELDS, ("pageSize", "1000")])
        .await
        .0);
    let get = drive
        .get("/drive/v3/files/museum-changing")
        .query(&[("fields", "*")]);
    let after = of(vec![json(get, 200).await]);
    assert!(before.0 != after.0 && before.1 != after.1);
    assert_eq!(md5(&download(&drive, "museum-changing").await), after.0);
    drive.server.reset();
    assert_eq!(
        of(drive
            .list_all(MUSEUM, &[FIELDS, ("pageSize", "1000")])
            .await
            .0),
        before
    );
}

#[tokio::test]
async fn abuse_can_be_acknowledged_and_keys_are_needed() {
    let drive = healthy().await;
    let acknowledged = drive
        .media("museum-abusive")
        .query(&[("acknowledgeAbuse", "true")]);
    assert_eq!(acknowledged.send().await.unwrap().status(), 200);
    for (id, key) in [
        ("museum-room", "0-roomKEY_x7Qm"),
        ("museum-in-case", "0-caseKEY_b2Zt"),
    ] {
        let get = || drive.get(&format!("/drive/v3/files/{id}"));
        assert_eq!(refused(get(), 404).await, "notFound");
        let header = |key: &str| format!("other/x,{id}/{key}");
        let wrong = get().header("x-goog-drive-resource-keys", header("guess"));
        assert_eq!(refused(wrong, 404).await, "notFound");
        json(get().header("x-goog-drive-resource-keys", header(key)), 200).await;
    }
    assert_eq!(drive.list_all("museum-room", &[]).await.0.len(), 0);
}

#[tokio::test]
async fn a_local_folder_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.jpg"), b"secret").unwrap();
    std::fs::create_dir_all(folder.path().join("Ferien Ü/leer")).unwrap();
    let photo = drive_sim::content("sim-n1-s400k-f0").unwrap();
    std::fs::write(folder.path().join("Ferien Ü/Öl 🌋.jpg"), &photo).unwrap();
    std::fs::write(folder.path().join("notes.txt"), b"hello").unwrap();
    std::fs::write(folder.path().join("unknown"), b"").unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
    let link = folder.path().join("link.jpg");
    std::os::unix::fs::symlink(outside.path().join("secret.jpg"), link).unwrap();

    let options = || Options {
        folder: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let drive = start(options()).await;
    let (root, _) = drive.list_all(LOCAL_FOLDER, &[FIELDS]).await;
    let names: Vec<_> = root.iter().map(|file| text(file, "name")).collect();
    assert_eq!(names, ["Ferien Ü", "notes.txt", "unknown"]);
    assert_eq!(root[1]["mimeType"], "text/plain");
    assert_eq!(root[1]["md5Checksum"], md5(b"hello").as_str());
    assert_eq!(
        (text(&root[2], "mimeType"), text(&root[2], "size")),
        ("application/octet-stream", "0")
    );
    let (inner, _) = drive
        .list_all(text(&root[0], "id"), &[FIELDS, ("pageSize", "1")])
        .await;
    let file = inner
        .iter()
        .find(|file| file["mimeType"] == "image/jpeg")
        .unwrap();
    let id = text(file, "id").to_owned();
    assert_eq!(text(file, "name"), "Öl 🌋.jpg");
    assert_eq!(text(file, "sha256Checksum"), sha256(&photo));
    assert_eq!(file["parents"], serde_json::json!([root[0]["id"]]));
    assert_eq!(download(&drive, &id).await, photo);
    let part = drive
        .media(&id)
        .header("range", "bytes=1000-300000")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), photo.slice(1000..=300_000));

    // Another run knows the same ids; what changes on disk changes here.
    let drive = start(options()).await;
    let path = folder.path().join("Ferien Ü/Öl 🌋.jpg");
    std::fs::write(&path, b"changed").unwrap();
    let get = drive
        .get(&format!("/drive/v3/files/{id}"))
        .query(&[("fields", "md5Checksum")]);
    assert_eq!(
        json(get, 200).await["md5Checksum"],
        md5(b"changed").as_str()
    );
    std::fs::remove_file(path).unwrap();
    assert_eq!(refused(drive.media(&id), 404).await, "notFound");
}

#[tokio::test]
async fn a_local_folder_that_is_not_there_is_refused() {
    let options = Options {
        folder: Some("/nonexistent/folder".into()),
        ..Options::default()
    };
    let Err(error) = drive_sim::serve(options).await else {
        panic!("served")
    };
    assert!(error.to_string().contains("/nonexistent/folder"));
}
