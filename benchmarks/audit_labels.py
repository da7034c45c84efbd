"""Wrong labels planted in ESC-10 or scenes, how well they are ranked and named, beside cleanlab and nearest neighbours:

python -m benchmarks.audit_labels data/esc10
python -m benchmarks.audit_labels data/esc10 --embeddings clap-mini
python -m benchmarks.audit_labels --scenes 400 --embeddings esc10

All three have the same embeddings, of `esc10` (which learnt from the true labels of folds 1 to 4 of ESC-10, so that its
figures there flatter; fold 5 alone is told as well; it has heard no scenes), of `scenes` (which learnt from other
scenes) or of `clap-mini` (which has heard no recording at all). Cleanlab alone has the
probabilities of one cross-validated logistic regression, of scikit-learn's default strength or of the strength that our
own search chooses, and ranks by self-confidence.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.audit.label_error import judge
from pipeline.audit.probes import best_strength, foldings_for
from pipeline.datasets.scenes import write_scenes
from pipeline.inputs.load_windows import load_windows
from pipeline.models.checkpoint import load_explainer
from schemas.input_config import InputConfig

RATES = (0.05, 0.1, 0.2)
# Others than those by which the way was chosen (0 to 2) and the rule of what is named (100 to 102).
FIRST_SEED = 200
SCENES_SEED = 977


@dataclass(frozen=True)
class Recordings:
    """Embeddings `[n, D]`, true labels `[n]` and, of ESC-10, folds `[n]` of recordings."""

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64] | None


@torch.inference_mode()
def embedded(folder: Path, explainer: str) -> Recordings:
    """The recordings of a folder as a classifier embeds them, the mean over a recording's windows."""
    classifier = load_explainer(explainer).classifier
    table = folder / "meta" / "esc10.csv"
    reading = InputConfig(labels=str(table), label_column="category") if table.exists() else InputConfig()
    with tempfile.TemporaryDirectory() as scratch:
        windows = load_windows(str(folder), classifier.front_end.config, Path(scratch), reading=reading)
        found = [
            classifier(classifier.front_end.stft(windows.waveforms(batch)).abs()).embedding.numpy()
            for batch in torch.arange(len(windows)).split(16)
        ]
    sums = np.zeros((len(windows.keys), found[0].shape[1]))
    np.add.at(sums, windows.recording_index, np.concatenate(found))
    means = sums / np.bincount(windows.recording_index)[:, None]
    labels = np.array([windows.classes.index(own[0]) for own in windows.labels])
    folds = np.array([int(row["fold"]) for row in windows.metadata]) if table.exists() else None
    return Recordings(means.astype(np.float32), labels, folds)


def planted(labels: NDArray[np.int64], rate: float, seed: int) -> NDArray[np.int64]:
    """The labels with so large a share of them wrong, each other class as likely."""
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(labels), round(rate * len(labels)), replace=False)
    changed, classes = labels.copy(), int(labels.max()) + 1
    changed[wrong] = (labels[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return changed


def suspicion(embeddings: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """How much each way suspects each label `[n]`: larger is more; and, as `found`, which ours names."""
    groups = np.arange(len(labels))
    ours = judge(embeddings, labels, groups)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    def alone(strength: float) -> NDArray[np.float64]:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        made = cross_val_predict(model, embeddings, labels, cv=folds, method="predict_proba")
        return -np.asarray(get_label_quality_scores(labels, made))

    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)[:, :10]
    return {
        "lmac audit": 1 - ours.probabilities[groups, labels],
        "cleanlab, our probabilities": -get_label_quality_scores(labels, ours.probabilities),
        "cleanlab, default regression": alone(1.0),
        "cleanlab, tuned regression": alone(best_strength(embeddings, labels, groups, foldings_for(len(labels)))),
        "10 nearest neighbours": 1 - (labels[nearest] == labels[:, None]).mean(axis=1),
        "found": ours.wrong.astype(np.float64),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("esc10", type=Path, nargs="?", help="the folder of ESC-10, as `lmac data esc10` writes it")
    parser.add_argument("--scenes", type=int, help="so many scenes in the place of ESC-10")
    parser.add_argument("--embeddings", choices=("esc10", "scenes", "clap-mini"), default="esc10")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    if (arguments.esc10 is None) == (arguments.scenes is None):
        parser.error("give the folder of ESC-10 or --scenes")
    with tempfile.TemporaryDirectory() as made:
        if arguments.scenes:
            write_scenes(made, arguments.scenes, seed=SCENES_SEED, format="flac")
        recordings = embedded(arguments.esc10 or Path(made), arguments.embeddings)
    print(f"embeddings of {arguments.embeddings}, {arguments.seeds} seeds")
    print("| wrong labels | of | way | average precision | recall at their number |\n|---|---|---|---|---|")
    named = []
    for rate in RATES:
        scores: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
            labels = planted(recordings.labels, rate, seed)
            ways = suspicion(recordings.embeddings, labels)
            wrong, found = labels != recordings.labels, ways.pop("found") > 0
            named.append((rate, wrong[found].mean() if found.any() else 1.0, found[wrong].mean()))
            parts = {"all": np.ones(len(labels), bool)}
            if arguments.embeddings == "esc10" and recordings.folds is not None:
                parts["fold 5"] = recordings.folds == 5
            for part, chosen in parts.items():
                for way, values in ways.items():
                    first = np.argsort(-values[chosen], kind="stable")[: wrong[chosen].sum()]
                    precision = average_precision_score(wrong[chosen], values[chosen])
                    scores[part, way].append((precision, wrong[chosen][first].mean()))
        for (part, way), each in sorted(scores.items(), key=lambda one: one[0][0]):
            precision, recall = np.mean(each, axis=0)
            print(f"| {rate:.0%} | {part} | {way} | {precision:.3f} | {recall:.3f} |")
    for rate in RATES:
        precision, recall = np.mean([one[1:] for one in named if one[0] == rate], axis=0)
        print(f"named as findings, {rate:.0%} wrong labels: precision {precision:.2f}, recall {recall:.2f}")
    clean = judge(recordings.embeddings, recordings.labels, np.arange(len(recordings.labels)))
    print(f"named as findings in the labels as they are: {int(clean.wrong.sum())} of {len(clean.wrong)}")


if __name__ == "__main__":
    main()
