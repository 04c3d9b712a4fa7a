//! The page and its files, compiled in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LINK, VARY,
};
use http::{Method, StatusCode, Uri};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::app::App;
use crate::problem::{Code, Problem, Result};
use crate::routes::status::matches_tag;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The folder that the build script chose.
#[derive(RustEmbed)]
#[folder = "$PAGE_FOLDER"]
struct Files;

/// The document that every screen of the page begins with.
const PAGE: &str = "index.html";
/// Characters of the hash in an asset's name.
const HASH: usize = 8;
/// What each screen is made of besides, by the names that the page's build gives its parts.
const SCRIPTS: [(&str, &[&str]); 3] = [
    ("/imports/", &["import", "thumb", "chart"]),
    ("/gallery", &["gallery", "thumb"]),
    ("/overview", &["overview", "chart"]),
];
/// What a screen asks for first when its address narrows nothing down; an import is asked for itself.
const QUESTIONS: [(&str, &str); 3] = [
    ("/", "/api/imports?per_page=50"),
    ("/gallery", "/api/images?per_page=100"),
    ("/overview", "/api/overview"),
];
/// Compressed beside the original when the page was built, the smallest first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Whatever no route takes: a file of the page, one of its screens, or nothing.
pub(crate) async fn file(State(app): State<Arc<App>>, request: Request) -> Result<Response> {
    let (name, status) = match found(request.uri().path(), request.headers()) {
        Some(found) => found,
        None => return Err(Problem::not_found("such path")),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(method_not_allowed()
            .await
            .with_header(ALLOW, HeaderValue::from_static("GET,HEAD")));
    }
    let Some((encoding, file)) = negotiated(name, request.headers()) else {
        return Err(Problem::not_found("such path"));
    };
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let mut response = if status == StatusCode::OK && matches_tag(request.headers(), &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (status, Body::from(file.data)).into_response()
    };
    let head = response.headers_mut();
    head.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    head.insert(ETAG, HeaderValue::try_from(tag).map_err(Problem::internal)?);
    head.insert(CACHE_CONTROL, HeaderValue::from_static(caching(name)));
    head.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        head.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if name == PAGE {
        // Where a key is needed, only the page has it; the plain page asks nothing.
        let built = Files::iter().any(|file| file.starts_with("assets/"));
        let open = built && app.api_keys.is_empty() && status == StatusCode::OK;
        let question = open.then(|| asked_first(request.uri())).flatten();
        let links: Vec<String> = scripts(request.uri().path()).chain(question).collect();
        if !links.is_empty() {
            let links = HeaderValue::try_from(links.join(", "));
            head.insert(LINK, links.map_err(Problem::internal)?);
        }
    }
    head.insert(CONTENT_SECURITY_POLICY, app.page_policy.clone());
    head.insert(
        PERMISSIONS_POLICY,
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    );
    Ok(response)
}

/// Which file answers, and whether it is what was asked for: a browser that was led astray gets the
/// page, which says so, with 404.
fn found<'a>(path: &'a str, headers: &HeaderMap) -> Option<(&'a str, StatusCode)> {
    let name = path.strip_prefix('/')?;
    if is_screen(name) {
        return Some((PAGE, StatusCode::OK));
    }
    let hidden = name.starts_with('.') || ENCODINGS.iter().any(|(_, end)| name.ends_with(end));
    if !hidden && Files::get(name).is_some() {
        return Some((name, StatusCode::OK));
    }
    let for_programs = ["api", "problems", "assets"];
    let first = name.split('/').next().unwrap_or_default();
    let by_hand = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    (by_hand && !for_programs.contains(&first)).then_some((PAGE, StatusCode::NOT_FOUND))
}

/// The screens of the page, which read the rest of the address themselves.
fn is_screen(name: &str) -> bool {
    match name.split_once('/') {
        None => matches!(name, "" | "imports" | "gallery" | "overview"),
        Some(("imports", id)) => !id.is_empty() && !id.contains('/'),
        Some(_) => false,
    }
}

/// Links to the scripts that the screen at `path` will ask for once the first one runs: the browser may
/// fetch them beside it (HTML standard, link type "modulepreload"). None for the start, which needs no
/// more.
fn scripts(path: &str) -> impl Iterator<Item = String> {
    let of_screen = SCRIPTS.iter().find(|(start, _)| path.starts_with(start));
    let scripts = of_screen.map_or(&[][..], |(_, scripts)| scripts);
    // NAME-HASH.js, and the hash may hold a dash, too.
    let is_one = |file: &str| {
        let file = file.strip_prefix("assets/");
        let file = file.and_then(|file| file.strip_suffix(".js"));
        let hash = |script: &str| file?.strip_prefix(script)?.strip_prefix('-');
        scripts
            .iter()
            .filter_map(|script| hash(script))
            .any(|hash| hash.len() == HASH)
    };
    Files::iter()
        .filter(move |file| is_one(file))
        .map(|file| format!("</{file}>; rel=modulepreload"))
}

