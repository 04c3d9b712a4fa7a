//! The record in `CONTROL` that says whether an import goes on.

use async_nats::jetstream::kv::{CreateErrorKind, UpdateErrorKind};
use contracts::kv::{Control, ControlRecord};
use contracts::{ImportId, streams};
use jetstream::{Controls, Nats};

/// What the record of `import` says now; an import without one goes on.
pub(super) async fn state(nats: &Nats, import: &ImportId) -> anyhow::Result<Control> {
    let found = read(nats, import).await?;
    Ok(found.map_or(Control::Running, |(record, _)| record.state))
}

/// Write that `command` has put `import` into `state`, unless a later command or a cancellation was
/// faster. Gives the state that holds then.
pub(super) async fn set(
    nats: &Nats,
    import: &ImportId,
    state: Control,
    command: u64,
) -> anyhow::Result<Control> {
    let bucket = nats.context.get_key_value(streams::CONTROL).await?;
    let wanted = ControlRecord {
        v: 1,
        state,
        command,
    };
    let bytes = bytes::Bytes::from(serde_json::to_vec(&wanted)?);
    loop {
        let written = match read(nats, import).await? {
            Some((found, _)) if !gives_way(&found, &wanted) => return Ok(found.state),
            Some((_, revision)) => match bucket
                .update(import.as_str(), bytes.clone(), revision)
                .await
            {
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => continue,
                written => written.map_err(anyhow::Error::from),
            },
            None => match bucket.create(import.as_str(), bytes.clone()).await {
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => continue,
                written => written.map_err(anyhow::Error::from),
            },
        };
        written?;
        return Ok(state);
    }
}

async fn read(nats: &Nats, import: &ImportId) -> anyhow::Result<Option<(ControlRecord, u64)>> {
    let found = Controls::read(nats, import).await;
    found.map_err(|error| anyhow::anyhow!(error).context("the import's record in CONTROL"))
}

/// Whether `found` is replaced by `wanted`. The order of the commands is that of their publication,
/// and a cancellation is for good, whatever its place.
fn gives_way(found: &ControlRecord, wanted: &ControlRecord) -> bool {
    match (found.state, wanted.state) {
        (Control::Cancelled, _) => false,
        (_, Control::Cancelled) => true,
        _ => found.command < wanted.command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: Control, command: u64) -> ControlRecord {
        ControlRecord {
            v: 1,
            state,
            command,
        }
    }

    #[test]
    fn the_later_command_stands_and_a_cancellation_for_good() {
        use Control::{Cancelled, Paused, Running};
        let gives_way = |found: (Control, u64), wanted: (Control, u64)| {
            gives_way(&record(found.0, found.1), &record(wanted.0, wanted.1))
        };
        assert!(gives_way((Paused, 3), (Running, 4)));
        assert!(!gives_way((Running, 4), (Paused, 3)));
        assert!(!gives_way((Paused, 3), (Paused, 3)));
        assert!(gives_way((Running, 4), (Cancelled, 3)));
        assert!(!gives_way((Cancelled, 3), (Running, 4)));
        assert!(!gives_way((Cancelled, 3), (Cancelled, 4)));
    }
}
