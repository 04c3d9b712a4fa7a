use std::collections::HashSet;

use drive::{Auth, DriveError, Entry, ErrorKind, cost};
use drive_sim::{EMPTY_FOLDER, Faults, PRIVATE_FOLDER};

use crate::{at, bytes, client, files, id, pages, sim};

#[tokio::test]
async fn a_large_folder_is_listed_whole_and_charged_as_documented() {
    let (server, drive) = sim(Faults::default()).await;
    let folder = drive.folder(&at("sim-n2500-s10k")).await.unwrap();
    assert_eq!(
        (folder.name.as_str(), &folder.drive_id),
        ("sim-n2500-s10k", &None)
    );
    let pages = pages(&drive, &folder).await;
    assert_eq!(
        pages
            .iter()
            .map(|page| page.entries.len())
            .collect::<Vec<_>>(),
        [999, 999, 502]
    );

    let files = files(&pages);
    let ids: HashSet<_> = files.iter().map(|file| &file.id).collect();
    assert_eq!(ids.len(), 2500);
    for file in &files {
        assert_eq!(file.size, Some(10 << 10));
        assert!(file.md5.is_some() && file.sha256.is_some() && file.modified_time.is_some());
        assert!(file.width.is_some() && file.height.is_some());
        assert!(file.can_download && file.mime_type.starts_with("image/"));
    }
    let first = bytes(&drive, &files[0].id, None).await.unwrap();
    assert_eq!(first, drive_sim::content(files[0].id.as_str()).unwrap());
    assert_eq!(
        drive.file(&files[0].id, None).await.unwrap(),
        Entry::File(files[0].clone())
    );

    let stats = server.stats();
    let charged = 3 * cost::LIST + 2 * cost::GET + cost::DOWNLOAD;
    assert_eq!(stats.quota_units, u64::from(charged));
    assert_eq!(
        (
            stats.requests.list,
            stats.requests.get,
            stats.requests.download
        ),
        (3, 2, 1)
    );
}

#[tokio::test]
async fn short_and_empty_pages_lose_nothing() {
    let faults = Faults {
        short_page: 0.7,
        empty_page: 0.5,
        seed: 3,
        ..Faults::default()
    };
    let (server, drive) = sim(faults).await;
    let folder = drive.folder(&at("sim-n700-s1k")).await.unwrap();
    let pages = pages(&drive, &folder).await;
    assert!(
        pages.iter().any(|page| page.entries.is_empty()),
        "no page was empty"
    );
    assert!(server.stats().faults["short_page"] > 0, "no page was short");
    let ids: HashSet<_> = files(&pages).into_iter().map(|file| &file.id).collect();
    assert_eq!(ids.len(), 700);
}

#[tokio::test]
async fn an_expired_page_token_is_known_as_such() {
    let (server, drive) = sim(Faults::default()).await;
    let folder = drive.folder(&at("sim-n1500-s1k")).await.unwrap();
    let token = drive.list(&folder, None).await.unwrap().next.unwrap();
    server.set_faults(Faults {
        expired_token: 1.0,
        ..Faults::default()
    });
    for token in [token.as_str(), "made up"] {
        let error = drive.list(&folder, Some(token)).await.unwrap_err();
        assert!(matches!(error, DriveError::PageTokenRejected), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Page);
    }
}

#[tokio::test]
async fn a_shared_drive_is_listed_down_to_its_subfolders() {
    let (server, drive) = sim(Faults::default()).await;
    let root = "0Asimshareddrive-n20-s1k";
    let folder = drive.folder(&at(root)).await.unwrap();
    assert_eq!(folder.drive_id.as_deref(), Some(root));
    let top = pages(&drive, &folder).await;
    assert_eq!(files(&top).len(), 20);
    let subfolder = top[0].entries.iter().find_map(|entry| match entry {
        Entry::Folder(folder) => Some(folder),
        Entry::File(_) | Entry::Shortcut(_) => None,
    });
    let below = pages(&drive, subfolder.unwrap()).await;
    assert_eq!(files(&below).len(), 3);
    assert_eq!(server.stats().requests.list, 2);
    let file = &files(&below)[0].id;
    assert_eq!(bytes(&drive, file, None).await.unwrap().len(), 1 << 10);
}

#[tokio::test]
async fn what_is_no_folder_for_us_is_said_so() {
    let (_server, drive) = sim(Faults::default()).await;
    for unknown in [PRIVATE_FOLDER, "nothing-of-that-name"] {
        let error = drive.folder(&at(unknown)).await.unwrap_err();
        assert!(matches!(error, DriveError::NotFound), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Item);
    }
    let error = drive.folder(&at("sim-n5-s1k-f0")).await.unwrap_err();
    assert!(matches!(error, DriveError::NotAFolder), "{error:?}");
    let empty = drive.folder(&at(EMPTY_FOLDER)).await.unwrap();
    let page = drive.list(&empty, None).await.unwrap();
    assert_eq!(
        (page.entries.len(), page.next, page.incomplete),
        (0, None, false)
    );
}

#[tokio::test]
async fn credentials_are_blamed_and_not_the_folder() {
    let (server, drive) = sim(Faults::default()).await;
    let wrong = client(&server, |config| {
        config.auth = Auth::ApiKey("AIza-wrong".into())
    });
    let none = client(&server, |config| config.auth = Auth::Anonymous);
    for drive in [wrong, none] {
        let error = drive.folder(&at("sim-n5-s1k")).await.unwrap_err();
        assert!(matches!(error, DriveError::KeyInvalid { .. }), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Credentials);
    }
    server.set_faults(Faults {
        unauthorized: true,
        ..Faults::default()
    });
    let error = drive.file(&id("sim-n5-s1k-f0"), None).await.unwrap_err();
    assert!(
        matches!(error, DriveError::Unauthorized { .. }),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Credentials);
}

#[tokio::test]
async fn a_folder_of_a_drive_of_which_we_are_no_member_is_listed_all_the_same() {
    let (server, drive) = sim(Faults::default()).await;
    let folder = drive
        .folder(&at("0Asimforeigndrive-n20-s1k"))
        .await
        .unwrap();
    let top = pages(&drive, &folder).await;
    assert_eq!(files(&top).len(), 20);
    let subfolder = top[0].entries.iter().find_map(|entry| match entry {
        Entry::Folder(folder) => Some(folder),
        Entry::File(_) | Entry::Shortcut(_) => None,
    });
    let below = pages(&drive, subfolder.unwrap()).await;
    assert_eq!(files(&below).len(), 3);
    // One request is refused, and the drive is remembered.
    assert_eq!(server.stats().statuses, [(200, 3), (404, 1)].into());
}
