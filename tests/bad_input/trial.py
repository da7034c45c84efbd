"""A run over bad input, by the command line, and what became of each file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.inputs.listing import list_input
from pipeline.inputs.shards import clip_id
from pipeline.runs.verify.verify import verify
from tests.bad_input.memory import watched_decoders
from tests.flow.make import rows


@dataclass
class Trial:
    """What a run has shown: loose files and shards by what became of them, and what must not have happened."""

    printed: str
    returncode: int
    seconds: float
    loose: int = 0
    shards: int = 0
    windows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unaccounted: list[str] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    findings: dict[str, int] = field(default_factory=dict)
    decoders: int = 0
    peak_bytes: int = 0

    @property
    def sound(self) -> bool:
        """Whether all that must hold does."""
        return not (self.returncode or self.unaccounted or self.deaths or self.outside or self.findings)


def explain_bad(source: Path, folder: Path, explainer: str, max_clip_seconds: float = 30.0) -> Trial:
    """Run `lmac explain` from an empty folder below `folder`, and hold its output against the input.

    Its home is another: matplotlib and Ray keep a cache and a token there, whatever the input is.
    """
    output, work, home = folder / "output", folder / "work", folder / "home"
    work.mkdir()
    home.mkdir()
    before = _surroundings(folder, {output, home})
    command = ["explain", str(source), str(output), "--explainer", explainer, "--device", "cpu", "--actors", "1"]
    command += ["--cpus-per-actor", "1", "--max-clip-seconds", str(max_clip_seconds), "--listenables", "both"]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(dict.fromkeys([*os.environ.get("PYTHONPATH", "").split(os.pathsep), root]))
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", "from jobs.cli import main; main()", *command],
        env={**os.environ, "PYTHONPATH": path.strip(os.pathsep), "HOME": str(home), "OMP_NUM_THREADS": "1"},
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with watched_decoders(process.pid) as peaks:
        printed, _ = process.communicate()
    trial = Trial(printed, process.returncode, time.monotonic() - started)
    trial.decoders, trial.peak_bytes = len(peaks), max(peaks.values(), default=0)
    if process.returncode == 0:
        _account(trial, source, output)
    trial.outside = sorted(_surroundings(folder, {output, home}) ^ before)
    return trial


def _account(trial: Trial, source: Path, output: Path) -> None:
    listing = list_input(str(source))
    predictions, errors = rows(output, "predictions"), rows(output, "errors")
    recordings = Counter({row["clip_id"] for row in predictions})
    recordings.update(row["clip_id"] for row in errors)
    # One that is heard in part is in both tables.
    recordings.subtract(row["clip_id"] for row in errors if row["heard_s"])
    trial.unaccounted = [f"{name}: {count} times" for name, count in recordings.items() if count != 1]
    entries = [entry for shard in listing.shards for entry in shard.entries]
    trial.unaccounted += [entry.key for entry in entries if recordings[clip_id(entry.place)] != 1]
    named = {row["shard"] for row in [*predictions, *errors]}
    files = {shard.uri for shard in listing.shards if shard.kind != "files"}
    trial.unaccounted += sorted(files - named - _without_clips(files))
    left_out = [name for kind, name in listing.left_out.items() if kind != "hidden"]
    trial.unaccounted += [f"{name}: left out" for name in left_out if name != "tables/words.parquet"]
    trial.loose, trial.shards, trial.windows = len(entries), len(files), len(predictions)
    trial.reasons = Counter(f"{row['stage']} {row['reason']}" for row in errors)
    trial.deaths = [row["key"] for row in errors if row["reason"] in ("crashed", "too_slow", "out_of_memory")]
    trial.deaths += [line for line in trial.printed.splitlines() if "lost" in line or "tried again" in line]
    trial.findings = dict(verify(str(output), str(source)).findings.counts)


def _without_clips(files: set[str]) -> set[str]:
    """Shards that are whole and hold no recording, so that no row can be about them."""
    return {name for name in files if name.endswith(("end-only.tar", "no-rows.parquet"))}


def _surroundings(folder: Path, but: set[Path]) -> set[str]:
    """Every file and folder below a folder, but not below some, with its size and number."""
    found = set()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(place, name) not in but]
        for name in [*names, *folders]:
            status = os.lstat(os.path.join(place, name))
            found.add(f"{os.path.join(place, name)} {status.st_size if name in names else ''} {status.st_ino}")
    return found
