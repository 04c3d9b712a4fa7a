//! `POST /api/imports/{id}/cancel`, `pause`, `resume` and `retry`.
//!
//! Each becomes a command on NATS, which a producer carries out. Repeating one is harmless, so it is
//! refused only where it can have no effect.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use contracts::kv::IdempotencyRecord;
use contracts::{Action, Cause, Command, ImportId};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use read_model::ImportRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::broker::Meant;
use crate::caller::Caller;
use crate::effect::{check, matching, nothing_to_retry};
use crate::input::{self, IdempotencyKey};
use crate::openapi::problems;
use crate::params::InPath;
use crate::problem::{Code, Problem, Result};
use crate::view::{CauseCode, Matching};

/// Which failed entries to queue again; all of it is optional.
// A misspelt `cause` must not retry everything.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryCommand)]
pub(crate) struct Wanted {
    /// Only those that failed for this cause.
    #[serde(default)]
    #[schema(value_type = Option<CauseCode>)]
    cause: Option<String>,
    /// Only this one: its id in Drive.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9_-]+$")]
    item_id: Option<String>,
    /// Who asks, for people to read.
    #[serde(default)]
    #[schema(max_length = 200)]
    requested_by: Option<String>,
    /// Only count.
    #[serde(default)]
    preview: bool,
}

/// The body of commands about a whole import; all of it is optional.
// `Wanted` is what is read, so that `whole` can say more than "unknown field"; only the document needs this.
#[derive(ToSchema)]
#[schema(as = Command)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
pub(crate) struct Whole {
    /// Who asks, for people to read.
    #[schema(max_length = 200)]
    requested_by: Option<String>,
}

/// A command that a producer will carry out.
#[derive(Serialize, ToSchema)]
#[schema(as = CommandAccepted)]
pub(crate) struct Accepted {
    import_id: String,
    /// `cancel`, `pause`, `resume` or `retry`.
    #[schema(example = "retry")]
    action: &'static str,
    /// The same for people.
    #[schema(example = "12 failed entries are being queued again.")]
    message: String,
    /// The path of the import's status.
    status_url: String,
    /// Failed entries that a retry queues, as of now; absent from other commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 12)]
    matching: Option<u64>,
}

type Handled = Result<Response>;

problems!(
    CommandProblems: InvalidRequest,
    InvalidParameter,
    NotFound,
    RequestTimeout,
    NotPossible,
    NothingToRetry,
    PayloadTooLarge,
    KeyReused,
    DatabaseUnavailable,
    QueueUnavailable,
);

/// Cancel an import
///
/// For good: what is stored stays, what is on its way is dropped.
#[utoipa::path(
    post,
    path = "/api/imports/{id}/cancel",
    tag = "imports",
    operation_id = "cancelImport",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; makes repeating harmless", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    request_body(content = Option<Whole>, description = "May be left out", content_type = "application/json"),
    responses(
        (status = 202, description = "It is being cancelled", body = Accepted,
            headers(("Location" = String, description = "The path of its status"))),
        CommandProblems,
    )
)]
pub(crate) async fn cancel(
    app: State<Arc<App>>,
    import: InPath,
    caller: Caller,
    request: Request,
) -> Handled {
    command(&app, &import.0, &caller, request, |wanted| {
        whole(wanted, Action::Cancel)
    })
    .await
}

/// Pause an import
///
/// Images that are on their way still arrive.
#[utoipa::path(
    post,
    path = "/api/imports/{id}/pause",
    tag = "imports",
    operation_id = "pauseImport",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; makes repeating harmless", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    request_body(content = Option<Whole>, description = "May be left out", content_type = "application/json"),
    responses(
        (status = 202, description = "It is being paused", body = Accepted,
            headers(("Location" = String, description = "The path of its status"))),
        CommandProblems,
    )
)]
pub(crate) async fn pause(
    app: State<Arc<App>>,
    import: InPath,
    caller: Caller,
    request: Request,
) -> Handled {
    command(&app, &import.0, &caller, request, |wanted| {
        whole(wanted, Action::Pause)
    })
    .await
}

