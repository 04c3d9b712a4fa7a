//! What Drive charges for each call, in quota units.
//!
//! The quota is 1,000,000 units per minute and project, and 325,000 per minute, user and project.
//! Projects created before May 2026 are limited to 12,000 requests per minute instead. Source:
//! <https://developers.google.com/workspace/drive/api/guides/limits>.

/// One page of a listing ([`crate::Drive::list`]).
pub const LIST: u32 = 100;
/// Metadata of one file or folder ([`crate::Drive::file`], [`crate::Drive::folder`]).
pub const GET: u32 = 5;
/// The bytes of one file ([`crate::Drive::download`]).
pub const DOWNLOAD: u32 = 200;
