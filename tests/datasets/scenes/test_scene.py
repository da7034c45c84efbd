"""Scenes keep their promises: what the parts are, where, how loud, and that a seed is a scene."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.scenes import BACKGROUNDS, CLASSES, Scene, SceneConfig, SceneError, render_scene, scene_label

SHORT = SceneConfig(duration_s=1.0, event_s=(0.3, 0.8))


def span_of(scene: Scene) -> slice:
    start = round(scene.onset_s * scene.sample_rate)
    return slice(start, start + round(scene.event_s * scene.sample_rate))


@pytest.mark.parametrize("label", CLASSES)
def test_parts_sum_to_the_mixture_and_have_the_snr_stated(label: str) -> None:
    for index in range(3):
        scene = render_scene(5, index, label=label)
        span = span_of(scene)
        target, background = scene.target[span].astype(float), scene.background[span].astype(float)
        assert np.array_equal(scene.mixture, scene.target + scene.background)
        assert 10 * np.log10(np.sum(target**2) / np.sum(background**2)) == pytest.approx(scene.snr_db, abs=0.01)
        assert not scene.target[: span.start].any()
        assert not scene.target[span.stop :].any()
        assert scene.background.any()


def test_values_lie_in_the_ranges_of_the_config() -> None:
    config = SceneConfig(snr_db=(3.0, 6.0), event_s=(1.0, 2.0), level_dbfs=(-40.0, -35.0))
    for index in range(10):
        scene = render_scene(1, index, config)
        assert scene.mixture.shape == (160000,)
        assert 3.0 <= scene.snr_db <= 6.0
        assert 1.0 <= scene.event_s <= 2.0
        assert 0.0 <= scene.onset_s <= 5.0 - scene.event_s + 1e-9
        assert -40.01 <= 20 * np.log10(np.sqrt(np.mean(scene.mixture.astype(float) ** 2))) <= -34.99


def test_a_peaky_scene_is_lowered_instead_of_clipped() -> None:
    loud = SceneConfig(snr_db=(20.0, 20.0), level_dbfs=(-3.0, -3.0))
    scene = render_scene(0, 0, loud, label="clock_tick")
    assert np.abs(scene.mixture).max() == pytest.approx(0.98, abs=1e-5)


def test_a_scene_does_not_depend_on_what_was_rendered_before() -> None:
    alone = render_scene(3, 17, SHORT)
    render_scene(3, 16, SHORT)
    again = render_scene(3, 17, SHORT)
    assert np.array_equal(alone.mixture, again.mixture)
    assert not np.array_equal(alone.mixture, render_scene(4, 17, SHORT).mixture)
    assert not np.array_equal(alone.mixture, render_scene(3, 18, SHORT).mixture)


def test_naming_the_label_it_has_anyway_changes_nothing() -> None:
    scene = render_scene(2, 5, SHORT)
    assert np.array_equal(scene.mixture, render_scene(2, 5, SHORT, label=scene_label(2, 5)).mixture)


def test_another_label_leaves_the_surroundings_as_they_are() -> None:
    one, other = (render_scene(2, 5, label=label) for label in ("siren", "rain"))
    assert (one.onset_s, one.event_s, one.snr_db) == (other.onset_s, other.event_s, other.snr_db)
    assert one.background_kind == other.background_kind
    ratio = np.dot(one.background, other.background) / np.dot(one.background, one.background)
    assert other.background == pytest.approx(ratio * one.background, abs=1e-6)
    assert not np.allclose(one.target, other.target, atol=1e-3)


def test_labels_are_balanced_and_not_in_a_fixed_order() -> None:
    labels = [scene_label(0, index) for index in range(200)]
    assert Counter(labels) == dict.fromkeys(CLASSES, 20)
    assert labels[:10] != labels[10:20]


def test_all_backgrounds_occur() -> None:
    kinds = {render_scene(0, index, SHORT).background_kind for index in range(60)}
    assert kinds == set(BACKGROUNDS)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**70), index=st.integers(0, 2**40), rate=st.sampled_from([16000, 22050, 48000]))
def test_any_seed_and_index_make_a_sound_scene(seed: int, index: int, rate: int) -> None:
    config = SceneConfig(sample_rate=rate, duration_s=0.7)
    scene = render_scene(seed, index, config)
    assert scene.label in CLASSES
    assert scene.mixture.dtype == scene.target.dtype == scene.background.dtype == np.float32
    assert scene.mixture.shape == (round(0.7 * rate),)
    assert np.isfinite(scene.mixture).all()
    assert np.abs(scene.mixture).max() < 1.0
    assert scene.event_s <= 0.8 * 0.7 + 1 / rate


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sample_rate": 8000}, "sample_rate must be at least 16000 Hz, got 8000"),
        ({"duration_s": 0.1}, "duration_s must be at least 0.5 s, got 0.1"),
        ({"snr_db": (5.0, 0.0)}, r"snr_db must be \(low, high\)"),
        ({"event_s": (0.0, 1.0)}, "event_s must be above 0 s"),
    ],
)
def test_a_config_that_makes_no_scene_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SceneError, match=message):
        SceneConfig(**wrong)


def test_an_unknown_label_and_a_negative_index_are_refused() -> None:
    with pytest.raises(SceneError, match="unknown label 'cat': the classes are siren"):
        render_scene(0, 0, label="cat")
    with pytest.raises(SceneError, match="index=-1"):
        render_scene(0, -1)
