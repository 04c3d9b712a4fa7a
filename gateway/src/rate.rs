//! How much one client may ask.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::Request;
use http::header::{HeaderValue, RETRY_AFTER};
use tokio::task::JoinSet;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};

use crate::caller::{Caller, Client};
use crate::problem::{Code, Problem};

/// What may come at once, in seconds' worth: a page that opens, a script that begins.
const BURST_SECONDS: u32 = 5;
/// Clients that have their whole allowance again are forgotten this often.
const FORGET: Duration = Duration::from_secs(60);

/// Answers 429 to a client of `router` that sends more than `per_second` requests for long; 0 is no
/// limit. Forgets clients in a task of its own, for as long as `background` runs.
pub(crate) fn limit<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    per_second: u32,
    background: &mut JoinSet<()>,
) -> Router<S> {
    let Some(period) = Duration::from_secs(1).checked_div(per_second) else {
        return router;
    };
    let config = GovernorConfigBuilder::default()
        .period(period)
        .burst_size(per_second.saturating_mul(BURST_SECONDS))
        .key_extractor(ByClient)
        .finish();
    // Never for a period that is not zero: the settings see to that.
    let Some(config) = config else { return router };
    let limiter = Arc::clone(config.limiter());
    background.spawn(async move {
        loop {
            tokio::time::sleep(FORGET).await;
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    });
    router.route_layer(GovernorLayer::new(config).error_handler(refused))
}

/// By [`Caller`], which a middleware outside of this one has to tell.
#[derive(Clone)]
struct ByClient;

impl KeyExtractor for ByClient {
    type Key = Client;

    fn extract<T>(&self, request: &Request<T>) -> Result<Client, GovernorError> {
        let caller = request.extensions().get::<Caller>();
        Ok(caller.map_or(Client::Unknown, |caller| caller.client))
    }
}

fn refused(error: GovernorError) -> Response<Body> {
    let GovernorError::TooManyRequests { wait_time, .. } = error else {
        return Problem::internal(error).into_response();
    };
    // Whole seconds, rounded down: after one more it is over.
    let wait = wait_time + 1;
    Problem::new(
        Code::RateLimited,
        format!("You ask more than this gateway allows one client. Ask again in {wait} s."),
    )
    .with_header(RETRY_AFTER, HeaderValue::from(wait))
    .into_response()
}
