//! The shapes of answers. The old system's fields keep their names and meanings.

mod image;
mod import;

pub(crate) use image::{Deleted, ImageExport, ImagePage, ImageView, Stats};
pub(crate) use import::{
    CauseCode, Failures, ImportPage, ImportView, Progress, Status, StatusView, accepted, failure,
};
