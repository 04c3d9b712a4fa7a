"""The HorizontalPodAutoscaler's algorithm: what it makes of a metric, and nothing else.

Follows "Algorithm details" and "Configurable scaling behavior" of
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ and, where these are silent
(rounding, which events count), pkg/controller/podautoscaler of Kubernetes: the names of its functions
are at ours. Times are seconds on any clock.
"""

import dataclasses
import math

# --horizontal-pod-autoscaler-tolerance and --horizontal-pod-autoscaler-sync-period: their defaults,
# which a manifest cannot change.
TOLERANCE = 0.1
SYNC_SECONDS = 15


@dataclasses.dataclass(frozen=True)
class Policy:
    kind: str  # Pods or Percent
    value: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Rules:
    """`scaleUp` or `scaleDown` of `behavior`."""

    window: float
    policies: tuple
    select: str = "Max"  # Max, Min or Disabled


@dataclasses.dataclass(frozen=True)
class Spec:
    least: int
    most: int
    average_value: float
    up: Rules
    down: Rules


@dataclasses.dataclass(frozen=True)
class History:
    """What the controller remembers: (time, wished replicas) and (time, change of replicas)."""

    wishes: tuple = ()
    changes: tuple = ()


def wish(current, total, average_value):
    """Replicas for an external metric with AverageValue (GetExternalPerPodMetricReplicas)."""
    ratio = total / (average_value * current)
    return current if 1 - TOLERANCE <= ratio <= 1 + TOLERANCE else math.ceil(total / average_value)


def stabilize(current, desired, spec, wishes, now):
    """The lowest wish of the window of `up`, the highest of that of `down`
    (stabilizeRecommendationWithBehaviors)."""
    lowest = min([desired] + [n for at, n in wishes if at > now - spec.up.window])
    highest = max([desired] + [n for at, n in wishes if at > now - spec.down.window])
    return min(max(current, lowest), highest)


def limit(current, rules, changes, now, sign):
    """How far the policies let it go (calculateScaleUpLimitWithScalingRules, …ScaleDownLimit…)."""
    if rules.select == "Disabled":
        return current
    proposals = []
    for policy in rules.policies:
        start = current - sum(change for at, change in changes if at > now - policy.seconds)
        if policy.kind == "Pods":
            proposals.append(start + sign * policy.value)
        elif sign > 0:
            proposals.append(math.ceil(start * (1 + policy.value / 100)))
        else:
            proposals.append(int(start * (1 - policy.value / 100)))
    # Max is the policy that changes most, in either direction.
    farthest = (max if sign > 0 else min) if rules.select == "Max" else (min if sign > 0 else max)
    # Never the other way, should recent changes have gone beyond the limit.
    return (max if sign > 0 else min)(current, farthest(proposals))


def decide(current, total, spec, history, now):
    """Replicas from now on, and the new history. `total` is None where the metric is missing."""
    if current == 0 or total is None:
        # Scaled to nothing by somebody else, it is off; without its metric it leaves things alone.
        return current, history
    wishes = history.wishes or ((now, current),)  # recordInitialRecommendation
    if current > spec.most:
        replicas = spec.most
    elif current < spec.least:
        replicas = spec.least
    else:
        desired = wish(current, total, spec.average_value)
        replicas = stabilize(current, desired, spec, wishes, now)
        wishes += ((now, desired),)
        # convertDesiredReplicasWithBehaviorRate
        if replicas > current:
            replicas = min(replicas, spec.most, limit(current, spec.up, history.changes, now, 1))
        elif replicas < current:
            replicas = max(replicas, spec.least, limit(current, spec.down, history.changes, now, -1))
    changes = history.changes
    if replicas != current:
        changes += ((now, replicas - current),)
    return replicas, History(wishes, changes)
