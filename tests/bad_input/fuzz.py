"""Fuzzing of the decoders and the shard readers, in processes that may die or hang; a case is named by seed and number:

python -m tests.bad_input.fuzz --cases 20000 --seed 0
python -m tests.bad_input.fuzz --seed 0 --only 4711
"""

from __future__ import annotations

import argparse
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.bad_input.cases import run_case

# A case that takes longer is a hang; the first of a process waits for its imports too.
HANG_S, START_S = 30.0, 120.0
CHILD = (sys.executable, "-m", "tests.bad_input.fuzz_child")


@dataclass
class Outcome:
    """What cases came to: how many of each result, and the numbers of those that crashed or hung, with why."""

    results: Counter[str] = field(default_factory=Counter)
    crashes: dict[int, str] = field(default_factory=dict)
    hangs: list[int] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return sum(self.results.values()) + len(self.crashes) + len(self.hangs)


def fuzz(cases: int, seed: int, processes: int = 1) -> Outcome:
    """Do the cases 0 to `cases`, in so many processes at once."""
    outcome = Outcome()
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(lambda first: _fuzz(first, processes, cases, seed, outcome), range(processes)))
    return outcome


def _fuzz(first: int, step: int, cases: int, seed: int, outcome: Outcome) -> None:
    while first < cases:
        command = [*CHILD, *map(str, (first, step, cases, seed))]
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
            assert process.stdout is not None
            lines: queue.Queue[str | None] = queue.Queue()
            threading.Thread(target=_feed, args=(process.stdout, lines), daemon=True).start()
            at, hung = _follow(lines, outcome)
            process.kill()
            code = process.wait()
            if at is None:
                if code:
                    log.seek(0)
                    raise RuntimeError(f"the fuzzing process ended with {code}: {log.read()[-2000:]}")
                return
        if hung:
            outcome.hangs.append(at)
        else:
            outcome.crashes[at] = f"the process ended with {code}"
        first = at + step


def _feed(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _follow(lines: queue.Queue[str | None], outcome: Outcome) -> tuple[int | None, bool]:
    """Count until the process ends or hangs; returns the case that was begun and not ended, and whether it hung."""
    at, fresh = None, True
    while True:
        try:
            line = lines.get(timeout=START_S if fresh else HANG_S)
        except queue.Empty:
            return at, True
        if line is None:
            return at, False
        fresh = False
        word, number, *rest = line.split(maxsplit=2)
        at = int(number) if word == "begin" else None
        if word == "end":
            outcome.results[rest[0].strip()] += 1
        elif word == "crash":
            outcome.crashes[int(number)] = rest[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", type=int, help="do this one case here, with its traceback")
    arguments = parser.parse_args()
    if arguments.only is not None:
        with tempfile.TemporaryDirectory() as scratch:
            print(run_case(arguments.seed, arguments.only, Path(scratch) / "case"))
        return
    started = time.monotonic()
    outcome = fuzz(arguments.cases, arguments.seed, arguments.processes)
    for number, words in sorted(outcome.crashes.items()):
        print(f"crash: --seed {arguments.seed} --only {number}: {words}")
    for number in sorted(outcome.hangs):
        print(f"hang: --seed {arguments.seed} --only {number}")
    print(", ".join(f"{result} {count}" for result, count in outcome.results.most_common()))
    print(
        f"{outcome.cases} cases, {len(outcome.crashes)} crashes, {len(outcome.hangs)} hangs, "
        f"{time.monotonic() - started:.0f} s"
    )
    sys.exit(bool(outcome.crashes or outcome.hangs))


if __name__ == "__main__":
    main()
