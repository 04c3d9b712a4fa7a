"""What must hold of the network policies of every overlay."""

import urllib.parse

from manifests import containers, environment, of_kind, pod_labels, selects, workloads


def _rules(objects, labels, direction):
    for policy in of_kind(objects, "NetworkPolicy"):
        spec = policy["spec"]
        if direction.capitalize() in spec["policyTypes"] and selects(spec["podSelector"], labels):
            yield from spec.get(direction, [])


def _ports(workload):
    return {port["containerPort"] for c in containers(workload) for port in c.get("ports", [])}


def denied(objects):
    """Nothing is allowed that is not allowed below."""
    if not any(p["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for p in of_kind(objects, "NetworkPolicy")):
        yield "there is no policy that denies everything"


def existing(objects):
    """Policies are about pods and ports that exist."""
    for policy in of_kind(objects, "NetworkPolicy"):
        name, spec = policy["metadata"]["name"], policy["spec"]
        about = [w for w in workloads(objects) if selects(spec["podSelector"], pod_labels(w))]
        if not about:
            yield f"policy {name} is about no pod"
        for rule in spec.get("ingress", []):
            for port in rule["ports"]:
                if not any(port["port"] in _ports(workload) for workload in about):
                    yield f"policy {name} opens port {port['port']}, which no pod has"
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(direction, []):
                if not rule.get("ports"):
                    yield f"policy {name} opens every port"
                for peer in rule.get(peers) or [{"podSelector": {"matchLabels": {"any": "body"}}}]:
                    # What is in other namespaces is not known here.
                    ours = "podSelector" in peer and "namespaceSelector" not in peer
                    chosen = [w for w in workloads(objects) if ours and selects(peer["podSelector"], pod_labels(w))]
                    if ours and not chosen:
                        yield f"policy {name} names a peer that does not exist"
                    if direction == "egress" and chosen and not any(p["port"] in _ports(w) for w in chosen for p in rule["ports"]):
                        yield f"policy {name} leads to a port that no pod has"


def workers(objects):
    """Nobody but Prometheus reaches a worker; a worker reaches NATS, DNS and HTTPS."""
    for workload in workloads(objects):
        if workload["metadata"]["name"] != "worker":
            continue
        into = list(_rules(objects, pod_labels(workload), "ingress"))
        monitoring = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
        if [rule["from"] for rule in into] != [monitoring]:
            yield "somebody but Prometheus reaches the workers"
        simulated = any(w["metadata"]["name"] == "drive-sim" for w in workloads(objects))
        traced = "OTEL_EXPORTER_OTLP_ENDPOINT" in environment(objects, containers(workload)[0])
        allowed = {53, 443, 4222} | ({8080} if simulated else set()) | ({4318} if traced else set())
        ports = {port["port"] for rule in _rules(objects, pod_labels(workload), "egress") for port in rule["ports"]}
        if ports != allowed:
            yield f"a worker reaches the ports {sorted(ports)}"


def nats(objects):
    """Whoever is given NATS_URL reaches it, and NATS lets it in."""
    server = [w for w in workloads(objects) if w["kind"] == "StatefulSet"][0]
    for workload in workloads(objects):
        if "NATS_URL" not in environment(objects, containers(workload)[0]):
            continue
        name = workload["metadata"]["name"]
        for direction, peers, here, there in (("egress", "to", workload, server), ("ingress", "from", server, workload)):
            if not any(
                "podSelector" in peer and selects(peer["podSelector"], pod_labels(there)) and any(p["port"] == 4222 for p in rule["ports"])
                for rule in _rules(objects, pod_labels(here), direction)
                for peer in rule[peers]
            ):
                yield f"{name} and NATS: no {direction}"


def collector(objects):
    """Whoever is told of a collector reaches it."""
    for workload in workloads(objects):
        endpoint = environment(objects, containers(workload)[0]).get("OTEL_EXPORTER_OTLP_ENDPOINT")
        if endpoint is None:
            continue
        port = urllib.parse.urlsplit(endpoint).port
        if not any(rule["ports"] == [{"protocol": "TCP", "port": port}] for rule in _rules(objects, pod_labels(workload), "egress")):
            yield f"{workload['metadata']['name']} does not reach the collector"


ALL = [denied, existing, workers, nats, collector]
