"""Explaining windows as a share of its floor: the passes of the networks that the tables ask for, and nothing else.

python -m benchmarks.floor --explainer esc10 --precision bf16

*networks* are these passes on spectrograms that are on the device, at the best size of a batch; *resident* is all of
the work on waveforms that are there and stay there; *explain* is `explain_batches`, what a worker calls, from memory to
memory with listenables for 5% of the windows. They take turns in one process.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch

from benchmarks.device import explain, load, networks, resident, seconds, sounds
from benchmarks.figures import Figure, ratios, table
from pipeline.lmac.arguments import choose_device
from pipeline.lmac.memory import keep_freed_memory
from schemas.explainer_config import Precision

BATCHES = {"cpu": (4, 8, 16), "cuda": (64, 256)}


def measure(name: str, precision: Precision, device: str, rounds: int, compiled: bool = False) -> list[Figure]:
    """Windows a second of the three, and the shares of the floor."""
    chosen = choose_device(device).type
    keep_freed_memory(torch.device(chosen))
    explainer = load(name, chosen, precision)
    if compiled:
        explainer.passes.compile()
    rates: dict[str, list[float]] = {"networks": [], "resident": [], "explain": []}

    def networks_at(size: int) -> float:
        magnitude = explainer.passes.folded.front_end.stft(on_device[:size]).abs()
        return size / seconds(partial(networks, explainer, magnitude, True), chosen, 1)

    x = sounds(explainer, 2 * max(BATCHES[chosen]), None)
    on_device = torch.from_numpy(x).to(chosen)
    size = max(BATCHES[chosen], key=networks_at)
    for _ in range(rounds):
        rates["networks"].append(networks_at(size))
        rates["resident"].append(size / seconds(partial(resident, explainer, on_device[:size], True), chosen, 1))
        rates["explain"].append(len(x) / seconds(partial(explain, explainer, x, size), chosen, 1))
    part = f"floor: {name}, {precision}, {chosen}"
    return [
        *(Figure(part, f"{what}, batches of {size}", "windows/s", tuple(found)) for what, found in rates.items()),
        ratios(part, "resident / networks", rates["resident"], rates["networks"], "share"),
        ratios(part, "explain / networks", rates["explain"], rates["networks"], "share"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--explainer", default="esc10", help="a name or path; clap is of real size with random weights")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compiled", action="store_true")
    given = parser.parse_args()
    print(table(measure(given.explainer, given.precision, given.device, given.rounds, given.compiled)))


if __name__ == "__main__":
    main()
