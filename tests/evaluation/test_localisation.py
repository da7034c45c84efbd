from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache

import numpy as np
import pytest
import torch

from pipeline.attribution.relevance import soft_mask
from pipeline.datasets.scenes import Scene, SceneConfig, render_scene
from pipeline.datasets.scenes.encode import encode_scene
from pipeline.evaluation.batch import WindowBatch, classify_windows
from pipeline.evaluation.localisation import Scenes, ideal, localised, scenes_of
from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.masking import quantised
from tests.evaluation.make import LowOrHigh
from tests.models.make import FRONT_END

COUNT = 3


@lru_cache
def scenes() -> tuple[Scene, ...]:
    config = SceneConfig(sample_rate=FRONT_END.sample_rate, duration_s=FRONT_END.window_s, snr_db=(-3.0, 9.0))
    return tuple(render_scene(5, index, config) for index in range(COUNT))


def windows(gain: float = 1.0, **changed: object) -> WindowSet:
    """Scenes as a dataset holds them, all but what is changed."""
    facts = [{**asdict(encode_scene(scene).facts), **changed} for scene in scenes()]
    samples = np.stack([np.round(gain * scene.mixture * 32768).astype("<i2") for scene in scenes()])
    return WindowSet(
        samples, np.arange(COUNT), tuple("abc"), tuple((scene.label,) for scene in scenes()), tuple(facts), ("x", "y")
    )


def window_batch() -> WindowBatch:
    found = windows()
    return classify_windows(LowOrHigh(), found.waveforms(torch.arange(COUNT)), torch.arange(COUNT))


def notes_of(found: WindowSet) -> list[str]:
    notes: list[str] = []
    assert scenes_of(found, FRONT_END, notes.append) is None
    return notes


def test_scenes_are_rendered_again_from_their_facts_whatever_they_were_drawn_from() -> None:
    found = scenes_of(windows(), FRONT_END, pytest.fail)
    assert found is not None
    for number, scene in enumerate(scenes()):
        np.testing.assert_array_equal(found[number].mixture, scene.mixture)


def test_facts_out_of_a_csv_are_as_good() -> None:
    facts = tuple({name: str(value) for name, value in row.items()} for row in windows().metadata)
    found = windows()
    as_text = WindowSet(found.samples, found.recording_index, found.keys, found.labels, facts, found.classes)
    assert scenes_of(as_text, FRONT_END, pytest.fail) is not None


def test_other_recordings_are_no_scenes_and_nothing_is_said_of_it() -> None:
    found = windows()
    bare = WindowSet(found.samples, found.recording_index, found.keys, found.labels, ({},) * COUNT, found.classes)
    assert notes_of(bare) == []


def test_a_scene_that_was_changed_is_left_out_with_a_word() -> None:
    (note,) = notes_of(windows(gain=0.9))
    assert note.startswith("localisation is left out: a differs from the scene ")


@pytest.mark.parametrize("changed", [{"label": "whale"}, {"seed": "x"}, {"event_s": None}])
def test_facts_that_are_of_no_scene_are_left_out_with_a_word(changed: dict[str, object]) -> None:
    (note,) = notes_of(windows(**changed))
    assert note.startswith("localisation is left out: a: ")


def test_the_ideal_mask_finds_all_and_separates_and_its_inverse_finds_nothing() -> None:
    one, truth = window_batch(), Scenes(windows(), FRONT_END)
    relevance = ideal(LowOrHigh(), truth, "").relevance(one)
    ranks = {"signed": relevance, "absolute": -relevance}
    masks = {"as_written": quantised(soft_mask(relevance, one.magnitude, "as_written"))}
    rows = {row["ranking"]: row for row in localised(LowOrHigh(), one, truth, ranks, masks, "magnitude")}
    assert rows["signed"]["auroc"] == pytest.approx([1.0] * COUNT)
    assert rows["signed"]["average_precision"] == pytest.approx([1.0] * COUNT)
    assert rows["absolute"]["auroc"] == pytest.approx([0.0] * COUNT)
    gained = np.array(rows["signed"]["si_sdr_masked_in"]) - np.array(rows["signed"]["si_sdr_mixture"])
    assert (gained > 3).all()


def test_chance_finds_half() -> None:
    one = window_batch()
    rank = torch.rand(one.magnitude.shape, generator=torch.Generator().manual_seed(0))
    (row,) = localised(
        LowOrHigh(), one, Scenes(windows(), FRONT_END), {"signed": rank}, {"m": quantised(rank)}, "magnitude"
    )
    assert row["auroc"] == pytest.approx([0.5] * COUNT, abs=0.05)


def test_a_silent_listenable_has_nothing_of_the_target() -> None:
    one = window_batch()
    empty = {"m": torch.zeros(one.magnitude.shape, dtype=torch.uint8)}
    rank = {"signed": one.magnitude}
    (row,) = localised(LowOrHigh(), one, Scenes(windows(), FRONT_END), rank, empty, "magnitude")
    assert row["si_sdr_masked_in"] == [-np.inf] * COUNT
    assert row["snr_db"] == [scene.snr_db for scene in scenes()]
