"""Reading /metrics as Prometheus does: a snapshot of every target at an interval, none where one does
not answer."""

import json
import re
import urllib.request

TIMEOUT = 10  # Prometheus' scrape_timeout
_SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


def get(url):
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        return answer.read().decode()


def parse(text):
    """(name, labels) to value."""
    samples = {}
    for line in text.splitlines():
        if match := _SAMPLE.match(line):
            name, labels, value = match.groups()
            samples[name, frozenset(_LABEL.findall(labels or ""))] = float(value)
    return samples


def scrape(address):
    """The samples of one target, or None."""
    try:
        return parse(get(f"http://{address}/metrics"))
    except OSError:
        return None


def total(samples, name, **labels):
    """The sum of what matches, or None where nothing does."""
    wanted = set(labels.items())
    found = [value for (of, has), value in (samples or {}).items() if of == name and wanted <= has]
    return sum(found) if found else None


def lag_at_nats(monitor):
    """What KEDA's nats-jetstream scaler reads: pending and unacknowledged messages of the consumer."""
    try:
        answer = json.loads(get(f"http://{monitor}/jsz?acc=$G&consumers=true&config=true"))
    except OSError:
        return None
    for account in answer.get("account_details", []):
        for stream in account.get("stream_detail", []):
            for consumer in stream.get("consumer_detail", []):
                if (stream["name"], consumer["name"]) == ("TASKS", "workers"):
                    return consumer["num_pending"] + consumer["num_ack_pending"]
    return None
