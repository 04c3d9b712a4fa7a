//! Wire types, ids, subjects and stream names of Imagefleet.
//!
//! Everything that crosses a process boundary is spelled here and nowhere else. This crate never
//! does I/O and knows no client library.

mod cause;
pub mod command;
pub mod event;
pub mod ids;
pub mod kv;
pub mod request;
pub mod streams;
pub mod subjects;
pub mod task;
mod version;

pub use cause::{Cause, SkipReason};
pub use command::{Action, Command};
pub use event::{Event, EventBody, Object, Timings};
pub use ids::{FileId, IdError, ImportId, Prefix};
pub use request::{ImportRequest, Source};
pub use task::{DeleteObject, ImportImage, SourceFile, Task};
pub use version::{DecodeError, Message, decode, encode};
