//! Answers the Drive API: first what can go wrong with any request, then the method itself.

use std::{
    io::{self, SeekFrom},
    ops::Range,
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, Take},
};

use crate::{
    body::{self, Body, Damage, Link},
    content::Source,
    entry::{Entry, Media},
    error::ApiError,
    faults::Luck,
    fields::Fields,
    list::list_blocking,
    request::{ApiRequest, Wanted},
    server::State,
    stats::{Kind, Ticket},
};

/// An answer as it should be.
enum Answer {
    Json(Bytes),
    File {
        mime_type: String,
        part: Option<String>,
        source: body::Source,
        damage: Damage,
    },
}

/// Why there is no ordinary answer.
enum Refusal {
    Api(ApiError),
    /// A range beyond the end of a file of this length.
    Range(u64),
    /// A page of Google's front end rather than JSON of Drive's.
    Html(StatusCode),
    /// The connection is reset.
    Reset,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// Answers one request; none if its connection must be reset.
pub(crate) async fn answer(link: Link, parts: &Parts) -> Option<Response<Body>> {
    let request = ApiRequest::read(parts);
    let ticket = link.state.stats.begin(request.kind);
    let state = Arc::clone(&link.state);
    let (kind, id) = (request.kind, watched_id(&request));
    state.watched.tell(kind, &id, None);
    let response = match respond(&state, request).await {
        Ok(Answer::Json(json)) => text(StatusCode::OK, JSON, json, (link, ticket)),
        Ok(Answer::File {
            mime_type,
            part,
            source,
            damage,
        }) => {
            let mut response = Response::new(Body::file(source, damage, link, ticket));
            set(&mut response, header::CONTENT_TYPE, &mime_type);
            set(&mut response, header::CONTENT_DISPOSITION, "attachment");
            if let Some(part) = part {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                set(&mut response, header::CONTENT_RANGE, &part);
            }
            response
        }
        Err(Refusal::Reset) => return None,
        Err(Refusal::Api(error)) => {
            let json = error.to_json().to_string();
            let mut response = text(error.code, JSON, json, (link, ticket));
            if let Some(seconds) = error.retry_after {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Err(Refusal::Range(len)) => {
            let error = ApiError::range();
            let json = error.to_json().to_string();
            let mut response = text(error.code, JSON, json, (link, ticket));
            set(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{len}"),
            );
            response
        }
        Err(Refusal::Html(status)) => {
            let page = format!(
                "<!DOCTYPE html>\n<html lang=en><title>Error {status}!!1</title>\n<p>That’s an \
                 error. The server is temporarily unable to complete your request."
            );
            text(status, "text/html; charset=UTF-8", page, (link, ticket))
        }
    };
    let status = response.status().as_u16();
    state.stats.answered(status);
    state.watched.tell(kind, &id, Some(status));
    Some(response)
}

async fn respond(state: &Arc<State>, mut request: ApiRequest) -> Result<Answer, Refusal> {
    let luck = luck(state, &request);
    let account = meet_fate(state, &request, &luck).await?;
    request.sees_private = account.is_some_and(|account| state.oauth.is_shared_with(&account));
    match request.kind {
        Kind::List => Ok(Answer::Json(list_blocking(state, request, luck).await?)),
        Kind::Get => Ok(Answer::Json(get(state, &request).await?)),
        Kind::Download => download(state, &request, &luck).await,
        Kind::Other => Err(ApiError::no_such_method().into()),
    }
}

/// What a request is known by to those who watch.
fn watched_id(request: &ApiRequest) -> String {
    match request.kind {
        Kind::List => request.param("q").unwrap_or_default().to_owned(),
        Kind::Get | Kind::Download | Kind::Other => request.id.clone(),
    }
}

fn luck(state: &State, request: &ApiRequest) -> Luck {
    let param = |name| request.param(name).unwrap_or_default();
    match request.kind {
        Kind::List => state.faults.draw(&["list", param("q"), param("pageToken")]),
        Kind::Get => state.faults.draw(&["get", &request.id]),
        Kind::Download => state.faults.draw(&["download", &request.id]),
        Kind::Other => state.faults.draw(&["other"]),
    }
}

/// Everything that can happen before a request is looked at. Says whose access token it carries.
async fn meet_fate(
    state: &State,
    request: &ApiRequest,
    luck: &Luck,
) -> Result<Option<String>, Refusal> {
    let faults = &luck.faults;
    let injected = |name: &str| state.stats.injected(name);
    if faults.down {
        injected("down");
        return Err(Refusal::Reset);
    }
    let jitter = (faults.jitter_ms as f64 * luck.fraction("jitter")) as u64;
    let latency = Duration::from_millis(faults.latency_ms + jitter);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
        if state.faults.current().down {
            injected("down");
            return Err(Refusal::Reset);
        }
    }
    if faults.unauthorized {
        injected("unauthorized");
        return Err(ApiError::auth().into());
    }
    let account = request.authorize(&state.api_key, &state.bearer_token, &state.oauth)?;
    if faults.api_disabled {
        injected("api_disabled");
        return Err(ApiError::access_not_configured().into());
    }
    if account.is_some() && luck.strikes("stale_token", faults.stale_token) {
        injected("stale_token");
        return Err(ApiError::auth().into());
    }
    state.stats.admit(request.kind)?;
    // Of two kinds of resets, this one comes before the answer; downloads may meet the other.
    if luck.strikes("reset", faults.reset) && !resets_midway(request.kind, luck) {
        injected("reset");
        return Err(Refusal::Reset);
    }
    if luck.strikes("error_500", faults.error_500) {
        injected("error_500");
        let backend = luck.fraction("backend") < 0.5;
        return Err(if backend {
            ApiError::backend()
        } else {
            ApiError::internal()
        }
        .into());
    }
    if luck.strikes("error_503", faults.error_503) {
        injected("error_503");
        return Err(match luck.fraction("html") < 0.5 {
            true => Refusal::Html(StatusCode::SERVICE_UNAVAILABLE),
            false => ApiError::unavailable().into(),
        });
    }
    Ok(account)
}

fn resets_midway(kind: Kind, luck: &Luck) -> bool {
    kind == Kind::Download && luck.fraction("midway") < 0.5
}

async fn get(state: &State, request: &ApiRequest) -> Result<Bytes, ApiError> {
    let entry = find(state, request)?;
    let fields = Fields::of_file(request.param("fields"))
        .map_err(|culprit| ApiError::field_selection(&culprit))?;
    let describe = move || serde_json::to_vec_pretty(&entry.to_json(&fields)).unwrap_or_default();
    let task = tokio::task::spawn_blocking(describe);
    task.await
        .map(Bytes::from)
        .map_err(|_| ApiError::internal())
}

/// The item, unless it does not exist for this caller.
fn find(state: &State, request: &ApiRequest) -> Result<Entry, ApiError> {
    let access = request.access();
    let found = state.catalog.find(&request.id);
    found
        .filter(|entry| access.sees(entry) && entry.media != Media::Gone)
        .ok_or_else(|| ApiError::file_not_found(&request.id))
}

/// The file to download, if the caller may.
fn prepare(state: &State, request: &ApiRequest, luck: &Luck) -> Result<Entry, ApiError> {
    let entry = find(state, request)?;
    if !entry.is_stored() {
        return Err(ApiError::not_downloadable());
    }
    match entry.media {
        Media::DownloadDisabled => return Err(ApiError::download_disabled()),
        Media::Forbidden => return Err(ApiError::insufficient_permissions(&entry.id)),
        Media::Abusive if !request.flag("acknowledgeAbuse") => return Err(ApiError::abusive()),
        Media::Served if request.flag("acknowledgeAbuse") => return Err(ApiError::no_abuse()),
        Media::Abusive | Media::Served | Media::Gone => {}
    }
    if luck.strikes("download_quota", luck.faults.download_quota) {
        state.stats.injected("download_quota");
        return Err(ApiError::download_quota());
    }
    Ok(entry)
}

async fn download(state: &State, request: &ApiRequest, luck: &Luck) -> Result<Answer, Refusal> {
    let Entry {
        id,
        mime_type,
        source,
        ..
    } = prepare(state, request, luck)?;
    let whole = luck.strikes("ignore_range", luck.faults.ignore_range);
    let part = |len| match request.range(len) {
        _ if whole => Ok((0..len, None)),
        Wanted::Whole => Ok((0..len, None)),
        Wanted::Part(range) => {
            let part = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            Ok((range, Some(part)))
        }
        Wanted::Unsatisfiable => Err(Refusal::Range(len)),
    };
    let (body, range, part) = if let Source::Disk(file) = source {
        let (range, part) = part(file.len)?;
        let open = open(&file.path, &range)
            .await
            .map_err(|_| ApiError::file_not_found(&id))?;
        (body::Source::Disk(open), range, part)
    } else {
        let content = if source.is_warm() {
            source.content()
        } else {
            tokio::task::spawn_blocking(move || source.content())
                .await
                .ok()
                .flatten()
        };
        let content = content.ok_or_else(ApiError::internal)?;
        let (range, part) = part(content.len())?;
        (
            body::Source::Memory(content.slice(range.clone())),
            range,
            part,
        )
    };
    let damage = damage(state, luck, range.end - range.start);
    state.stats.downloaded(&id);
    Ok(Answer::File {
        mime_type: mime_type.into_owned(),
        part,
        source: body,
        damage,
    })
}

async fn open(path: &Path, range: &Range<u64>) -> io::Result<Take<File>> {
    let mut file = File::open(path).await?;
    file.seek(SeekFrom::Start(range.start)).await?;
    Ok(file.take(range.end - range.start))
}

/// What befalls a body of `len` bytes.
fn damage(state: &State, luck: &Luck, len: u64) -> Damage {
    let faults = &luck.faults;
    let half = len / 2;
    let somewhere = (len as f64 * luck.fraction("place")) as u64;
    let reset = if resets_midway(Kind::Download, luck) {
        faults.reset
    } else {
        0.0
    };
    let candidates = [
        ("reset", reset, Damage::Reset(half)),
        ("truncate", faults.truncate, Damage::Close(half)),
        ("stall", faults.stall, Damage::Stall(half)),
        ("flip", faults.flip, Damage::Flip(somewhere)),
    ];
    let struck = candidates
        .into_iter()
        .find(|(name, rate, _)| luck.strikes(name, *rate));
    match struck {
        // Nothing to damage in an empty file.
        Some((name, _, damage)) if len > 0 => {
            state.stats.injected(name);
            damage
        }
        _ => match faults.cut_after {
            Some(at) if at < len => {
                state.stats.injected("cut_after");
                Damage::Close(at)
            }
            _ => Damage::None,
        },
    }
}

const JSON: &str = "application/json; charset=UTF-8";

fn text(
    status: StatusCode,
    mime_type: &'static str,
    text: impl Into<Bytes>,
    context: (Link, Ticket),
) -> Response<Body> {
    let mut response = Response::new(Body::text(text, Some(context)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(mime_type));
    response
}

fn set(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
