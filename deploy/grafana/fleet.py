"""The dashboard of the whole fleet: what it does, here; what it needs and consists of, in around.py.

Gateways all tell the same of the queue and of imports: `max`."""

from around import api, dependencies, processes, projector
from model import dashboard, heatmap, label_values, lines, quantile, query, stat

IMAGES = "imagefleet_worker_images_total"
PHASES = "imagefleet_worker_phase_seconds"
# Entries listed and not settled yet.
BACKLOG = """(
  sum(max by (import) (imagefleet_import_items{state="listed"}))
    - sum(max by (import, state) (imagefleet_import_items{state!="listed"}))
)"""
# A month stands for never.
NEVER = 2_592_000

overview = (
    "Overview",
    [
        stat(
            "Imports under way",
            "Nothing is shown while the database is away. Imports that stay paused hold nothing but their place: resume or cancel them.",
            "short",
            query('max by (status) (imagefleet_imports{status=~"processing|paused"})', "{{status}}"),
        ),
        stat(
            "Images a second",
            "0 with a backlog: look at Dependencies first, then at Workers. Low with free slots: the producer or Drive's quota holds back; with none: add workers.",
            "suffix: images/s",
            query(f'sum(rate({IMAGES}{{outcome="imported"}}[$__rate_interval]))'),
            decimals=1,
        ),
        stat(
            "Backlog",
            "Entries that are listed and neither imported, skipped nor failed, of the 20 imports under way that changed last. It grows while folders are listed; when it only grows, add workers or raise the quota.",
            "short",
            query(f"{BACKLOG} or vector(0)"),
        ),
        stat(
            "Oldest task",
            "Age of the oldest task that is due. The queue holds about a second of work: minutes mean that nothing takes tasks, or that one is stuck. See ImagefleetOldestTaskOld in the runbook.",
            "s",
            query("max(imagefleet_tasks_oldest_seconds)"),
            limits=[(300, "orange"), (900, "red")],
        ),
        stat(
            "Time left",
            "Until the backlog is done at the present rate; more while folders are still being listed. 'Not moving' with a backlog: see Images a second.",
            "dtdurations",
            query(
                f"""clamp_max(
                  ({BACKLOG} > 0) / sum(rate({IMAGES}{{outcome=~"imported|failed"}}[$__rate_interval])), {NEVER}
                ) or vector(0)"""
            ),
            texts=[(NEVER, "not moving", "red")],
            decimals=0,
        ),
        stat(
            "Success ratio",
            "Of the images whose file is sound, those that were imported, over the time shown. The objective is 99.9% in 30 days. Below: see Dead letters by cause, mend the cause, re-drive.",
            "percentunit",
            query(
                """1 - sum(increase(imagefleet:images_failed:total[$__range]))
                   / (sum(increase(imagefleet:images_ended:total[$__range])) > 0) or vector(1)""",
                instant=True,
            ),
            limits=[(0.99, "orange"), (0.999, "green")],
            best="red",
            decimals=2,
        ),
        stat(
            "Alerts firing",
            "Each has its section in deploy/RUNBOOK.md; Prometheus' page /alerts lists them.",
            "short",
            query('count(ALERTS{alertname=~"Imagefleet.+", alertstate="firing"}) or vector(0)', instant=True),
            limits=[(1, "red")],
            color="background",
            width=6,
        ),
        stat(
            "Images stored",
            "Rows of images. It falls only when images are deleted.",
            "short",
            query("max(imagefleet_images_stored)"),
            width=6,
        ),
        stat(
            "Size of the images stored",
            "What the bucket holds by the tables. The bucket itself holding much more: uploads that were begun and not ended, or other tenants.",
            "bytes",
            query("max(imagefleet_images_stored_bytes)"),
            width=6,
        ),
        stat(
            "Processes",
            "Processes that answer, by role. Fewer than were started: see ImagefleetTargetDown.",
            "short",
            query("count by (role) (imagefleet_build_info)", "{{role}}"),
            width=6,
        ),
    ],
)

