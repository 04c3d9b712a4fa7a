//! What a client must survive on the wire, and what it must send.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod answers;
mod breakage;
mod requests;
mod server;
mod sign_in;

use std::error::Error as _;

use contracts::FileId;
use drive::{DriveError, Folder};

fn id(text: &str) -> FileId {
    text.parse().unwrap()
}

fn folder(drive_id: Option<&str>) -> Folder {
    Folder {
        id: id("the-folder"),
        name: "Photos".to_owned(),
        resource_key: None,
        drive_id: drive_id.map(str::to_owned),
    }
}

/// The error and all its causes, as logs would show them.
fn whole_chain(error: &DriveError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
