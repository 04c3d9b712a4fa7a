//! `POST /api/imports/commands`: one command to all imports that match.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use contracts::{Action, Cause, Command, ImportId};
use futures::{StreamExt, stream};
use read_model::{ImportRow, ImportsQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::caller::Caller;
use crate::effect;
use crate::input::{self, IdempotencyKey};
use crate::openapi::problems;
use crate::problem::{Code, Problem, Result};
use crate::routes::control::cause_of;
use crate::routes::images::search;
use crate::routes::imports::status;
use crate::view::{CauseCode, Status};

/// Commands on their way to NATS at once.
const AT_ONCE: usize = 64;
/// Imports that one request may command.
const MAX_IMPORTS: u64 = 5_000;
/// Refusals that are told one by one.
const MAX_REFUSED: usize = 100;

problems!(
    CommandsProblems: InvalidRequest,
    InvalidParameter,
    RequestTimeout,
    PayloadTooLarge,
    KeyReused,
    DatabaseUnavailable,
    QueueUnavailable,
);

/// A command to all imports that match.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CommandImports)]
pub(crate) struct Commands {
    action: Verb,
    filter: ImportFilter,
    /// Must be true with a filter that is empty: it matches every import.
    #[serde(default)]
    all: bool,
    /// With `retry`: only entries that failed for this cause.
    #[schema(value_type = Option<CauseCode>)]
    cause: Option<String>,
    /// Only count those that match, and those of them that can do it.
    #[serde(default)]
    preview: bool,
    /// Who asks, for people to read.
    #[schema(max_length = 200)]
    requested_by: Option<String>,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Cancel,
    Pause,
    Resume,
    Retry,
}

/// As in `GET /api/imports`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImportFilter {
    #[schema(value_type = Option<Status>)]
    status: Option<String>,
    #[schema(max_length = 200)]
    q: Option<String>,
}

/// What came of a command to many imports.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Commanded {
    /// Imports that match.
    matching: u64,
    /// Commands that are queued.
    accepted: u64,
    /// Imports that cannot do it, at most 100 of them.
    refused: Vec<Refused>,
    /// All of those.
    refused_count: u64,
    /// No refusal will pass by itself.
    #[serde(skip)]
    settled: bool,
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

/// How many a command would go to right now.
// It has no further fields: that tells it apart from the other answer, which has the first one as well.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CommandsPreview)]
pub(crate) struct Preview {
    /// Imports that match.
    matching: u64,
    /// Of these, imports that can do it.
    able: u64,
}

/// Either answer to commands.
// Each is written as what it is; only the document needs both in one.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(crate) enum CommandsAnswer {
    Commanded(Commanded),
    Preview(Preview),
}

