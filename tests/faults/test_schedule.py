"""Schedules: each is its seed's, and fifty hold everything."""

from __future__ import annotations

from tests.faults.dataset import PARTS
from tests.faults.schedule import KINDS, NODE_KINDS, OUTAGE_S, S3_KINDS, draw


def test_a_seed_gives_one_schedule_and_another_seed_another() -> None:
    assert [draw(seed) for seed in range(50)] == [draw(seed) for seed in range(50)]
    assert len({str(draw(seed))[4:] for seed in range(50)}) == 50


def test_fifty_schedules_that_follow_each_other_hold_every_kind() -> None:
    for first in (0, 1_000):
        drawn = [draw(seed) for seed in range(first, first + 50)]
        assert set().union(*(schedule.kinds for schedule in drawn)) == set(KINDS)
        assert {schedule.store for schedule in drawn} == {"local", "s3"}
        outages = {fault.kind for schedule in drawn for fault in schedule.faults if fault.seconds == OUTAGE_S}
        assert outages >= {"s3-gone", "s3-hangs", "s3-mute"}


def test_what_is_drawn_can_be_done() -> None:
    for schedule in map(draw, range(500)):
        assert schedule.store == "s3" or not schedule.kinds & S3_KINDS
        assert schedule.store == "local" or "disk-full" not in schedule.kinds
        assert len(schedule.kinds & NODE_KINDS) <= 1
        assert all(0 <= fault.at < PARTS for fault in schedule.faults)
        assert list(schedule.faults) == sorted(schedule.faults, key=lambda fault: fault.at)
        assert [fault.kind for fault in schedule.faults].count("driver-killed-twice") in (0, 2)


def test_a_schedule_is_told_in_a_line() -> None:
    for schedule in map(draw, range(50)):
        line = str(schedule)
        assert "\n" not in line
        assert all(kind in line for kind in schedule.kinds)
