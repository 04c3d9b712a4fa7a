//! From what people paste to a folder's id.
//!
//! Drive has shown folders under many addresses over the years; all of them are still pasted.

use contracts::{FileId, IdError};
use url::Url;

/// A folder as a person named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderRef {
    /// The folder's id. `open?id=` links may turn out to lead to a file.
    pub id: FileId,
    /// The `resourcekey` of the link, which some link-shared folders need.
    pub resource_key: Option<String>,
}

/// Why a text names no folder. The message says what to paste instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FolderUrlError {
    /// Nothing was given.
    #[error("no folder was given. {COPY}")]
    Empty,
    /// Neither a URL nor an id.
    #[error("{found:?} is neither a Google Drive URL nor a folder id. {COPY}")]
    NotAUrl {
        /// The beginning of what was given.
        found: String,
    },
    /// Another scheme than http or https.
    #[error("{scheme:?} URLs are not supported. {COPY}")]
    Scheme {
        /// The scheme found.
        scheme: String,
    },
    /// Another site.
    #[error("{host:?} is not drive.google.com. {COPY}")]
    OtherHost {
        /// The host found.
        host: String,
    },
    /// A link to one file.
    #[error(
        "this link leads to a single file. Open the folder that holds it, then copy the address from the browser."
    )]
    File,
    /// A document, sheet, presentation or form.
    #[error("this link leads to a Google document, which holds no images to import. {COPY}")]
    Document,
    /// My Drive itself.
    #[error(
        "this is the top of My Drive, which differs for everyone who opens it. Open the folder inside it, then copy the address from the browser."
    )]
    DriveRoot,
    /// A page of Drive that is no folder, such as "Shared with me".
    #[error("this page of Google Drive is no folder. {COPY}")]
    NotAFolderPage,
    /// A folder link without an id.
    #[error(
        "this link is cut off: the folder's id is missing. Copy the whole address from the browser."
    )]
    MissingId,
    /// A folder link with an id that cannot be one.
    #[error("this link is damaged: {0}. Copy the whole address from the browser.")]
    BadId(#[source] IdError),
    /// A `resourcekey` that cannot be one.
    #[error(
        "this link is damaged: its resourcekey has characters that do not belong there. Copy the whole address from the browser."
    )]
    BadResourceKey,
}

const COPY: &str = "Open the folder in Google Drive and copy the address from the browser, like https://drive.google.com/drive/folders/<id>.";

/// The folder that `input` names: a URL in any of Drive's forms, with or without scheme, or a bare
/// id.
///
/// # Errors
/// [`FolderUrlError`] says what is wrong and what to paste instead.
pub fn parse_folder(input: &str) -> Result<FolderRef, FolderUrlError> {
    let input = input.trim();
    let unwrapped = input
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    let input = unwrapped.unwrap_or(input).trim();
    if input.is_empty() {
        return Err(FolderUrlError::Empty);
    }
    if input.parse::<FileId>().is_ok() {
        return Ok(FolderRef {
            id: folder_id(input)?,
            resource_key: None,
        });
    }
    parse_url(&to_url(input)?)
}

fn to_url(input: &str) -> Result<Url, FolderUrlError> {
    let not_a_url = || FolderUrlError::NotAUrl {
        found: excerpt(input),
    };
    let absolute = match input.split_once("://") {
        // Before the colon there may also be a path whose query holds a URL.
        Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            if !["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
            {
                return Err(FolderUrlError::Scheme {
                    scheme: excerpt(scheme),
                });
            }
            input.to_owned()
        }
        _ => format!("https://{}", input.trim_start_matches('/')),
    };
    let url = Url::parse(&absolute).map_err(|_| not_a_url())?;
    // "photos" with a typo is no host name; "example.com" is another site.
    match url.host_str() {
        Some(host) if host.contains('.') || absolute == input => Ok(url),
        _ => Err(not_a_url()),
    }
}

fn parse_url(url: &Url) -> Result<FolderRef, FolderUrlError> {
    match url.host_str().unwrap_or_default().trim_end_matches('.') {
        "drive.google.com" => {}
        "docs.google.com" => return Err(FolderUrlError::Document),
        host => {
            return Err(FolderUrlError::OtherHost {
                host: excerpt(host),
            });
        }
    }
    let segments: Vec<&str> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    let id = match without_prefixes(&segments) {
        ["folders", id] => folder_id(id)?,
        ["folders"] => return Err(FolderUrlError::MissingId),
        ["open" | "folderview" | "embeddedfolderview"] => match parameter(url, "id") {
            Some(id) => folder_id(&id)?,
            None => return Err(FolderUrlError::MissingId),
        },
        ["file", ..] | ["uc" | "thumbnail"] => return Err(FolderUrlError::File),
        [
            "document" | "spreadsheets" | "presentation" | "forms" | "drawings",
            ..,
        ] => {
            return Err(FolderUrlError::Document);
        }
        [] | ["my-drive"] => return Err(FolderUrlError::DriveRoot),
        _ => return Err(FolderUrlError::NotAFolderPage),
    };
    Ok(FolderRef {
        id,
        resource_key: resource_key(url)?,
    })
}

/// The path without what only says who is looking, and with what.
fn without_prefixes<'a>(mut path: &'a [&'a str]) -> &'a [&'a str] {
    loop {
        path = match path {
            ["drive" | "mobile", rest @ ..] | ["a", _, rest @ ..] => rest,
            ["u", account, rest @ ..] if account.bytes().all(|b| b.is_ascii_digit()) => rest,
            _ => return path,
        };
    }
}

fn folder_id(id: &str) -> Result<FileId, FolderUrlError> {
    match id {
        // Drive's alias for the top of My Drive.
        "root" | "my-drive" => Err(FolderUrlError::DriveRoot),
        id => id.parse().map_err(FolderUrlError::BadId),
    }
}

/// Keys go into a header as `id/key,id/key`, so the separators must not be in them.
fn resource_key(url: &Url) -> Result<Option<String>, FolderUrlError> {
    match parameter(url, "resourcekey") {
        Some(key) if is_resource_key(&key) => Ok(Some(key)),
        Some(_) => Err(FolderUrlError::BadResourceKey),
        None => Ok(None),
    }
}

/// Whether `key` can stand in the resource key header.
pub(crate) fn is_resource_key(key: &str) -> bool {
    (1..=128).contains(&key.len())
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    let (_, value) =
        pairs.find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.trim().is_empty())?;
    Some(value.trim().to_owned())
}

/// Bounded, because it came from outside and the error may be logged.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
#[path = "folder_url_tests.rs"]
mod tests;
