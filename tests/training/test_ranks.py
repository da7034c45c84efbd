"""Several processes that train together: what each takes of a batch, and one that is alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, distributed, multiprocessing, nn

from pipeline.training.loop import Batch, Progress, TrainingError, _batches, _shared_equally, fit
from pipeline.training.ranks import Ranks, running_statistics
from schemas.training_config import LoopConfig
from tests.training.test_loop import Regression


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


class Watched(Regression):
    """Each process would score itself differently, and draws what it is given to draw from."""

    def __init__(self, rank: int) -> None:
        super().__init__([5.0, 1.0, 9.0, 2.0, 3.0, 4.0] if rank == 0 else [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        self.drawn: list[float] = []

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        self.drawn.append(float(torch.rand((), generator=rng)))
        return super().loss(batch, rng)


def together(rank: int, folder: Path) -> None:
    """What each of two processes does."""
    os.environ["LOCAL_RANK"] = str(rank)
    distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    ranks, epochs = Ranks.of_process(), []
    order = folder / "order"

    def read() -> str:
        order.write_text((order.read_text() if order.exists() else "") + str(rank))
        return order.read_text()

    found: dict[str, Any] = {"turn": ranks.in_turns(read)}

    def refuse() -> None:
        raise TrainingError("only the first knows why")

    try:
        ranks.from_first(refuse)
    except TrainingError as error:
        found["refused"] = str(error)

    def report(progress: Progress) -> None:
        epochs.append(progress.epoch)

    task = Watched(rank)
    config = LoopConfig(epochs=6, batch_size=4, learning_rate=0.05, seed=3, patience=2)
    state = fit(task, config, folder / "checkpoint.pt", "data", report)
    found |= {"epochs": epochs, "best": state.best_epoch, "seen": task.seen, "drawn": task.drawn}
    found |= {"weights": task.module[0].weight.tolist(), "mean": task.module[1].running_mean.tolist()}  # type: ignore[index,operator,union-attr]
    try:
        fit(Watched(rank), config, folder / "another.pt", f"data of {rank}", report)
    except TrainingError as error:
        found["other data"] = str(error)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()
    os._exit(0)  # gloo's threads may abort a process that takes itself apart


def test_two_processes_agree_on_everything_but_their_draws(tmp_path: Path) -> None:
    multiprocessing.spawn(together, (tmp_path,), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert (first["turn"], second["turn"]) == ("0", "01")
    assert first["refused"] == second["refused"] == "only the first knows why"
    # The first one's scores stop both, in the third epoch after its best; only it reports.
    assert (first["epochs"], second["epochs"]) == ([1, 2, 3, 4, 5], [])
    assert first["best"] == second["best"] == 2
    assert len(first["seen"]) == len(second["seen"]) == 25
    for ours, theirs in zip(first["seen"], second["seen"], strict=True):
        assert len(ours) == len(theirs) == 2
        assert not set(ours) & set(theirs)
    assert not set(first["drawn"]) & set(second["drawn"])
    torch.testing.assert_close(torch.tensor(first["weights"]), torch.tensor(second["weights"]))
    torch.testing.assert_close(torch.tensor(first["mean"]), torch.tensor(second["mean"]))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["state"]["epoch"] == 5
    assert "workers have read different windows" in first["other data"] == second["other data"]
