//! One file per resource.

pub(crate) mod command_imports;
pub(crate) mod content;
pub(crate) mod control;
pub(crate) mod delete_images;
pub(crate) mod docs;
mod errand;
pub(crate) mod export;
pub(crate) mod images;
pub(crate) mod imports;
pub(crate) mod items;
pub(crate) mod live;
pub(crate) mod page;
pub(crate) mod problems;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod thumbnail;
