//! `GET /api/images/all`: every image as JSON, NDJSON or CSV, in constant memory.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use read_model::{ImageRow, ReadModelError};

use crate::app::App;
use crate::links::Links;
use crate::openapi::problems;
use crate::problem::Result;
use crate::view::{ImageExport, ImageView};

/// Rows that are written as one chunk.
const CHUNK: usize = 200;

const COLUMNS: &str = "id,name,google_drive_id,size,mime_type,storage_path,storage_provider,created_at,updated_at,\
                       modified_time,width,height,taken_at,orientation,md5,sha256,bucket,key,path,import_id\r\n";

#[derive(Clone, Copy)]
enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    /// The first acceptable type; JSON when none is named.
    fn of(headers: &HeaderMap) -> Self {
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

problems!(ExportProblems: DatabaseUnavailable);

/// Every image
///
/// Streamed, as JSON, NDJSON or CSV. A failure midway cuts the connection, so that no part passes for
/// the whole.
#[utoipa::path(
    get,
    path = "/api/images/all",
    tag = "images",
    operation_id = "exportImages",
    params(("Accept" = Option<String>, Header, description = "`application/json`, `application/x-ndjson` or `text/csv`: the first of these that is named, else JSON", example = "text/csv")),
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
    links: Links,
    headers: HeaderMap,
) -> Result<Response> {
    let format = Format::of(&headers);
    let mut rows = app.reads.model.all_images();
    // The first read may fail, and only before the head is sent can that be told properly.
    let first = app.reads.ask(rows.next()).await?;
    let rows = stream::once(future::ready(Ok(first)))
        .chain(stream::try_unfold(rows, |mut rows| async move {
            Ok(rows.next().await?.map(|row| (Some(row), rows)))
        }))
        .try_filter_map(|row| future::ready(Ok(row)));
    let mut response = Response::new(Body::from_stream(body(rows, format, links)));
    let head = response.headers_mut();
    head.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    head.insert(VARY, HeaderValue::from_static("accept"));
    if matches!(format, Format::Csv) {
        head.insert(
            CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"images.csv\""),
        );
    }
    Ok(response)
}

/// An error cuts the connection, so that no client takes a part for the whole.
fn body(
    rows: impl Stream<Item = Result<ImageRow, ReadModelError>> + Send + 'static,
    format: Format,
    links: Links,
) -> impl Stream<Item = Result<Bytes, anyhow::Error>> + Send + 'static {
    let head: &[u8] = match format {
        Format::Json => b"{\"success\":true,\"images\":[",
        Format::Ndjson => b"",
        Format::Csv => COLUMNS.as_bytes(),
    };
    let written = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&written);
    let chunks = rows.try_chunks(CHUNK).map(move |rows| {
        let mut out = Vec::with_capacity(CHUNK * 512);
        for row in rows.map_err(|error| error.1)? {
            let before = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            write(&mut out, &ImageView::new(row, &links), format, before == 0)?;
        }
        Ok(Bytes::from(out))
    });
    // The count is known at the end: so it is the number of images sent, whatever changed meanwhile.
    let tail = stream::once(future::lazy(move |_| {
        Ok(match format {
            Format::Json => format!(
                "],\"total\":{}}}",
                written.load(std::sync::atomic::Ordering::Relaxed)
            )
            .into(),
            Format::Ndjson | Format::Csv => Bytes::new(),
        })
    }));
    stream::once(future::ready(Ok(Bytes::from_static(head))))
        .chain(chunks)
        .chain(tail)
        .inspect_err(|error: &anyhow::Error| tracing::warn!(error = %format!("{error:#}"), "an export was cut short"))
}

fn write(out: &mut Vec<u8>, image: &ImageView, format: Format, first: bool) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            if !first {
                out.push(b',');
            }
            serde_json::to_writer(out, image)?;
        }
        Format::Ndjson => {
            serde_json::to_writer(&mut *out, image)?;
            out.push(b'\n');
        }
        Format::Csv => csv(out, image)?,
    }
    Ok(())
}

fn csv(out: &mut Vec<u8>, image: &ImageView) -> anyhow::Result<()> {
    use time::format_description::well_known::Rfc3339;
    let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
    let modified = image
        .modified_time
        .map(|at| at.format(&Rfc3339))
        .transpose()?
        .unwrap_or_default();
    let fields = [
        &image.id.to_string(),
        &image.name,
        &image.google_drive_id,
        &image.size.to_string(),
        &image.mime_type,
        &image.storage_path,
        &image.storage_provider,
        &image.created_at.format(&Rfc3339)?,
        &image.updated_at.format(&Rfc3339)?,
        &modified,
        &number(image.width),
        &number(image.height),
        image.taken_at.as_deref().unwrap_or_default(),
        &number(image.orientation.map(u32::from)),
        &image.md5,
        &image.sha256,
        &image.bucket,
        &image.key,
        &image.path,
        &image.import_id,
    ];
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        cell(out, field);
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// One field (RFC 4180). Spreadsheets run what begins like a formula, and names come from
/// strangers: an apostrophe in front makes it text (OWASP, "CSV Injection").
fn cell(out: &mut Vec<u8>, text: &str) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if !formula && !text.contains(['"', ',', '\r', '\n']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    if formula {
        out.push(b'\'');
    }
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
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
        for formula in ["+1", "-1", "@A1", "\t=1", "\r=1", "＝1"] {
            assert!(cell_of(formula).starts_with("\"'"), "{formula:?}");
        }
    }
}
