"""What kustomize makes of the overlays, and what the Rust sources say about settings."""

import copy
import functools
import os
import pathlib
import re
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = sorted(path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))


@functools.cache
def _rendered(overlay):
    return _kustomize(KUBERNETES / "overlays" / overlay)


def _kustomize(folder):
    command = [ROOT / ".tools/bin/kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone"]
    done = subprocess.run([*command, folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"kustomize cannot render {folder}: {done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


def render_with(overlay, component):
    """The overlay's objects, in an overlay of somebody's that adds a component."""
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder).resolve()
        own = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "imagefleet",
            "resources": [os.path.relpath(KUBERNETES / "overlays" / overlay, here)],
            "components": [os.path.relpath(KUBERNETES / "components" / component, here)],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(own))
        return _kustomize(here)


def render(overlay):
    """The overlay's objects; the caller may change them."""
    return copy.deepcopy(_rendered(overlay))


def of_kind(objects, *kinds):
    return [thing for thing in objects if thing["kind"] in kinds]


def named(objects, kind, name):
    found = [t for t in of_kind(objects, kind) if t["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def workloads(objects):
    """Everything that makes pods."""
    return of_kind(objects, "Deployment", "StatefulSet", "Job")


def pod(workload):
    return workload["spec"]["template"]["spec"]


def pod_labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def containers(workload):
    return pod(workload).get("initContainers", []) + pod(workload)["containers"]


def selects(selector, labels):
    """Whether a label selector matches; an empty one matches everything."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for wish in selector.get("matchExpressions", []):
        assert wish["operator"] == "In", f"{wish['operator']} is not known here"
        if labels.get(wish["key"]) not in wish["values"]:
            return False
    return True


def environment(objects, container):
    """Name to value, where it is known; None for what comes from a Secret or a field."""
    values = {}
    for source in container.get("envFrom", []):
        config = named(objects, "ConfigMap", source["configMapRef"]["name"])
        values.update(config["data"])
    for entry in container.get("env", []):
        values[entry["name"]] = entry.get("value")
    return values


@functools.cache
def settings():
    """Name to whether it is a secret: the list of `imagefleet config`, which a test of its own keeps
    equal to what the code reads."""
    text = (ROOT / "imagefleet/src/config.rs").read_text().split("#[cfg(test)]")[0]
    found = re.findall(r'\b(setting|secret)\(\s*"([A-Z0-9_]+)"', text)
    assert len(found) > 30, "the search finds too little"
    return {name: kind == "secret" for kind, name in found}


def seconds(text):
    match = re.fullmatch(r"(\d+)(ms|s|m|h)?", text)
    assert match, f"{text!r} is no duration"
    return int(match[1]) * {"ms": 0.001, None: 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def default_grace(role):
    text = (ROOT / role / "src/config.rs").read_text()
    match = re.search(r'"SHUTDOWN_GRACE", Duration::from_secs\((\d+)\)', text)
    assert match, f"{role}/src/config.rs does not say how long SHUTDOWN_GRACE is"
    return int(match[1])
