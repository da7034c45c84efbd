"""Many schedules, one after the other, each printed with what became of it, and their sum."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.faults.bench import Bench, set_up
from tests.faults.disk import NoSmallDiskError
from tests.faults.schedule import Schedule, draw
from tests.faults.strikes import strike
from tests.faults.trial import Outcome, Trial


def campaign(seeds: Iterable[int], folder: Path) -> int:
    """Run the schedules of the seeds; returns how many ended with something wrong."""
    begun = time.monotonic()
    outcomes: list[Outcome] = []
    with set_up(folder) as bench:
        print(f"set up, with a calm run, in {time.monotonic() - begun:.0f} s; seed, store, crew, faults:", flush=True)
        for seed in seeds:
            schedule = draw(seed)
            print(schedule, flush=True)
            try:
                outcome = run_one(bench, schedule)
            except NoSmallDiskError as error:
                print(f"      left out: {error}", flush=True)
                continue
            outcomes.append(outcome)
            print(f"      {told(outcome)}", flush=True)
    return _sum_up(outcomes, time.monotonic() - begun)


def run_one(bench: Bench, schedule: Schedule) -> Outcome:
    """Run one schedule."""
    return Trial(bench, schedule, strike).run()


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
