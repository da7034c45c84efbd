"""How long `lmac audit` takes and how much memory, on a run of so many windows with synthetic tables:

python -m benchmarks.audit_scale 100000

Each recording is one window, of 10 classes with 5% wrong labels; embeddings have 256 numbers. All seven questions are
asked, but of the tables alone: what is heard again, duplicates and shortcuts, grows with what is heard, and has
benchmarks of its own.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time

import numpy as np

from pipeline.audit.audit import audit
from tests.audit.make import explanation, made_run, mask, window

CLASSES = tuple(f"class {number}" for number in range(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("windows", type=int)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((len(CLASSES), 256))
    rows, explanations, masks = [], [], []
    profiles = rng.random((len(CLASSES), 32))
    for number in range(arguments.windows):
        own = int(rng.integers(len(CLASSES)))
        given = own if rng.random() > 0.05 else int(rng.integers(len(CLASSES)))
        probabilities = rng.dirichlet(np.eye(len(CLASSES))[own] * 20 + 0.2)
        columns = {
            "embedding": (centres[own] + 1.5 * rng.standard_normal(256)).astype(np.float32),
            "probabilities": probabilities.astype(np.float32),
            "label": CLASSES[int(probabilities.argmax())],
            "label_true": [CLASSES[given]],
            "level_dbfs": -20 + 3 * rng.standard_normal(),
            "clipped": 0.01 * (rng.random() < 0.01),
        }
        rows.append(window(f"{number}.wav", **columns))
        explanations.append(explanation(f"{number}.wav", columns["label"], p_in=0.9 * (rng.random() > 0.02)))
        profile = np.clip(profiles[own] + 0.2 * rng.standard_normal(32), 0, 1)
        masks.append({**mask(f"{number}.wav", columns["label"]), "band_profile": profile.astype(np.float32)})
    with tempfile.TemporaryDirectory() as scratch:
        url = made_run(f"{scratch}/run", rows, explanations, masks, classes=CLASSES)
        for made in (rows, explanations, masks):
            made.clear()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = last = time.perf_counter()
        doing = ""

        def step(what: str, done: int, of: int) -> None:
            nonlocal last, doing
            now = time.perf_counter()
            if doing:
                print(f"{doing}: {now - last:.1f} s", flush=True)
            doing, last = what, now

        found = audit(url, step=step)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.windows} windows, {len(found.findings)} findings: {time.perf_counter() - began:.1f} s")
    print(f"at most {peak:.0f} MB resident ({before:.0f} MB after the tables were made)")


if __name__ == "__main__":
    main()
