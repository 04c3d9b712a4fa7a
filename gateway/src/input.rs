//! What requests bring: their key and their body.

use axum::body::{Body, Bytes};
use http::header::{CONTENT_LENGTH, HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::broker::Key;
use crate::caller::Caller;
use crate::config::Limits;
use crate::problem::{Code, Problem, Result};

const MAX_REQUESTED_BY: usize = 200;

/// The client's `Idempotency-Key`, hashed.
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>> {
        let Some(value) = headers.get("idempotency-key") else {
            return Ok(None);
        };
        let value = value.as_bytes();
        if (1..=255).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic) {
            Ok(Some(Self(hex::encode(Sha256::digest(value)))))
        } else {
            Err(Problem::parameter(
                "Idempotency-Key",
                "1 to 255 visible ASCII characters",
            ))
        }
    }

    /// A key of its own for a part of what this one stands for.
    pub(crate) fn part(&self, part: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0.as_bytes());
        hash.update(b"\n");
        hash.update(part.as_bytes());
        Self(hex::encode(hash.finalize()))
    }

    /// The key as it stands for a request of these parts, and for no other.
    pub(crate) fn of_request(&self, parts: &[&[u8]]) -> Key {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        Key {
            record: format!("key-{}", self.0),
            body_sha256: hex::encode(hash.finalize()),
        }
    }
}

/// What is said by a text that may be missing or blank.
pub(crate) fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// A request's body, bounded in size and time.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes> {
    let limit = limits.body_bytes;
    let too_large = || {
        Problem::new(
            Code::PayloadTooLarge,
            format!("The body is larger than {limit} bytes; an import request is small."),
        )
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let Ok(read) = tokio::time::timeout(limits.body, axum::body::to_bytes(body, limit)).await
    else {
        return Err(Problem::new(
            Code::RequestTimeout,
            "The body did not arrive in time. Send the request again.",
        ));
    };
    read.map_err(|error| {
        let over = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if over {
            too_large()
        } else {
            Problem::new(
                Code::InvalidRequest,
                "The body ended early. Send the request again.",
            )
        }
    })
}

/// The body as an object of this kind. By way of a map, because serde reads structs from arrays as
/// well.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8], hint: &str) -> Result<T> {
    let object = serde_json::from_slice::<Map<String, Value>>(body);
    let read = object.and_then(|object| T::deserialize(Value::Object(object)));
    read.map_err(|error| {
        let detail = format!("Send JSON like {hint}: {error}.");
        Problem::new(Code::InvalidRequest, detail)
    })
}

/// Who asks, for people to read: in their own words, else by the name of their key.
pub(crate) fn requested_by(who: Option<String>, caller: &Caller) -> Result<Option<String>> {
    if who
        .as_ref()
        .is_some_and(|who| who.chars().count() > MAX_REQUESTED_BY)
    {
        return Err(Problem::parameter("requested_by", "at most 200 characters"));
    }
    let said = who.filter(|who| !who.trim().is_empty());
    Ok(said.or_else(|| caller.name.as_deref().map(str::to_owned)))
}
