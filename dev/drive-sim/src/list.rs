//! `files.list`: pages of a folder.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    catalog::Listing, entry::Entry, error::ApiError, faults::Luck, fields::Fields, hash::hash,
    query::Query, request::ApiRequest, server::State, sim::FOREIGN_DRIVE,
};

/// Rendered pages kept, in bytes; beyond it all are dropped and rendered again when asked for.
const PAGES_LIMIT: usize = 64 << 20;
/// Empty pages in a row.
const EMPTY_PAGES: u8 = 3;

/// Pages of folders that never change.
#[derive(Debug, Default)]
pub(crate) struct PageCache(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    by_request: HashMap<String, Bytes>,
    bytes: usize,
}

impl PageCache {
    fn get(&self, request: &str) -> Option<Bytes> {
        self.lock().by_request.get(request).cloned()
    }

    fn put(&self, request: String, page: Bytes) {
        let mut pages = self.lock();
        if pages.bytes + page.len() > PAGES_LIMIT {
            *pages = Pages::default();
        }
        pages.bytes += page.len();
        pages.by_request.insert(request, page);
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PageToken {
    /// The query it belongs to: with another one it is refused.
    query: u64,
    offset: u64,
    /// Empty pages since the last file.
    empty: u8,
}

impl PageToken {
    /// Signs that must be escaped in a URL are part of it, as in Drive's own.
    fn encode(self) -> String {
        format!(
            "~!!~AI9+{:016x}/{:x}/{:x}==",
            self.query, self.offset, self.empty
        )
    }

    fn decode(text: &str) -> Option<Self> {
        let mut parts = text
            .strip_prefix("~!!~AI9+")?
            .strip_suffix("==")?
            .split('/');
        let mut part = || u64::from_str_radix(parts.next()?, 16).ok();
        let token = Self {
            query: part()?,
            offset: part()?,
            empty: part()?.try_into().ok()?,
        };
        (token.encode() == text).then_some(token)
    }
}

/// Answers `files.list`. Blocks while content is built.
pub(crate) fn list(state: &State, request: &ApiRequest, luck: &Luck) -> Result<Bytes, ApiError> {
    let text = request.param("fields");
    let fields = Fields::of_list(text).map_err(|culprit| ApiError::field_selection(&culprit))?;
    let size = request.param("pageSize").unwrap_or("100");
    let mut size: usize = size
        .parse()
        .ok()
        .filter(|size| (1..=1000).contains(size))
        .ok_or_else(|| ApiError::page_size(size))?;
    let corpora = request.param("corpora").unwrap_or("user");
    if (corpora == "drive") != request.param("driveId").is_some() {
        return Err(ApiError::drive_id_mismatch());
    }
    if let Some(drive) = request.param("driveId")
        && drive.starts_with(FOREIGN_DRIVE)
    {
        return Err(ApiError::drive_not_found(drive));
    }
    let q = request.param("q").unwrap_or_default();
    let token = match request.param("pageToken") {
        None => PageToken {
            query: hash(&[q]),
            offset: 0,
            empty: 0,
        },
        Some(text) => {
            if luck.strikes("expired_token", luck.faults.expired_token) {
                state.stats.injected("expired_token");
                return Err(ApiError::invalid_value("pageToken"));
            }
            PageToken::decode(text)
                .filter(|token| token.query == hash(&[q]))
                .ok_or_else(|| ApiError::invalid_value("pageToken"))?
        }
    };
    // A query without a folder searches what was shared with the caller: nothing.
    let query = match q {
        "" => None,
        q => Some(Query::parse(q).ok_or_else(|| ApiError::invalid_value("q"))?),
    };
    let listing = query
        .as_ref()
        .and_then(|query| visible(state, request, corpora, query));
    let (Some(query), Some(listing)) = (query, listing) else {
        return Ok(page(&fields, None, Vec::new()));
    };

    let left = listing.len().saturating_sub(token.offset);
    let empty = luck.strikes("empty_page", luck.faults.empty_page);
    if left > 0 && empty && token.empty < EMPTY_PAGES {
        state.stats.injected("empty_page");
        let next = PageToken {
            empty: token.empty + 1,
            ..token
        };
        return Ok(page(&fields, Some(next), Vec::new()));
    }
    if size > 1 && left > 1 && luck.strikes("short_page", luck.faults.short_page) {
        state.stats.injected("short_page");
        let longest = size.min(left as usize) - 1;
        size = 1 + (luck.number("size") as usize) % longest;
    }

    let key = format!(
        "{q}\n{}\n{size}\n{}",
        token.offset,
        text.unwrap_or_default()
    );
    if let Some(page) = state.pages.get(&key) {
        return Ok(page);
    }
    let (mut offset, mut entries) = (token.offset, Vec::new());
    while offset < listing.len() && entries.len() < size {
        let entry = listing.child(offset);
        offset += 1;
        if query.matches(&entry) {
            entries.push(entry);
        }
    }
    let next = (offset < listing.len()).then_some(PageToken {
        query: token.query,
        offset,
        empty: 0,
    });
    let files = fields
        .get("files")
        .map(|fields| describe(&entries, fields))
        .unwrap_or_default();
    let page = page(&fields, next, files);
    state.catalog.listed(&entries);
    if !matches!(listing, Listing::Fresh(_)) {
        state.pages.put(key, page.clone());
    }
    Ok(page)
}

/// The folder to list, if the caller may see it. Drive answers an unknown or private folder with an
/// empty list, and the folders of a shared drive to those alone who ask for shared drives.
fn visible(state: &State, request: &ApiRequest, corpora: &str, query: &Query) -> Option<Listing> {
    let folder = state.catalog.find(query.parent()?)?;
    let right_drive = match &folder.drive {
        None => corpora != "drive",
        Some(drive) => {
            request.flag("includeItemsFromAllDrives")
                && match corpora {
                    "drive" => request.param("driveId") == Some(drive),
                    // What was shared by a link is found where its finder's own things are.
                    "user" => drive.starts_with(FOREIGN_DRIVE),
                    corpora => corpora == "allDrives",
                }
        }
    };
    let seen = right_drive && request.access().sees(&folder);
    seen.then(|| state.catalog.list(&folder.id)).flatten()
}

fn page(fields: &Fields, next: Option<PageToken>, files: Vec<Value>) -> Bytes {
    let mut page = Map::new();
    let mut put = |name: &str, value| {
        if fields.has(name) {
            page.insert(name.to_owned(), value);
        }
    };
    put("kind", json!("drive#fileList"));
    put("incompleteSearch", json!(false));
    if let Some(next) = next {
        put("nextPageToken", json!(next.encode()));
    }
    put("files", Value::Array(files));
    serde_json::to_vec_pretty(&page).unwrap_or_default().into()
}

/// Describes entries, on all processors if there is something to render or to hash.
fn describe(entries: &[Entry], fields: &Fields) -> Vec<Value> {
    let one_by_one = |entries: &[Entry]| {
        entries
            .iter()
            .map(|entry| entry.to_json(fields))
            .collect::<Vec<_>>()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors == 1 || entries.iter().all(|entry| entry.source.is_warm()) {
        return one_by_one(entries);
    }
    std::thread::scope(|scope| {
        let chunks = entries.chunks(entries.len().div_ceil(processors).max(1));
        let threads: Vec<_> = chunks
            .map(|chunk| scope.spawn(move || one_by_one(chunk)))
            .collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results
            .flat_map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Lists on a thread that may block.
pub(crate) async fn list_blocking(
    state: &Arc<State>,
    request: ApiRequest,
    luck: Luck,
) -> Result<Bytes, ApiError> {
    let state = Arc::clone(state);
    let task = tokio::task::spawn_blocking(move || list(&state, &request, &luck));
    task.await.unwrap_or_else(|_| Err(ApiError::internal()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_and_forgeries_do_not() {
        let token = PageToken {
            query: 7,
            offset: 4_000_000,
            empty: 2,
        };
        assert_eq!(PageToken::decode(&token.encode()), Some(token));
        for text in [
            "",
            "x",
            "~!!~AI9+7/1/0==",
            "~!!~AI9+0000000000000007/1/0/3==",
        ] {
            assert_eq!(PageToken::decode(text), None, "{text}");
        }
    }
}
