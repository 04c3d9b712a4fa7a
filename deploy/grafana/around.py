"""Rows of the fleet's dashboard: what the fleet needs, what people see of it, and its processes."""

from model import lines, quantile, query, stat, timeline

HTTP = "imagefleet_http_requests_total"
LATENCY = "imagefleet_http_request_duration_seconds"
# The platform asks these, all the time.
PROBES = 'route!~"/health|/livez|/readyz|/metrics"'
# Our processes among everything that Prometheus scrapes, with their role.
OURS = "* on (job, instance) group_left (role) max by (job, instance, role) (imagefleet_build_info)"
PROCESS = "{{role}} {{instance}}"
ANSWERS = [(1, "answers", "green"), (0, "waited for", "red")]

dependencies = (
    "Dependencies",
    [
        timeline(
            "What answers",
            "Red while it is waited for; /readyz of the role says why. Red for one process alone: its network or its credentials. Drive and the store stay red in a fleet that has nothing to do: nobody asks them again.",
            query("min by (role, dependency) (imagefleet_dependency_up)", "{{role}}: {{dependency}}"),
            query("max(imagefleet_broker_up)", "queue, by any gateway"),
            texts=ANSWERS,
        ),
        lines(
            "Breakers opened",
            "Each is the beginning of an outage for one process. Regular ones without an outage: a dependency at its limit.",
            "short",
            query("sum by (role, dependency) (increase(imagefleet_breaker_opened_total[$__rate_interval])) > 0 or on () vector(0)", "{{role}}: {{dependency}}"),
        ),
        lines(
            "Calls to Drive by workers",
            "By call and outcome. Anything but `ok` and `throttled` that grows: see Attempts that failed by cause.",
            "reqps",
            query("sum by (call, outcome) (rate(imagefleet_worker_drive_requests_total[$__rate_interval])) > 0 or on () vector(0)", "{{call}} {{outcome}}"),
            table=True,
        ),
        lines(
            "Calls to Drive by producers",
            "A page of a folder is one `list`. Retries without end: see What answers.",
            "reqps",
            query("sum by (call, outcome) (rate(imagefleet_producer_drive_requests_total[$__rate_interval])) > 0 or on () vector(0)", "{{call}} {{outcome}}"),
            table=True,
        ),
        lines(
            "Calls that Drive refuses for their rate",
            "Over ten minutes. Above 5%: DRIVE_QUOTA_UNITS_PER_MINUTE is above the project's quota, or something else spends it.",
            "percentunit",
            query("imagefleet:drive_requests_throttled:rate10m / (imagefleet:drive_requests:rate10m > 0) or on () vector(0)", "refused"),
            limits=[(0.05, "red")],
        ),
        lines(
            "Drive's quota in units a minute",
            "`spent` near `granted` with a backlog is as fast as Drive allows: ask Google for more. `granted` well below `fleet`: Drive refused, and the fleet slowed down. All 0: no quota is set.",
            "short",
            query("sum(rate(imagefleet_quota_units_total[$__rate_interval])) * 60 or on () vector(0)", "spent"),
            query("sum(imagefleet_quota_share_units_per_minute) or on () vector(0)", "granted"),
            query("max(imagefleet_quota_units_per_minute) or on () vector(0)", "fleet"),
        ),
        lines(
            "Database connections",
            "`busy` at the limit: callers wait, see the next panel. Raise DB_POOL_SIZE, or find what is slow in the database.",
            "short",
            query("sum by (role, state) (imagefleet_sql_connections)", "{{role}} {{state}}"),
            query("sum by (role) (imagefleet_sql_connections_limit)", "{{role}} limit"),
        ),
        lines(
            "Waiting for a database connection (p95)",
            "Above 100 ms: the pool is too small, or the database too slow.",
            "s",
            query(quantile(0.95, "imagefleet_sql_wait_seconds", "role"), "{{role}}"),
            limits=[(0.1, "red")],
        ),
        stat(
            "Credentials expire in",
            "Renew before: with less than a week an alert fires. Those that do not expire, or do not say when, are not shown.",
            "dtdurations",
            query("min by (credential) (imagefleet_credential_expires_timestamp_seconds) - time() or on () vector(0)", "{{credential}}"),
            width=8,
            limits=[(604_800, "green")],
            best="red",
            texts=[(0, "none that expires", "green")],
            decimals=0,
        ),
    ],
)

