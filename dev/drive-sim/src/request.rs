//! Reads requests: which method of the API, with which parameters and rights.

use std::collections::HashMap;

use http::{HeaderMap, Method, header, request::Parts};
use percent_encoding::percent_decode_str;

use crate::{
    catalog::Access,
    error::ApiError,
    oauth::{OAuth, USER},
    stats::Kind,
};

const FILES: &str = "/drive/v3/files";

/// A request to the Drive API.
#[derive(Debug)]
pub(crate) struct ApiRequest {
    pub(crate) kind: Kind,
    /// The file's id; empty for a list.
    pub(crate) id: String,
    pub(crate) params: HashMap<String, String>,
    /// Whether the private folders are shared with the caller, once that is known.
    pub(crate) sees_private: bool,
    headers: HeaderMap,
}

/// Which part of a file is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    /// From the first byte to before the last.
    Part(std::ops::Range<u64>),
    Unsatisfiable,
}

impl ApiRequest {
    pub(crate) fn read(parts: &Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let params: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let path = parts
            .uri
            .path()
            .strip_prefix(FILES)
            .filter(|_| parts.method == Method::GET);
        let (kind, id) = match path {
            Some("") => (Kind::List, String::new()),
            Some(path) => match path.strip_prefix('/') {
                Some(id) if !id.is_empty() && !id.contains('/') => {
                    let media = params.get("alt").is_some_and(|alt| alt == "media");
                    let id = percent_decode_str(id).decode_utf8_lossy().into_owned();
                    (if media { Kind::Download } else { Kind::Get }, id)
                }
                _ => (Kind::Other, String::new()),
            },
            None => (Kind::Other, String::new()),
        };
        Self {
            kind,
            id,
            params,
            sees_private: false,
            headers: parts.headers.clone(),
        }
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.param(name) == Some("true")
    }

    fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Checks the caller's key or token. Says whose token it is.
    pub(crate) fn authorize(
        &self,
        api_key: &str,
        bearer_token: &str,
        oauth: &OAuth,
    ) -> Result<Option<String>, ApiError> {
        if let Some(given) = self.header(header::AUTHORIZATION) {
            let token = given.strip_prefix("Bearer ").ok_or_else(ApiError::auth)?;
            if token == bearer_token {
                return Ok(Some(USER.to_owned()));
            }
            return oauth.account_of(token).map(Some).ok_or_else(ApiError::auth);
        }
        match self.header("x-goog-api-key").or_else(|| self.param("key")) {
            Some(key) if key == api_key => Ok(None),
            Some(_) => Err(ApiError::api_key_invalid()),
            None => Err(ApiError::unregistered()),
        }
    }

    pub(crate) fn access(&self) -> Access {
        let keys = self
            .header("x-goog-drive-resource-keys")
            .unwrap_or_default();
        let pairs = keys
            .split(',')
            .filter_map(|pair| pair.trim().split_once('/'));
        Access {
            resource_keys: pairs
                .map(|(id, key)| (id.to_owned(), key.to_owned()))
                .collect(),
            all_drives: self.flag("supportsAllDrives"),
            private: self.sees_private,
        }
    }

    /// The one range asked for; several at once are ignored, as RFC 9110 §14.2 allows.
    pub(crate) fn range(&self, len: u64) -> Wanted {
        let range = self
            .header(header::RANGE)
            .and_then(|range| range.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return Wanted::Whole;
        };
        let range = match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first > last => return Wanted::Whole,
            (Ok(first), Ok(last)) => first..len.min(last.saturating_add(1)),
            (Ok(first), Err(_)) if last.is_empty() => first..len,
            (Err(_), Ok(suffix)) if first.is_empty() => len - len.min(suffix)..len,
            _ => return Wanted::Whole,
        };
        if range.is_empty() {
            Wanted::Unsatisfiable
        } else {
            Wanted::Part(range)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(uri: &str, range: Option<&str>) -> ApiRequest {
        let mut builder = http::Request::get(uri);
        if let Some(range) = range {
            builder = builder.header("range", range);
        }
        ApiRequest::read(&builder.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn paths_name_methods() {
        for (uri, kind, id) in [
            ("/drive/v3/files?q=a", Kind::List, ""),
            ("/drive/v3/files/a%2Db", Kind::Get, "a-b"),
            ("/drive/v3/files/a?alt=media", Kind::Download, "a"),
            ("/drive/v3/files/", Kind::Other, ""),
            ("/drive/v3/files/a/b", Kind::Other, ""),
            ("/drive/v2/files", Kind::Other, ""),
        ] {
            let request = request(uri, None);
            assert_eq!((request.kind, request.id.as_str()), (kind, id), "{uri}");
        }
    }

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ] {
            assert_eq!(request("/", Some(text)).range(100), expected, "{text}");
        }
        assert_eq!(
            request("/", Some("bytes=0-")).range(0),
            Wanted::Unsatisfiable
        );
        assert_eq!(request("/", None).range(100), Wanted::Whole);
    }
}