/// Resume a paused import
///
/// It goes on where it was.
#[utoipa::path(
    post,
    path = "/api/imports/{id}/resume",
    tag = "imports",
    operation_id = "resumeImport",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; makes repeating harmless", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    request_body(content = Option<Whole>, description = "May be left out", content_type = "application/json"),
    responses(
        (status = 202, description = "It goes on", body = Accepted,
            headers(("Location" = String, description = "The path of its status"))),
        CommandProblems,
    )
)]
pub(crate) async fn resume(
    app: State<Arc<App>>,
    import: InPath,
    caller: Caller,
    request: Request,
) -> Handled {
    command(&app, &import.0, &caller, request, |wanted| {
        whole(wanted, Action::Resume)
    })
    .await
}

/// Queue failed entries again
///
/// All of them, those of one cause, or one. With `preview` nothing is queued.
#[utoipa::path(
    post,
    path = "/api/imports/{id}/retry",
    tag = "imports",
    operation_id = "retryImport",
    params(
        ("id" = String, Path, description = "The import's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; makes repeating harmless", min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
    ),
    request_body(content = Option<Wanted>, description = "May be left out", content_type = "application/json"),
    responses(
        (status = 200, description = "With `preview`: how many would be", body = Matching),
        (status = 202, description = "They are being queued again", body = Accepted,
            headers(("Location" = String, description = "The path of its status"))),
        CommandProblems,
    )
)]
pub(crate) async fn retry(
    app: State<Arc<App>>,
    import: InPath,
    caller: Caller,
    request: Request,
) -> Handled {
    command(&app, &import.0, &caller, request, wanted_retry).await
}

async fn command(
    app: &App,
    import: &str,
    caller: &Caller,
    request: Request,
    action: impl FnOnce(&Wanted) -> Result<Action> + Send,
) -> Handled {
    let import: ImportId = import.parse().map_err(|_| missing())?;
    let (parts, body) = request.into_parts();
    let key = IdempotencyKey::of(&parts.headers)?;
    let body = input::read(&parts.headers, body, &app.limits).await?;
    let wanted = parse(&body)?;
    let action = action(&wanted)?;
    let command = Command {
        import_id: import,
        action,
        requested_by: input::requested_by(wanted.requested_by, caller)?,
    };

    if wanted.preview {
        let matching = matching(app, &command).await?.unwrap_or_default();
        known(app, &command).await?;
        return Ok(Json(Matching { matching }).into_response());
    }

    let code = command.action.code();
    let import = command.import_id.as_str().as_bytes();
    let key = key.map(|key| key.of_request(&[import, b"\n", code.as_bytes(), b"\n", &body]));
    let begun = match &key {
        Some(key) => app.broker.begun(key).await?,
        None => None,
    };
    let matching = match begun.map(|begun| begun.record) {
        Some(IdempotencyRecord {
            answer: Some(answer),
            ..
        }) => return Ok(accepted(&command, answer)),
        // It ended halfway: what would refuse it now may be the effect that it had.
        Some(record) => record.matching,
        None => possible(app, &command).await?,
    };
    let meant = Meant {
        matching,
        ..Meant::default()
    };
    let answer = Accepted::new(&command, matching);
    let answer = app.broker.command(&command, key, meant, &answer).await?;
    tracing::info!(import.id = %command.import_id, command = code, key.name = caller.name.as_deref(), "command accepted");
    Ok(accepted(&command, answer))
}

/// How many failed entries a retry would queue; fails where the command can have no effect.
async fn possible(app: &App, command: &Command) -> Result<Option<u64>> {
    let matching = matching(app, command).await?;
    let row = known(app, command).await?;
    if let Some(row) = &row {
        check(row, &command.action, matching)?;
    } else if matching == Some(0) {
        return Err(nothing_to_retry("None of its entries has failed so far."));
    }
    Ok(matching)
}

