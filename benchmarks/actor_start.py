"""What an actor does before it is ready, step by step, in a process of its own; prints one line of JSON:

python -m benchmarks.actor_start EXPLAINER
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Start:
    """Seconds by step, up to the first window explained; whether laion_clap was imported, and who was asked for."""

    seconds: dict[str, float]
    laion_clap: bool
    network: list[str]


def measure_start(explainer: str) -> Start:
    """Start a fresh process, as Ray would, and let it tell what took how long.

    Raises CalledProcessError when it fails.
    """
    command = [sys.executable, "-m", "benchmarks.actor_start", explainer, str(time.time())]
    return Start(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))


def _main(explainer_url: str, begun: float) -> None:
    seconds: dict[str, float] = {}
    network: list[str] = []

    def lap(step: str) -> None:
        seconds[step] = time.time() - begun - sum(seconds.values())

    def heed(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.getaddrinfo":
            network.append(str(arguments[0]))
        elif event == "socket.connect":
            network.append(str(arguments[1]))

    sys.addaudithook(heed)
    lap("Python")
    import torch

    lap("import torch")
    from pipeline.flow.actor import Explainer

    lap("import the actor, with Ray")
    # Imported on use, by a classifier that is a CLAP.
    importlib.import_module("transformers.models.clap.modeling_clap")
    lap("import transformers' CLAP")
    explainer = Explainer.load(explainer_url)
    lap("build the explainer and load its weights")
    generator = torch.Generator().manual_seed(0)
    explainer.explain_windows(0.1 * torch.randn(1, explainer.config.front_end.window_samples, generator=generator))
    lap("explain the first window")
    print(json.dumps({"seconds": seconds, "laion_clap": "laion_clap" in sys.modules, "network": network}))


if __name__ == "__main__":
    _main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else time.time())
