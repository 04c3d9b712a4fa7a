"""What is simulated, read from the overlay's manifests as kustomize renders them, and from Prometheus'
configuration: a change there is a change here."""

import dataclasses
import pathlib
import sys

import hpa
import keda
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy/tests"))
import checks  # noqa: E402
import manifests  # noqa: E402

METRIC = 'imagefleet_consumer_lag{consumer="workers"'


@dataclasses.dataclass(frozen=True)
class Settings:
    overlay: str
    spec: hpa.Spec
    activation: keda.Activation | None
    from_nats: bool  # the lag is asked of nats-server, not of Prometheus
    per_image: float
    slots: int
    quota: int
    grace: float
    scrape: float


def read(overlay):
    objects = manifests.render(overlay)
    (scaler,) = manifests.of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    spec = scaler["spec"]
    worker = manifests.named(objects, "Deployment", spec["scaleTargetRef"]["name"])
    known = manifests.environment(objects, manifests.containers(worker)[0])
    activation, from_nats = None, False
    if scaler["kind"] == "ScaledObject":
        (trigger,) = spec["triggers"]
        metadata = trigger["metadata"]
        from_nats = trigger["type"] == "nats-jetstream"
        target = metadata["lagThreshold" if from_nats else "threshold"]
        least, most = max(1, spec["minReplicaCount"]), spec["maxReplicaCount"]
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert spec["minReplicaCount"] == 0 and trigger["metricType"] == "AverageValue"
        assert from_nats or METRIC in metadata["query"], f"{metadata['query']} is not simulated"
        threshold = float(metadata["activationLagThreshold" if from_nats else "activationThreshold"])
        activation = keda.Activation(spec["pollingInterval"], spec["cooldownPeriod"], threshold)
    else:
        (metric,) = spec["metrics"]
        assert metric["external"]["target"]["type"] == "AverageValue"
        target = metric["external"]["target"]["averageValue"]
        least, most, behavior = spec["minReplicas"], spec["maxReplicas"], spec["behavior"]
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    return Settings(
        overlay=overlay,
        spec=hpa.Spec(least, most, float(target), rules(behavior["scaleUp"]), rules(behavior["scaleDown"])),
        activation=activation,
        from_nats=from_nats,
        per_image=float(scaler["metadata"]["annotations"]["imagefleet/seconds-per-image"]),
        slots=int(known["WORKER_CONCURRENCY"]),
        quota=int(known["DRIVE_QUOTA_UNITS_PER_MINUTE"]),
        grace=manifests.seconds(known["SHUTDOWN_GRACE"]),
        scrape=manifests.seconds(prometheus["global"]["scrape_interval"]),
    )


def rules(given):
    unknown = set(given) - {"stabilizationWindowSeconds", "policies", "selectPolicy"}
    assert not unknown, f"{unknown} is not simulated"
    policies = tuple(hpa.Policy(p["type"], p["value"], p["periodSeconds"]) for p in given["policies"])
    return hpa.Rules(given["stabilizationWindowSeconds"], policies, given.get("selectPolicy", "Max"))


def images_per_second(settings):
    """What Drive's quota allows."""
    return settings.quota / 60 / checks.DOWNLOAD_UNITS

