//! The answer to `preview`.

use serde::Serialize;
use utoipa::ToSchema;

/// How many match right now.
// It has no further fields: that tells it apart from the other answers, which have this one as well.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Matching {
    pub(crate) matching: u64,
}
