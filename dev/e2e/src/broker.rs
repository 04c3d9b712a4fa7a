//! What NATS holds, seen from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use contracts::{Event, EventBody, Task, streams};
use futures::StreamExt as _;
use jetstream::Nats;
use testkit::Fleet;
use tokio::sync::Notify;

/// Every event so far and its sequence, in order.
pub async fn events(fleet: &Fleet) -> Vec<(u64, Event)> {
    let all = events_with_headers(fleet).await.into_iter();
    all.map(|(sequence, event, _)| (sequence, event)).collect()
}

/// [`events`], with the headers of each.
pub async fn events_with_headers(fleet: &Fleet) -> Vec<(u64, Event, HeaderMap)> {
    let nats = fleet.nats.connect().await.unwrap();
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        inactive_threshold: Duration::from_secs(30),
        memory_storage: true,
        ..pull::Config::default()
    };
    let consumer = nats
        .context
        .create_consumer_on_stream(config, streams::EVENTS)
        .await
        .unwrap();
    let mut events = Vec::new();
    loop {
        let before = events.len();
        let mut batch = consumer
            .fetch()
            .max_messages(1000)
            .messages()
            .await
            .unwrap();
        while let Some(message) = batch.next().await {
            let message = message.unwrap();
            let sequence = message.info().unwrap().stream_sequence;
            let event = contracts::decode(&message.payload).unwrap();
            events.push((sequence, event, message.headers.clone().unwrap_or_default()));
        }
        if events.len() == before {
            return events;
        }
    }
}

/// How often each thing was said of images: the event's kind, with the attempt that it speaks of.
pub async fn outcomes(fleet: &Fleet) -> BTreeMap<(&'static str, u32), usize> {
    let mut outcomes = BTreeMap::new();
    for (_, event) in events(fleet).await {
        let attempt = match &event.body {
            EventBody::ImageImported { attempt, .. } | EventBody::ImageRetrying { attempt, .. } => {
                *attempt
            }
            EventBody::ImageFailed { attempts, .. } => *attempts,
            EventBody::ImageSkipped { .. } => 0,
            _ => continue,
        };
        *outcomes.entry((event.body.kind(), attempt)).or_default() += 1;
    }
    outcomes
}

/// Takes tasks from the queue in place of workers, and does none of them.
#[derive(Clone)]
pub struct Drain {
    taken: Arc<Mutex<BTreeMap<String, BTreeSet<u64>>>>,
    grown: Arc<Notify>,
}

impl Drain {
    /// Take every task of the fleet from now on, until the runtime ends.
    pub async fn start(fleet: &Fleet) -> Self {
        let drain = Self {
            taken: Arc::default(),
            grown: Arc::default(),
        };
        let nats = fleet.nats.connect().await.unwrap();
        tokio::spawn(drain.clone().run(nats));
        drain
    }

    /// The entries queued so far, each with the sequences of its tasks. A task delivered twice is
    /// one task.
    #[must_use]
    pub fn taken(&self) -> BTreeMap<String, BTreeSet<u64>> {
        let taken = self.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Return as soon as more than `entries` were queued.
    pub async fn grows_beyond(&self, entries: usize) {
        loop {
            let grown = self.grown.notified();
            if self.len() > entries {
                return;
            }
            grown.await;
        }
    }

    /// Entries queued so far.
    #[must_use]
    pub fn len(&self) -> usize {
        let taken = self.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing was queued so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // Were an ack lost, the task would be delivered again and be known by its sequence.
    #[allow(clippy::disallowed_methods)]
    async fn run(self, nats: Nats) {
        let consumer: async_nats::jetstream::consumer::Consumer<pull::Config> = nats
            .context
            .get_consumer_from_stream(streams::WORKERS, streams::TASKS)
            .await
            .unwrap();
        loop {
            let batch = consumer
                .batch()
                .max_messages(500)
                .expires(Duration::from_secs(2));
            let Ok(mut batch) = batch.messages().await else {
                return;
            };
            while let Some(Ok(message)) = batch.next().await {
                let sequence = message.info().unwrap().stream_sequence;
                let Task::ImportImage(task) = contracts::decode(&message.payload).unwrap() else {
                    panic!("nobody deletes anything here");
                };
                message.ack().await.unwrap();
                self.taken
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(task.file.item_id.to_string())
                    .or_default()
                    .insert(sequence);
                self.grown.notify_waiters();
            }
        }
    }
}
