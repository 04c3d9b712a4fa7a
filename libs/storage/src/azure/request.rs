//! Sending one request: signed anew for each attempt, a few times where that may help.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret;
use url::Url;

use super::{Auth, AzureStore, Inner, VERSION, error};
use crate::StoreError;
use crate::patience::{PATIENCE, time_for};

/// As the SDK does for S3: hiccups are bridged, the rest is the caller's.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A request before it is signed, which is done anew for each attempt.
#[derive(Debug)]
pub(super) struct Request {
    method: Method,
    url: Url,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    limit: Duration,
}

impl Request {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            limit: PATIENCE,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.limit = time_for(body.len());
        self.body = body;
        self
    }
}

impl AzureStore {
    /// The answer of a request about one blob; `None` if there is no such blob.
    pub(super) async fn ask_for_blob(
        &self,
        request: Request,
    ) -> Result<Option<Response>, StoreError> {
        match self.send(request).await? {
            Ok(answer) => Ok(Some(answer)),
            Err(answer) if error::code(answer.headers()) == "BlobNotFound" => Ok(None),
            Err(answer) => Err(self.explain(&answer).await),
        }
    }

    /// The answer of a request, if it is a good one.
    pub(super) async fn ask(&self, request: Request) -> Result<Response, StoreError> {
        match self.send(request).await? {
            Ok(answer) => Ok(answer),
            Err(answer) => Err(self.explain(&answer).await),
        }
    }

    pub(super) async fn explain(&self, answer: &Response) -> StoreError {
        if let (Auth::Identity(identity), StatusCode::UNAUTHORIZED) =
            (&self.inner.auth, answer.status())
        {
            identity.forget().await;
        }
        let status = answer.status().as_u16();
        self.inner.place.explain(status, answer.headers())
    }

    /// Sends `request`, a few times where that may help. Every request of ours may be repeated. The
    /// inner error is an answer that refuses.
    pub(super) async fn send(
        &self,
        request: Request,
    ) -> Result<Result<Response, Response>, StoreError> {
        let limit = request.limit;
        let attempts = async {
            let mut pause = FIRST_PAUSE;
            for _ in 1..ATTEMPTS {
                match self.send_once(&request).await {
                    Ok(Err(answer)) if answer.status().is_server_error() => {}
                    Err(StoreError::Unreachable { .. }) => {}
                    settled => return settled,
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            self.send_once(&request).await
        };
        let answered = tokio::time::timeout(limit, Box::pin(attempts)).await;
        answered.unwrap_or_else(|_| {
            let endpoint = self.inner.place.endpoint.origin().ascii_serialization();
            Err(StoreError::Unavailable {
                status: None,
                reason: format!("no answer from {endpoint} within {limit:?}"),
            })
        })
    }

    async fn send_once(&self, request: &Request) -> Result<Result<Response, Response>, StoreError> {
        let Inner {
            http, place, auth, ..
        } = &*self.inner;
        let invalid = |name: &str| StoreError::Rejected {
            code: "InvalidRequest".to_owned(),
            message: format!("the header {name} cannot be sent"),
        };
        let mut url = request.url.clone();
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let value = HeaderValue::from_str(value).map_err(|_| invalid(name))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let date = httpdate::fmt_http_date(SystemTime::now());
        let date = HeaderValue::from_str(&date).map_err(|_| invalid("x-ms-date"))?;
        headers.insert("x-ms-date", date);
        headers.insert("x-ms-version", HeaderValue::from_static(VERSION));
        if request.method == Method::PUT || request.method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(request.body.len()));
        }
        match auth {
            Auth::Key(key) => {
                let value = key.authorization(&place.account, &request.method, &url, &headers);
                let value = HeaderValue::from_str(&value);
                let mut value = value.map_err(|_| invalid("authorization"))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            Auth::Sas(sas) => {
                let sas = sas.expose_secret();
                let query = match url.query() {
                    Some(query) => format!("{query}&{sas}"),
                    None => sas.to_owned(),
                };
                url.set_query(Some(&query));
            }
            Auth::Identity(identity) => {
                headers.insert(AUTHORIZATION, identity.authorization().await?);
            }
        }
        let sent = http
            .request(request.method.clone(), url)
            .headers(headers)
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| place.unreachable(error))?;
        Ok(if sent.status().is_success() {
            Ok(sent)
        } else {
            Err(sent)
        })
    }
}
