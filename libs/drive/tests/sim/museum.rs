use std::collections::{BTreeMap, HashSet};

use contracts::FileId;
use drive::{Drive, DriveError, Entry, File, FolderRef};
use drive_sim::{Expect, Faults, MUSEUM, museum};

use crate::{at, bytes, pages, sim};

/// What an entry of the museum turned out to be.
#[derive(Debug)]
enum Found {
    File(File),
    Broken(DriveError),
}

/// Every entry beneath a folder that is no folder, by its own id.
async fn walk(drive: &Drive, start: FolderRef) -> BTreeMap<String, Found> {
    let mut found = BTreeMap::new();
    let mut seen: HashSet<FileId> = HashSet::new();
    let mut open = vec![drive.folder(&start).await.unwrap()];
    while let Some(folder) = open.pop() {
        if !seen.insert(folder.id.clone()) {
            continue;
        }
        for entry in pages(drive, &folder)
            .await
            .into_iter()
            .flat_map(|page| page.entries)
        {
            match entry {
                Entry::File(file) => {
                    found.insert(file.id.to_string(), Found::File(file));
                }
                Entry::Folder(folder) => open.push(folder),
                Entry::Shortcut(shortcut) if shortcut.targets_folder() => {
                    let target = FolderRef {
                        id: shortcut.target_id,
                        resource_key: shortcut.target_resource_key,
                    };
                    open.push(drive.folder(&target).await.unwrap());
                }
                Entry::Shortcut(shortcut) => {
                    let key = shortcut.target_resource_key.as_deref();
                    let target = match drive.file(&shortcut.target_id, key).await {
                        Ok(Entry::File(file)) => Found::File(file),
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => Found::Broken(error),
                    };
                    found.insert(shortcut.id.to_string(), target);
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn every_exhibit_is_found_and_answers_as_expected() {
    let (_server, drive) = sim(Faults::default()).await;
    let mut found = walk(&drive, at(MUSEUM)).await;
    for exhibit in museum() {
        let what = &exhibit.name;
        let file = match found.remove(&exhibit.item_id).expect(what) {
            Found::File(file) => file,
            Found::Broken(error) => {
                assert_eq!(exhibit.expect, Expect::Skipped("broken_shortcut"), "{what}");
                assert!(matches!(error, DriveError::NotFound), "{what}: {error:?}");
                continue;
            }
        };
        if file.id.as_str() == exhibit.item_id {
            assert_eq!(file.name, exhibit.name);
        }
        let key = file.resource_key.as_deref();
        let downloaded = bytes(&drive, &file.id, key).await;
        match exhibit.expect {
            Expect::Imported { size, .. } => {
                let downloaded = downloaded.expect(what);
                assert_eq!(downloaded.len() as u64, size, "{what}");
                assert!(
                    downloaded == drive_sim::content(file.id.as_str()).unwrap(),
                    "{what}"
                );
            }
            Expect::Skipped("google_native") => {
                assert!(file.is_google_native(), "{what}");
                assert!(
                    matches!(downloaded, Err(DriveError::NotDownloadable)),
                    "{what}"
                );
            }
            Expect::Failed("source_gone") => {
                assert!(matches!(downloaded, Err(DriveError::NotFound)), "{what}");
            }
            Expect::Failed("source_abusive") => {
                assert!(matches!(downloaded, Err(DriveError::Abusive)), "{what}");
            }
            Expect::Failed("source_forbidden") => {
                assert!(
                    matches!(downloaded, Err(DriveError::Forbidden { .. })),
                    "{what}"
                );
            }
            Expect::Skipped(_) | Expect::Failed(_) => {
                downloaded.expect(what);
            }
        }
    }
    assert!(found.is_empty(), "no exhibits: {:?}", found.keys());
}
