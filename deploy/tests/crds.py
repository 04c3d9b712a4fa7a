"""Strict schemas of exactly the fields that are used of other projects' resources: what is not here is
a mistake, or is to be added after a look at the project's reference."""


def _closed(properties, optional=()):
    return {"type": "object", "properties": properties, "additionalProperties": False,
            "required": [name for name in properties if name not in optional]}


TEXT = {"type": "string", "minLength": 1}
NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
COUNT = {"type": "integer", "minimum": 0}
DURATION = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = _closed({"name": TEXT, "namespace": TEXT, "annotations": TEXTS, "labels": TEXTS}, ("annotations", "labels"))


def _resource(version, kind, spec):
    return _closed({"apiVersion": {"const": version}, "kind": {"const": kind}, "metadata": METADATA, "spec": spec})


SELECTOR = _closed({
    "matchLabels": TEXTS,
    "matchExpressions": {"type": "array", "items": _closed({
        "key": TEXT, "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
        "values": {"type": "array", "items": TEXT}}, ("values",))},
}, ("matchLabels", "matchExpressions"))
ENDPOINTS = {"type": "array", "minItems": 1, "items": _closed({
    "port": TEXT, "path": {"type": "string", "pattern": "^/"}, "interval": DURATION,
    "relabelings": {"type": "array", "items": _closed({
        "sourceLabels": {"type": "array", "items": TEXT}, "targetLabel": TEXT,
        "replacement": {"type": "string", "pattern": "^imagefleet-"}}, ("sourceLabels",))}}, ("path", "interval"))}

POLICIES = _closed({
    "stabilizationWindowSeconds": {"type": "integer", "minimum": 0, "maximum": 3600},
    "policies": {"type": "array", "minItems": 1, "items": _closed({
        "type": {"enum": ["Pods", "Percent"]},
        "value": {"type": "integer", "minimum": 1},
        "periodSeconds": {"type": "integer", "minimum": 1, "maximum": 1800}})},
})
TRIGGER = {"oneOf": [
    _closed({"type": {"const": kind}, "metricType": {"enum": ["AverageValue", "Value"]}, "metadata": metadata})
    for kind, metadata in (
        ("nats-jetstream", _closed({
            "natsServerMonitoringEndpoint": {"type": "string", "pattern": "^[a-z0-9.-]+:[0-9]+$"},
            "account": TEXT, "stream": {"const": "TASKS"}, "consumer": {"const": "workers"},
            "lagThreshold": NUMBER, "activationLagThreshold": NUMBER})),
        ("prometheus", _closed({
            "serverAddress": {"type": "string", "pattern": "^https?://"}, "query": TEXT,
            "threshold": NUMBER, "activationThreshold": NUMBER, "ignoreNullValues": {"enum": ["true", "false"]}})),
    )]}

SCHEMAS = {
    # keda.sh/docs: ScaledObject specification, scalers NATS JetStream and Prometheus.
    "ScaledObject": _resource("keda.sh/v1alpha1", "ScaledObject", _closed({
        "scaleTargetRef": _closed({"apiVersion": TEXT, "kind": TEXT, "name": TEXT}),
        "minReplicaCount": COUNT, "maxReplicaCount": COUNT, "pollingInterval": COUNT, "cooldownPeriod": COUNT,
        "fallback": _closed({"failureThreshold": COUNT, "replicas": COUNT}),
        "advanced": _closed({"horizontalPodAutoscalerConfig": _closed({
            "behavior": _closed({"scaleUp": POLICIES, "scaleDown": POLICIES})})}),
        "triggers": {"type": "array", "minItems": 1, "maxItems": 1, "items": TRIGGER},
    })),
    # prometheus-operator.dev: API reference.
    "PodMonitor": _resource("monitoring.coreos.com/v1", "PodMonitor", _closed({
        "selector": SELECTOR, "podMetricsEndpoints": ENDPOINTS})),
    "ServiceMonitor": _resource("monitoring.coreos.com/v1", "ServiceMonitor", _closed({
        "selector": SELECTOR, "endpoints": ENDPOINTS})),
}
