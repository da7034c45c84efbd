"""Trainings that several workers share, on a real Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.datasets.scenes import SceneConfig, write_scenes
from pipeline.flow.cluster import ClusterError
from pipeline.flow.train import train_on_workers
from pipeline.models.checkpoint import load_explainer
from pipeline.training.decoder import train_decoder
from pipeline.training.loop import Progress, TrainingError
from pipeline.training.workspace import Reporter, TrainingResult
from schemas.explainer_config import DecoderConfig
from schemas.training_config import DecoderRecipe, DecoderTraining, LoopConfig, ObjectiveConfig

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def recipe(epochs: int = 2, batch_size: int = 4) -> DecoderRecipe:
    """Nothing in it is random, and its loss is a mean over windows: it does not depend on how a batch is shared."""
    return DecoderRecipe(
        decoder=DecoderConfig(channels=(2, 4, 4, 4, 4)),
        training=DecoderTraining(
            loop=LoopConfig(epochs=epochs, batch_size=batch_size, bf16=False),
            objective=ObjectiveConfig(size="mean"),
            mixtures=0,
            gain_db=0,
            stretch=0,
            budgets=0,
        ),
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


def train(recordings: Path, out: Path, workers: int, log: Log, made: DecoderRecipe | None = None) -> TrainingResult:
    return train_on_workers(
        train_decoder,
        recordings,
        out,
        classifier="scenes",
        recipe=made or recipe(),
        validation="0.5",
        workers=workers,
        device="cpu",
        reporter=log,
    )


def test_two_workers_learn_what_one_does_and_one_goes_on_where_two_were_stopped(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, resumed = Log(), Log(stop_after=1), Log()
    alone = train(recordings, tmp_path / "one", 1, one)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(recordings, Path("two"), 2, two)
    assert not (tmp_path / "two" / "decoder.safetensors").exists()
    shared = train(recordings, Path("two"), 2, resumed)
    assert two.losses + resumed.losses == pytest.approx(one.losses, rel=1e-4)
    assert two.scores + resumed.scores == pytest.approx(one.scores, rel=1e-4)
    assert resumed.steps == one.steps[len(one.steps) // 2 :]
    assert shared.how == alone.how
    assert shared.scores["validation"] == pytest.approx(alone.scores["validation"], rel=1e-3)
    assert (tmp_path / "two").is_dir()
    ours, theirs = (load_explainer(str(tmp_path / name)).decoder for name in ("one", "two"))
    assert ours is not None
    assert theirs is not None
    for name, weight in ours.state_dict().items():
        assert (weight - theirs.state_dict()[name]).abs().max() < 1e-3, name


def test_what_cannot_be_shared_is_refused_in_the_words_of_the_training(recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch_size 5 cannot be shared equally by 2 workers: give a multiple of 2"):
        train(recordings, tmp_path / "odd", 2, Log(), recipe(batch_size=5))
    with pytest.raises(ClusterError, match="--device cuda: Ray sees no GPU"):
        train_on_workers(train_decoder, recordings, tmp_path / "gpu", classifier="scenes", workers=2, device="cuda")
