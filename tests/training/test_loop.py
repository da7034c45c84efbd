from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from pipeline.training.loop import Arrays, Batch, Progress, Scores, State, TrainingError, fit
from schemas.training_config import LoopConfig

CONFIG = LoopConfig(epochs=6, batch_size=4, learning_rate=0.05, seed=3)


class Regression:
    """A line through noisy points; draws from the generator that is given and, by dropout, from the global one."""

    def __init__(self, scores: list[float] | None = None, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.module: nn.Module = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.module.eval()  # as a module that was loaded is
        self.x = torch.randn(22, 3, generator=torch.Generator().manual_seed(1))
        self.n_windows = len(self.x)
        self.scores = scores
        self.validated: list[dict[str, Tensor]] = []
        self.seen: list[list[int]] = []

    def read(self, indices: Tensor) -> Arrays:
        return {"x": self.x[indices].numpy(), "number": indices.numpy()}

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        assert self.module.training
        self.seen.append(batch["number"].tolist())
        x = batch["x"] + 0.1 * torch.randn(batch["x"].shape, generator=rng)
        loss = (self.module(x)[:, 0] - batch["x"].sum(dim=1)).square().mean()
        return loss, {"loss": loss.detach()}

    def validate(self) -> Scores:
        assert not self.module.training
        self.validated.append({k: v.clone() for k, v in self.module.state_dict().items()})
        return {"score": self.scores[len(self.validated) - 1]} if self.scores is not None else {}


class Killed(Exception):  # noqa: N818 - it is no error
    """The process ends here."""


def run(task: Regression, folder: Path, config: LoopConfig = CONFIG, kill_after: int = 0) -> State:
    def report(progress: Progress) -> None:
        if progress.epoch == kill_after:
            raise Killed

    return fit(task, config, folder / "deep" / "checkpoint.pt", "data", report)


@pytest.mark.parametrize("kill_after", [1, 3, 6])
def test_a_training_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path, kill_after: int) -> None:
    scores = [1.0, 5.0, 2.0, 3.0, 4.0, 1.0]
    whole = Regression(scores)
    state = run(whole, tmp_path / "whole")

    with pytest.raises(Killed):
        run(Regression(scores), tmp_path / "cut", kill_after=kill_after)
    # The process that goes on starts from other weights and another random state: all must come from the file.
    resumed = Regression(scores[kill_after:], seed=99)
    again = run(resumed, tmp_path / "cut")
    assert again == state
    assert len(resumed.validated) == 6 - kill_after
    for name, weight in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], weight), name


def test_it_learns(tmp_path: Path) -> None:
    task = Regression()
    wanted = task.x.sum(dim=1)

    def error() -> float:
        with torch.no_grad():
            return float((task.module.eval()(task.x)[:, 0] - wanted).square().mean())

    before = error()
    run(task, tmp_path, CONFIG.model_copy(update={"epochs": 40}))
    assert error() < 0.3 * before


def test_an_epoch_draws_each_window_at_most_once_and_another_order_each_time(tmp_path: Path) -> None:
    task = Regression()
    run(task, tmp_path, CONFIG.model_copy(update={"epochs": 2}))
    assert [len(batch) for batch in task.seen] == [4] * 10  # 22 windows: 5 whole batches an epoch
    epochs = [[i for batch in task.seen[start : start + 5] for i in batch] for start in (0, 5)]
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_fewer_windows_than_a_batch_are_one_batch(tmp_path: Path) -> None:
    task = Regression()
    task.n_windows = 3
    run(task, tmp_path, CONFIG.model_copy(update={"epochs": 1}))
    assert [sorted(batch) for batch in task.seen] == [[0, 1, 2]]


def test_the_averaged_weights_of_the_best_epoch_are_left_in_evaluation_mode(tmp_path: Path) -> None:
    task = Regression([1.0, 3.0, 2.0, 3.0, 0.0, 1.0])
    state = run(task, tmp_path)
    assert (state.best_epoch, state.best_score) == (1, 3.0)
    for name, weight in task.module.state_dict().items():
        assert torch.equal(weight, task.validated[1][name]), name
    assert not task.module.training


def test_without_validation_the_last_epoch_is_the_best(tmp_path: Path) -> None:
    task = Regression()
    state = run(task, tmp_path, CONFIG.model_copy(update={"patience": 1}))
    assert (state.epoch, state.best_epoch) == (6, 5)
    assert torch.equal(task.module.state_dict()["0.weight"], task.validated[-1]["0.weight"])


@pytest.mark.parametrize(("patience", "epochs"), [(0, 6), (1, 3), (2, 4), (3, 6)])
def test_it_stops_after_patience_epochs_without_a_better_one(tmp_path: Path, patience: int, epochs: int) -> None:
    task = Regression([1.0, 3.0, 2.0, 2.0, 4.0, 1.0])
    state = run(task, tmp_path, CONFIG.model_copy(update={"patience": patience}))
    assert state.epoch == len(state.history) == epochs


def test_a_training_that_had_stopped_does_not_go_on(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"patience": 1})
    first = Regression([3.0, 1.0])
    state = run(first, tmp_path, config)
    again = Regression([], seed=99)
    assert run(again, tmp_path, config) == state
    assert not again.seen
    assert torch.equal(again.module.state_dict()["0.weight"], first.validated[0]["0.weight"])


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    fit(Regression(), CONFIG, path, "these data", lambda progress: None)
    before = path.read_bytes()
    with pytest.raises(TrainingError, match=r"checkpoint.pt belongs to a training with other data or settings"):
        fit(Regression(), CONFIG, path, "other data", lambda progress: None)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_it_with_the_epoch(tmp_path: Path, value: float) -> None:
    task = Regression()
    healthy = task.loss
    task.loss = lambda batch, rng: (  # type: ignore[method-assign]
        healthy(batch, rng) if len(task.seen) < 7 else (value * healthy(batch, rng)[0], {})
    )
    with pytest.raises(TrainingError, match=r"in epoch 2: try a smaller learning_rate"):
        run(task, tmp_path)


def test_progress_counts_steps_and_epochs(tmp_path: Path) -> None:
    reports: list[Progress] = []
    steps: list[tuple[int, int]] = []
    fit(
        Regression([1.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
        CONFIG,
        tmp_path / "c.pt",
        "data",
        reports.append,
        lambda done, total: steps.append((done, total)),
    )
    assert steps == [(n, 5) for _ in range(6) for n in range(1, 6)]
    assert [(r.epoch, r.epochs) for r in reports] == [(n, 6) for n in range(1, 7)]
    assert [r.best for r in reports] == [True, True, False, False, False, False]


def test_the_learning_rate_rises_falls_and_ends_near_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    healthy = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *args: object, **options: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return healthy(self, *args, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    run(Regression(), tmp_path, CONFIG.model_copy(update={"warmup": 0.2}))
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(CONFIG.learning_rate)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert top in range(4, 8)  # a fifth of 30 steps
    assert rates[-1] < 0.05 * CONFIG.learning_rate


def test_the_last_epoch_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    task = Regression([1.0, 5.0, 2.0, 3.0, 4.0, 1.0])
    state = run(task, tmp_path, CONFIG.model_copy(update={"keep": "last"}))
    assert (state.best_epoch, state.best_score) == (5, 1.0)
    for name, weight in task.module.state_dict().items():
        assert torch.equal(weight, task.validated[5][name]), name
