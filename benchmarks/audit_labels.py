"""Wrong labels planted in ESC-10, and how well they are ranked and named, beside cleanlab alone and nearest neighbours:

python -m benchmarks.audit_labels data/esc10
python -m benchmarks.audit_labels data/esc10 --embeddings clap-mini

All three have the same embeddings, of `esc10` (which learnt from the true labels of folds 1 to 4, so that its figures
flatter; fold 5 alone is told as well) or of `clap-mini` (which has heard no recording at all). Cleanlab alone has the
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
from pipeline.audit.probes import best_strength
from pipeline.inputs.load_windows import load_windows
from pipeline.models.checkpoint import load_explainer
from schemas.input_config import InputConfig

RATES = (0.05, 0.1, 0.2)
# Others than those by which the way was chosen (0 to 2) and the rule of what is named (100 to 102).
FIRST_SEED = 200


@dataclass(frozen=True)
class Recordings:
    """Embeddings `[n, D]`, true labels `[n]` and folds `[n]` of recordings."""

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]


@torch.inference_mode()
def embedded(folder: Path, explainer: str) -> Recordings:
    """The recordings of ESC-10 as a classifier embeds them, the mean over a recording's windows."""
    classifier = load_explainer(explainer).classifier
    reading = InputConfig(labels=str(folder / "meta" / "esc10.csv"), label_column="category")
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
    return Recordings(means.astype(np.float32), labels, np.array([int(row["fold"]) for row in windows.metadata]))


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
        "cleanlab, tuned regression": alone(best_strength(embeddings, labels, groups, 0)),
        "10 nearest neighbours": 1 - (labels[nearest] == labels[:, None]).mean(axis=1),
        "found": ours.wrong.astype(np.float64),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("esc10", type=Path, help="the folder of ESC-10, as `lmac data esc10` writes it")
    parser.add_argument("--embeddings", choices=("esc10", "clap-mini"), default="esc10")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    recordings = embedded(arguments.esc10, arguments.embeddings)
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
            if arguments.embeddings == "esc10":
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
