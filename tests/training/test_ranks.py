"""Several processes that train together: what each takes of a batch, and one that is alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.training.loop import TrainingError, _batches, _shared_equally
from pipeline.training.ranks import Ranks, running_statistics


@pytest.mark.parametrize(("n", "batch_size", "count"), [(22, 4, 1), (22, 4, 2), (3, 8, 2), (9, 9, 3), (5, 16, 4)])
def test_the_parts_of_a_batch_are_equal_and_make_the_batch_of_one_process(n: int, batch_size: int, count: int) -> None:
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    alone = Ranks()
    size = _shared_equally(batch_size, n, Ranks(0, count))
    whole = list(_batches(order, size, alone))
    parts = [list(_batches(order, size, Ranks(rank, count))) for rank in range(count)]
    assert {len(one) for one in parts} == {len(whole)}
    assert size == min(batch_size, n - n % count)
    for step, batch in enumerate(whole):
        assert {len(one[step]) for one in parts} == {size // count}
        assert sorted(batch.tolist()) == sorted(number for one in parts for number in one[step].tolist())


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(TrainingError, match="batch_size 6 cannot be shared equally by 4 workers: give a multiple of 4"):
        _shared_equally(6, 100, Ranks(0, 4))
    with pytest.raises(TrainingError, match="3 windows are too few for 4 workers"):
        _shared_equally(8, 3, Ranks(0, 4))


def test_a_process_alone_waits_for_nobody() -> None:
    alone, step, value = Ranks.of_process(), nn.Linear(2, 1), torch.ones(3)
    assert (alone, alone.first) == (Ranks(0, 1), True)
    assert alone.parallel(step) is step
    assert alone.from_first(lambda: 5) == 5
    assert alone.in_turns(lambda: 6) == 6
    alone.average([value])
    assert value.tolist() == [1, 1, 1]


def test_running_statistics_are_those_of_batch_normalisation() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.BatchNorm1d(4, track_running_stats=False))
    module.register_buffer("constant", torch.ones(7))
    assert [one.shape for one in running_statistics(module)] == [(4,), (4,)]
