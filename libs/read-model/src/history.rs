//! What became of an entry before it came to where it stands.
//!
//! Only what the row itself no longer says is kept, so an entry that is queued and imported, or queued
//! and given up, has no history of its own.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::item::{Item, ItemState, Reason};

/// Steps of a [`Item::timeline`], the latest ones.
pub const MAX_STEPS: usize = 32;
/// Characters of a step's message; the row has the last one whole.
const MESSAGE_CHARS: usize = 200;

/// One state that an entry was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Kept", try_from = "Kept")]
pub struct Step {
    /// When it came to this state.
    pub at: OffsetDateTime,
    /// The run that the state belonged to.
    pub run: u32,
    /// Executions spent in the run until then.
    pub attempt: u32,
    /// The state; [`ItemState::Queued`] means queued again.
    pub state: ItemState,
    /// Why.
    pub reason: Option<Reason>,
    /// The same for people, cut short.
    pub message: Option<String>,
}

impl Step {
    /// The state that `item` is in; `None` for one that nothing has happened to since it was listed.
    fn of(item: &Item) -> Option<Self> {
        if item.state == ItemState::Queued && item.run <= 1 {
            return None;
        }
        let short = |message: &String| message.chars().take(MESSAGE_CHARS).collect();
        Some(Self {
            at: item.updated_at,
            run: item.run,
            attempt: item.attempt,
            state: item.state,
            reason: item.reason,
            message: item.message.as_ref().map(short),
        })
    }
}

impl Item {
    /// What has happened to the entry, the oldest first, where it stands now included; at most
    /// [`MAX_STEPS`].
    #[must_use]
    pub fn timeline(&self) -> Vec<Step> {
        let mut steps = self.history.clone();
        steps.extend(Step::of(self));
        steps
    }

    /// The history of what comes after this state.
    pub(crate) fn passed(&self) -> Vec<Step> {
        let mut steps = self.timeline();
        let surplus = steps.len().saturating_sub(MAX_STEPS - 1);
        steps.drain(..surplus);
        steps
    }
}

/// A step as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Milliseconds since 1970.
    at: i64,
    run: u32,
    attempt: u32,
    state: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Cow<'static, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl From<Step> for Kept {
    fn from(step: Step) -> Self {
        let millis = step.at.unix_timestamp_nanos().div_euclid(1_000_000);
        Self {
            at: i64::try_from(millis).unwrap_or(i64::MAX),
            run: step.run,
            attempt: step.attempt,
            state: step.state.code().into(),
            cause: step.reason.map(|reason| reason.code().into()),
            message: step.message,
        }
    }
}

impl TryFrom<Kept> for Step {
    type Error = Unreadable;

    fn try_from(kept: Kept) -> Result<Self, Unreadable> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(kept.at) * 1_000_000);
        let state = ItemState::from_code(&kept.state).ok_or(Unreadable)?;
        Ok(Self {
            at: at.map_err(|_| Unreadable)?,
            run: kept.run,
            attempt: kept.attempt,
            state,
            reason: kept.cause.map(|code| Reason::from_code(state, &code)),
            message: kept.message,
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a step of an entry's history is none that this release writes")]
struct Unreadable;
