//! `GET /api/images/all`, and other lists as a whole: JSON, NDJSON or CSV, in constant memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use read_model::ReadModelError;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::app::App;
use crate::links::Links;
use crate::openapi::problems;
use crate::params::Params;
use crate::problem::{Problem, Result};
use crate::routes::images::filter;
use crate::view::{ImageExport, ImageView};

/// Rows that are written as one chunk.
const CHUNK: usize = 200;

/// What an export has a row of.
pub(crate) trait Row: Serialize + Send + 'static {
    /// What the CSV is called.
    const FILE: &'static str;
    /// Its first line.
    const COLUMNS: &'static str;

    /// The other lines' fields.
    fn cells(&self) -> anyhow::Result<Vec<String>>;
}

#[derive(Clone, Copy)]
pub(crate) enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    /// The first acceptable type; JSON when none is named.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        for kind in accepted.flat_map(|value| value.split(',')) {
            match kind.split(';').next().unwrap_or_default().trim() {
                "application/x-ndjson" | "application/ndjson" => return Self::Ndjson,
                "text/csv" => return Self::Csv,
                "application/json" => return Self::Json,
                _ => {}
            }
        }
        Self::Json
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

problems!(ExportProblems: InvalidParameter, DatabaseUnavailable);

/// Every image, or all that match
///
/// Streamed, as JSON, NDJSON or CSV. A failure midway cuts the connection, so that no part passes for
/// the whole.
#[utoipa::path(
    get,
    path = "/api/images/all",
    tag = "images",
    operation_id = "exportImages",
    params(
        ("storage_provider" = Option<String>, Query, description = "As in `GET /api/images`", pattern = "^([aA][wW][sS]|[aA][zZ][uU][rR][eE]|[lL][oO][cC][aA][lL])?$"),
        ("q" = Option<String>, Query, description = "As in `GET /api/images`", max_length = 200),
        ("import" = Option<String>, Query, description = "As in `GET /api/images`", pattern = "^([a-z0-9-]{1,40})?$"),
        ("mime_type" = Option<String>, Query, description = "As in `GET /api/images`", max_length = 100, pattern = "^([a-zA-Z0-9/.+_-]*/[a-zA-Z0-9/.+_-]*)?$", example = "image/jpeg"),
        ("Accept" = Option<String>, Header, description = "`application/json`, `application/x-ndjson` or `text/csv`: the first of these that is named, else JSON", example = "text/csv"),
    ),
    responses(
        (status = 200, description = "All of them, the newest first", content(
            (ImageExport = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
        )),
        ExportProblems,
    )
)]
pub(crate) async fn all(
    State(app): State<Arc<App>>,
    params: Params,
    links: Links,
    headers: HeaderMap,
) -> Result<Response> {
    let all = app.reads.model.all_images(filter(&params)?);
    let rows = stream::try_unfold(all, |mut rows| async move {
        Ok(rows.next().await?.map(|row| (row, rows)))
    });
    let rows = rows.map_ok(move |row| ImageView::new(row, &links));
    let head = "{\"success\":true,\"images\":[";
    respond(&app, rows, Format::of(&headers), head).await
}

/// Every row, streamed; JSON begins with `head`.
pub(crate) async fn respond<T: Row>(
    app: &App,
    rows: impl Stream<Item = Result<T, ReadModelError>> + Send + 'static,
    format: Format,
    head: &'static str,
) -> Result<Response> {
    let mut rows = Box::pin(rows);
    // The first read may fail, and only before the head is sent can that be told properly.
    let first = app
        .reads
        .ask(async { rows.next().await.transpose() })
        .await?;
    let rows = stream::iter(first.map(Ok)).chain(rows);
    let mut response = varying(Response::new(Body::from_stream(body(rows, format, head))));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    if matches!(format, Format::Csv) {
        let attachment = format!("attachment; filename=\"{}\"", T::FILE);
        let attachment = HeaderValue::try_from(attachment).map_err(Problem::internal)?;
        headers.insert(CONTENT_DISPOSITION, attachment);
    }
    Ok(response)
}

/// An answer that another `Accept` would change.
pub(crate) fn varying(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// An error cuts the connection, so that no client takes a part for the whole.
fn body<T: Row>(
    rows: impl Stream<Item = Result<T, ReadModelError>> + Send + 'static,
    format: Format,
    head: &'static str,
) -> impl Stream<Item = Result<Bytes, anyhow::Error>> + Send + 'static {
    let head = match format {
        Format::Json => head,
        Format::Ndjson => "",
        Format::Csv => T::COLUMNS,
    };
    let written = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&written);
    let chunks = rows.try_chunks(CHUNK).map(move |rows| {
        let mut out = Vec::with_capacity(CHUNK * 512);
        for row in rows.map_err(|error| error.1)? {
            let before = count.fetch_add(1, Ordering::Relaxed);
            write(&mut out, &row, format, before == 0)?;
        }
        Ok(Bytes::from(out))
    });
    // The count is known at the end: so it is the number of rows sent, whatever changed meanwhile.
    let tail = stream::once(future::lazy(move |_| {
        Ok(match format {
            Format::Json => format!("],\"total\":{}}}", written.load(Ordering::Relaxed)).into(),
            Format::Ndjson | Format::Csv => Bytes::new(),
        })
    }));
    stream::once(future::ready(Ok(Bytes::from_static(head.as_bytes()))))
        .chain(chunks)
        .chain(tail)
        .inspect_err(|error: &anyhow::Error| tracing::warn!(error = %format!("{error:#}"), "an export was cut short"))
}

