"""What must hold of every overlay. Each check yields what is wrong, in words; nothing is fine."""

import math

from manifests import (
    ROOT, containers, default_grace, environment, named, of_kind, pod, pod_labels, seconds, selects,
    settings, workloads,
)
import yaml

# What each role may be told in secret, apart from what every process may know: nobody holds another's.
COMMON = {"NATS_PASSWORD", "OTEL_EXPORTER_OTLP_HEADERS"}
SECRETS = {
    "producer": COMMON | {"GOOGLE_API_KEY", "DB_USER", "DB_PASSWORD"},
    "worker": COMMON | {"GOOGLE_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                        "AZURE_STORAGE_CONNECTION_STRING"},
    "projector": COMMON | {"DB_USER", "DB_PASSWORD"},
    "gateway": COMMON | {"API_KEYS", "DB_USER", "DB_PASSWORD", "AWS_ACCESS_KEY_ID",
                         "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_CONNECTION_STRING"},
    "setup": COMMON,
}
# `worker/README.md`: the end comes 5 s after SHUTDOWN_GRACE at the latest.
HAND_BACK = 5
MARGIN = 10
# `gateway/src/config.rs`: Limits::drain.
GATEWAY_DRAIN = 10
# `libs/drive/src/cost.rs`: what a download costs.
DOWNLOAD_UNITS = 200


def each_container(objects):
    for workload in workloads(objects):
        for container in containers(workload):
            yield workload, container, f"{workload['metadata']['name']}/{container['name']}"


def restricted(objects):
    """The pod security standard `restricted`, and more."""
    for namespace in of_kind(objects, "Namespace"):
        labels = namespace["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"namespace {namespace['metadata']['name']} does not enforce pod security `restricted`"
    for workload in workloads(objects):
        name, context = workload["metadata"]["name"], pod(workload).get("securityContext", {})
        if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) == 0:
            yield f"{name} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile"
        if pod(workload).get("automountServiceAccountToken") is not False:
            yield f"{name} holds a token of the cluster's API"
        # A Service named gateway would set GATEWAY_PORT, which is one of our settings.
        if pod(workload).get("enableServiceLinks") is not False:
            yield f"{name} gets variables named after Services"
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod(workload).get(key):
                yield f"{name} has {key}"
        for volume in pod(workload).get("volumes", []):
            if "hostPath" in volume:
                yield f"{name} mounts a folder of the node"
    for _, container, where in each_container(objects):
        wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                  "capabilities": {"drop": ["ALL"]}}
        if container.get("securityContext") != wanted:
            yield f"{where}: securityContext is not {wanted}"


def resources(objects):
    for _, container, where in each_container(objects):
        given = container.get("resources", {})
        if not {"cpu", "memory"} <= given.get("requests", {}).keys():
            yield f"{where} does not request CPU and memory"
        if "memory" not in given.get("limits", {}):
            yield f"{where} has no limit of memory"
        if "cpu" in given.get("limits", {}):
            yield f"{where} has a limit of CPU: throttled, it is late with its heartbeats"


def probes(objects):
    for workload, container, where in each_container(objects):
        if workload["kind"] == "Job":
            continue
        ports = {port["name"] for port in container.get("ports", [])}
        missing = False
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container.get(kind)
            if not probe:
                yield f"{where} has no {kind}"
                missing = True
                continue
            target = probe.get("httpGet") or probe.get("tcpSocket")
            if target["port"] not in ports:
                yield f"{where}: {kind} asks port {target['port']}, which it does not have"
        role = pod_labels(workload).get("app.kubernetes.io/component")
        if role in SECRETS and not missing:
            path = container["livenessProbe"]["httpGet"]["path"]
            if path != "/livez":
                yield f"{where}: liveness by {path} restarts it while a dependency is away"
            ready = container["readinessProbe"]["httpGet"]["path"]
            if ready != ("/livez" if role == "gateway" else "/readyz"):
                yield f"{where}: readiness by {ready}"


def listening(objects):
    """A role listens where its port says, and on more than loopback."""
    for workload, container, where in each_container(objects):
        role = pod_labels(workload).get("app.kubernetes.io/component")
        if role not in SECRETS or role == "setup":
            continue
        known = environment(objects, container)
        if role == "gateway":
            address = f"{known.get('HOST')}:{known.get('GATEWAY_PORT', 5000)}"
        else:
            address = known.get(f"{role.upper()}_HEALTH_ADDR")
        port = container["ports"][0]["containerPort"]
        if address != f"0.0.0.0:{port}":
            yield f"{where} listens on {address}, its port is {port}"
        if container["args"] != [role]:
            yield f"{where} runs {container['args']}"


