"""A small evaluation as `lmac evaluate` would write it, with figures that are made up but plausible."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.evaluation_tables import SPECTRAL, TABLES, WRITTEN

BUDGETS = {
    "bins": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    "energy": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.77, 0.9),
}
CASES = {
    "randomisation": ("classifier", "block6", "block5", "block4", "block3", "block2", "block1"),
    "stability": ("noise 40 dB", "shift", "gain +6 dB", "gain -6 dB"),
    "masked_out": ("masked-out keeps its class", "chance"),
}
PERCENT = ("ai", "ai_001", "ad", "ad_double_softmax", "ag")


def write_table(directory: Path, name: str, rows: Iterable[dict[str, Any]]) -> None:
    """One table of an evaluation, against its schema."""
    pq.write_table(pa.Table.from_pylist(list(rows), schema=TABLES[name]), directory / f"{name}.parquet")


def write_facts(directory: Path, **facts: Any) -> None:
    """`evaluation.json`."""
    (directory / "evaluation.json").write_text(json.dumps(facts), encoding="utf-8")


def interval(value: float, half_width: float = 0.03) -> dict[str, Any]:
    """The columns of a mean."""
    return {"value": value, "low": value - half_width, "high": value + half_width, "n": 80}


def point(
    method: str, by: str, budget: float, score: str, value: float, audio: str = "clean", best: bool = True
) -> dict[str, Any]:
    """A row of `points`."""
    place = {"audio": audio, "method": method, "ranking": "signed", "best": best, "by": by, "budget": budget}
    return place | {"score": score} | interval(value)


def area(
    method: str, by: str, side: str, value: float, audio: str = "clean", half_width: float = 0.03
) -> dict[str, Any]:
    """A row of `areas`."""
    place = {"audio": audio, "method": method, "ranking": "signed", "best": True, "by": by, "side": side}
    return place | interval(value, half_width)


def write_evaluation(
    directory: Path, methods: Sequence[str], audio: Sequence[str] = ("clean", "mixture"), seed: int = 0
) -> None:
    """All tables for `methods`, the first ones the better; the same for the same seed."""
    rng = np.random.default_rng(seed)
    quality = {method: 1 - place / len(methods) for place, method in enumerate(methods)}
    # How much of the energy a method's first bins hold.
    loudness = {method: rng.uniform(0.15, 0.6) for method in methods}
    write_facts(
        directory,
        explainer="esc10", explainer_digest="3f" * 32, classifier_digest="a7" * 32, input="data/esc10", windows=80,
        recordings=80, seed=seed, accuracy=0.9125, p=0.83, audio=list(audio), methods=list(methods), date="2024-05-01",
        versions={"lmac": "0.1.0", "torch": "2.11.0"}, config={"batch_size": 8, "contaminate": ["mixture"]},
    )  # fmt: skip
    write_table(directory, "summary", _summary(rng, quality, audio))
    write_table(directory, "points", _points(rng, quality, loudness, audio))
    write_table(
        directory,
        "areas",
        (
            area(method, by, side, start + sign * 0.3 * good + rng.normal(0, 0.01), sound)
            for sound in audio
            for method, good in quality.items()
            for side, start, sign in (("insertion", 0.35, 1), ("deletion", 0.55, -1))
            for by in BUDGETS
        ),
    )
    scores = [*SPECTRAL, *(f"{side} by {by}" for side in ("insertion", "deletion") for by in BUDGETS)]
    write_table(
        directory,
        "differences",
        (
            {"audio": sound, "method": "lmac", "mask": "as_written", "baseline": method, "score": score}
            | interval(_gap(score) * (1 - good) + rng.normal(0, 0.02 * abs(_gap(score))), 0.25 * abs(_gap(score)))
            for sound in audio
            for method, good in quality.items()
            if method != "lmac"
            for score in scores
        ),
    )
    write_table(directory, "localisation", _localisation(rng, quality))
    write_table(directory, "sanity", _sanity(rng, methods))
    write_table(
        directory,
        "timing",
        (
            {"method": method, "seconds": seconds, "ratio": seconds / 0.021, "windows": 16}
            for method, seconds in zip(methods, [0.021, *rng.uniform(0.03, 3, len(methods))], strict=False)
        ),
    )


def _gap(score: str) -> float:
    down = score in ("ad", "ad_double_softmax", "comp", "keep", "p_out") or score.startswith("deletion")
    return (-1 if down else 1) * (30 if score in PERCENT else 0.3)


def _summary(rng: np.random.Generator, quality: dict[str, float], audio: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for sound in audio:
        for method, good in quality.items():
            for mask in ("as_written",) if method == "lmac" else ("relu_p99", "top10"):
                worth = good - (mask == "top10") * 0.1
                for name in (*SPECTRAL, *WRITTEN):
                    score = name.removesuffix("_audio")
                    whole = 100 if score in PERCENT else 10 if score == "comp" else 1
                    share = 1 - 0.9 * worth if _gap(score) < 0 else 0.2 + 0.75 * worth
                    value = 0.83 if score == "p" else whole * float(np.clip(share + rng.normal(0, 0.02), 0, 1))
                    rows.append(
                        {"audio": sound, "method": method, "mask": mask, "best": mask != "top10", "score": name}
                        | interval(value, 0.06 * whole)
                    )
    return rows


def _points(
    rng: np.random.Generator, quality: dict[str, float], loudness: dict[str, float], audio: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for sound in audio:
        for method, good in quality.items():
            for by, budgets in BUDGETS.items():
                for budget in budgets:
                    bins = budget if by == "bins" else budget ** (1 / loudness[method])
                    energy = budget if by == "energy" else budget ** loudness[method]
                    reach = 1 / (1 + (0.12 * (1.4 - good) / max(bins, 1e-4)) ** 0.8) * (0.6 + 0.4 * good)
                    p_in, p_out = 0.83 * reach, 0.83 * (1 - reach * (0.5 + 0.45 * good))
                    values = {
                        "bins_kept": bins, "energy_kept": energy, "p_in": p_in, "p_out": p_out,
                        "ad": 100 * (1 - reach), "ff": 0.83 - p_out, "fid_in": min(1.0, 0.2 + 0.8 * reach),
                    }  # fmt: skip
                    for score, value in values.items():
                        blur = {"ad": 0.3, "bins_kept": 0.0, "energy_kept": 0.0}.get(score, 0.003)
                        shown = value + rng.normal(0, 1) * blur
                        rows.append(point(method, by, budget, score, shown, sound))
    return rows


def _localisation(rng: np.random.Generator, quality: dict[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "method": method, "mask": mask, "key": f"scene-{window}", "window": window, "target": "siren",
            "snr_db": float(rng.uniform(-5, 20)), "auroc": None if window == 0 else float(0.5 + 0.45 * good),
            "average_precision": float(0.2 + 0.6 * good), "si_sdr_mixture": 3.0,
            "si_sdr_masked_in": float("-inf") if window == 1 else float(3 + 9 * good + rng.normal()),
        }
        for method, good in quality.items()
        for mask in (("as_written",) if method == "lmac" else ("relu_p99", "top10"))
        for window in range(12)
    ]  # fmt: skip


def _sanity(rng: np.random.Generator, methods: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for method in [name for name in ("lmac", "integrated_gradients") if name in methods]:
        for test, cases in CASES.items():
            for order, case in enumerate(cases):
                fall = (0.8 if method == "lmac" else 0.7) * 0.6**order
                values = {
                    "randomisation": {"rank_correlation": fall, "ssim": 0.2 + 0.8 * fall},
                    "stability": {"iou": 0.75 + 0.2 * rng.uniform()},
                    "masked_out": {"share": 0.1 if case == "chance" else 0.15},
                }[test]
                for measure, value in values.items():
                    row = {"method": method, "test": test, "case": case, "measure": measure, "order": order}
                    rows.append(row | interval(value))
    return rows
