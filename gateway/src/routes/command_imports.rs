//! `POST /api/imports/commands`: one command to all imports that match.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use contracts::{Action, ImportId};
use read_model::{ImportRow, ImportsQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::broker::Meant;
use crate::caller::Caller;
use crate::input::{self, IdempotencyKey};
use crate::openapi::problems;
use crate::problem::{Code, Problem, Result};
use crate::routes::control::cause_of;
use crate::routes::errand::{Commanded, Errand, Target};
use crate::routes::images::search;
use crate::routes::imports::status;
use crate::view::{CauseCode, Status};

/// Imports that one request may command.
const MAX_IMPORTS: u64 = 5_000;

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
    let query = wanted.query()?;
    let preview = wanted.preview;
    let key = key.filter(|_| !preview);
    // The same key stands for the same request only.
    let whole = key.as_ref();
    let whole = whole.map(|key| key.of_request(&[b"imports/commands\n", &body]));
    let begun = match &whole {
        Some(whole) => app.broker.begun(whole).await?,
        None => None,
    };
    let until = began + app.limits.request / 2;
    let mut found = Vec::new();
    let claim = match (begun, whole) {
        (None, Some(whole)) => {
            found = find(&app, query, until).await?;
            let imports = found.iter().map(|row| row.id.clone()).collect();
            let meant = Meant {
                imports,
                ..Meant::default()
            };
            let claim = app.broker.claim(whole, ImportId::generate(), meant);
            Some(claim.await?)
        }
        (None, None) => {
            found = find(&app, query, until).await?;
            None
        }
        (begun, _) => begun,
    };
    if let Some(answer) = claim.as_ref().and_then(|claim| claim.record.answer.clone()) {
        return Ok(Json(answer).into_response());
    }
    let targets = match &claim {
        // It ended halfway, or is under way: it is about what matched then, whatever matches by now.
        Some(claim) if claim.repeated => Target::meant(&claim.record.imports),
        _ => found.into_iter().map(Target::found).collect(),
    };
    let matching = targets.len() as u64;
    let errand = Errand {
        app: &app,
        action,
        requested_by,
        key: key.as_ref(),
        preview,
        until,
    };
    let mut all = Commanded {
        matching,
        settled: true,
        ..Commanded::default()
    };
    errand.run(targets, &mut all).await?;
    if preview {
        if !all.settled {
            return Err(no_time());
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

/// All imports that match, unless they are too many, or `until` comes first.
async fn find(app: &App, mut query: ImportsQuery, until: Instant) -> Result<Vec<ImportRow>> {
    let mut rows = Vec::new();
    loop {
        let page = app.reads.model.imports(query.clone());
        let page = app.reads.ask(page).await?;
        let matching = page.total;
        if matching > MAX_IMPORTS {
            let rule = format!("narrower: {matching} imports match, and one request commands 5000");
            return Err(Problem::parameter("filter", &rule));
        }
        rows.extend(page.items);
        if !page.has_more {
            return Ok(rows);
        }
        if Instant::now() > until {
            return Err(no_time());
        }
        query.after = rows.last().map(|row| row.id.clone());
    }
}

fn no_time() -> Problem {
    let detail = "There was no time to look at all that match. Narrow the filter.";
    Problem::new(Code::Timeout, detail)
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
