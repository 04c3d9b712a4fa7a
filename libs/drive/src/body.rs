//! Reading response bodies, piece by piece and bounded.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;

use crate::{DriveError, Phase};

/// The bytes of a file, as they arrive. Dropping it closes the connection.
#[derive(Debug)]
pub struct Download {
    /// Bytes Drive promised, if it said.
    pub length: Option<u64>,
    /// `Content-Type` as Drive sent it.
    pub content_type: Option<String>,
    body: Body,
}

impl Download {
    pub(crate) fn new(body: Body) -> Self {
        let content_type = body.response.headers().get(CONTENT_TYPE);
        Self {
            length: body.expected,
            content_type: content_type
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            body,
        }
    }

    /// The next bytes; `None` once all have arrived. Cancel-safe.
    ///
    /// # Errors
    /// [`DriveError::Timeout`] after too long a silence, [`DriveError::Truncated`] if the body ends
    /// before the promised length, [`DriveError::Transport`] if the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, DriveError> {
        self.body.chunk().await
    }
}

/// A response whose headers have arrived.
#[derive(Debug)]
pub(crate) struct Body {
    response: reqwest::Response,
    idle: Duration,
    expected: Option<u64>,
    received: u64,
}

impl Body {
    pub(crate) fn new(response: reqwest::Response, idle: Duration) -> Self {
        Self {
            expected: response.content_length(),
            response,
            idle,
            received: 0,
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, DriveError> {
        let chunk = tokio::time::timeout(self.idle, self.response.chunk())
            .await
            .map_err(|_| DriveError::Timeout { phase: Phase::Body })?
            .map_err(|error| DriveError::from_body(error, self.expected, self.received))?;
        match (&chunk, self.expected) {
            (Some(bytes), _) => self.received += bytes.len() as u64,
            (None, Some(expected)) if self.received < expected => {
                return Err(DriveError::Truncated {
                    expected,
                    received: self.received,
                });
            }
            (None, _) => {}
        }
        Ok(chunk)
    }

    /// The whole body, refused beyond `limit` bytes.
    pub(crate) async fn whole(mut self, limit: usize) -> Result<Vec<u8>, DriveError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > limit {
                return Err(DriveError::Protocol(format!(
                    "more than {limit} bytes of metadata"
                )));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// At most the first `limit` bytes: as many as arrive without an error within the time one
    /// silence may last.
    pub(crate) async fn beginning(mut self, limit: usize) -> Vec<u8> {
        let mut beginning = Vec::new();
        let read = async {
            while beginning.len() < limit {
                let Ok(Some(chunk)) = self.response.chunk().await else {
                    break;
                };
                let room = limit - beginning.len();
                beginning.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
        };
        // A body cut short still tells more than none.
        let _elapsed = tokio::time::timeout(self.idle, read).await;
        beginning
    }
}