fn write<T: Row>(out: &mut Vec<u8>, row: &T, format: Format, first: bool) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            if !first {
                out.push(b',');
            }
            serde_json::to_writer(out, row)?;
        }
        Format::Ndjson => {
            serde_json::to_writer(&mut *out, row)?;
            out.push(b'\n');
        }
        Format::Csv => {
            for (at, field) in row.cells()?.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                cell(out, field);
            }
            out.extend_from_slice(b"\r\n");
        }
    }
    Ok(())
}

impl Row for ImageView {
    const FILE: &'static str = "images.csv";
    const COLUMNS: &'static str = "id,name,google_drive_id,size,mime_type,storage_path,storage_provider,created_at,updated_at,\
                                   modified_time,width,height,taken_at,orientation,md5,sha256,bucket,key,path,import_id\r\n";

    fn cells(&self) -> anyhow::Result<Vec<String>> {
        let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
        let modified = self.modified_time.map(|at| at.format(&Rfc3339));
        Ok(vec![
            self.id.to_string(),
            self.name.clone(),
            self.google_drive_id.clone(),
            self.size.to_string(),
            self.mime_type.clone(),
            self.storage_path.clone(),
            self.storage_provider.clone(),
            self.created_at.format(&Rfc3339)?,
            self.updated_at.format(&Rfc3339)?,
            modified.transpose()?.unwrap_or_default(),
            number(self.width),
            number(self.height),
            self.taken_at.clone().unwrap_or_default(),
            number(self.orientation.map(u32::from)),
            self.md5.clone(),
            self.sha256.clone(),
            self.bucket.clone(),
            self.key.clone(),
            self.path.clone(),
            self.import_id.clone(),
        ])
    }
}

/// What spreadsheets take for the beginning of a formula, wide forms included.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// What ends a cell where a comma does not: spreadsheets of many countries read `;`, and some take a tab
/// or a line's end for one even within quotes.
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// One field (RFC 4180). Spreadsheets run what begins like a formula, and names come from strangers: an
/// apostrophe in front makes it text (OWASP, "CSV Injection"), in front of every part that may become
/// a cell.
fn cell(out: &mut Vec<u8>, text: &str) {
    if !text.contains(['"', ',']) && !text.contains(SEPARATORS) && !text.starts_with(FORMULA) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut quoted = String::with_capacity(text.len() + 8);
    if text.starts_with(['\t', '\r', '\n']) {
        quoted.push('\'');
    }
    let mut begins = true;
    for c in text.chars() {
        match c {
            c if SEPARATORS.contains(&c) => begins = true,
            // A quote may be the cell's own.
            '"' => quoted.push('"'),
            c => {
                if begins && FORMULA.contains(&c) {
                    quoted.push('\'');
                }
                begins = false;
            }
        }
        quoted.push(c);
    }
    out.push(b'"');
    out.extend_from_slice(quoted.as_bytes());
    out.push(b'"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn cell_of(text: &str) -> String {
        let mut out = Vec::new();
        cell(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        assert_eq!(cell_of("cat.jpg"), "cat.jpg");
        assert_eq!(cell_of("a,b"), "\"a,b\"");
        assert_eq!(cell_of("say \"hi\"\nthere"), "\"say \"\"hi\"\"\nthere\"");
        assert_eq!(cell_of("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        for formula in ["+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert!(cell_of(formula).starts_with("\"'"), "{formula:?}");
        }
    }

    #[test]
    fn no_part_that_may_become_a_cell_is_a_formula() {
        for (name, written) in [
            ("a;=1+1;b", "\"a;'=1+1;b\""),
            ("a;;-1", "\"a;;'-1\""),
            (";@A1", "\";'@A1\""),
            ("a;\t+1", "\"a;\t'+1\""),
            ("a\r\n=1", "\"a\r\n'=1\""),
            ("a\n＝1", "\"a\n'＝1\""),
            ("a;\"=1\"", "\"a;\"\"'=1\"\"\""),
            ("\"=1\"", "\"\"\"'=1\"\"\""),
        ] {
            assert_eq!(cell_of(name), written, "{name:?}");
        }
        for plain in ["1004", "2024-05-01T12:00:00+02:00", "a-b=c+d@e", "it's"] {
            assert_eq!(cell_of(plain), plain);
        }
        assert_eq!(cell_of("one;two-3"), "\"one;two-3\"");
    }
}