def setting_names(objects):
    for workload, container, where in each_container(objects):
        if container["name"] not in SECRETS:
            continue
        for name in environment(objects, container):
            if name not in settings():
                yield f"{where}: nothing reads the setting {name}"


def secrets(objects):
    documented = {}
    for secret in yaml.safe_load_all((ROOT / "deploy/kubernetes/secrets.example.yaml").read_text()):
        documented[secret["metadata"]["name"]] = set(secret["stringData"])
    for workload, container, where in each_container(objects):
        told = set()
        for entry in container.get("env", []):
            ref = entry.get("valueFrom", {}).get("secretKeyRef")
            if ref:
                told.add(entry["name"])
                if ref["key"] not in documented.get(ref["name"], set()):
                    yield f"{where}: secrets.example.yaml has no {ref['key']} in {ref['name']}"
                if container["name"] in SECRETS and container["name"] != "setup" and ref["name"] != container["name"]:
                    yield f"{where} reads {ref['name']}'s secret"
        if container["name"] in SECRETS:
            for name in told - SECRETS[container["name"]]:
                yield f"{where} need not know {name}"
            for name, value in environment(objects, container).items():
                # The simulated Drive's one key is printed in its README.
                if settings().get(name) and value is not None and value != "drive-sim-key":
                    yield f"{where}: {name} is a secret and stands in the manifest"
            user = environment(objects, container).get("NATS_USER")
            if user != {"setup": "admin"}.get(container["name"], container["name"]):
                yield f"{where} logs in to NATS as {user}"


def selectors(objects):
    every = [pod_labels(workload) for workload in workloads(objects)]
    for workload in of_kind(objects, "Deployment", "StatefulSet"):
        name, selector = workload["metadata"]["name"], workload["spec"]["selector"]
        if [labels for labels in every if selects(selector, labels)] != [pod_labels(workload)]:
            yield f"{name} does not select its own pods, and no others"
        for spread in pod(workload).get("topologySpreadConstraints", []):
            if spread["labelSelector"] != selector:
                yield f"{name} is spread by the labels of others"
        if "PodDisruptionBudget" in {thing["kind"] for thing in objects} and name in (*SECRETS, "nats"):
            budgets = [b for b in of_kind(objects, "PodDisruptionBudget") if b["spec"]["selector"] == selector]
            if len(budgets) != 1 and (name != "nats" or workload["spec"]["replicas"] > 1):
                yield f"{name} has {len(budgets)} disruption budgets"
    for service in of_kind(objects, "Service"):
        chosen = [w for w in workloads(objects) if selects({"matchLabels": service["spec"]["selector"]}, pod_labels(w))]
        ports = {port["name"] for w in chosen for c in containers(w) for port in c.get("ports", [])}
        numbers = {port["containerPort"] for w in chosen for c in containers(w) for port in c.get("ports", [])}
        for port in service["spec"]["ports"]:
            if port.get("targetPort", port["port"]) not in ports | numbers:
                yield f"Service {service['metadata']['name']}: nothing has port {port['name']}"
    for kind, ends, things in (("PodMonitor", "podMetricsEndpoints", workloads(objects)),
                               ("ServiceMonitor", "endpoints", of_kind(objects, "Service"))):
        for monitor in of_kind(objects, kind):
            for thing in things:
                labels = pod_labels(thing) if kind == "PodMonitor" else thing["metadata"]["labels"]
                if not selects(monitor["spec"]["selector"], labels):
                    continue
                of_pods = [port for c in containers(thing) for port in c.get("ports", [])] if kind == "PodMonitor" else []
                ports = thing["spec"]["ports"] if kind == "ServiceMonitor" else of_pods
                for end in monitor["spec"][ends]:
                    if end["port"] not in {port["name"] for port in ports}:
                        yield f"{kind} {monitor['metadata']['name']}: {thing['metadata']['name']} has no port {end['port']}"
            if not any(selects(monitor["spec"]["selector"], pod_labels(t) if kind == "PodMonitor" else t["metadata"]["labels"]) for t in things):
                yield f"{kind} {monitor['metadata']['name']} selects nothing"


