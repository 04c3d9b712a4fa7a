"""What KEDA does beside the autoscaler it makes: from none to one, and to none.

Follows https://keda.sh/docs/latest/reference/scaledobject-spec/ and RequestScale of KEDA's
pkg/scaling/executor: whatever the number of workers is, all go when the cooldown is over. From one up,
the HorizontalPodAutoscaler decides.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Activation:
    polling: float
    cooldown: float
    threshold: float


def activate(current, value, activation, last_active, now):
    """Replicas from now on, and when there was work last. `value` is None where it is missing."""
    if value is None:
        return current, last_active
    if value > activation.threshold:
        return max(current, 1), now
    if current > 0 and (last_active is None or now - last_active > activation.cooldown):
        return 0, last_active
    return current, last_active
