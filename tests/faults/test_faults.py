"""Five of the schedules, which together hold every fault; `python -m tests.faults` runs fifty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.bench import Bench, set_up
from tests.faults.campaign import run_one, told
from tests.faults.disk import NoSmallDiskError
from tests.faults.schedule import KINDS, OUTAGE_S, draw

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SEEDS = (27, 704, 2775, 12001, 14595)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with set_up(tmp_path_factory.mktemp("faults")) as ready:
        yield ready


def test_the_five_hold_every_kind_and_both_full_outages() -> None:
    drawn = [draw(seed) for seed in SEEDS]
    assert set().union(*(schedule.kinds for schedule in drawn)) == set(KINDS)
    outages = {fault.kind for schedule in drawn for fault in schedule.faults if fault.seconds == OUTAGE_S}
    assert outages >= {"s3-gone", "s3-hangs"}


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_wrong(bench: Bench, seed: int) -> None:
    try:
        outcome = run_one(bench, draw(seed))
    except NoSmallDiskError as error:
        pytest.skip(str(error))
    # A fault that comes too late, on a machine that is quicker or slower than most, is no wrong of the run's.
    assert outcome.sound, told(outcome)
