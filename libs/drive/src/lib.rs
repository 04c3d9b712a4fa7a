//! Google Drive v3 client: folder URLs, listing, streaming download, typed errors.
//!
//! One call is one request (the exceptions are named at [`Drive::folder`] and [`Drive::list`]).
//! Nothing here retries, paces or counts quota: [`DriveError::kind`] tells the caller what to do,
//! and [`cost`] what each call is charged.

mod body;
mod client;
mod config;
pub mod cost;
mod entry;
mod error;
pub mod folder_url;
mod refusal;
mod settings;

pub use body::Download;
pub use client::Drive;
pub use config::{Auth, DriveConfig};
pub use entry::{Entry, File, Folder, Malformed, Page, Shortcut};
pub use error::{DriveError, ErrorKind, Phase};
pub use folder_url::{FolderRef, FolderUrlError, parse_folder};
pub use settings::quota_from_env;
