//! Single messages of the stream `TASKS`.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DeleteMessageErrorKind, RawMessageErrorKind, Stream};
use contracts::streams;
use jetstream::Nats;

/// Messages looked at, and requests under way, at once.
pub(super) const AT_ONCE: usize = 64;

/// The stream, without asking anything about it.
pub(super) async fn stream(nats: &Nats) -> anyhow::Result<Stream<()>> {
    Ok(nats.context.get_stream_no_info(streams::TASKS).await?)
}

/// The first messages under `filter` from the sequence `from` on; none if there are none. Answered
/// by the leader: a replica may not know of the last ones yet.
pub(super) async fn some(
    stream: &Stream<()>,
    filter: &str,
    mut from: u64,
) -> anyhow::Result<Vec<StreamMessage>> {
    let mut found = Vec::new();
    while found.len() < AT_ONCE {
        // The server takes 0 for "no sequence given".
        match stream
            .get_first_raw_message_by_subject(filter, from.max(1))
            .await
        {
            Ok(message) => {
                from = message.sequence + 1;
                found.push(message);
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Delete a message, which somebody else may have deleted just now.
pub(super) async fn delete(stream: &Stream<()>, sequence: u64) -> anyhow::Result<()> {
    let Err(error) = stream.delete_message(sequence).await else {
        return Ok(());
    };
    if let DeleteMessageErrorKind::JetStream(_) = error.kind()
        && let Err(missing) = stream.get_raw_message(sequence).await
        && missing.kind() == RawMessageErrorKind::NoMessageFound
    {
        return Ok(());
    }
    Err(error.into())
}
