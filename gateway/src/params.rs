//! What requests say in their paths and queries; each error names its parameter.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::cursor::Of;
use crate::problem::{Problem, Result};

/// What every client's integers can hold.
const MAX_PAGE: u32 = i32::MAX as u32;
/// The largest page a client may ask for.
const MAX_PER_PAGE: u32 = 100;

/// The variable parts of a path, decoded: one, or a tuple of them.
pub(crate) struct InPath<T = String>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    /// What cannot be decoded names nothing.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(found)) => Ok(Self(found)),
            Err(_) => Err(Problem::not_found("such path")),
        }
    }
}

/// The query string. An empty value counts as absent; of repeated names the last one counts.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        ))
    }
}

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn parse<T: FromStr>(&self, name: &str, rule: &str) -> Result<Option<T>> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|_| Problem::parameter(name, rule))
    }

    /// `cursor`: the key of the row that the page is behind.
    pub(crate) fn cursor<T: FromStr>(&self, of: Of) -> Result<Option<T>> {
        self.get("cursor").map(|cursor| of.read(cursor)).transpose()
    }

    /// `page`, from 1.
    pub(crate) fn page(&self) -> Result<u32> {
        let rule = "a whole number from 1 to 2147483647";
        match self.parse("page", rule)? {
            None => Ok(1),
            Some(n) if (1..=MAX_PAGE).contains(&n) => Ok(n),
            Some(_) => Err(Problem::parameter("page", rule)),
        }
    }

    /// `per_page`, 1 to 100, 20 unless told.
    pub(crate) fn per_page(&self) -> Result<u32> {
        let rule = "a whole number from 1 to 100";
        match self.parse("per_page", rule)? {
            None => Ok(20),
            Some(n) if (1..=MAX_PER_PAGE).contains(&n) => Ok(n),
            Some(_) => Err(Problem::parameter("per_page", rule)),
        }
    }
}
