//! The client against a simulated Drive.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod accounts;
mod downloads;
mod listings;
mod museum;
mod settings;

use contracts::FileId;
use drive::{Auth, Drive, DriveConfig, DriveError, Entry, File, Folder, FolderRef, Page};
use drive_sim::{DEFAULT_API_KEY, Faults, Options, Server, serve};
use url::Url;

async fn sim(faults: Faults) -> (Server, Drive) {
    let server = serve(Options {
        faults,
        ..Options::default()
    })
    .await
    .unwrap();
    let drive = client(&server, |_| {});
    (server, drive)
}

fn client(server: &Server, change: impl FnOnce(&mut DriveConfig)) -> Drive {
    let mut config = DriveConfig {
        endpoint: Url::parse(&server.url()).unwrap(),
        auth: Auth::ApiKey(DEFAULT_API_KEY.into()),
        ..DriveConfig::default()
    };
    change(&mut config);
    Drive::new(config).unwrap()
}

fn id(text: &str) -> FileId {
    text.parse().unwrap()
}

fn at(text: &str) -> FolderRef {
    FolderRef {
        id: id(text),
        resource_key: None,
    }
}

/// Every page of a folder.
async fn pages(drive: &Drive, folder: &Folder) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    loop {
        let token = pages.last().map(|page| page.next.as_deref().unwrap());
        let page = drive.list(folder, token).await.unwrap();
        assert_eq!(page.malformed, []);
        let last = page.next.is_none();
        pages.push(page);
        if last {
            return pages;
        }
    }
}

fn files(pages: &[Page]) -> Vec<&File> {
    let entries = pages.iter().flat_map(|page| &page.entries);
    entries
        .filter_map(|entry| match entry {
            Entry::File(file) => Some(file),
            Entry::Folder(_) | Entry::Shortcut(_) => None,
        })
        .collect()
}

async fn bytes(drive: &Drive, id: &FileId, key: Option<&str>) -> Result<Vec<u8>, DriveError> {
    let mut download = drive.download(id, key).await?;
    let length = download.length;
    let mut bytes = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(length, Some(bytes.len() as u64));
    Ok(bytes)
}
