"""Present a study of layers: as Markdown, and as one plot."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.inputs.selection import describe, parse_selection
from pipeline.layers.similarity import RECORDINGS_PER_DIRECTION
from pipeline.layers.study import LayerStudy
from schemas.layers_config import LayersConfig

_SVCCA = " SVCCA with log-mel |"
_NOTES = """
Accuracy is that of multinomial logistic regression on each recording's pooled features (mean and standard deviation
over time per channel and mel band; embedding and logits as they are), over recordings in parts that it was not fitted
to, with Wilson's 95% interval over recordings; chance means always naming the most common label. The classifier's deep
layers have seen the labels of its training recordings: probe recordings that it was not trained on.

CKA is linear, with the unbiased estimator: 0 on average for independent layers, 1 for layers that are equal up to
rotation, shift and scale.
"""


def markdown(study: LayerStudy, explainer: str, digest: str, config: LayersConfig) -> str:
    """Format the study as Markdown: what was probed, a row per layer, CKA between all layers."""
    task = study.subjects.task
    column = "" if config.label_column is None else f" (`{_cell(config.label_column)}`)"
    chosen = f" ({_cell(describe(parse_selection(config.select)))})" if config.select else ""
    groups = "" if config.group is None else f", no `{_cell(config.group)}` on both sides"
    n_windows, n_recordings = len(study.subjects.windows), len(study.subjects.windows.keys)
    svcca = bool(np.isfinite(study.svcca[1:, 0]).any())
    lines = [
        f"# What each layer represents: {_cell(explainer)}",
        "",
        (
            f"{n_recordings} recordings{chosen} in {n_windows} windows; {len(task.labels)} recordings of "
            f"{len(set(task.labels.tolist()))} labels{column} probed in {len(task.folds)} folds{groups}; "
            f"seed {config.seed}; explainer digest `{digest[:12]}`."
        ),
        *(f"{line}." for line in study.subjects.left_out),
        "",
        f"| layer | shape | features | accuracy | 95% | chance | CKA with log-mel |{_SVCCA if svcca else ''}",
        "|---" * (8 if svcca else 7) + "|",
    ]
    for number, (layer, score) in enumerate(zip(study.layers, study.probes, strict=True)):
        features = str(layer.width) if layer.width == layer.pooled else f"{layer.width} of {layer.pooled}, projected"
        lines.append(
            f"| {layer.name} | {' x '.join(map(str, layer.shape))} | {features} | {score.accuracy:.3f} "
            f"| {score.low:.3f} to {score.high:.3f} | {task.chance:.3f} "
            f"| {_figure(study.cka[number, 0])} |{f' {_figure(study.svcca[number, 0])} |' if svcca else ''}"
        )
    names = [layer.name for layer in study.layers]
    lines += [_NOTES, f"| CKA | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(_figure, row))} |" for name, row in zip(names, study.cka, strict=True)]
    if np.isnan(study.svcca).any():
        lines += [
            "",
            (
                "SVCCA is left out where a layer has more directions (of 99% of its variance) than one for every"
                f" {RECORDINGS_PER_DIRECTION} of the {n_recordings} recordings: correlations of so many are high"
                " whatever the layers hold."
            ),
        ]
    return "\n".join(lines) + "\n"


def plot(study: LayerStudy) -> bytes:
    """Plot the study as PNG: probe accuracy by layer with its interval and chance, and CKA between all layers."""
    names = [layer.name for layer in study.layers]
    places = np.arange(len(names))
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)

    value = np.array([score.accuracy for score in study.probes])
    reach = np.array([[v - s.low, s.high - v] for v, s in zip(value, study.probes, strict=True)]).T
    left.errorbar(places, value, yerr=reach.clip(0), fmt="o-", capsize=4, color="tab:blue", label="linear probe, 95%")
    task = study.subjects.task
    chance, probed = task.chance, f"{len(task.labels)} recordings, {len(set(task.labels.tolist()))} labels"
    left.axhline(chance, linestyle="--", color="tab:gray", label=f"chance {chance:.2f}")
    left.set(ylim=(0, 1.02), ylabel="accuracy over recordings", title=f"what can be read off each layer: {probed}")
    left.grid(axis="y", alpha=0.3)
    left.legend(loc="best")

    image = right.imshow(study.cka, cmap="viridis", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(study.cka):
        # Numbers must be legible at both ends of the colour scale.
        ink = "black" if number > 0.6 else "white"
        right.text(column, row, _figure(number), ha="center", va="center", fontsize=8, color=ink)
    right.set(yticks=places, title="similarity of layers: linear CKA, unbiased")
    right.set_yticklabels(names)
    for axis in (left, right):
        axis.set_xticks(places)
        axis.set_xticklabels(names, rotation=30, ha="right")
    figure.colorbar(image, ax=right, shrink=0.8)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _figure(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def _cell(text: str) -> str:
    # A name is arbitrary text, and Markdown passes HTML through.
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("`", "'"), ("\n", " ")):
        text = text.replace(sign, safe)
    return text