projector = (
    "Projector",
    [
        stat(
            "Projectors at work",
            "One folds, others stand by; while nothing happens several may be ready. 0: progress stands still for everybody who looks.",
            "short",
            query("sum(imagefleet_projector_active)"),
            limits=[(1, "green")],
            best="red",
            width=8,
        ),
        lines(
            "Behind the events by",
            "How late the page shows what happened. Above a minute: the database is slow, see Time per fold; or the projector has just begun.",
            "s",
            query("max(imagefleet_projector_lag_seconds)", "age of the oldest event not folded"),
            limits=[(60, "red")],
        ),
        lines(
            "Events not folded yet",
            "Falling: it catches up. Growing with Events folded a second at its usual: more happens than one projector folds.",
            "short",
            query("max(imagefleet_projector_lag_events)", "events"),
        ),
        lines(
            "Events folded a second",
            "About two for each image. 0 with events not folded: see What answers.",
            "suffix: events/s",
            query("sum(rate(imagefleet_projector_events_total[$__rate_interval]))", "events"),
        ),
        lines(
            "Time per fold",
            "One transaction of at most 500 events. Above a second: somebody locks the tables, or the database's disk is slow.",
            "s",
            *(query(quantile(q, "imagefleet_projector_fold_seconds"), name) for q, name in [(0.5, "median"), (0.95, "p95"), (0.99, "p99")]),
        ),
        lines(
            "Removals of replaced objects",
            "Objects whose image was imported anew with other content. None asked for while images are replaced: the bucket grows.",
            "short",
            query("sum(increase(imagefleet_projector_removals_total[$__rate_interval]))", "asked for"),
        ),
    ],
)

api = (
    "API",
    [
        lines(
            "Requests a second by status",
            "Without what the platform asks. 4xx that grow: a client has the wrong key, or asks for what is gone.",
            "reqps",
            query(f"sum by (status) (rate({HTTP}{{{PROBES}}}[$__rate_interval]))", "{{status}}"),
            stack=True,
        ),
        lines(
            "Errors by route",
            "5xx. 503 is an outage that What answers shows; others are ours: the log has them by request id.",
            "short",
            query(f'sum by (method, route) (increase({HTTP}{{status="5xx", {PROBES}}}[$__rate_interval])) > 0 or on () vector(0)', "{{method}} {{route}}"),
            table=True,
        ),
        lines(
            "Time per request",
            "To the head of the response. p99 above a second with a low median: one route, see the next panel.",
            "s",
            *(
                query(f"histogram_quantile({q}, sum by (le) (rate({LATENCY}_bucket{{{PROBES}}}[$__rate_interval])))", name)
                for q, name in [(0.5, "median"), (0.95, "p95"), (0.99, "p99")]
            ),
        ),
        lines(
            "Time per request by route (p95)",
            "A route that is slow alone: its query, see Database connections. All of them: the gateway's CPU.",
            "s",
            query(f"histogram_quantile(0.95, sum by (le, route) (rate({LATENCY}_bucket{{{PROBES}}}[$__rate_interval])))", "{{route}}"),
            table=True,
        ),
        lines(
            "Connections",
            "Open, and those of them that follow events. Growing without end: a client that does not close, or a proxy without a timeout.",
            "short",
            query("sum(imagefleet_http_connections)", "open"),
            query("sum(imagefleet_http_streams)", "following events"),
        ),
        lines(
            "Refused before their route by reason",
            "`rate`: above API_RATE_LIMIT; behind proxies, TRUSTED_PROXIES may be wrong, and all are one client. `key`: none or a wrong one. `scope`: a read key that wants to write. `host`, `origin`: another name, or another site's page; see CORS_ORIGINS.",
            "short",
            query("sum by (reason) (increase(imagefleet_http_refused_total[$__rate_interval])) or on () vector(0)", "{{reason}}"),
        ),
    ],
)

processes = (
    "Processes",
    [
        lines(
            "CPU",
            "Cores used. At the container's limit while slots are free: more processes, not more slots.",
            "suffix: cores",
            query(f"rate(process_cpu_seconds_total[$__rate_interval]) {OURS}", PROCESS),
            table=True,
        ),
        lines(
            "Memory",
            "Resident. It depends on neither the number of images nor their size; one that climbs for hours is a defect: please report it.",
            "bytes",
            query(f"process_resident_memory_bytes {OURS}", PROCESS),
            table=True,
        ),
        lines(
            "Slots used",
            "Of WORKER_CONCURRENCY. All used: add workers, if neither quota nor bandwidth is spent. Few used with tasks waiting: see Time per image.",
            "percentunit",
            query("sum by (instance) (imagefleet_worker_in_flight) / sum by (instance) (imagefleet_worker_slots)", "{{instance}}"),
            table=True,
            max=1,
        ),
        lines(
            "Open files of those allowed",
            "Near 100% connections fail. Raise the limit (`ulimit -n`); one that only climbs is a defect: please report it.",
            "percentunit",
            query(f"process_open_fds / process_max_fds {OURS}", PROCESS),
            limits=[(0.8, "red")],
            table=True,
        ),
        lines(
            "Threads",
            "A few for each core. Hundreds: something blocks.",
            "short",
            query(f"process_threads {OURS}", PROCESS),
            table=True,
        ),
        stat(
            "Youngest process",
            "Since the last start of each role. Minutes, again and again: processes die; the platform says how (memory, liveness), else the log.",
            "dtdurations",
            query(f"min by (role) (time() - process_start_time_seconds {OURS})", "{{role}}"),
            width=4,
            decimals=0,
        ),
        stat(
            "Versions",
            "More than one for long: a rollout is stuck.",
            "short",
            query("count by (version) (imagefleet_build_info)", "{{version}}"),
            width=4,
        ),
    ],
)