/// The row of an import that is known; `None` if no event of it is folded, or that cannot be told.
async fn known(app: &App, command: &Command) -> Result<Option<ImportRow>> {
    let id = &command.import_id;
    let unknown = match app.reads.ask(app.reads.model.import(id)).await {
        Ok(Some(row)) => return Ok(Some(row)),
        Ok(None) => missing(),
        Err(problem) => problem,
    };
    // Without NATS nothing can be commanded, so its absence is all there is to tell.
    match app.broker.submission(id).await? {
        Some(_) => Ok(None),
        None => Err(unknown),
    }
}

fn missing() -> Problem {
    Problem::not_found("import with this id")
}

impl Accepted {
    fn new(command: &Command, matching: Option<u64>) -> Self {
        let message = match (&command.action, matching) {
            (Action::Cancel, _) => {
                "The import is being cancelled; what is stored stays.".to_owned()
            }
            (Action::Pause, _) => {
                "The import is being paused; images that are on their way still arrive.".to_owned()
            }
            (Action::Resume, _) => "The import goes on.".to_owned(),
            (Action::Retry { .. }, Some(1)) => "1 failed entry is being queued again.".to_owned(),
            (Action::Retry { .. }, Some(n)) => {
                format!("{n} failed entries are being queued again.")
            }
            (Action::Retry { .. }, None) => "Failed entries are being queued again.".to_owned(),
        };
        Self {
            import_id: command.import_id.as_str().to_owned(),
            action: command.action.code(),
            message,
            status_url: status_url(command),
            matching,
        }
    }
}

fn status_url(command: &Command) -> String {
    format!("/api/import/status/{}", command.import_id)
}

fn accepted(command: &Command, answer: Value) -> Response {
    let mut response = (StatusCode::ACCEPTED, Json(answer)).into_response();
    if let Ok(location) = HeaderValue::try_from(status_url(command)) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn parse(body: &[u8]) -> Result<Wanted> {
    if body.trim_ascii().is_empty() {
        return Ok(Wanted::default());
    }
    // By way of an object, because serde reads structs from arrays as well.
    let object = serde_json::from_slice::<serde_json::Map<_, _>>(body);
    let wanted = object.and_then(|object| Wanted::deserialize(Value::Object(object)));
    wanted.map_err(|error| {
        Problem::new(
            Code::InvalidRequest,
            format!("Send no body, or JSON; a retry takes {{\"cause\": \"...\"}} or {{\"item_id\": \"...\"}}: {error}."),
        )
    })
}

/// Nobody who asks to cancel one entry must lose the whole import.
fn whole(wanted: &Wanted, action: Action) -> Result<Action> {
    for (name, given) in [
        ("cause", wanted.cause.is_some()),
        ("item_id", wanted.item_id.is_some()),
        ("preview", wanted.preview),
    ] {
        if given {
            let rule = format!("absent: {} is about the whole import", action.code());
            return Err(Problem::parameter(name, &rule));
        }
    }
    Ok(action)
}

pub(crate) fn cause_of(code: &str) -> Result<Cause> {
    let cause = Cause::from_code(code);
    let rule = "a cause of GET /api/imports/{id}/failures";
    let known = (cause.code() == code).then_some(cause);
    known.ok_or_else(|| Problem::parameter("cause", rule))
}

/// Of `cause` and `item_id`, what is given narrows the retry down.
fn wanted_retry(wanted: &Wanted) -> Result<Action> {
    let cause = wanted.cause.as_deref().map(cause_of);
    let item_id = wanted.item_id.as_deref().map(|id| {
        let rule = "the id of an entry: 1 to 128 of A-Z, a-z, 0-9, '-' and '_'";
        id.parse().map_err(|_| Problem::parameter("item_id", rule))
    });
    Ok(Action::Retry {
        cause: cause.transpose()?,
        item_id: item_id.transpose()?,
    })
}
