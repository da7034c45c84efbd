"""Broken recordings planted among those of ESC-10, of each kind so many, and what `lmac audit` finds of them:

python -m benchmarks.audit_broken data/esc10

What the audit finds in the recordings as they are is not counted, neither right nor wrong, and is told apart.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks.small_explainer import explain_quickly
from pipeline.audit.audit import audit
from pipeline.runs.run import open_run

Sound = NDArray[np.float64]
Fault = Callable[[Sound, int, np.random.Generator], tuple[Sound, int]]
EACH, LABELS = 20, "labels.csv"
# Others than those on which the bounds were mended (0 to 2).
FIRST_SEED = 10


def silent(x: Sound, rate: int, rng: np.random.Generator) -> tuple[Sound, int]:
    """Zeros, or noise between -80 and -68 dBFS."""
    level = 0.0 if rng.random() < 0.5 else 10 ** (rng.uniform(-80, -68) / 20)
    return level * rng.standard_normal(len(x)), rate


def clipped(x: Sound, rate: int, rng: np.random.Generator) -> tuple[Sound, int]:
    """Overdriven until 0.2% to 5% of the sound is cut off, at full scale or at a lower level."""
    amplitude = np.abs(x[np.abs(x) > 1e-3]) if (np.abs(x) > 1e-3).any() else np.abs(x)
    bound = np.quantile(amplitude, 1 - rng.uniform(0.002, 0.05))
    top = 1.0 if rng.random() < 0.5 else rng.uniform(0.3, 0.95)
    return np.clip(x / bound, -1, 1) * top, rate


def dc_offset(x: Sound, rate: int, rng: np.random.Generator) -> tuple[Sound, int]:
    """An offset of 0.006 to 0.1 of full scale."""
    offset = rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(0.006), np.log(0.1)))
    return 0.85 * x + offset, rate


def dropout(x: Sound, rate: int, rng: np.random.Generator) -> tuple[Sound, int]:
    """One to three gaps of 8 to 100 ms, in the louder half of the sound."""
    x = x.copy()
    span = rate // 100
    loudness = np.square(x[: len(x) // span * span].reshape(-1, span)).mean(axis=1)
    loud = np.flatnonzero(
        loudness >= np.median(loudness[loudness > 1e-7]) if (loudness > 1e-7).any() else loudness >= 0
    )
    for _ in range(rng.integers(1, 4)):
        start = int(rng.choice(loud)) * span + span // 2
        x[start : start + int(rng.uniform(0.008, 0.1) * rate)] = 0
    return x, rate


def band_limited(x: Sound, rate: int, rng: np.random.Generator) -> tuple[Sound, int]:
    """Through a sample rate of 8, 11.025, 12, 16 or 22.05 kHz and back."""
    low = int(rng.choice([8000, 11025, 12000, 16000, 22050]))
    return soxr.resample(soxr.resample(x, rate, low), low, rate)[: len(x)], rate


def level(x: Sound, rate: int, rng: np.random.Generator) -> tuple[Sound, int]:
    """Lowered to an RMS of -58 to -55 dBFS, that of its sound."""
    sound = x[np.abs(x) > 1e-3] if (np.abs(x) > 1e-3).any() else x
    return x * 10 ** (rng.uniform(-58, -55) / 20) / np.sqrt(np.square(sound).mean()), rate


def wrong_speed(x: Sound, rate: int, rng: np.random.Generator) -> tuple[Sound, int]:
    """Read at another rate than its own: 22.05 or 48 kHz for 44.1, 44.1 kHz for what was 22.05, 16 or 48."""
    wrong, own = [(22050, 44100), (48000, 44100), (44100, 22050), (44100, 16000), (44100, 48000)][rng.integers(5)]
    return soxr.resample(x, rate, own) if own != rate else x, wrong


FAULTS: dict[str, Fault] = {
    one.__name__: one for one in (silent, clipped, dc_offset, dropout, band_limited, level, wrong_speed)
}


def plant(source: Path, target: Path, seed: int | None) -> dict[str, str]:
    """Write all recordings as WAV, with a table of their labels; with a seed, return which have which fault."""
    rng = np.random.default_rng(seed)
    with (source / "meta" / "esc10.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds = [kind for kind in FAULTS for _ in range(EACH)] if seed is not None else []
    planted = dict(zip(rng.permutation(len(rows)).tolist(), kinds, strict=False))
    target.mkdir()
    told = {}
    with (target / LABELS).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        for number, row in enumerate(rows):
            x, rate = soundfile.read(source / row["path"], dtype="float64")
            x = x if x.ndim == 1 else x.mean(axis=1)
            name = f"{Path(row['path']).stem}.wav"
            if number in planted:
                x, rate = FAULTS[planted[number]](x, rate, rng)
                told[name] = planted[number]
            soundfile.write(target / name, x, rate, subtype="PCM_16")
            table.writerow([name, row["category"]])
    return told


def found_in(folder: Path, scratch: Path) -> dict[str, set[str]]:
    """The faults that the audit finds in each recording of a folder, by name."""
    run = str(scratch / f"{folder.name}-run")
    explain_quickly(str(folder), run, str(scratch / "explainer"), str(folder / LABELS), "label")
    keys = dict(open_run(run).sql("SELECT DISTINCT clip_id, key FROM predictions").fetchall())
    found: dict[str, set[str]] = defaultdict(set)
    for finding in audit(run, kinds=["broken_audio"]).findings:
        for member in finding.members:
            found[keys[member.clip_id]].add(finding.subject)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("esc10", type=Path, help="the folder of ESC-10, as `lmac data esc10` writes it")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    right, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        plant(arguments.esc10, folder / "clean", None)
        before = found_in(folder / "clean", folder)
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
            planted = plant(arguments.esc10, folder / f"seed{seed}", seed)
            found = found_in(folder / f"seed{seed}", folder)
            for name in {*planted, *found}:
                kind = planted.get(name)
                if kind is not None:
                    (right if kind in found[name] else missed)[kind] += 1
                for other in found[name] - {kind}:
                    # What was there before planting is no false alarm.
                    wrong[other] += other not in before[name]
                    if other not in before[name]:
                        print(f"seed {seed}: {name}: {other}, planted {kind or 'nothing'}")
    print(f"{EACH} recordings of each kind among 400, {arguments.seeds} seeds:")
    print("| fault | precision | recall | in the recordings as they are |\n|---|---|---|---|")
    there = Counter(kind for kinds in before.values() for kind in kinds)
    for kind in FAULTS:
        precision = right[kind] / max(1, right[kind] + wrong[kind])
        recall = right[kind] / max(1, right[kind] + missed[kind])
        print(f"| {kind} | {precision:.2f} | {recall:.2f} | {there[kind]} |")


if __name__ == "__main__":
    main()
