"""What is to happen to a run, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

from tests.faults.cluster import CPUS
from tests.faults.dataset import PARTS

Store = Literal["local", "s3"]
Kind = Literal[
    "actor-killed",
    "s3-gone",
    "decoder-killed",
    "s3-hangs",
    "writer-killed",
    "s3-mute",
    "driver-killed-twice",
    "s3-busy",
    "actor-node-lost",
    "s3-cuts",
    "decoder-node-lost",
    "disk-full",
    "node-joins-late",
    "poison-recordings",
    "node-drains",
    "ctrl-c",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
NODE_KINDS = frozenset({"actor-node-lost", "decoder-node-lost", "node-joins-late", "node-drains"})
S3_KINDS = frozenset(kind for kind in KINDS if kind.startswith("s3-"))
# An outage that the others are held against; those that come beside something else are shorter.
OUTAGE_S = 30.0
# An actor as large as a node: its decoders are on the other one. Or as many small ones as there is room for.
POOLS = {
    "one large actor": ("--actors", "1", "--cpus-per-actor", str(CPUS), "--streams-per-actor", "2"),
    "small actors": ("--cpus-per-actor", "1"),
}


@dataclass(frozen=True)
class Fault:
    """Something that happens once, `lag` seconds after `at` parts are committed; `seconds` is how long it lasts.

    For a node that is lost or drains it is the time until another takes its place, or until it is taken away. A server
    that is busy or cuts connections for 0 seconds does so to the end.
    """

    kind: Kind
    at: int = 0
    lag: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        lasts = f" {self.seconds:.0f} s" if self.seconds else ""
        return f"{self.kind}{lasts} at {self.at}" if self.at or self.lag else f"{self.kind}{lasts}"


@dataclass(frozen=True)
class Schedule:
    """Where a run reads and writes, who works on it, and what happens to it, in order."""

    seed: int
    store: Store
    pool: str
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{self.seed:4d}  {self.store:5s}  {self.pool:15s}  " + "; ".join(map(str, self.faults))

    @property
    def kinds(self) -> set[Kind]:
        return {fault.kind for fault in self.faults}


def draw(seed: int) -> Schedule:
    """The schedule of a seed: one kind by its number, so that each gets its turn, and up to three more by chance."""
    rng = random.Random(seed)
    first = KINDS[seed % len(KINDS)]
    store: Store = rng.choice(["local", "s3"])
    if first in S3_KINDS:
        store = "s3"
    if first == "disk-full":
        store = "local"
    others = [kind for kind in KINDS if kind != first and _goes_with(kind, first, store)]
    kinds = [first]
    for kind in rng.sample(others, rng.choice([0, 0, 1, 1, 2, 3])):
        if all(_goes_with(kind, other, store) for other in kinds):
            kinds.append(kind)
    pool = rng.choice(sorted(POOLS))
    if "decoder-node-lost" in kinds:
        pool = "one large actor"
    if "node-joins-late" in kinds:
        pool = "small actors"
    # Every other time the full outage, for the one kind whose turn it is.
    long = seed // len(KINDS) % 2 == 0
    faults = [fault for kind in kinds for fault in _faults(kind, rng, long and kind == first)]
    return Schedule(seed, store, pool, tuple(sorted(faults, key=lambda fault: fault.at)))


def _goes_with(kind: Kind, other: Kind, store: Store) -> bool:
    if (kind in S3_KINDS and store != "s3") or (kind == "disk-full" and store != "local"):
        return False
    # A cluster of two nodes can spare one at a time.
    return not (kind in NODE_KINDS and other in NODE_KINDS)


def _faults(kind: Kind, rng: random.Random, long: bool) -> list[Fault]:
    at, lag = rng.randint(1, PARTS * 2 // 3), round(rng.uniform(0.0, 0.5), 2)
    if kind in ("poison-recordings", "disk-full"):
        return [Fault(kind)]
    if kind == "driver-killed-twice":
        # The second time perhaps before anything has begun.
        return [Fault(kind, at, lag), Fault(kind, rng.randint(at, PARTS * 3 // 4), round(rng.uniform(0.1, 8.0), 2))]
    if kind == "node-joins-late":
        return [Fault(kind, rng.randint(1, 4), lag)]
    if kind in ("s3-busy", "s3-cuts"):
        return [Fault(kind, at, lag, 0.0 if long else OUTAGE_S)]
    if kind in ("s3-gone", "s3-hangs", "s3-mute"):
        return [Fault(kind, at, lag, OUTAGE_S if long else float(rng.randint(2, 6)))]
    if kind in NODE_KINDS:
        return [Fault(kind, at, lag, float(rng.randint(1, 6)))]
    return [Fault(kind, at, lag)]
