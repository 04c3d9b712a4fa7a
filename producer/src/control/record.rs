//! The record of an import in `CONTROL`.

use async_nats::jetstream::kv::{CreateErrorKind, UpdateErrorKind};
use contracts::kv::{Control, ControlRecord};
use contracts::{ImportId, streams};
use jetstream::{Controls, Nats};

/// Record `state`, unless a later command came before or the import is cancelled already.
pub(super) async fn write(
    nats: &Nats,
    import: &ImportId,
    state: Control,
    command: u64,
) -> anyhow::Result<()> {
    let bucket = nats.context.get_key_value(streams::CONTROL).await?;
    let record = ControlRecord {
        v: 1,
        state,
        command,
    };
    let bytes = serde_json::to_vec(&record)?;
    loop {
        match read(nats, import).await? {
            Some((found, _)) if found.command >= command || found.state == Control::Cancelled => {
                return Ok(());
            }
            Some((_, revision)) => {
                match bucket
                    .update(import.as_str(), bytes.clone().into(), revision)
                    .await
                {
                    Ok(_) => return Ok(()),
                    Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                    Err(error) => return Err(error.into()),
                }
            }
            None => match bucket.create(import.as_str(), bytes.clone().into()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// What the record says now.
pub(super) async fn state(nats: &Nats, import: &ImportId) -> anyhow::Result<Control> {
    let found = read(nats, import).await?;
    Ok(found.map_or(Control::Running, |(record, _)| record.state))
}

async fn read(nats: &Nats, import: &ImportId) -> anyhow::Result<Option<(ControlRecord, u64)>> {
    Controls::read(nats, import)
        .await
        .map_err(|error| anyhow::anyhow!(error))
}