/// Cancel, pause, resume or retry all imports that match
///
/// At most 5,000 at a time. Imports of which no event is known yet are not among them.
#[utoipa::path(
    post,
    path = "/api/imports/commands",
    tag = "imports",
    operation_id = "commandImports",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; makes repeating harmless", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    request_body(content = Commands, content_type = "application/json"),
    responses(
        (status = 200, description = "What was queued and what was refused; with `preview`, only how many match and can do it", body = CommandsAnswer),
        CommandsProblems,
    )
)]
pub(crate) async fn command_imports(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let key = IdempotencyKey::of(&parts.headers)?;
    let body = input::read(&parts.headers, body, &app.limits).await?;
    let hint = "{\"action\": \"pause\", \"filter\": {\"status\": \"processing\"}}";
    let wanted: Commands = input::object(&body, hint)?;
    let action = wanted.action()?;
    let requested_by = input::requested_by(wanted.requested_by.clone(), &caller)?;
    let mut query = wanted.query()?;
    let preview = wanted.preview;
    let key = key.filter(|_| !preview);
    // The same key stands for the same request only.
    let whole = key.as_ref();
    let whole = whole.map(|key| key.of_request(&[b"imports/commands\n", &body]));
    if let Some(whole) = &whole
        && let Some(answer) = app.broker.answered(whole).await?
    {
        return Ok(Json(answer).into_response());
    }
    let found = app
        .reads
        .ask(app.reads.model.imports(query.clone()))
        .await?;
    let matching = found.total;
    if matching > MAX_IMPORTS && !preview {
        let rule = format!("narrower: {matching} imports match, and one request commands 5000");
        return Err(Problem::parameter("filter", &rule));
    }
    let claim = match whole {
        Some(whole) => Some(app.broker.claim(whole, ImportId::generate(), None).await?),
        None => None,
    };
    let errand = Errand {
        app: &app,
        action,
        requested_by,
        key: key.as_ref(),
        preview,
        until: began + app.limits.request / 2,
    };
    let mut all = Commanded {
        matching,
        settled: true,
        ..Commanded::default()
    };
    let mut rows = found.items;
    while let Some(last) = rows.last() {
        query.after = Some(last.id.clone());
        let more = rows.len() == query.per_page as usize;
        errand.run(std::mem::take(&mut rows), &mut all).await?;
        if more {
            let page = app.reads.model.imports(query.clone());
            rows = app.reads.ask(page).await?.items;
        }
    }
    if preview {
        if !all.settled {
            let detail = "There was no time to look at all that match. Narrow the filter.";
            return Err(Problem::new(Code::Timeout, detail));
        }
        let able = all.accepted;
        return Ok(Json(Preview { matching, able }).into_response());
    }
    tracing::info!(
        command = errand.action.code(),
        accepted = all.accepted,
        refused = all.refused_count,
        key.name = caller.name.as_deref(),
        "commands accepted"
    );
    match claim {
        // Those that had no time or no NATS get theirs when the request is repeated.
        Some(claim) if all.settled => {
            Ok(Json(app.broker.answer(claim, &all).await?).into_response())
        }
        _ => Ok(Json(all).into_response()),
    }
}

impl Commands {
    fn action(&self) -> Result<Action> {
        let cause = self.cause.as_deref().map(cause_of).transpose()?;
        Ok(match self.action {
            Verb::Retry => Action::Retry {
                cause,
                item_id: None,
            },
            _ if cause.is_some() => {
                let rule = "absent: only a retry is about entries that failed";
                return Err(Problem::parameter("cause", rule));
            }
            Verb::Cancel => Action::Cancel,
            Verb::Pause => Action::Pause,
            Verb::Resume => Action::Resume,
        })
    }

    fn query(&self) -> Result<ImportsQuery> {
        let query = ImportsQuery {
            per_page: read_model::MAX_PER_PAGE,
            status: status(input::filled(self.filter.status.as_deref()))?,
            q: search(input::filled(self.filter.q.as_deref()))?,
            ..ImportsQuery::default()
        };
        if query.status.is_some() || query.q.is_some() || self.all {
            return Ok(query);
        }
        let rule = "filled: an empty one matches every import, which takes \"all\": true beside it";
        Err(Problem::parameter("filter", rule))
    }
}

/// One command to many imports.
struct Errand<'a> {
    app: &'a App,
    action: Action,
    requested_by: Option<String>,
    key: Option<&'a IdempotencyKey>,
    /// Nothing is queued: what would be is counted as accepted.
    preview: bool,
    /// Nothing is begun after this.
    until: Instant,
}

impl Errand<'_> {
    /// Fails only while nothing at all was accepted and nothing can be.
    async fn run(&self, rows: Vec<ImportRow>, all: &mut Commanded) -> Result<()> {
        let mut outcomes = stream::iter(rows)
            .map(|row| async move { (row.id.clone(), self.command(&row).await) })
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

    async fn command(&self, row: &ImportRow) -> Result<()> {
        if Instant::now() > self.until {
            return Err(Problem::new(
                Code::Timeout,
                "There was no time left for this one. Ask again.",
            ));
        }
        let command = Command {
            import_id: row.id.clone(),
            action: self.action.clone(),
            requested_by: self.requested_by.clone(),
        };
        let key = self.key.map(|key| {
            let part = key.part(row.id.as_str());
            part.of_request(&[self.action.code().as_bytes()])
        });
        if let Some(key) = &key
            && self.app.broker.answered(key).await?.is_some()
        {
            return Ok(());
        }
        effect::check(row, &self.action, self.matching(row).await?)?;
        if self.preview {
            return Ok(());
        }
        let done = self.action.code();
        self.app.broker.command(&command, key, &done).await?;
        Ok(())
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