queue = (
    "Queue",
    [
        lines(
            "Lag by consumer",
            "Messages that nobody has taken, and those taken and not settled. `workers` is what to scale workers by. `producers` above their concurrency (64 each): more imports than are listed at once. `controllers` above 0 for minutes: commands are not carried out.",
            "short",
            query("max by (consumer) (imagefleet_consumer_lag)", "{{consumer}}"),
        ),
        lines(
            "Tasks at the workers' door",
            "Waiting tasks are kept at about a second of work. Many held and few images a second: workers wait for something, see Time per image. None waiting and slots free: the producer is slower than the workers.",
            "short",
            query('max(imagefleet_consumer_pending{consumer="workers"})', "waiting"),
            query('max(imagefleet_consumer_unacked{consumer="workers"})', "held"),
            stack=True,
        ),
        lines(
            "Outstanding tasks by what they wait for",
            "`due` for a worker, `another attempt` for its time, `resume` for somebody who resumes the import. Many of another attempt: see Attempts that failed by cause.",
            "short",
            query("max(imagefleet_tasks_outstanding) - max(imagefleet_tasks_scheduled) - max(imagefleet_tasks_parked)", "due"),
            query("max(imagefleet_tasks_scheduled)", "another attempt"),
            query("max(imagefleet_tasks_parked)", "resume"),
            stack=True,
        ),
        lines(
            "Messages stored by stream",
            "IMPORTS and TASKS empty themselves as work ends. EVENTS keeps 30 days: it grows with the images, and levels out.",
            "short",
            query("max by (stream) (imagefleet_stream_messages)", "{{stream}}"),
        ),
        lines(
            "Bytes stored by stream",
            "TASKS that grow without end would mean that its window is broken; EVENTS that do, that more is imported.",
            "bytes",
            query("max by (stream) (imagefleet_stream_bytes)", "{{stream}}"),
        ),
        lines(
            "NATS' storage",
            "At its limit publishes fail and everything waits: raise the limit, or keep events for a shorter time. A limit of 0 is not known: the server's own is told by prometheus-nats-exporter.",
            "bytes",
            query("max(imagefleet_broker_storage_bytes)", "used"),
            query("max(imagefleet_broker_storage_limit_bytes) or max(jetstream_server_max_storage) or vector(0)", "limit"),
        ),
    ],
)

producer = (
    "Producer",
    [
        lines(
            "Imports being listed",
            "At the sum of PRODUCER_CONCURRENCY further imports wait for their turn: start another producer.",
            "short",
            query("sum(imagefleet_producer_listing)", "imports"),
        ),
        lines(
            "Entries a second by outcome",
            "`queued` far below what workers take, with imports being listed: see Time of listing. Nearly all `skipped` is a folder that was imported before.",
            "suffix: entries/s",
            query("sum by (outcome) (rate(imagefleet_producer_entries_total[$__rate_interval]))", "{{outcome}}"),
            stack=True,
        ),
        lines(
            "Batches a second",
            "Atomic publishes. Many with few entries each: many small imports, or a queue that has little room.",
            "suffix: batches/s",
            query("sum(rate(imagefleet_producer_batches_total[$__rate_interval]))", "batches"),
        ),
        lines(
            "Time of listing by phase (p95)",
            "`room` is waiting for workers, and long whenever there is a backlog. `quota`: Drive's quota is spent. `list`: Drive is slow. `publish` above a second: NATS' disk is.",
            "s",
            query(quantile(0.95, "imagefleet_producer_phase_seconds", "phase"), "{{phase}}"),
        ),
        lines(
            "Commands carried out",
            "Cancel, pause, resume and retry. `unreadable`: somebody publishes commands that are none.",
            "short",
            query("sum by (action) (increase(imagefleet_producer_commands_total[$__rate_interval])) or on () vector(0)", "{{action}}"),
        ),
    ],
)

