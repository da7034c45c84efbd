"""The corpus of bad input, written, and with --run explained and held against what came out:

python -m tests.bad_input FOLDER --seed 0 --run
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bad_input.corpus import write_corpus
from tests.bad_input.trial import Trial, explain_bad
from tests.flow.make import save_tiny


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where it goes; must be empty or not there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", action="store_true")
    arguments = parser.parse_args()
    corpus = write_corpus(arguments.folder / "corpus", arguments.seed)
    print(f"{corpus.files} files in {corpus.folder}; {corpus.rows} rows in {corpus.manifest}", flush=True)
    if arguments.run:
        explainer = save_tiny(arguments.folder / "explainer")
        trials = []
        for name, source in (("folder", corpus.folder), ("manifest", corpus.manifest)):
            place = arguments.folder / name
            place.mkdir()
            trials.append(explain_bad(source, place, explainer))
            show(name, trials[-1])
        sys.exit(not all(trial.sound for trial in trials))


def show(name: str, trial: Trial) -> None:
    """Print what a trial has shown."""
    total = trial.loose + trial.shards
    lost = len(trial.unaccounted)
    print(f"{name}: exit code {trial.returncode}, {trial.seconds:.0f} s")
    print(
        f"  accounted for: {100 * (total - lost) / max(total, 1):.1f}% of {trial.loose} files and {trial.shards} shards"
    )
    print(f"  windows explained: {trial.windows}; errors: {sum(trial.reasons.values())}")
    print("  " + ", ".join(f"{reason} {count}" for reason, count in sorted(trial.reasons.items())))
    print(f"  process deaths: {len(trial.deaths)}; written outside the output: {len(trial.outside)}")
    print(f"  peak RSS of {trial.decoders} decoders: {trial.peak_bytes / 1e6:.0f} MB")
    print(f"  lmac verify: {trial.findings or 'nothing'}")
    for wrong in [*trial.unaccounted, *trial.deaths, *trial.outside][:20]:
        print(f"  ! {wrong!r}")
    if trial.returncode:
        print(trial.printed)


if __name__ == "__main__":
    main()