def images(objects):
    for _, container, where in each_container(objects):
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            yield f"{where}: the image {container['image']} changes under one's feet"


def grace(objects):
    for workload, container, where in each_container(objects):
        given = pod(workload).get("terminationGracePeriodSeconds", 30)
        role = container["name"]
        if role in ("worker", "producer"):
            value = environment(objects, container).get("SHUTDOWN_GRACE")
            needed = (seconds(value) if value else default_grace(role)) + HAND_BACK + MARGIN
        elif role == "gateway":
            needed = container["lifecycle"]["preStop"]["sleep"]["seconds"] + GATEWAY_DRAIN + MARGIN
        else:
            continue
        if given < needed:
            yield f"{where} is killed after {given} s and needs {needed} s"


def cap(quota, per_image, slots):
    """Workers that the Drive quota can keep busy, and a fifth more."""
    return math.ceil(1.2 * quota / 60 / DOWNLOAD_UNITS * per_image / slots)


def scaling(objects):
    scalers = of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    for scaler in scalers:
        name = f"{scaler['kind']} {scaler['metadata']['name']}"
        spec = scaler["spec"]
        worker = named(objects, spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"])
        if "replicas" in worker["spec"]:
            yield f"{name}: each apply would set the number of workers back to {worker['spec']['replicas']}"
        known = environment(objects, containers(worker)[0])
        slots, quota = int(known["WORKER_CONCURRENCY"]), int(known["DRIVE_QUOTA_UNITS_PER_MINUTE"])
        notes = scaler["metadata"]["annotations"]
        per_image, drain = float(notes["imagefleet/seconds-per-image"]), float(notes["imagefleet/drain-seconds"])
        if scaler["kind"] == "ScaledObject":
            least, most = spec["minReplicaCount"], spec["maxReplicaCount"]
            behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
            metadata = spec["triggers"][0]["metadata"]
            target = float(metadata.get("lagThreshold") or metadata.get("threshold"))
            if least != 0:
                yield f"{name} never scales to zero"
            if not 1 <= spec["fallback"]["replicas"] <= most:
                yield f"{name} falls back to {spec['fallback']['replicas']} workers"
        else:
            least, most, behavior = spec["minReplicas"], spec["maxReplicas"], spec["behavior"]
            external = spec["metrics"][0]["external"]
            target = float(external["target"]["averageValue"])
            rules = yaml.safe_load((ROOT / "deploy/kubernetes/overlays/prometheus-adapter/adapter-values.yaml").read_text())
            served = [rule["name"]["as"] for rule in rules["rules"]["external"]]
            if external["metric"]["name"] not in served:
                yield f"{name}: the adapter serves {served}"
        if most != cap(quota, per_image, slots):
            yield f"{name}: at most {most} workers, the quota keeps {cap(quota, per_image, slots)} busy"
        if target != slots * drain / per_image:
            yield f"{name}: {target:g} tasks for each worker, the formula says {slots * drain / per_image:g}"
        # Busy workers show `slots` tasks held and a second's work waiting for each of them; the
        # autoscaler overlooks a tenth.
        if slots * (1 + 1 / per_image) / target < 1.2:
            yield f"{name}: a full queue would never ask for another worker"
        if least > most:
            yield f"{name}: at least {least} and at most {most} workers"
        down = behavior["scaleDown"]
        if down["stabilizationWindowSeconds"] < 300:
            yield f"{name} gives workers up after {down['stabilizationWindowSeconds']} s"
        drains = seconds(known["SHUTDOWN_GRACE"])
        if any(policy["type"] != "Pods" or policy["value"] > 1 or policy["periodSeconds"] < drains for policy in down["policies"]):
            yield f"{name}: more than one worker drains at a time"
    if len(scalers) > 1:
        yield "two autoscalers pull at the workers"


def sqlite(objects):
    for workload, container, where in each_container(objects):
        known = environment(objects, container) if container["name"] in SECRETS else {}
        if "DATABASE_PATH" in known and "/tmp" not in {m["mountPath"] for m in container.get("volumeMounts", [])}:
            yield f"{where}: SQLite has no place for temporary files"


ALL = [sqlite, restricted, resources, probes, listening, setting_names, secrets, selectors, images, grace, scaling]
