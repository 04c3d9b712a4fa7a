"""Figures of a run, and what was promised and is not so."""

import scrape

# Between the arrival of an import and the first decision that can know of it: the gateway looks at the
# queue (5 s of the machine's clock), Prometheus at the gateway, the autoscaler at Prometheus.
GATEWAY_LOOKS = 5


def figures(record, settings, speed):
    waves = by_wave(record, settings, speed)
    workers = [w for w in record.workers if w]
    large = max(record.imports, key=lambda one: one.images)
    settled = count(workers, "imagefleet_worker_phase_seconds_count", phase="settle")
    busy = count(workers, "imagefleet_worker_phase_seconds_sum") - count(
        workers, "imagefleet_worker_phase_seconds_sum", phase="quota")
    attempts = count(workers, "imagefleet_worker_attempts_sum") - count(workers, "imagefleet_worker_attempts_count")
    burst = [one for one in record.imports if one.wave == "burst"]
    return {
        "imports": len(record.imports),
        "images": sum(one.images for one in record.imports),
        "replicas_changes": len(record.replicas) - 1,
        "most_replicas": max(n for _, n, _ in record.replicas),
        "direction_changes_by_wave": {name: reversals(steps) for name, steps in waves.items()},
        "workers_removed": len(record.held),
        "of_these_holding_tasks": sum(1 for held in record.held if held),
        "redeliveries": int(count(workers, "imagefleet_worker_redeliveries_total")),
        "attempts_after_the_first": int(attempts),
        "downloads": sum(record.stats["downloads"].values()) + record.stats["other_downloads"],
        "quota_units_per_minute": int(settings.quota * speed),
        "most_units_in_any_minute": record.stats["max_quota_units_per_minute"],
        "quota_used_at_most_replicas": used(record, settings, speed, large),
        "seconds_per_image": round(busy / settled * speed, 2),
        "seconds_to_first_worker": to_replicas(record, record.imports[0].at, 1),
        "seconds_to_most_after_large": to_replicas(record, large.at, settings.spec.most),
        "seconds_to_most_after_burst": to_replicas(record, burst[0].at, settings.spec.most),
        "seconds_to_least_after_end": round(record.replicas[-1][0] - max(one.done for one in record.imports)),
    }


def broken(record, settings, found):
    wrong = list(record.wrong)
    for one in record.imports:
        wished = {"status": "completed", "total": one.images, "processed": one.images, "failed": 0, "skipped": 0}
        if (said := {name: one.status[name] for name in wished}) != wished:
            wrong.append(f"import {one.id} of {one.images} images: {said}")
    if found["downloads"] != found["images"]:
        wrong.append(f"{found['images']} images took {found['downloads']} downloads")
    for name in ("redeliveries", "attempts_after_the_first"):
        if found[name]:
            wrong.append(f"{name.replace('_', ' ')}: {found[name]}")
    most, allowed = found["most_units_in_any_minute"], found["quota_units_per_minute"]
    if most > allowed:
        wrong.append(f"{most} units in a minute, {allowed} are allowed")
    if found["most_replicas"] != settings.spec.most:
        wrong.append(f"{found['most_replicas']} workers at most: the backlog was not seen")
    for wave, changes in found["direction_changes_by_wave"].items():
        # Up, and down again.
        if changes > 1:
            wrong.append(f"{changes} changes of direction in the wave '{wave}'")
    if not found["of_these_holding_tasks"]:
        wrong.append("no worker was taken away while it held tasks: nothing is shown of draining")
    return wrong


def count(workers, name, **labels):
    return sum(scrape.total(samples, name, **labels) or 0 for samples in workers)


def by_wave(record, settings, speed):
    """Changes of the number of workers, each with the last wave that the autoscaler could know of."""
    delay = GATEWAY_LOOKS * speed + settings.scrape
    begins = {}
    for one in record.imports:
        begins.setdefault(one.wave, one.at)
    waves = {name: [] for name in begins}
    for (_, before, _), (at, after, _) in zip(record.replicas, record.replicas[1:]):
        begun = [name for name, start in begins.items() if start + (delay if after < before else 0) <= at]
        if begun:
            waves[begun[-1]].append(after - before)
    return waves


def reversals(steps):
    return sum(1 for a, b in zip(steps, steps[1:]) if (a > 0) != (b > 0))


def to_replicas(record, since, replicas):
    """Seconds until there were so many; 0 where there were already."""
    begun = max(at for at, _, _ in record.replicas if at <= since)
    return next((round(max(0, at - since)) for at, n, _ in record.replicas if at >= begun and n >= replicas), None)


def used(record, settings, speed, large):
    """Part of the quota that Drive counted from ten seconds after the last worker came until the large
    import was nearly done."""
    begin = next((at for at, n, _ in record.replicas if at >= large.at and n == settings.spec.most), None)
    within = [(at, units) for at, units in record.units if begin and begin + 10 <= at <= large.done - 15]
    if len(within) < 2:
        return None
    (first, before), (last, after) = within[0], within[-1]
    return round((after - before) / ((last - first) / 60 * settings.quota), 3)
