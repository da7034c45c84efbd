"""Trainings that several workers share, on a real Ray."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from pipeline.datasets.scenes import SceneConfig, write_scenes
from pipeline.flow.cluster import ClusterError, Machine
from pipeline.flow.train import Relayed, _size, _with_command, train_on_workers
from pipeline.models.checkpoint import load_explainer
from pipeline.training.decoder import train_decoder
from pipeline.training.loop import Arrays, Batch, Progress, Scores, TrainingError, fit
from pipeline.training.workspace import Reporter, TrainingResult
from schemas.explainer_config import DecoderConfig
from schemas.training_config import DecoderRecipe, DecoderTraining, LoopConfig

pytestmark = [pytest.mark.slow, pytest.mark.ray]


class Line:
    """A line through points; nothing is random, and the loss is a mean over windows, however a batch is shared."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Linear(3, 1)
        self.x = torch.randn(22, 3, generator=torch.Generator().manual_seed(1))
        self.n_windows = len(self.x)

    def read(self, indices: Tensor) -> Arrays:
        return {"x": self.x[indices].numpy()}

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        loss = (self.module(batch["x"])[:, 0] - batch["x"].sum(dim=1)).square().mean()
        return loss, {"loss": loss.detach()}

    def validate(self) -> Scores:
        return {"score": -float((self.module(self.x)[:, 0] - self.x.sum(dim=1)).square().mean())}


def train_line(out: Path, *, reporter: Reporter, device: str) -> TrainingResult:
    """Fit the line; the scores hold its weights."""
    task = Line()
    loop = LoopConfig(epochs=4, batch_size=4, learning_rate=0.05)
    state = fit(task, loop, out / "checkpoint.pt", "line", reporter.epoch, reporter.step)
    weights = {name: float(value.sum()) for name, value in task.module.state_dict().items()}
    return TrainingResult({"validation": state.history[state.best_epoch], "weights": weights}, str(out), "a line")


def recipe(batch_size: int = 4) -> DecoderRecipe:
    return DecoderRecipe(
        decoder=DecoderConfig(channels=(2, 4, 4, 4, 4)),
        training=DecoderTraining(loop=LoopConfig(epochs=2, batch_size=batch_size)),
    )


class Log(Reporter):
    def __init__(self, stop_after: int | None = None) -> None:
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.steps: list[int] = []
        self.stop_after = stop_after

    def step(self, done: int, total: int) -> None:
        self.steps.append(done)

    def epoch(self, progress: Progress) -> None:
        self.losses.append(progress.train["loss"])
        self.scores.append(progress.validation["score"])
        if progress.epoch == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared") / "scenes"
    write_scenes(str(folder), 20, seed=0, config=SceneConfig(duration_s=1.0))
    return folder


def test_two_workers_learn_what_one_does(tmp_path: Path) -> None:
    one, two = Log(), Log()
    alone = train_on_workers(train_line, tmp_path / "one", workers=1, device="cpu", reporter=one)
    shared = train_on_workers(train_line, tmp_path / "two", workers=2, device="cpu", reporter=two)
    assert two.losses == pytest.approx(one.losses, rel=1e-5)
    assert two.scores == pytest.approx(one.scores, rel=1e-5)
    assert shared.scores["weights"] == pytest.approx(alone.scores["weights"], rel=1e-5)
    assert two.steps == one.steps == [1, 2, 3, 4, 5] * 4


def test_a_decoder_of_two_workers_is_stopped_and_one_worker_goes_on(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(out: Path, workers: int, log: Log) -> TrainingResult:
        return train_on_workers(
            train_decoder,
            recordings,
            out,
            classifier="scenes",
            recipe=recipe(),
            validation="0.5",
            workers=workers,
            device="cpu",
            reporter=log,
        )

    whole, cut, resumed = Log(), Log(stop_after=1), Log()
    at_once = train(tmp_path / "whole", 2, whole)
    assert load_explainer(str(tmp_path / "whole")).decoder is not None
    assert not (tmp_path / "whole" / "training").exists()
    # Paths are relative to this process's folder in the workers, too.
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(Path("out"), 2, cut)
    assert not (tmp_path / "out" / "decoder.safetensors").exists()
    alone = train(Path("out"), 1, resumed)
    assert (len(cut.losses), len(resumed.losses)) == (1, 1)
    assert cut.losses == whole.losses[:1]
    assert cut.scores == whole.scores[:1]
    assert alone.how == at_once.how
    assert load_explainer(str(tmp_path / "out")).decoder is not None


def test_all_that_a_reporter_is_told_is_relayed() -> None:
    assert vars(Reporter).keys() - {"__module__", "__doc__", "__dict__", "__weakref__"} <= vars(Relayed).keys()


@pytest.mark.parametrize(
    ("device", "machines", "local", "cpus"),
    [
        ("auto", [Machine(64, 0)], True, 32),
        ("cpu", [Machine(1, 0)], True, 1),
        ("auto", [Machine(3, 0), Machine(3, 0)], False, 3),
        ("cpu", [Machine(7, 0), Machine(2, 0)], False, 3),
        ("auto", [Machine(16, 2)], True, 1),
    ],
)
def test_workers_share_the_machines(device: str, machines: list[Machine], local: bool, cpus: int) -> None:
    size = _size(2, device, local, machines)
    assert (size.actors, size.cpus, size.gpus) == (2, cpus, int(machines[0].gpus > 0))


def test_too_few_machines_are_refused() -> None:
    with pytest.raises(ClusterError, match="3 workers need a GPU each, and Ray sees 2: give fewer --workers"):
        _size(3, "auto", True, [Machine(16, 2)])
    with pytest.raises(ClusterError, match="3 workers need a CPU core each, and the cluster has 2"):
        _size(3, "cpu", False, [Machine(2, 0)])


def test_the_card_shows_the_call_that_was_made() -> None:
    made = _with_command(train_decoder, ("sounds", "out"), {"classifier": "esc10", "device": "auto"}, 4)
    assert made["command"] == (
        "lmac.train_on_workers(lmac.train_decoder, input_url='sounds', out='out', classifier='esc10', workers=4)"
    )
    assert _with_command(train_decoder, ("a", "b"), {"command": "typed"}, 4) == {"command": "typed"}


def test_what_cannot_be_shared_is_refused_in_the_words_of_the_training(recordings: Path, tmp_path: Path) -> None:
    def train(device: str, workers: int) -> TrainingResult:
        return train_on_workers(
            train_decoder,
            recordings,
            tmp_path / "out",
            classifier="scenes",
            recipe=recipe(batch_size=5),
            workers=workers,
            device=device,
        )

    with pytest.raises(TrainingError, match="batch_size 5 cannot be shared equally by 2 workers: give a multiple of 2"):
        train("cpu", 2)
    with pytest.raises(ClusterError, match="2 workers need a GPU each, and Ray sees 0"):
        train("cuda", 2)
