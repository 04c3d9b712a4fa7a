//! Google Drive v3 client: folder URLs, listing, streaming download, typed errors.
//!
//! One call is one request (the exceptions are named at [`Drive::folder`], [`Drive::list`] and
//! [`Drive::download`]; access tokens are asked for on the way, see [`Auth::Credentials`]). Nothing here retries, paces or counts quota: [`DriveError::kind`] tells the caller what to do,
//! and [`cost`] what each call is charged.

mod assertion;
mod body;
mod client;
mod config;
pub mod cost;
mod credentials;
mod entry;
mod error;
pub mod folder_url;
mod http;
pub mod outcome;
mod refusal;
mod settings;
mod sign_in;
mod spans;
mod tokens;

/// The id of a file that nobody has. An answer about it, even a refusal, means that Drive is there, while
/// one image's or folder's own trouble is no outage.
pub const NOBODY: &str = "imagefleet-is-drive-there";

pub use body::Download;
pub use client::Drive;
pub use config::{Auth, DriveConfig};
pub use credentials::{Credentials, CredentialsError};
pub use entry::{Entry, File, Folder, Malformed, Page, Shortcut};
pub use error::{DriveError, ErrorKind, Phase};
pub use folder_url::{FolderRef, FolderUrlError, parse_folder};
pub use settings::quota_from_env;
pub use sign_in::{SignInError, SignInProblem};
