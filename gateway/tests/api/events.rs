//! A client of server-sent events, as the specification has it.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use crate::support::PATIENCE;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

pub(crate) struct Events {
    response: Response,
    read: String,
    pub(crate) comments: usize,
    pub(crate) retry: Option<String>,
}

impl Events {
    pub(crate) async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self {
            response,
            read: String::new(),
            comments: 0,
            retry: None,
        }
    }

    /// The next event; `None` once the server has ended the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, self.read_next())
            .await
            .expect("an event comes, or the end")
    }

    /// The next event of this name; others are passed over.
    pub(crate) async fn next_named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.name == name {
                return event;
            }
        }
    }

    /// The next event with this name for which `wanted` holds.
    pub(crate) async fn until(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Event {
        loop {
            let event = self.next_named(name).await;
            if wanted(&event.data) {
                return event;
            }
        }
    }

    /// Nothing but overviews comes for `time`.
    pub(crate) async fn is_quiet(&mut self, time: Duration) {
        let quiet = tokio::time::timeout(time, self.next_named("import")).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }

    async fn read_next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                if let Some(event) = self.parse(&block) {
                    return Some(event);
                }
                continue;
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.read.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    fn parse(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut id, mut data) = (None, None, None);
        for line in block.lines() {
            match line.split_once(':') {
                Some(("", _)) => self.comments += 1,
                Some(("event", value)) => name = Some(value.trim().to_owned()),
                Some(("id", value)) => id = Some(value.trim().to_owned()),
                Some(("data", value)) => data = Some(serde_json::from_str(value).unwrap()),
                Some(("retry", value)) => self.retry = Some(value.trim().to_owned()),
                _ => panic!("{line:?} is no line of an event"),
            }
        }
        Some(Event {
            name: name?,
            id,
            data: data?,
        })
    }
}
