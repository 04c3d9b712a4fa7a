"""What arrives when, in seconds of the manifest's clock: follows from the seed."""

import dataclasses
import random


@dataclasses.dataclass(frozen=True)
class Arrival:
    at: float
    wave: str
    folder: str
    images: int


def arrivals(seed):
    """A small import; a large one, after which small ones keep a worker or two busy while the rest is
    taken away; several at once; silence."""
    dice = random.Random(seed)
    found = []

    def add(at, wave, images):
        folder = f"sim-n{images}-s1k-seed{seed * 1000 + len(found)}"
        found.append(Arrival(at, wave, folder, images))

    add(30 + dice.uniform(0, 10), "small", dice.randint(15, 20))
    add(120 + dice.uniform(0, 10), "large", dice.randint(5800, 6200))
    for turn in range(90):
        add(375 + 6 * turn + dice.uniform(0, 5), "large", dice.randint(15, 21))
    start = 930 + dice.uniform(0, 10)
    for _ in range(4):
        add(start + dice.uniform(0, 5), "burst", dice.randint(600, 800))
    return sorted(found, key=lambda arrival: arrival.at)
