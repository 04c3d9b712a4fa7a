//! Names of streams, consumers and KV buckets, and the limits that publishers and consumers share.

use std::time::Duration;

/// Import requests and commands to imports; work-queue retention.
pub const IMPORTS: &str = "IMPORTS";
/// One message per image, retries waiting for their time, tasks of paused imports, and listing
/// checkpoints; work-queue.
pub const TASKS: &str = "TASKS";
/// What happened; the source of truth for every projection.
pub const EVENTS: &str = "EVENTS";

/// Durable consumer of [`IMPORTS`]; a held delivery is the lease on an import.
pub const PRODUCERS: &str = "producers";
/// Durable consumer of [`IMPORTS`]: carries out commands.
pub const CONTROLLERS: &str = "controllers";
/// Durable consumer of [`TASKS`].
pub const WORKERS: &str = "workers";

/// KV bucket: which processes share the Drive quota right now.
pub const FLEET: &str = "FLEET";
/// KV bucket: which imports are paused or cancelled.
pub const CONTROL: &str = "CONTROL";
/// KV bucket: submissions accepted by a gateway, so that a status asked for at once is known, and
/// so that an `Idempotency-Key` finds its import.
pub const SUBMISSIONS: &str = "SUBMISSIONS";

/// How long the server waits for an ack or a heartbeat before it delivers again, unless
/// `NATS_ACK_WAIT` says otherwise.
pub const ACK_WAIT: Duration = Duration::from_secs(30);
/// How long the submission record of an import is kept.
pub const SUBMISSION_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a presence entry lives without being renewed.
pub const PRESENCE_TTL: Duration = Duration::from_secs(5);
/// How long events are kept.
pub const EVENT_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a finished import's last checkpoint is kept, so that a request delivered again after
/// the duplicate window is recognised.
pub const FINISHED_CHECKPOINT_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Within this time the server drops a second message with the same id.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Deliveries of one message without an outcome after which it is held to kill its workers.
pub const MAX_CRASH_DELIVERIES: i64 = 5;
/// Header of a task: how many deaths of workers its earlier copies have seen.
pub const DEATHS: &str = "Imagefleet-Deaths";
/// The oldest nats-server that has everything we use (atomic batches, schedules).
pub const MIN_SERVER: (u64, u64) = (2, 12);