/// A link to what the screen at this address asks the API for first, so that the answer travels while
/// the scripts do (HTML standard, link type "preload"). It must be asked for in the very same words.
fn asked_first(address: &Uri) -> Option<String> {
    let path = address.path();
    let plain = |id: &&str| {
        let plain = |each: u8| each.is_ascii_alphanumeric() || each == b'-' || each == b'_';
        !id.is_empty() && id.bytes().all(plain)
    };
    let question = if let Some(id) = path.strip_prefix("/imports/").filter(plain) {
        format!("/api/imports/{id}")
    } else {
        let whole = address.query().is_none();
        let found = QUESTIONS
            .iter()
            .find(|(screen, _)| whole && *screen == path);
        (*found.map(|(_, question)| question)?).to_owned()
    };
    Some(format!("<{question}>; rel=preload; as=fetch; crossorigin"))
}

/// The smallest form of the file that the client can read.
fn negotiated(name: &str, headers: &HeaderMap) -> Option<(Option<&'static str>, EmbeddedFile)> {
    let compressed = ENCODINGS.iter().find_map(|(encoding, end)| {
        let file = accepts(headers, encoding).then(|| Files::get(&format!("{name}{end}")))??;
        Some((Some(*encoding), file))
    });
    compressed.or_else(|| Some((None, Files::get(name)?)))
}

/// Whether `Accept-Encoding` names this encoding and does not refuse it.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let given = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|each| {
        let mut parts = each.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        named && weight != Some(0.0)
    })
}

/// The names of assets hold a hash of their content; the icon may be old for an hour; everything else is
/// asked for anew.
fn caching(name: &str) -> &'static str {
    if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else if content_type(name) == "image/svg+xml" {
        "public, max-age=3600"
    } else {
        "no-cache"
    }
}

pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        "This path does not take this method. The Allow header lists those it takes.",
    )
}

/// Own scripts and styles only; images also from where the store's are: its public address, and
/// the one that [`super::content`] redirects to.
pub(crate) fn policy(
    storage: [Option<String>; 2],
) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let storage: String = storage
        .into_iter()
        .flatten()
        .map(|origin| format!(" {origin}"))
        .collect();
    HeaderValue::try_from(format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' blob:{storage}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn an_encoding_counts_unless_it_is_refused() {
        for (given, br, gzip) in [
            ("gzip, deflate, br, zstd", true, true),
            ("br;q=1.0, GZIP;q=0.5", true, true),
            ("br;q=0, gzip", false, true),
            ("gzip; q=0.0", false, false),
            ("brotli", false, false),
            ("", false, false),
        ] {
            let headers = with(ACCEPT_ENCODING, given);
            assert_eq!(accepts(&headers, "br"), br, "{given}");
            assert_eq!(accepts(&headers, "gzip"), gzip, "{given}");
        }
        assert!(!accepts(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn screens_are_the_page_and_what_is_lost_is_not() {
        let browser = with(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
        let program = with(ACCEPT, "*/*");
        for path in ["/", "/imports", "/imports/0199-ab", "/gallery", "/overview"] {
            assert_eq!(
                found(path, &program),
                Some((PAGE, StatusCode::OK)),
                "{path}"
            );
        }
        for path in [
            "/nothing",
            "/imports/a/b",
            "/imports/",
            "/.gitignore",
            "/index.html.gz",
        ] {
            assert_eq!(found(path, &program), None, "{path}");
            assert_eq!(
                found(path, &browser),
                Some((PAGE, StatusCode::NOT_FOUND)),
                "{path}"
            );
        }
        for path in ["/api", "/api/nothing", "/problems/x", "/assets/gone.js"] {
            assert_eq!(found(path, &browser), None, "{path}");
        }
    }

    #[test]
    fn the_first_question_is_known_where_the_address_says_it_all() {
        for (address, question) in [
            ("/", Some("/api/imports?per_page=50")),
            ("/gallery", Some("/api/images?per_page=100")),
            ("/overview", Some("/api/overview")),
            ("/imports/0199-ab", Some("/api/imports/0199-ab")),
            ("/imports/0199-ab?item=x", Some("/api/imports/0199-ab")),
            ("/?status=failed", None),
            ("/gallery?q=sky", None),
            ("/imports", None),
            ("/imports/", None),
            ("/imports/a%3E;b", None),
            ("/imports/a/b", None),
        ] {
            let found = asked_first(&address.parse().unwrap());
            let wanted = question.map(|it| format!("<{it}>; rel=preload; as=fetch; crossorigin"));
            assert_eq!(found, wanted, "{address}");
        }
    }
}
