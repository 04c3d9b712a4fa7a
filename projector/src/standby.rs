//! Standing by while another projector works.

use read_model::ReadModel;
use runtime::Service;

use crate::{CHECKPOINT, STANDBY};

/// Return when the checkpoint has stood still for a while: the other one is idle or gone. If it is
/// merely idle, whoever folds first goes on and the other is fenced again, which costs nothing.
pub(crate) async fn wait(read_model: &ReadModel, service: &Service) {
    let mut last = None;
    loop {
        let now = read_model.checkpoint(CHECKPOINT).await.ok();
        if now.is_some() && now == last {
            return;
        }
        last = now;
        tokio::select! {
            () = service.stop.cancelled() => return,
            () = tokio::time::sleep(STANDBY) => {}
        }
    }
}
