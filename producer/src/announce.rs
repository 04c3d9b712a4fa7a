//! Publishing a producer's events.

use async_nats::HeaderMap;
use contracts::{Event, EventBody, ImportId, subjects};
use jetstream::Nats;

/// Publish `body`. `page` is how many batches were published before or with it: it tells events of one
/// kind apart, so that a repetition within the duplicate window is stored once.
pub(crate) async fn event(
    nats: &Nats,
    import: &ImportId,
    page: u64,
    body: EventBody,
) -> anyhow::Result<()> {
    let subject = subjects::event(import, body.kind());
    let message_id = format!("{import}.{}.{page}", body.kind());
    let payload = contracts::encode(&Event::now(import.clone(), body))?;
    nats.publish(subject, &message_id, payload.into()).await?;
    Ok(())
}

/// Publish `body` whatever was published before: of what changes to and fro each change counts.
pub(crate) async fn state(nats: &Nats, import: &ImportId, body: EventBody) -> anyhow::Result<()> {
    let subject = subjects::event(import, body.kind());
    let payload = contracts::encode(&Event::now(import.clone(), body))?;
    nats.publish_with_headers(subject, HeaderMap::new(), payload.into())
        .await?;
    Ok(())
}
