"""Many schedules, each printed with what became of it, and their sum."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from queue import Empty, Queue

from tests.faults.bench import Bench, set_up
from tests.faults.disk import NoSmallDiskError
from tests.faults.schedule import Schedule, draw
from tests.faults.strikes import strike
from tests.faults.trial import Outcome, Trial


def campaign(seeds: Sequence[int], folder: Path, at_once: int = 1) -> int:
    """Run the schedules of the seeds, several at once if asked; returns how many ended with something wrong.

    Each that runs beside others has a cluster, a server and a folder of its own.
    """
    begun = time.monotonic()
    if at_once == 1:
        outcomes = _share(seeds, folder)
    else:
        context = get_context("spawn")
        with context.Manager() as manager, ProcessPoolExecutor(at_once, context, end_on_sigterm) as pool:
            waiting = manager.Queue()
            for seed in seeds:
                waiting.put(seed)
            shares = [pool.submit(_share, _Taken(waiting), folder / str(i)) for i in range(at_once)]
            outcomes = [outcome for share in shares for outcome in share.result()]
    return _sum_up(outcomes, time.monotonic() - begun)


def end_on_sigterm() -> None:
    """End this process and those that run schedules for it as Ctrl-C does: else what they started would stay."""

    def end(*_: object) -> None:
        for child in active_children():
            child.terminate()
        sys.exit(143)

    signal.signal(signal.SIGTERM, end)


@dataclass(frozen=True)
class _Taken:
    """Seeds out of a queue that others take from too."""

    waiting: Queue[int]

    def __iter__(self) -> Iterator[int]:
        while True:
            try:
                yield self.waiting.get_nowait()
            except Empty:
                return


def _share(seeds: Iterable[int], folder: Path) -> list[Outcome]:
    """Run schedules one after the other in one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    outcomes: list[Outcome] = []
    with set_up(folder) as bench:
        print(f"set up, with a calm run, in {time.monotonic() - begun:.0f} s; seed, store, pool, faults:", flush=True)
        for seed in seeds:
            schedule = draw(seed)
            try:
                outcome = run_one(bench, schedule)
            except NoSmallDiskError as error:
                print(f"{schedule}\n      left out: {error}", flush=True)
                continue
            outcomes.append(outcome)
            print(f"{schedule}\n      {told(outcome)}", flush=True)
    return outcomes


def run_one(bench: Bench, schedule: Schedule) -> Outcome:
    """Run one schedule; one that breaks off is told of and not sound. Raises NoSmallDiskError."""
    try:
        return Trial(bench, schedule, strike).run()
    except NoSmallDiskError:
        raise
    except Exception as error:
        # The others are still to be run, and the sum to be told.
        traceback.print_exc()
        return Outcome(schedule, problems=[f"broke off: {type(error).__name__}: {error}"])


def told(outcome: Outcome) -> str:
    """An outcome in a line."""
    found = outcome.difference
    words = [f"{outcome.seconds:.1f} s, {outcome.commands} command{'s' * (outcome.commands > 1)}"]
    words.append("sound" if outcome.sound else "NOT SOUND")
    if found.lost or found.doubled or found.wrong:
        words.append(f"lost {found.lost}, doubled {found.doubled}, wrong {found.wrong}")
    words += [*outcome.problems, *found.words]
    if outcome.missed:
        words.append("came too late: " + "; ".join(map(str, outcome.missed)))
    return ", ".join(words)


def _sum_up(outcomes: list[Outcome], seconds: float) -> int:
    unsound = [outcome for outcome in outcomes if not outcome.sound]
    lost, doubled, wrong = (
        sum(getattr(outcome.difference, name) for outcome in outcomes) for name in ("lost", "doubled", "wrong")
    )
    faults = sum(len(outcome.schedule.faults) for outcome in outcomes)
    struck = faults - sum(len(outcome.missed) for outcome in outcomes)
    print(f"{len(outcomes)} schedules, {struck} of {faults} faults struck, in {seconds / 60:.1f} minutes")
    print(f"windows lost {lost}, doubled {doubled}, wrong {wrong}")
    if unsound:
        print("not sound: " + ", ".join(str(outcome.schedule.seed) for outcome in unsound))
    return len(unsound)


def temporary() -> tempfile.TemporaryDirectory[str]:
    """A folder for a campaign that nobody asks to keep."""
    return tempfile.TemporaryDirectory(prefix="lmac-faults-", ignore_cleanup_errors=True)
