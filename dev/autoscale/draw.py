"""The chart: replicas, lag and throughput, one above the other."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import settings as reading  # noqa: E402

WORKERS, LAG, RATE, CAP, TEXT = "#1f5fa8", "#b3541e", "#2e7d4f", "#b00020", "#444444"
SMOOTH = 15  # seconds over which throughput is taken
# Imports that come within so many seconds, and are of a size, are named together.
TOGETHER = 30


def draw(record, settings, speed, path):
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False,
                         "axes.edgecolor": "#999999", "text.color": TEXT, "axes.labelcolor": TEXT})
    figure, (top, middle, bottom) = plt.subplots(3, 1, sharex=True, figsize=(11.5, 9), dpi=100)
    end = record.end / 60
    for panel in (top, middle, bottom):
        panel.grid(color="#e6e6e6", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.set_xlim(0, end)
        panel.tick_params(color="#999999", labelcolor=TEXT)
    workers(top, record, settings, end)
    lag(middle, record, settings, end)
    rate(bottom, record, settings, end)
    faster = "" if speed == 1 else f"; everything runs {speed:g} times as fast"
    bottom.set_xlabel(f"minutes of the manifest's clock{faster}")
    top.set_title(f"overlays/{settings.overlay}: {settings.slots} tasks a worker, {settings.per_image:g} s an image, "
                  f"{settings.quota:,} units a minute", loc="left", fontsize=12, pad=26)
    figure.tight_layout()
    figure.savefig(path, pil_kwargs={"optimize": True})
    plt.close(figure)


def line(panel, y, text, end):
    panel.axhline(y, color=CAP, linewidth=1, linestyle="--")
    panel.annotate(text, (end, y), xytext=(-2, 4), textcoords="offset points", ha="right", color=CAP, fontsize=10)


def workers(panel, record, settings, end):
    at = [t / 60 for t, _, _ in record.replicas] + [end]
    count = [n for _, n, _ in record.replicas]
    panel.step(at, count + count[-1:], where="post", color=WORKERS, linewidth=2)
    panel.fill_between(at, count + count[-1:], step="post", color=WORKERS, alpha=0.12)
    line(panel, settings.spec.most, f"at most {settings.spec.most}", end)
    panel.set_ylabel("workers")
    panel.set_ylim(0, settings.spec.most * 1.15)
    panel.yaxis.get_major_locator().set_params(integer=True)
    panel.annotate("images", (0, 1), xycoords="axes fraction", xytext=(-5, 6), textcoords="offset points",
                   ha="right", va="bottom", fontsize=10)
    for start, text in groups(record.imports):
        panel.annotate(text, (start / 60, 1), xycoords=("data", "axes fraction"), xytext=(0, 6),
                       textcoords="offset points", ha="left", va="bottom", fontsize=10)
    for one in record.imports:
        panel.plot([one.at / 60] * 2, [1, 1.025], transform=panel.get_xaxis_transform(), color=TEXT,
                   linewidth=1, clip_on=False)


def groups(imports):
    """(start, text) of imports that come close together."""
    found = []
    for one in imports:
        last = found[-1][-1] if found else None
        if last and one.at - last.at <= TOGETHER and last.images / 4 < one.images < last.images * 4:
            found[-1].append(one)
        else:
            found.append([one])
    for group in found:
        sizes = [one.images for one in group]
        if len(group) == 1:
            yield group[0].at, f"{sizes[0]:,}"
        else:
            yield group[0].at, f"{len(group)} of {min(sizes)} to {max(sizes)}"


def lag(panel, record, settings, end):
    seen = [(t / 60, n) for t, n in record.lag if n is not None]
    panel.step([t for t, _ in seen], [n for _, n in seen], where="post", color=LAG, linewidth=1.6)
    at = [t / 60 for t, _, _ in record.replicas] + [end]
    asked = [n * settings.spec.average_value for _, n, _ in record.replicas]
    panel.step(at, asked + asked[-1:], where="post", color=WORKERS, linewidth=1, linestyle=":")
    panel.set_ylabel("lag, in tasks")
    highest = max(seen, key=lambda point: point[1])
    panel.set_ylim(0, highest[1] * 1.2)
    panel.annotate("lag, as scraped", highest, xytext=(0, 8), textcoords="offset points", color=LAG, fontsize=10)
    longest = max(range(len(asked)), key=lambda index: (asked[index], at[index + 1] - at[index]))
    middle = (at[longest] + at[longest + 1]) / 2
    panel.annotate(f"{settings.spec.average_value:g} for each worker", (middle, asked[longest]), xytext=(0, 5),
                   textcoords="offset points", color=WORKERS, fontsize=10)


def rate(panel, record, settings, end):
    """Images a second of the manifest's clock, by the units that Drive counts."""
    per_image = reading.checks.DOWNLOAD_UNITS
    at, value, first = [], [], 0
    for now, units in record.units:
        while now - record.units[first][0] > SMOOTH:
            first += 1
        since, before = record.units[first]
        if now - since > SMOOTH / 2:
            at.append(now / 60)
            value.append((units - before) / per_image / (now - since))
    panel.plot(at, value, color=RATE, linewidth=1.4)
    panel.fill_between(at, value, color=RATE, alpha=0.12)
    cap = reading.images_per_second(settings)
    line(panel, cap, f"Drive's quota: {cap:.1f} a second", end)
    panel.set_ylabel("images a second")
    panel.set_ylim(0, cap * 1.2)
