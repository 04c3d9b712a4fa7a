//! The whole system at one look: what the tables hold, what waits on NATS, what the fleet says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use read_model::CHECKPOINT;

use crate::app::App;
use crate::problem::Result;
use crate::reads::Reads;
use crate::view::{ImportCounts, MemberView, Overview, ProjectorView, QuotaView, Stats};

/// What the tables held when they were last read: told on while the database is away.
#[derive(Default)]
pub(crate) struct Look {
    known: Mutex<Option<Tables>>,
}

#[derive(Clone)]
struct Tables {
    stats: Stats,
    imports: ImportCounts,
}

impl Look {
    /// Never fails: what is not known is left out, and what is waited for says why.
    pub(crate) async fn overview(&self, app: &App) -> Overview {
        let (checkpoint, depths) = tokio::join!(self.read(&app.reads), app.broker.depths());
        let (checkpoint, depths) = (checkpoint.ok(), depths.ok());
        let known = self.known().clone();
        let members = app.broker.members();
        let spending = || members.iter().filter_map(|(_, member)| member.quota);
        let limit = spending().map(|quota| quota.units_per_minute).max();
        let quota = limit.map(|units_per_minute| QuotaView {
            units_per_minute,
            used_per_minute: spending().map(|quota| quota.used).sum(),
        });
        let last = depths.as_ref().map(|depths| depths.last_event);
        let projector = last
            .zip(checkpoint)
            .map(|(last, checkpoint)| ProjectorView {
                lag_events: last.saturating_sub(checkpoint),
            });
        let fleet = members
            .into_iter()
            .map(|(name, member)| MemberView::new(name, member));
        Overview {
            fleet: fleet.collect(),
            quota,
            projector,
            queue: depths.map(|depths| depths.queue),
            stats: known.as_ref().map(|known| known.stats.clone()),
            imports: known.map(|known| known.imports),
            waiting_for: app.waiting(),
        }
    }

    /// Read the tables, and how far they are.
    async fn read(&self, reads: &Reads) -> Result<u64> {
        let model = &reads.model;
        let (stats, counts, checkpoint) = reads
            .ask(async {
                Ok((
                    model.statistics().await?,
                    model.count_imports().await?,
                    model.checkpoint(CHECKPOINT).await?,
                ))
            })
            .await?;
        *self.known() = Some(Tables {
            stats: Stats::new(&stats),
            imports: ImportCounts::new(&counts),
        });
        Ok(checkpoint)
    }

    fn known(&self) -> MutexGuard<'_, Option<Tables>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
