//! What should be there in the end, by the simulator's own list.

use std::collections::BTreeMap;

use anyhow::Context as _;
use drive_sim::{Expect, MUSEUM};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Where the simulator keeps folders and documents apart from files.
const FOLDER: &str = "application/vnd.google-apps.folder";

/// How an entry must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// In the store; or skipped as unchanged, where another import of the run has the file, too.
    Imported,
    /// Skipped for this reason.
    Skipped(String),
    /// Failed with this cause.
    Failed(String),
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file whose bytes are wanted.
    pub file: String,
    /// How it must end.
    pub outcome: Outcome,
}

/// A file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// How many.
    pub size: u64,
    /// Lower-case hex SHA-256.
    pub sha256: String,
}

impl Content {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(bytes)),
        }
    }
}

/// Every entry of `folder` and beneath, by its id, asked of a simulator without faults.
///
/// # Errors
/// When it does not answer as Drive does.
pub async fn entries(oracle: &str, folder: &str) -> anyhow::Result<BTreeMap<String, Entry>> {
    let drive = Oracle {
        url: oracle.to_owned(),
        http: reqwest::Client::builder().no_proxy().build()?,
    };
    if folder == MUSEUM {
        return drive.museum().await;
    }
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for file in drive.children(&folder).await? {
            let id = file["id"].as_str().context("a file without id")?.to_owned();
            if file["mimeType"] == FOLDER {
                folders.push(id);
            } else {
                let entry = Entry {
                    file: id.clone(),
                    outcome: Outcome::Imported,
                };
                found.insert(id, entry);
            }
        }
    }
    Ok(found)
}

/// The bytes of these files.
///
/// # Errors
/// When the simulator knows no bytes of one.
pub fn contents<'a>(
    files: impl Iterator<Item = &'a str>,
) -> anyhow::Result<BTreeMap<String, Content>> {
    files
        .map(|file| {
            let bytes = drive_sim::content(file).with_context(|| format!("{file} has no bytes"))?;
            Ok((file.to_owned(), Content::of(&bytes)))
        })
        .collect()
}

struct Oracle {
    url: String,
    http: reqwest::Client,
}

impl Oracle {
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let request = self
            .http
            .get(format!("{}/drive/v3/files{path}", self.url))
            .query(query)
            .query(&[
                ("supportsAllDrives", "true"),
                ("includeItemsFromAllDrives", "true"),
                ("corpora", "allDrives"),
            ])
            .header("x-goog-api-key", drive_sim::DEFAULT_API_KEY);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn children(&self, folder: &str) -> anyhow::Result<Vec<Value>> {
        let search = format!("'{folder}' in parents and trashed = false");
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![
                ("q", search.as_str()),
                ("pageSize", "1000"),
                ("fields", "nextPageToken,files(id,mimeType)"),
            ];
            if !token.is_empty() {
                query.push(("pageToken", &token));
            }
            let mut page = self.get("", &query).await?;
            if let Some(files) = page["files"].as_array_mut() {
                found.append(files);
            }
            match page["nextPageToken"].as_str() {
                Some(next) => token = next.to_owned(),
                None => return Ok(found),
            }
        }
    }

    /// The museum says itself what must become of each exhibit.
    async fn museum(&self) -> anyhow::Result<BTreeMap<String, Entry>> {
        let mut found = BTreeMap::new();
        for exhibit in drive_sim::museum() {
            let id = exhibit.item_id;
            let outcome = match exhibit.expect {
                Expect::Imported { .. } => Outcome::Imported,
                Expect::Skipped(reason) => Outcome::Skipped(reason.to_owned()),
                Expect::Failed(cause) => Outcome::Failed(cause.to_owned()),
            };
            // A shortcut's bytes are its target's. What cannot be looked up is no shortcut.
            let fields = [("fields", "shortcutDetails(targetId)")];
            let looked_up = self
                .get(&format!("/{id}"), &fields)
                .await
                .unwrap_or_default();
            let target = looked_up["shortcutDetails"]["targetId"].as_str();
            let file = target.unwrap_or(&id).to_owned();
            found.insert(id, Entry { file, outcome });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn folders_are_listed_to_their_end() {
        let sim = drive_sim::serve(drive_sim::Options::default())
            .await
            .unwrap();
        let large = entries(&sim.url(), "sim-n1234-s300").await.unwrap();
        assert_eq!(large.len(), 1234);
        let nested = entries(&sim.url(), "0Asimshareddrive-n20-s300")
            .await
            .unwrap();
        assert_eq!(nested.len(), 23, "three are in a subfolder");
        let all = contents(nested.values().map(|entry| entry.file.as_str())).unwrap();
        assert!(all.values().all(|content| content.size == 300));
    }

    #[tokio::test]
    async fn the_museum_knows_shortcuts_and_failures() {
        let sim = drive_sim::serve(drive_sim::Options::default())
            .await
            .unwrap();
        let museum = entries(&sim.url(), MUSEUM).await.unwrap();
        assert_eq!(museum["museum-lent"].file, "museum-outside");
        assert_eq!(
            museum["museum-gone"].outcome,
            Outcome::Failed("source_gone".to_owned())
        );
        let imported = museum
            .values()
            .filter(|entry| entry.outcome == Outcome::Imported);
        assert!(contents(imported.map(|entry| entry.file.as_str())).is_ok());
    }
}
