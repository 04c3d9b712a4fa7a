//! One command on its way to many imports.

use std::time::Instant;

use contracts::{Action, Cause, Command, ImportId};
use futures::{StreamExt, stream};
use read_model::ImportRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::broker::Meant;
use crate::effect;
use crate::input::IdempotencyKey;
use crate::problem::{Code, Problem, Result};

/// Commands on their way to NATS at once.
const AT_ONCE: usize = 64;
/// Refusals that are told one by one.
const MAX_REFUSED: usize = 100;

/// What came of a command to many imports.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Commanded {
    /// Imports that match.
    pub(super) matching: u64,
    /// Commands that are queued.
    pub(super) accepted: u64,
    /// Imports that cannot do it, at most 100 of them.
    pub(super) refused: Vec<Refused>,
    /// All of those.
    pub(super) refused_count: u64,
    /// No refusal will pass by itself.
    #[serde(skip)]
    pub(super) settled: bool,
}

/// An import that cannot do it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Refused {
    id: String,
    #[schema(example = "not_possible")]
    code: &'static str,
    /// Why, and what to do instead.
    detail: String,
}

/// An import that a command goes to.
pub(super) struct Target {
    id: ImportId,
    /// How it was found just now; `None` if it matched when the key was claimed.
    row: Option<ImportRow>,
}

impl Target {
    pub(super) fn found(row: ImportRow) -> Self {
        Self {
            id: row.id.clone(),
            row: Some(row),
        }
    }

    pub(super) fn meant(imports: &[ImportId]) -> Vec<Self> {
        let imports = imports.iter().cloned();
        imports.map(|id| Self { id, row: None }).collect()
    }
}

/// One command to many imports.
pub(super) struct Errand<'a> {
    pub(super) app: &'a App,
    pub(super) action: Action,
    pub(super) requested_by: Option<String>,
    pub(super) key: Option<&'a IdempotencyKey>,
    /// Nothing is queued: what would be is counted as accepted.
    pub(super) preview: bool,
    /// Nothing is begun after this.
    pub(super) until: Instant,
}

impl Errand<'_> {
    /// Fails only while nothing at all was accepted and nothing can be.
    pub(super) async fn run(&self, targets: Vec<Target>, all: &mut Commanded) -> Result<()> {
        let mut outcomes = stream::iter(targets)
            .map(|target| async move {
                let outcome = self.command(&target.id, target.row).await;
                (target.id, outcome)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((id, outcome)) = outcomes.next().await {
            match outcome {
                Ok(()) => all.accepted += 1,
                Err(problem) if all.accepted == 0 && problem.code.status().is_server_error() => {
                    return Err(problem);
                }
                Err(problem) => {
                    all.settled &= !problem.code.status().is_server_error();
                    all.refused_count += 1;
                    if all.refused.len() < MAX_REFUSED {
                        all.refused.push(Refused {
                            id: id.into(),
                            code: problem.code.as_str(),
                            detail: problem.detail().to_owned(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    async fn command(&self, id: &ImportId, row: Option<ImportRow>) -> Result<()> {
        if Instant::now() > self.until {
            return Err(Problem::new(
                Code::Timeout,
                "There was no time left for this one. Ask again.",
            ));
        }
        let command = Command {
            import_id: id.clone(),
            action: self.action.clone(),
            requested_by: self.requested_by.clone(),
        };
        let key = self.key.map(|key| {
            let part = key.part(id.as_str());
            part.of_request(&[self.action.code().as_bytes()])
        });
        let begun = match &key {
            Some(key) if row.is_none() => self.app.broker.begun(key).await?,
            _ => None,
        };
        match begun {
            Some(begun) if begun.record.answer.is_some() => return Ok(()),
            // It ended halfway: what would refuse it now may be the effect that it had.
            Some(_) => {}
            None => self.check(id, row).await?,
        }
        if self.preview {
            return Ok(());
        }
        let done = self.action.code();
        let meant = Meant::default();
        self.app.broker.command(&command, key, meant, &done).await?;
        Ok(())
    }

    async fn check(&self, id: &ImportId, row: Option<ImportRow>) -> Result<()> {
        let row = match row {
            Some(row) => row,
            None => {
                let row = self.app.reads.model.import(id);
                let row = self.app.reads.ask(row).await?;
                row.ok_or_else(|| Problem::not_found("import with this id"))?
            }
        };
        effect::check(&row, &self.action, self.matching(&row).await?)
    }

    /// How many failed entries a retry would queue.
    async fn matching(&self, row: &ImportRow) -> Result<Option<u64>> {
        match &self.action {
            Action::Retry { cause: None, .. } => Ok(Some(row.failed)),
            Action::Retry {
                cause: Some(cause), ..
            } if row.failed > 0 => self.failed_with(row, *cause).await.map(Some),
            Action::Retry { .. } => Ok(Some(0)),
            _ => Ok(None),
        }
    }

    async fn failed_with(&self, row: &ImportRow, cause: Cause) -> Result<u64> {
        let reads = &self.app.reads;
        let groups = reads.ask(reads.model.failures(&row.id)).await?;
        let found = groups.iter().find(|group| group.cause == cause);
        Ok(found.map_or(0, |group| group.count))
    }
}
