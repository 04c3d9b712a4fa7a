//! The API's description (OpenAPI 3.1), generated from the handlers and the types they answer with.

use std::collections::BTreeMap;

use http::Method;
use utoipa::OpenApi;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{self as spec, Header, PathItem, Ref, RefOr};

use crate::app;
use crate::problem::{self, Code};

const PROBLEM: &str = "application/problem+json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Imagefleet",
        description = "Imports the images of Google Drive folders into a bucket, and tells how far it is.\n\n\
            Errors are problems (RFC 9457) with a stable `code`, what to do about it in `advice`, and the \
            `request_id` that finds the request in the log. Where the gateway has keys, every operation \
            under `/api` but this document asks for one. Unknown query parameters are ignored. Times are \
            RFC 3339, sizes are bytes, ids and cursors are opaque. `/health`, `/livez`, `/readyz` and \
            `/metrics` are for the platform and not described here.\n\n\
            An `Idempotency-Key` stands for one request, for 7 days: repeating it gives the answer that is \
            kept. Where none could be kept (503, or no answer came), repeat the request within two minutes: \
            a command that was queued all the same is queued a second time after that.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "The gateway that serves this document")),
    tags(
        (name = "imports", description = "Start imports, watch them, and steer them"),
        (name = "images", description = "What is stored"),
        (name = "about", description = "The API itself"),
    ),
    components(schemas(problem::Body)),
)]
struct Base;

/// The whole description.
pub(crate) fn document() -> spec::OpenApi {
    let mut guarded = app::guarded().into_openapi();
    for item in guarded.paths.paths.values_mut() {
        for (method, operation) in operations(item) {
            guard(&method, operation);
        }
    }
    let mut document = Base::openapi();
    document.merge(guarded);
    document.merge(app::open().into_openapi());
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            finish(operation);
        }
    }
    let components = document.components.get_or_insert_default();
    for code in Code::ALL {
        components
            .examples
            .insert(code.as_str().to_owned(), RefOr::T(example(*code)));
    }
    let id = header(Type::String, "Finds the request in the gateway's log");
    components
        .headers
        .insert("X-Request-Id".to_owned(), RefOr::T(id));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A key of `API_KEYS`"));
    let header = ApiKeyValue::with_description("X-Api-Key", "A key of `API_KEYS`");
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(header)));
    document
}

/// The description as it is checked in and served.
pub(crate) fn json() -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&document())? + "\n")
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, item.get.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// What [`crate::guard`] and [`crate::edge`] may answer in the handler's place.
fn guard(method: &Method, operation: &mut Operation) {
    let mut codes = vec![
        Code::InvalidParameter,
        Code::Unauthorized,
        Code::QueryTooLong,
        Code::WrongHost,
        Code::RateLimited,
    ];
    let scope = if method.is_safe() { "read" } else { "write" };
    if !method.is_safe() {
        codes.extend([Code::InsufficientScope, Code::CrossOrigin]);
    }
    add(operation, codes);
    operation.security = Some(vec![
        SecurityRequirement::new("bearer", [scope]),
        SecurityRequirement::new("api_key", [scope]),
    ]);
}

/// What is true of every operation.
fn finish(operation: &mut Operation) {
    add(operation, vec![Code::Internal, Code::Timeout]);
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let id = Ref::new("#/components/headers/X-Request-Id");
            response
                .headers
                .insert("X-Request-Id".to_owned(), RefOr::Ref(id));
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(schema) = &mut parameter.schema
        {
            without_null(schema);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content
                && let Some(schema) = &mut content.schema
            {
                without_null(schema);
            }
        }
    }
}

/// What may be left out is not thereby null: a query has no such thing, and bodies are objects.
fn without_null(schema: &mut RefOr<Schema>) {
    let RefOr::T(found) = schema else { return };
    match found {
        Schema::Object(object) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|known| *known != Type::Null);
                if let [only] = types.as_slice() {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
        }
        Schema::OneOf(any) => {
            any.items.retain(|item| match item {
                RefOr::T(Schema::Object(object)) => {
                    object.schema_type != SchemaType::Type(Type::Null)
                }
                _ => true,
            });
            if let [only] = any.items.as_slice() {
                *schema = only.clone();
            }
        }
        _ => {}
    }
}

/// Adds `codes` to the problems that the operation has already.
fn add(operation: &mut Operation, mut codes: Vec<Code>) {
    let responses = &mut operation.responses.responses;
    for response in responses.values() {
        if let RefOr::T(response) = response
            && let Some(RefOr::T(content)) = response.content.get(PROBLEM)
        {
            codes.extend(
                content
                    .examples
                    .keys()
                    .filter_map(|code| Code::from_code(code)),
            );
        }
    }
    responses.extend(self::responses(&codes));
}

/// The answers that `codes` are, one for each status.
pub(crate) fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<u16, BTreeMap<&str, Code>>::new();
    for code in codes {
        let same = by_status.entry(code.status().as_u16()).or_default();
        same.insert(code.as_str(), *code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), RefOr::T(response(status, &codes))))
        .collect()
}

fn response(status: u16, codes: &BTreeMap<&str, Code>) -> Response {
    let lines: Vec<_> = codes
        .iter()
        .map(|(name, code)| format!("`{name}`: {}. {}", code.title(), code.help()))
        .collect();
    let examples = codes.keys().map(|name| {
        let example = Ref::new(format!("#/components/examples/{name}"));
        (*name, RefOr::<Example>::Ref(example))
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(examples);
    let response = ResponseBuilder::new()
        .description(lines.join("\n\n"))
        .content(PROBLEM, content.build());
    let response = match status {
        401 => response.header("WWW-Authenticate", header(Type::String, "`Bearer`")),
        416 => response.header("Content-Range", header(Type::String, "`bytes */SIZE`")),
        429 | 503 => response.header(
            "Retry-After",
            header(Type::Integer, "Seconds to wait before asking again"),
        ),
        _ => response,
    };
    response.build()
}

fn example(code: Code) -> Example {
    let body = code.body(code.help(), "01932e4b-7c1e-7c3a-9d50-0b6f3f1f9a10");
    ExampleBuilder::new()
        .summary(code.title())
        .value(serde_json::to_value(body).ok())
        .build()
}

fn header(kind: Type, description: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .description(Some(description))
        .build()
}

/// Names the problems of an operation, for `responses(...)`.
macro_rules! problems {
    ($name:ident: $($code:ident),* $(,)?) => {
        pub(crate) enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
            > {
                crate::openapi::responses(&[$(crate::problem::Code::$code),*])
            }
        }
    };
}
pub(crate) use problems;
