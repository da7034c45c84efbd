from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.inputs.window_set import WindowSet
from pipeline.models.build import build_decoder
from pipeline.models.classifier import Classifier
from pipeline.training.classifier import ClassifierTask, recording_accuracy
from pipeline.training.decoder_task import DecoderTask, mean_faithfulness
from pipeline.training.loop import Progress, State, fit
from schemas.training_config import AugmentConfig, ClassifierTraining, DecoderTraining, LoopConfig
from tests.lmac.fakes import LinearClassifier, OracleDecoder, everything, nothing
from tests.lmac.scenes import scene_windows
from tests.models.make import CONFIG, FRONT_END, front_end, small_models

LOOP = LoopConfig(epochs=12, batch_size=10, learning_rate=0.02, bf16=False)


def trained(folder: Path, bf16: bool) -> tuple[Classifier, State]:
    """The small classifier after a few epochs on scenes as they are."""
    loop = LOOP.model_copy(update={"bf16": bf16})
    plain = AugmentConfig(mixup=0, noise=0, stretch=0, drop_bands=0, drop_spans=0)
    config = CONFIG.model_copy(update={"classifier": CONFIG.classifier.model_copy(update={"dropout": 0.0})})
    classifier = small_models(config=config)[0]
    task = ClassifierTask(classifier, scene_windows(), None, ClassifierTraining(loop=loop, augment=plain))
    return classifier, fit(task, loop, folder / "c.pt", "", lambda progress: None)


@pytest.mark.parametrize("bf16", [False, True])
def test_a_classifier_learns_a_few_scenes(tmp_path: Path, bf16: bool) -> None:
    classifier, state = trained(tmp_path, bf16)
    losses = [epoch["train_loss"] for epoch in state.history]
    assert losses[-1] < 0.5 * losses[0]
    assert recording_accuracy(classifier, scene_windows())["accuracy"] > 0.6  # a third by chance


def test_a_classifier_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818 - it is no error
        pass

    def kill(progress: Progress) -> None:
        if progress.epoch == 1:
            raise Killed

    loop = LOOP.model_copy(update={"epochs": 2, "bf16": True})
    config = ClassifierTraining(loop=loop)
    whole, cut, resumed = (
        ClassifierTask(small_models(seed)[0], scene_windows(), scene_windows(10), config) for seed in (0, 0, 7)
    )
    state = fit(whole, loop, tmp_path / "whole.pt", "", lambda progress: None)
    with pytest.raises(Killed):
        fit(cut, loop, tmp_path / "cut.pt", "", kill)
    assert fit(resumed, loop, tmp_path / "cut.pt", "", lambda progress: None) == state
    for name, weight in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], weight), name


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["magnitude", "log1p"])
def test_a_decoder_lowers_its_objective_and_leaves_the_classifier_alone(tmp_path: Path, domain: str) -> None:
    classifier = trained(tmp_path, bf16=False)[0].train()
    torch.manual_seed(0)
    decoder = build_decoder(CONFIG, classifier)
    before = {name: weight.clone() for name, weight in classifier.state_dict().items()}
    config = DecoderTraining(loop=LOOP)
    task = DecoderTask(decoder, classifier, scene_windows(), scene_windows(10), config, domain)
    state = fit(task, LOOP, tmp_path / "d.pt", "", lambda progress: None)
    losses = [epoch["train_loss"] for epoch in state.history]
    assert losses[-1] < 0.6 * losses[0]
    for name, weight in classifier.state_dict().items():
        assert torch.equal(weight, before[name]), name
    assert not any(weight.requires_grad for weight in task.classifier.parameters())


def test_faithfulness_of_known_masks_is_what_it_must_be() -> None:
    classifier = small_models()[0]
    kept = mean_faithfulness(classifier, OracleDecoder(everything), scene_windows(), "magnitude", batch_size=7)
    assert (kept["fid_in"], kept["mask_mean"]) == (1, 1)
    assert kept["ad"] == pytest.approx(0, abs=1e-2)
    left = mean_faithfulness(classifier, OracleDecoder(nothing), scene_windows(), "magnitude", batch_size=7)
    assert left["mask_mean"] == 0
    assert left["ff"] == pytest.approx(0, abs=1e-4)
    assert left["p"] == pytest.approx(kept["p"], abs=1e-4)


def loudness_classifier() -> LinearClassifier:
    """Says class 1 of what is loud and class 0 of what is not, the surer the further from the middle."""
    classifier = LinearClassifier(torch.stack([torch.zeros(FRONT_END.n_freq), torch.ones(FRONT_END.n_freq)]))
    classifier.front_end = front_end()
    return classifier


def test_the_windows_of_a_recording_decide_together() -> None:
    n = FRONT_END.window_samples
    # One window surely loud, two silent, of which the classifier says nothing: the recording is loud.
    samples = np.zeros((4, n), "<i2")
    samples[0] = np.random.default_rng(0).integers(-8000, 8000, n)
    windows = WindowSet(
        samples, np.array([0, 0, 0, 1]), ("x", "y"), (("loud",), ("quiet",)), ({}, {}), ("quiet", "loud")
    )
    got = recording_accuracy(loudness_classifier(), windows, batch_size=2)
    assert got["accuracy"] == 1.0
    other = WindowSet(
        samples, windows.recording_index, ("x", "y"), (("quiet",), ("quiet",)), ({}, {}), ("quiet", "loud")
    )
    assert recording_accuracy(loudness_classifier(), other, batch_size=2)["accuracy"] == 0.5


def test_of_two_equal_accuracies_the_surer_scores_higher() -> None:
    sure, unsure = loudness_classifier(), loudness_classifier()
    unsure.weights.data.mul_(0.01)
    rng = np.random.default_rng(0)
    samples = rng.integers(-80, 80, (2, FRONT_END.window_samples)).astype("<i2")
    windows = WindowSet(samples, np.arange(2), ("x", "y"), (("loud",), ("loud",)), ({}, {}), ("quiet", "loud"))
    first, second = recording_accuracy(sure, windows), recording_accuracy(unsure, windows)
    assert first["accuracy"] == second["accuracy"] == 1.0
    assert first["score"] > second["score"]
