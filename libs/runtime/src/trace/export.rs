//! Sending spans to a collector: OTLP over HTTP, with the settings that OpenTelemetry defines
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use percent_encoding::percent_decode_str;
use tokio::runtime::Handle;

use crate::{ConfigError, Env};

/// A span of the projector is linked with every event of a batch.
const MAX_LINKS: u32 = 512;
/// A collector that takes longer is taken to be away.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What is not sent by then, at the end, is lost.
const LAST: Duration = Duration::from_secs(5);

/// One for the process, as OpenTelemetry has it: a span may begin anywhere.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

pub(super) fn tracer() -> Option<&'static SdkTracer> {
    TRACER.get()
}

/// Spans on their way out.
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Send what is left, within 5 s.
    pub async fn flush(self) {
        // It waits for its own thread, which waits for ours.
        let flush = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST));
        if let Ok(Err(error)) = flush.await {
            tracing::warn!(error = %error, "the last spans were not taken by the collector");
        }
    }
}

/// Record spans from now on, as `service`, if a collector is configured.
///
/// # Errors
/// When a setting makes no sense.
pub fn export(env: &Env, service: &str) -> Result<Option<Exporter>, ConfigError> {
    let Some(endpoint) = endpoint(env)? else {
        return Ok(None);
    };
    if let Some(other) = env
        .get("OTEL_EXPORTER_OTLP_PROTOCOL")
        .filter(|protocol| *protocol != "http/protobuf")
    {
        return Err(ConfigError::new(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            format!("{other:?} is not supported; use http/protobuf (port 4318 of most collectors)"),
        ));
    }
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| ConfigError::new("OTEL_EXPORTER_OTLP_ENDPOINT", error.to_string()))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_timeout(TIMEOUT)
        .with_headers(headers(env)?)
        .with_http_client(Client {
            client,
            runtime: Handle::current(),
            away: AtomicBool::new(false),
        })
        .build()
        .map_err(|error| ConfigError::new("OTEL_EXPORTER_OTLP_ENDPOINT", error.to_string()))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler(env)?)
        .with_max_links_per_span(MAX_LINKS)
        .with_resource(resource(env, service)?)
        .build();
    // A second one in a process, as in tests, changes nothing.
    let _ = TRACER.set(provider.tracer("imagefleet"));
    Ok(Some(Exporter(provider)))
}

fn endpoint(env: &Env) -> Result<Option<String>, ConfigError> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let Some(base) = env.get("OTEL_EXPORTER_OTLP_ENDPOINT") else {
        return Ok(None);
    };
    let wrong = |why: String| ConfigError::new(NAME, why);
    // Not shown: it may hold a password.
    let url = reqwest::Url::parse(base).map_err(|error| {
        wrong(format!(
            "is no URL ({error}); set it to such as http://collector:4318"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
        return Err(wrong("set it to such as http://collector:4318".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "holds a password; put that into OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
        ));
    }
    Ok(Some(format!(
        "{}/v1/traces",
        url.as_str().trim_end_matches('/')
    )))
}

/// `name=value,…`, values percent-encoded.
fn headers(env: &Env) -> Result<HashMap<String, String>, ConfigError> {
    pairs(
        env.get("OTEL_EXPORTER_OTLP_HEADERS"),
        "OTEL_EXPORTER_OTLP_HEADERS",
    )?
    .into_iter()
    .map(|(name, value)| {
        let fits = http::HeaderName::try_from(&name).is_ok()
            && http::HeaderValue::try_from(&value).is_ok();
        fits.then_some((name, value)).ok_or_else(|| {
            ConfigError::new("OTEL_EXPORTER_OTLP_HEADERS", "holds what no header may be")
        })
    })
    .collect()
}

fn pairs(list: Option<&str>, name: &'static str) -> Result<Vec<(String, String)>, ConfigError> {
    let parts = list.unwrap_or_default().split(',').map(str::trim);
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((key.trim().to_owned(), value.into_owned()))
        })
        .collect::<Option<_>>()
        // It may hold a secret.
        .ok_or_else(|| ConfigError::new(name, "is no list such as name=value,other=value"))
}

/// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
fn sampler(env: &Env) -> Result<Sampler, ConfigError> {
    let share = || {
        let share = env.parse_or("OTEL_TRACES_SAMPLER_ARG", 1.0)?;
        if (0.0..=1.0).contains(&share) {
            return Ok(Sampler::TraceIdRatioBased(share));
        }
        Err(ConfigError::new(
            "OTEL_TRACES_SAMPLER_ARG",
            format!("{share} is not between 0 and 1"),
        ))
    };
    let parent_or = |root| Sampler::ParentBased(Box::new(root));
    Ok(match env.get("OTEL_TRACES_SAMPLER") {
        None | Some("parentbased_always_on") => parent_or(Sampler::AlwaysOn),
        Some("parentbased_always_off") => parent_or(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => parent_or(share()?),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => share()?,
        Some(other) => {
            return Err(ConfigError::new(
                "OTEL_TRACES_SAMPLER",
                format!(
                    "{other:?} is not supported; use always_on, always_off, traceidratio, or one of \
                     these with parentbased_ before it"
                ),
            ));
        }
    })
}

fn resource(env: &Env, service: &str) -> Result<Resource, ConfigError> {
    let given = pairs(
        env.get("OTEL_RESOURCE_ATTRIBUTES"),
        "OTEL_RESOURCE_ATTRIBUTES",
    )?;
    // What is named as an attribute holds, unless the name is set as such.
    let name = env
        .get("OTEL_SERVICE_NAME")
        .map(|name| KeyValue::new("service.name", name.to_owned()));
    Ok(Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(
            given
                .into_iter()
                .map(|(key, value)| KeyValue::new(key, value)),
        )
        .with_attributes(name)
        .build())
}

/// Sends from the runtime, whoever asks: the SDK asks from a thread of its own.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
    /// Said so, and not yet that it is back.
    away: AtomicBool,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = http::Response::new(answer.bytes().await?);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok::<_, reqwest::Error>(response)
        });
        // The exporter knows which refusals are worth another try; here they are only told.
        let answered = sent.await?.map_err(reqwest::Error::without_url);
        let refused = match &answered {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            Err(error) => Some(chain(error)),
        };
        match refused {
            None if self.away.swap(false, Ordering::Relaxed) => {
                tracing::info!("the collector takes spans again");
            }
            Some(why) if !self.away.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    error = why,
                    "the collector of OTEL_EXPORTER_OTLP_ENDPOINT does not take spans; they are lost until it does"
                );
            }
            _ => {}
        }
        Ok(answered?)
    }
}

/// The error with everything that led to it.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/otel/");

    #[test]
    fn it_is_off_unless_told_where_to() {
        assert_eq!(endpoint(&Env::default()).unwrap(), None);
        let told = endpoint(&Env::from_pairs([ENDPOINT])).unwrap();
        assert_eq!(
            told.as_deref(),
            Some("http://collector:4318/otel/v1/traces")
        );
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused_without_telling_secrets() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://hunter2"),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://user:hunter2@collector",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://collector?key=hunter2",
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "key=hunter2%0A"),
            ("OTEL_RESOURCE_ATTRIBUTES", "nothing"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ] {
            let env = Env::from_pairs([ENDPOINT]).with(name, value);
            let refused = export(&env, "imagefleet").map(drop).unwrap_err();
            assert_eq!(refused.setting(), name);
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
        let ratio = [
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ];
        assert!(sampler(&Env::from_pairs(ratio)).is_err());
    }

    #[test]
    fn the_name_that_is_set_holds_else_the_attribute_else_the_role() {
        let named = |pairs: &[(&'static str, &'static str)]| {
            let resource = resource(&Env::from_pairs(pairs.iter().copied()), "imagefleet-worker");
            let key = opentelemetry::Key::new("service.name");
            resource.unwrap().get(&key).unwrap().to_string()
        };
        let attribute = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=theirs,zone=a");
        assert_eq!(named(&[]), "imagefleet-worker");
        assert_eq!(named(&[attribute]), "theirs");
        assert_eq!(named(&[attribute, ("OTEL_SERVICE_NAME", "ours")]), "ours");
    }

    #[test]
    fn headers_are_decoded() {
        let env = Env::from_pairs([(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20abc, x-tenant = a=b",
        )]);
        let headers = headers(&env).unwrap();
        assert_eq!(headers["authorization"], "Bearer abc");
        assert_eq!(headers["x-tenant"], "a=b");
    }

    #[test]
    fn the_sampler_is_the_one_that_was_named() {
        let named = |name| {
            format!(
                "{:?}",
                sampler(&Env::from_pairs([("OTEL_TRACES_SAMPLER", name)])).unwrap()
            )
        };
        assert_eq!(named("always_off"), "AlwaysOff");
        assert_eq!(named("parentbased_always_off"), "ParentBased(AlwaysOff)");
        assert_eq!(
            format!("{:?}", sampler(&Env::default()).unwrap()),
            "ParentBased(AlwaysOn)"
        );
    }
}
