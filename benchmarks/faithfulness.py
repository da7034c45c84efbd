"""Accuracy and faithfulness of an explainer on labelled clips, for instance on ESC-10's unseen fold:

python -m benchmarks.faithfulness data/esc10 --explainer esc10 --labels data/esc10/meta/esc10.csv --select fold=5
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from pipeline.lmac.explainer import Explainer
from pipeline.lmac.holdout import parse_selection
from pipeline.lmac.windowset import WindowSet, load_windows
from pipeline.storage.labels import load_labels


def measure(explainer: Explainer, windows: WindowSet, batch_size: int = 16) -> dict[str, float]:
    """Mean of every score over windows, and the classifier's accuracy per window where labels are known."""
    columns: dict[str, list[np.ndarray]] = {}
    for batch in torch.arange(len(windows)).split(batch_size):
        explanation = explainer.explain(windows.waveforms(batch))
        truth = windows.labels_of(batch).numpy()
        scores = {"accuracy": (explanation.label_index == truth).astype(float), **explanation.scores}
        for name, values in scores.items():
            columns.setdefault(name, []).append(values)
    return {name: float(np.concatenate(values).mean()) for name, values in columns.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("--explainer", default="esc10")
    parser.add_argument("--labels")
    parser.add_argument("--select", action="append", default=[])
    arguments = parser.parse_args()
    explainer = Explainer.load(arguments.explainer)
    with tempfile.TemporaryDirectory() as scratch:
        windows = load_windows(
            arguments.input,
            explainer.config.front_end,
            Path(scratch),
            labels=load_labels(arguments.labels) if arguments.labels else None,
            classes=explainer.config.labels,
        )
        if arguments.select:
            windows = windows.where(parse_selection(arguments.select))
        scores = measure(explainer, windows)
    print(
        f"{arguments.explainer} on {len(windows)} windows of {len(windows.keys)} clips, digest {explainer.digest[:12]}"
    )
    for name, value in scores.items():
        print(f"{name:20s} {value:8.3f}")


if __name__ == "__main__":
    main()
