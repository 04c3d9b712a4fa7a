//! Standing by while another projector works.

use std::time::Duration;

use read_model::ReadModel;
use tokio_util::sync::CancellationToken;

use crate::CHECKPOINT;

/// How long a standing projector watches the checkpoint before it takes over.
const STANDBY: Duration = Duration::from_secs(5);

/// Return when the checkpoint has stood still for a while: the other one is idle or gone. If it is
/// merely idle, whoever folds first goes on and the other is fenced again, which costs nothing.
pub(crate) async fn wait(read_model: &ReadModel, stop: &CancellationToken) {
    let mut last = None;
    loop {
        let now = read_model.checkpoint(CHECKPOINT).await.ok();
        if now.is_some() && now == last {
            return;
        }
        last = now;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(STANDBY) => {}
        }
    }
}