workers = (
    "Workers",
    [
        lines(
            "Executions of tasks a second by outcome",
            "`retrying` and `failed` are read by cause in the two panels beside this one.",
            "suffix: tasks/s",
            query(f"sum by (outcome) (rate({IMAGES}[$__rate_interval]))", "{{outcome}}"),
            stack=True,
        ),
        lines(
            "Dead letters by cause",
            "Images given up. `GET /api/imports/{id}/failures` says what to do about each cause; `imagefleet retry` queues them again.",
            "short",
            query(f'sum by (cause) (increase({IMAGES}{{outcome=~"failed|unreadable"}}[$__rate_interval])) > 0 or on () vector(0)', "{{cause}}"),
            table=True,
        ),
        lines(
            "Attempts that failed by cause",
            "Each image has 8 attempts within about 26 minutes. `drive_unavailable` and `network_error` in all processes: Drive or the way to it; in one: that process's network.",
            "short",
            query(f'sum by (cause) (increase({IMAGES}{{outcome="retrying"}}[$__rate_interval])) > 0 or on () vector(0)', "{{cause}}"),
            table=True,
        ),
        *(
            lines(
                f"Time per image by phase ({name})",
                f"{whose} `quota`: waiting for Drive's quota; add quota, not workers. `download`: Drive or the line. `upload`: the store. `report` and `settle` above 100 ms: NATS' disk.",
                "s",
                query(quantile(q, PHASES, "phase"), "{{phase}}"),
            )
            for q, name, whose in [
                (0.5, "median", "What most images take; decides the rate."),
                (0.95, "p95", "What large images take, or a dependency that hesitates."),
                (0.99, "p99", "What the slowest take; far above p95, a few requests hang until they are given up."),
            ]
        ),
        heatmap(
            "Time per image in phase $phase",
            "Two bands are two kinds of images, or two ways to Drive or the store. A band that climbs: a dependency that becomes slower.",
            "s",
            f'sum by (le) (increase({PHASES}_bucket{{phase="$phase"}}[$__rate_interval]))',
        ),
        lines(
            "Attempts per image",
            "The mean, of those imported and of those given up. Imported above 1.1: a dependency is unwell. Failed below 2: causes that no attempt mends.",
            "short",
            query(
                """sum by (outcome) (rate(imagefleet_worker_attempts_sum[$__rate_interval]))
                   / (sum by (outcome) (rate(imagefleet_worker_attempts_count[$__rate_interval])) > 0) or on () vector(0)""",
                "{{outcome}}",
            ),
        ),
        lines(
            "Bytes a second",
            "Received from Drive and stored. Received well above stored: downloads that are thrown away; see Attempts that failed by cause, and Redeliveries.",
            "Bps",
            query("sum(rate(imagefleet_worker_downloaded_bytes_total[$__rate_interval]))", "received"),
            query("sum(rate(imagefleet_worker_bytes_total[$__rate_interval]))", "stored"),
        ),
        lines(
            "Images a second by worker",
            "Workers take what they can: one far below the others has a slow machine or network.",
            "suffix: images/s",
            query(f'sum by (instance) (rate({IMAGES}{{outcome="imported"}}[$__rate_interval]))', "{{instance}}"),
            table=True,
        ),
        lines(
            "Redeliveries a second",
            "Tasks delivered again because a worker died, or was silent for NATS_ACK_WAIT. Without restarts: workers are killed for want of memory, or starved of CPU.",
            "suffix: tasks/s",
            query("sum(rate(imagefleet_worker_redeliveries_total[$__rate_interval]))", "redeliveries"),
        ),
    ],
)

DASHBOARD = dashboard(
    "imagefleet-fleet",
    "Imagefleet / Fleet",
    "What the whole fleet does, from the request to the tables.",
    [label_values("phase", "Phase", "Whose times the heatmap of the workers shows.", f"{PHASES}_count", default="download")],
    [overview, queue, producer, workers, dependencies, projector, api, processes],
)
