//! What handlers share, and which path leads to which handler.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use http::Method;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, LOCATION, RANGE, RETRY_AFTER,
};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::broker::Broker;
use crate::config::Limits;
use crate::edge::{self, Edge, REQUEST_ID};
use crate::guard::{Guard, guard};
use crate::live::Hub;
use crate::look::Look;
use crate::objects::Objects;
use crate::reads::Reads;
use crate::routes::{
    bulk, content, control, docs, export, images, imports, items, live, page, status, submit,
};

pub(crate) struct App {
    pub(crate) local_addr: SocketAddr,
    pub(crate) public_url: Option<Url>,
    pub(crate) storage_public_url: Option<Url>,
    pub(crate) page_policy: HeaderValue,
    pub(crate) description: docs::Description,
    pub(crate) limits: Limits,
    pub(crate) guard: Guard,
    pub(crate) broker: Broker,
    pub(crate) reads: Reads,
    pub(crate) objects: Objects,
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

/// The API. What is registered here is described, too: see [`crate::openapi`].
pub(crate) fn guarded() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(submit::submit))
        .routes(routes!(status::status))
        .routes(routes!(imports::list))
        .routes(routes!(bulk::command_imports))
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
        .routes(routes!(bulk::delete_images))
        .routes(routes!(images::one, images::delete))
        .routes(routes!(content::content))
        .routes(routes!(images::stats))
        .routes(routes!(live::overview))
        .routes(routes!(live::all))
        .routes(routes!(live::one))
}

/// What needs no key: it tells nothing of this gateway's.
pub(crate) fn open() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(docs::openapi))
        .routes(routes!(page::problem))
}

/// Every route. From the outside in: CORS, [`edge`], then for the API [`guard`].
pub(crate) fn router(
    app: Arc<App>,
    edge: Edge,
    health: Router,
    cors_origins: Vec<HeaderValue>,
) -> Router {
    let (guarded, _) = guarded().split_for_parts();
    let (open, _) = open().split_for_parts();
    let router = guarded
        .route_layer(from_fn_with_state(Arc::clone(&app), guard))
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
    const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_NONE_MATCH,
            RANGE,
            API_KEY,
            IDEMPOTENCY_KEY,
            REQUEST_ID,
        ])
        .expose_headers([CONTENT_RANGE, ETAG, LOCATION, RETRY_AFTER, REQUEST_ID])
        .max_age(Duration::from_secs(3600))
}
