//! Tokens of Microsoft Entra, for those who have no key: fetched when first needed, and again a few
//! minutes before they expire.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::config::AzureCredential;
use crate::StoreError;

/// What a token is good for ("Authorize access to blobs using Microsoft Entra ID").
const RESOURCE: &str = "https://storage.azure.com/";
/// The metadata service of a virtual machine ("How to use managed identities on an Azure VM").
const METADATA_SERVICE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// A token with less time left is replaced; they live for an hour or a day.
const LEFT: Duration = Duration::from_secs(5 * 60);
/// Longest wait for a token.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer is at most this long; a token takes about 2 KB.
const MOST: usize = 64 * 1024;

/// Where tokens come from, and the last one.
#[derive(Debug)]
pub(super) struct Identity {
    source: AzureCredential,
    http: reqwest::Client,
    /// Held while a token is fetched, so that one request does it for all.
    token: Mutex<Option<Token>>,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

/// The answer of Entra, and of the metadata services, whose numbers are texts.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<Seconds>,
    /// Seconds since 1970, where `expires_in` is absent.
    expires_on: Option<Seconds>,
    error: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

impl Seconds {
    fn get(&self) -> Option<u64> {
        match self {
            Self::Number(seconds) => Some(*seconds),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl Identity {
    pub(super) fn new(source: AzureCredential, http: reqwest::Client) -> Self {
        let token = Mutex::new(None);
        Self {
            source,
            http,
            token,
        }
    }

    /// The `Authorization` of a request.
    pub(super) async fn authorization(&self) -> Result<HeaderValue, StoreError> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref()
            && token.until > Instant::now()
        {
            return Ok(token.header.clone());
        }
        let token = self.fetch().await?;
        Ok(held.insert(token).header.clone())
    }

    /// The last token was refused: fetch another one next time.
    pub(super) async fn forget(&self) {
        *self.token.lock().await = None;
    }

    async fn fetch(&self) -> Result<Token, StoreError> {
        let http = &self.http;
        match &self.source {
            AzureCredential::WorkloadIdentity {
                authority,
                tenant,
                client,
                token_file,
            } => {
                let assertion = read(token_file).await?;
                let url = format!(
                    "{}/{tenant}/oauth2/v2.0/token",
                    authority.as_str().trim_end_matches('/')
                );
                // "Microsoft identity platform and the OAuth 2.0 client credentials flow", third
                // case.
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", client.as_str()),
                    ("scope", "https://storage.azure.com/.default"),
                    (
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", assertion.expose_secret()),
                ];
                let form = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(form)
                    .finish();
                let request = http
                    .post(url)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form);
                let advice = "check AZURE_CLIENT_ID, AZURE_TENANT_ID and the federated credential \
                              of that identity (issuer, subject, audience)";
                ask(request, "Microsoft Entra", "AZURE_AUTHORITY_HOST", advice).await
            }
            AzureCredential::ManagedIdentity { client, service } => {
                let (address, version) = match service {
                    Some((url, _)) => (url.as_str(), "2019-08-01"),
                    None => (METADATA_SERVICE, "2018-02-01"),
                };
                let mut url = Url::parse(address)
                    .map_err(|error| refused(error.to_string(), "check IDENTITY_ENDPOINT"))?;
                url.query_pairs_mut()
                    .append_pair("api-version", version)
                    .append_pair("resource", RESOURCE)
                    .extend_pairs(client.as_deref().map(|client| ("client_id", client)));
                let request = match service {
                    Some((_, secret)) => http
                        .get(url)
                        .header("x-identity-header", secret.expose_secret()),
                    None => http.get(url).header("metadata", "true"),
                };
                let advice = "give this machine a managed identity (and name it in \
                              AZURE_CLIENT_ID if it has several), or set \
                              AZURE_STORAGE_CONNECTION_STRING";
                let setting = "that this machine has a managed identity or set \
                               AZURE_STORAGE_CONNECTION_STRING";
                ask(request, "the managed identity service", setting, advice).await
            }
            AzureCredential::Key(_) | AzureCredential::Sas(_) => {
                Err(refused("there is no identity".to_owned(), "set one"))
            }
        }
    }
}

async fn read(file: &Path) -> Result<SecretString, StoreError> {
    match tokio::fs::read_to_string(file).await {
        Ok(token) => Ok(token.trim().into()),
        Err(error) => Err(refused(
            format!("{}: {error}", file.display()),
            "check AZURE_FEDERATED_TOKEN_FILE and that the token is mounted there",
        )),
    }
}

async fn ask(
    request: RequestBuilder,
    who: &str,
    setting: &'static str,
    advice: &'static str,
) -> Result<Token, StoreError> {
    let unreachable = |error: reqwest::Error| StoreError::Unreachable {
        endpoint: who.to_owned(),
        setting,
        // A URL could hold what is secret elsewhere.
        source: error.without_url().into(),
    };
    let asked = Instant::now();
    let mut answer = request
        .timeout(PATIENCE)
        .send()
        .await
        .map_err(unreachable)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST {
            break;
        }
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(StoreError::Unavailable {
            status: Some(status.as_u16()),
            reason: format!("{who} issues no token now"),
        });
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(&body) else {
        return Err(refused(
            format!("{who} answered {status} and no token"),
            advice,
        ));
    };
    let token = answer.access_token.map(SecretString::from);
    let Some(token) = token.filter(|_| status.is_success()) else {
        let error = answer.error.unwrap_or_default();
        let description = answer.error_description.unwrap_or_default();
        // The first line; trace ids follow.
        let description = description.lines().next().unwrap_or_default();
        let reason: String = format!("{who}: {status} {error}: {description}")
            .chars()
            .take(500)
            .collect();
        return Err(refused(reason, advice));
    };
    let lives = answer.expires_in.as_ref().and_then(Seconds::get);
    let lives = lives.map(Duration::from_secs).or_else(|| {
        let until = Duration::from_secs(answer.expires_on.as_ref()?.get()?);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        until.checked_sub(now.ok()?)
    });
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| refused(format!("the token of {who} cannot be sent"), advice))?;
    header.set_sensitive(true);
    Ok(Token {
        header,
        until: asked + lives.unwrap_or_default().saturating_sub(LEFT),
    })
}

fn refused(reason: String, advice: &'static str) -> StoreError {
    StoreError::BadCredentials { reason, advice }
}
