//! What handlers share, and which path leads to which handler.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    HeaderValue, IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Method, Response};
use tokio::task::JoinSet;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::broker::Broker;
use crate::caller::identify;
use crate::config::Limits;
use crate::edge::{self, Edge, REQUEST_ID};
use crate::guard::{Guard, guard};
use crate::keys::ApiKey;
use crate::live::Hub;
use crate::look::Look;
use crate::objects::Objects;
use crate::rate;
use crate::reads::Reads;
use crate::routes::{
    command_imports, content, control, delete_images, docs, export, images, imports, items, live,
    page, problems, session, status, submit, thumbnail,
};
use crate::thumbnail::Thumbnails;

pub(crate) struct App {
    pub(crate) local_addr: SocketAddr,
    pub(crate) public_url: Option<Url>,
    pub(crate) storage_public_url: Option<Url>,
    pub(crate) page_policy: HeaderValue,
    pub(crate) description: docs::Description,
    pub(crate) limits: Limits,
    pub(crate) guard: Guard,
    pub(crate) api_keys: Vec<ApiKey>,
    pub(crate) trusted_proxies: usize,
    pub(crate) broker: Broker,
    pub(crate) reads: Reads,
    pub(crate) objects: Objects,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) look: Look,
    pub(crate) hub: Arc<Hub>,
}

impl App {
    /// What is waited for right now: what the fleet says, and what keeps this gateway from knowing.
    pub(crate) fn waiting(&self) -> BTreeMap<String, String> {
        let own = [
            ("nats", self.broker.trouble()),
            ("sql", self.reads.trouble()),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, why)| Some((name.to_owned(), why?.to_owned())));
        let mut all = self.broker.waiting();
        all.extend(own);
        all
    }
}

/// Where an image's bytes weigh as much as a tenth of another request: a gallery that is scrolled
/// asks for dozens at once.
const BYTES_PER_REQUEST: u32 = 10;

/// The API. What is registered here is described, too: see [`crate::openapi`].
pub(crate) fn guarded() -> OpenApiRouter<Arc<App>> {
    api().merge(bytes())
}

fn api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(submit::submit))
        .routes(routes!(status::status))
        .routes(routes!(imports::list))
        .routes(routes!(command_imports::command_imports))
        .routes(routes!(imports::one))
        .routes(routes!(imports::failures))
        .routes(routes!(items::failed))
        .routes(routes!(items::list))
        .routes(routes!(items::one))
        .routes(routes!(control::cancel))
        .routes(routes!(control::pause))
        .routes(routes!(control::resume))
        .routes(routes!(control::retry))
        .routes(routes!(images::list))
        .routes(routes!(export::all))
        .routes(routes!(delete_images::delete_images))
        .routes(routes!(images::one, images::delete))
        .routes(routes!(images::stats))
        .routes(routes!(live::overview))
        .routes(routes!(live::all))
        .routes(routes!(live::one))
        .routes(routes!(session::session))
}

/// JSON shrinks to a fifth, which counts on a phone. Events do not wait until there are enough of them.
fn compressed() -> CompressionLayer<And<SizeAbove, IsJson>> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(1024).and(IsJson))
}

#[derive(Clone, Copy)]
struct IsJson;

impl Predicate for IsJson {
    fn should_compress<B: http_body::Body>(&self, response: &Response<B>) -> bool {
        let kind = response.headers().get(CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
    }
}

fn bytes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(content::content))
        .routes(routes!(thumbnail::thumbnail))
}

/// What needs no key: it tells nothing of this gateway's.
pub(crate) fn open() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(docs::openapi))
        .routes(routes!(problems::problem))
}

/// Every route. From the outside in: CORS, [`edge`], then for the API [`guard`].
pub(crate) fn router(
    app: Arc<App>,
    edge: Edge,
    health: Router,
    cors_origins: Vec<HeaderValue>,
    rate_limit: u32,
    background: &mut JoinSet<()>,
) -> Router {
    // From the outside in: who asks, whether it is too much, whether they may.
    let guarded = |api: OpenApiRouter<Arc<App>>, per_second, background: &mut _| {
        let (router, _) = api.split_for_parts();
        let router = router.route_layer(from_fn_with_state(Arc::clone(&app), guard));
        rate::limit(router, per_second, background)
            .route_layer(from_fn_with_state(Arc::clone(&app), identify))
    };
    let (open, _) = open().split_for_parts();
    let for_bytes = rate_limit.saturating_mul(BYTES_PER_REQUEST);
    let router = guarded(api(), rate_limit, background)
        .route_layer(compressed())
        .merge(guarded(bytes(), for_bytes, background))
        .merge(open)
        .merge(docs::browser())
        .fallback(page::file)
        .with_state(app)
        .merge(health)
        .method_not_allowed_fallback(page::method_not_allowed)
        .layer(from_fn_with_state(Arc::new(edge), edge::edge));
    if cors_origins.is_empty() {
        router
    } else {
        router.layer(cors(cors_origins))
    }
}

fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
    const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
    const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_NONE_MATCH,
            IF_RANGE,
            LAST_EVENT_ID,
            RANGE,
            API_KEY,
            IDEMPOTENCY_KEY,
            REQUEST_ID,
        ])
        .expose_headers([
            CONTENT_DISPOSITION,
            CONTENT_RANGE,
            ETAG,
            LOCATION,
            RETRY_AFTER,
            WWW_AUTHENTICATE,
            REQUEST_ID,
        ])
        .max_age(Duration::from_secs(3600))
}
