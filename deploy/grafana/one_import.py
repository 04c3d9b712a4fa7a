"""The dashboard of one import. Its metrics end two minutes after it; what was stays in the time shown."""

from model import dashboard, label_values, lines, query, stat

ITEMS = 'imagefleet_import_items{import="$import"}'


def items(state):
    """Entries in one state."""
    return f'max(imagefleet_import_items{{import="$import", state="{state}"}})'


SETTLED = 'sum(max by (state) (imagefleet_import_items{import="$import", state!="listed"}))'
STARTED = 'max(imagefleet_import_started_timestamp_seconds{import="$import"})'
# Per second. Gateways tell the same, but not at the same instant: the rate of one of them.
RATE = 'max by (state) (rate(imagefleet_import_items{import="$import", state=~"imported|failed|skipped"}[$__rate_interval]))'
# A month stands for never.
NEVER = 2_592_000

progress = (
    "Progress",
    [
        stat(
            "Settled",
            "Imported, skipped or failed, of what is listed. It may fall while the folder is being listed. Not moving: see the dashboard Fleet, Overview.",
            "percentunit",
            query(f"{SETTLED} / ({items('listed')} > 0) or on () vector(0)"),
            decimals=1,
        ),
        stat(
            "Listed",
            "Entries of the folder and its subfolders, so far. 0 for minutes: listing waits for Drive, see Fleet / Dependencies.",
            "short",
            query(items("listed")),
        ),
        stat(
            "Imported",
            "In the bucket, with their row.",
            "short",
            query(items("imported")),
        ),
        stat(
            "Skipped",
            "Unchanged since an earlier import, or no image. All of them: the folder was imported before, or holds no images.",
            "short",
            query(items("skipped")),
        ),
        stat(
            "Failed",
            "`GET /api/imports/{id}/failures` groups them by cause and says what to do; `imagefleet retry` queues them again.",
            "short",
            query(items("failed")),
            limits=[(1, "red")],
        ),
        stat(
            "Listing",
            "While the folder is being listed the total still grows. For hours with nothing listed anew: Producer / Time of listing on the dashboard Fleet.",
            "short",
            query('max(imagefleet_import_listing{import="$import"})'),
            texts=[(1, "under way", "blue"), (0, "done", "green")],
        ),
        stat(
            "Since it began",
            "Until now, or until it ended.",
            "dtdurations",
            query(f"time() - {STARTED}"),
            width=6,
            decimals=0,
        ),
        stat(
            "Time left",
            "For what is listed, at the present rate. 'Not moving': it is paused, waits for its share of the queue, or something is away.",
            "dtdurations",
            query(f"clamp_max(({items('listed')} - {SETTLED} > 0) / sum({RATE}), {NEVER}) or on () vector(0)"),
            texts=[(NEVER, "not moving", "red")],
            width=6,
            decimals=0,
        ),
        stat(
            "Bytes imported",
            "What went into the bucket.",
            "bytes",
            query('max(imagefleet_import_bytes{import="$import"})'),
            width=6,
        ),
        stat(
            "Mean size of an image",
            "Large images are few a second: judge the rate by bytes.",
            "bytes",
            query(f"max(imagefleet_import_bytes{{import=\"$import\"}}) / ({items('imported')} > 0) or on () vector(0)"),
            width=6,
        ),
    ],
)

over_time = (
    "Over time",
    [
        lines(
            "Entries by state",
            "`listed` is the total so far; the others add up to it when the import has ended.",
            "short",
            query(f"max by (state) ({ITEMS})", "{{state}}"),
        ),
        lines(
            "Entries settled a second",
            "Falling with a steady fleet: other imports have their part, or the images become larger. `failed` in a row: one cause, see the failures.",
            "suffix: entries/s",
            query(RATE, "{{state}}"),
            stack=True,
        ),
        lines(
            "Bytes a second",
            "Near what the line or the store takes: more workers do not help.",
            "Bps",
            query('max(rate(imagefleet_import_bytes{import="$import"}[$__rate_interval]))', "imported"),
        ),
        lines(
            "Entries not settled",
            "Listed, and waiting or being worked on. Level: nothing of this import ends.",
            "short",
            query(f"{items('listed')} - {SETTLED}", "entries"),
        ),
        lines(
            "Part of the fleet",
            "Of the images that the fleet imports, those of this import. Imports that run side by side have equal parts; far less for long: this one waits for its listing.",
            "percentunit",
            query(
                """max(rate(imagefleet_import_items{import="$import", state="imported"}[$__rate_interval]))
                   / (sum(rate(imagefleet_worker_images_total{outcome="imported"}[$__rate_interval])) > 0) or on () vector(0)""",
                "part",
            ),
            max=1,
        ),
    ],
)

DASHBOARD = dashboard(
    "imagefleet-import",
    "Imagefleet / One import",
    "How one import gets on. Only the 20 imports under way that changed last are measured one by one.",
    [label_values("import", "Import", "Newest first.", "imagefleet_import_items", newest_first=True)],
    [progress, over_time],
)
