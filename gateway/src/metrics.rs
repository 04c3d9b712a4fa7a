//! Rate, errors and duration of requests, per route template.

use std::time::Duration;

use http::{Method, StatusCode};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry,
    register_int_counter_vec_with_registry,
};

use crate::problem::Code;

/// Why a request does not come as far as its route.
const REFUSALS: [(Code, &str); 5] = [
    (Code::RateLimited, "rate"),
    (Code::Unauthorized, "key"),
    (Code::InsufficientScope, "scope"),
    (Code::WrongHost, "host"),
    (Code::CrossOrigin, "origin"),
];

#[derive(Clone)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    refused: IntCounterVec,
    pub(crate) connections: IntGauge,
    pub(crate) streams: IntGauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new("imagefleet_http_requests_total", "Requests answered"),
            &["method", "route", "status"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "imagefleet_http_request_duration_seconds",
                "From the last header byte received to the response head",
            )
            .buckets(vec![
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            ]),
            &["method", "route"],
        )?;
        let refused = register_int_counter_vec_with_registry!(
            "imagefleet_http_refused_total",
            "Requests refused before their route, by reason",
            &["reason"],
            registry
        )?;
        // There from the start, so that the first of each is an increase.
        for (_, reason) in REFUSALS {
            refused.with_label_values(&[reason]);
        }
        let connections = IntGauge::new("imagefleet_http_connections", "Open connections")?;
        let streams = IntGauge::new("imagefleet_http_streams", "Open streams of events")?;
        registry.register(Box::new(streams.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        Ok(Self {
            requests,
            duration,
            refused,
            connections,
            streams,
        })
    }

    /// What came of a request that was not as it should be.
    pub(crate) fn problem(&self, code: Code) {
        if let Some((_, reason)) = REFUSALS.iter().find(|(refusal, _)| *refusal == code) {
            self.refused.with_label_values(&[reason]).inc();
        }
    }

    /// `route` is a template, never a path: paths would make a series each.
    pub(crate) fn observe(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::DELETE | Method::OPTIONS => {
                method.as_str()
            }
            _ => "other",
        };
        let class = match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.requests
            .with_label_values(&[method, route, class])
            .inc();
        self.duration
            .with_label_values(&[method, route])
            .observe(took.as_secs_f64());
    }
}
