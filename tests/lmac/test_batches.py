"""Windows explained in batches: the same bits whatever stands beside them, and only what is wanted of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.pcm import from_pcm
from pipeline.lmac.batches import ExplainedWindows, Wanted, explain_batches
from pipeline.lmac.explainer import Explainer
from schemas.explainer_config import DecoderConfig, Precision
from schemas.targets import Targets
from tests.flow.make import FRONT_END, TINY, sound
from tests.models.make import small_models

COUNT, SIZE = 11, 4
CONFIG = TINY.model_copy(update={"decoder": DecoderConfig(channels=(4, 4, 4, 4, 4), evidence=2)})
EXPLAINER = Explainer(CONFIG, *small_models(config=CONFIG))
SOUNDS = np.stack([sound(1.0, seed=number) for number in range(COUNT)]).astype(np.float32)
LENGTHS = np.where(np.arange(COUNT) % 3, FRONT_END.window_samples, FRONT_END.window_samples // 2)
SOUNDS[np.arange(FRONT_END.window_samples) >= LENGTHS[:, None]] = 0


def wanted(count: int = COUNT, targets: str = "top1") -> Wanted:
    every = np.ones(count, np.bool_)
    return Wanted(Targets.parse(targets), "soft", 0, ("masked_in", "masked_out"), every, every, every)


def explain(
    which: list[int] | np.ndarray, what: Wanted | None = None, explainer: Explainer = EXPLAINER, size: int = SIZE
) -> ExplainedWindows:
    return explain_batches(explainer, SOUNDS[which], LENGTHS[which], what or wanted(len(which)), size)


@cache
def whole() -> ExplainedWindows:
    """All windows and two targets of each; not made at import, where tests have other threads."""
    return explain(np.arange(COUNT), wanted(targets="topk:2"))


def assert_same(got: ExplainedWindows, which: list[int], every: ExplainedWindows) -> None:
    """All that is known of these windows is, to the bit, what is known of them in the every."""
    for name in ("target_index", "probabilities", "embedding", "by_freq", "by_frame", "mask"):
        np.testing.assert_array_equal(getattr(got, name), getattr(every, name)[which], name)
    assert (got.scores.keys(), got.listenables.keys()) == (every.scores.keys(), every.listenables.keys())
    for name, values in got.scores.items():
        np.testing.assert_array_equal(values, every.scores[name][which], name)
    for side, samples in got.listenables.items():
        np.testing.assert_array_equal(samples, every.listenables[side][which], side)
        np.testing.assert_array_equal(got.gain_db[side], every.gain_db[side][which], side)


@settings(max_examples=12, deadline=None)
@given(which=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=9, unique=True))
def test_no_bit_depends_on_neighbours_place_or_padding(which: list[int]) -> None:
    assert_same(explain(which, wanted(len(which), "topk:2")), which, whole())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_bit_of_esc10_depends_on_neighbours_place_or_padding(precision: Precision) -> None:
    explainer = Explainer.load("esc10", precision=precision)
    n = explainer.config.front_end.window_samples
    generator = np.random.default_rng(0)
    noises = (0.1 * generator.standard_normal((6, n))).astype(np.float32) * np.linspace(0, 1, n, dtype=np.float32)
    lengths = np.full(6, n)
    every = explain_batches(explainer, noises, lengths, wanted(6), SIZE)
    for which in ([5, 2, 0], [4]):
        some = explain_batches(explainer, noises[which], lengths[which], wanted(len(which)), SIZE)
        assert_same(some, which, every)


def test_it_is_what_the_explainer_says_of_one_window() -> None:
    for i in (0, 4, 7):
        alone = EXPLAINER.explain_windows(SOUNDS[i], lengths=LENGTHS[i : i + 1], targets="topk:2")
        np.testing.assert_array_equal(whole().target_index[i], alone.target_index)
        assert np.abs(whole().mask[i].astype(int) - alone.mask).max() <= 1
        np.testing.assert_allclose(whole().probabilities[i], alone.probabilities[0], atol=1e-5)
        assert whole().scores.keys() == alone.scores.keys()
        for name, values in alone.scores.items():
            np.testing.assert_allclose(whole().scores[name][i], values, rtol=1e-2, atol=1e-2, err_msg=name)
        for side in ("masked_in", "masked_out"):
            heard = from_pcm(whole().listenables[side][i])
            np.testing.assert_allclose(heard, getattr(alone, side), atol=3e-3)
            assert not heard[:, LENGTHS[i] :].any()
            assert np.abs(heard).max() > 0.01


def test_profiles_are_sums_of_the_masks() -> None:
    np.testing.assert_array_equal(whole().by_freq, whole().mask.astype(int).sum(axis=3))
    np.testing.assert_array_equal(whole().by_frame, whole().mask.astype(int).sum(axis=2))
    np.testing.assert_allclose(whole().scores["mask_mean"], whole().mask.mean(axis=(2, 3)) / 255, rtol=1e-5)


def test_only_what_is_wanted_is_kept_and_it_is_the_same() -> None:
    generator = np.random.default_rng(3)
    masks, sounds, audio = (generator.random(COUNT) < share for share in (0.3, 0.5, 0.4))
    some = replace(wanted(targets="topk:2"), masks=masks, listenables=sounds, audio_scores=audio, sides=("masked_out",))
    got = explain(np.arange(COUNT), some)
    np.testing.assert_array_equal(got.mask, whole().mask[masks])
    assert got.listenables.keys() == {"masked_out"}
    np.testing.assert_array_equal(got.listenables["masked_out"], whole().listenables["masked_out"][sounds])
    np.testing.assert_array_equal(got.by_freq, whole().by_freq)
    assert got.scores.keys() == whole().scores.keys()
    for name, values in got.scores.items():
        expected = whole().scores[name].copy()
        if name.endswith("_audio"):
            expected[~audio] = np.nan
        np.testing.assert_array_equal(values, expected, name)


def test_without_listenables_and_audio_scores_there_are_none() -> None:
    none = np.zeros(COUNT, np.bool_)
    got = explain(np.arange(COUNT), replace(wanted(), masks=none, listenables=none, audio_scores=none))
    assert (len(got.mask), got.listenables, got.gain_db) == (0, {}, {})
    assert all(np.isnan(values).all() == name.endswith("_audio") for name, values in got.scores.items())
    np.testing.assert_array_equal(got.scores["p_in"][:, 0], whole().scores["p_in"][:, 0])


def test_bfloat16_changes_no_decision_and_little_of_a_mask() -> None:
    explainer = Explainer(CONFIG, *small_models(config=CONFIG), precision="bf16")
    half = explain(np.arange(COUNT), wanted(targets="topk:2"), explainer)
    np.testing.assert_array_equal(half.target_index, whole().target_index)
    np.testing.assert_array_equal(half.probabilities, whole().probabilities)
    off = np.abs(half.mask.astype(int) - whole().mask) / 255
    assert 0 < off.mean() < 0.005
    assert np.abs(half.scores["ff"] - whole().scores["ff"]).mean() < 0.002


def test_a_batch_that_does_not_fit_is_said_to() -> None:
    class Full(type(EXPLAINER.passes)):  # type: ignore[misc]
        def classify(self, *arguments: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

    explainer = Explainer(CONFIG, *small_models(config=CONFIG))
    explainer.passes.__class__ = Full
    with pytest.raises(torch.OutOfMemoryError):
        explain([0], explainer=explainer)
