//! Google Drive v3 over HTTP, as hostile as the real one.
//!
//! Folders are asked for by their id:
//!
//! | id | holds |
//! | --- | --- |
//! | `sim-n20000-s100k` | 20,000 images of exactly 100 KiB; `-seed7` for others of the kind |
//! | `demo-photographs` | 300 photographs in subfolders; `demo-photographs-n500` has 500 |
//! | `museum` | one of every strange thing, see [`museum()`] |
//! | `0Asimshareddrive` | a shared drive; `0Asimshareddrive-n50-s20k` for another size |
//! | `0Asimforeigndrive` | the same, shared by a link with people who are no members |
//! | `empty-folder` | nothing |
//! | `private-folder` | what only accounts see that it is shared with; `-n50-s20k` for another size |
//! | `local-folder` | the folder given in [`Options::folder`] |

mod admin;
mod api;
mod body;
mod catalog;
mod content;
mod demo;
mod encode;
mod entry;
mod error;
mod faults;
mod fields;
mod hash;
mod list;
mod local;
mod museum;
mod oauth;
mod query;
mod quota;
mod render;
mod request;
mod server;
mod sim;
mod stats;
mod watch;

pub use catalog::{EMPTY_FOLDER, PRIVATE_FOLDER, content};
pub use demo::{DEMO_FOLDER, Planned, planned};
pub use faults::Faults;
pub use local::LOCAL_FOLDER;
pub use museum::{Exhibit, Expect, MUSEUM, museum};
pub use oauth::{SERVICE_ACCOUNT, SignInRefusal, USER};
pub use server::{DEFAULT_API_KEY, DEFAULT_BEARER_TOKEN, Options, Server, serve};
pub use stats::{Kind, Requests, Stats};
pub use watch::{Moment, Watch};
