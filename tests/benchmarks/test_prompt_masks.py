"""The scores of masks for prompts, on decoders whose scores are known."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.prompt_masks import MaskScores, evaluate_masks
from pipeline.models.decoder import Decoder
from schemas.explainer_config import DecoderConfig
from tests.models.clap.make import FRONT_END, SMALL, small_clap

CLAP = small_clap(front_end=FRONT_END.model_copy(update={"window_s": 5.0}))
MIXTURES = 3


class Texts:
    """A text encoder to which every text is something else."""

    digest = "0" * 64

    def embed(self, texts: Sequence[str]) -> Tensor:
        rows = [torch.randn(SMALL.projection, generator=torch.Generator().manual_seed(_seed(t))) for t in texts]
        return normalize(torch.stack(rows), dim=1)


def _seed(text: str) -> int:
    return zlib.crc32(text.encode())


class Known(Decoder):
    """A decoder that says the same of every prompt: `how` of the magnitude."""

    def __init__(self, loud: bool) -> None:
        channels = CLAP.representation_channels
        super().__init__(DecoderConfig(channels=(2,) * 6), CLAP.front_end, channels)
        self.loud = loud

    def forward(self, representations: Sequence[Tensor], magnitude: Tensor, prompt: Tensor | None = None) -> Tensor:
        return magnitude.log() if self.loud else torch.full_like(magnitude, 20.0)


def scores(loud: bool) -> MaskScores:
    return evaluate_masks(CLAP, Known(loud), Texts(), MIXTURES)


@pytest.mark.slow
def test_a_mask_that_keeps_all_tells_nothing_apart_and_changes_no_sound() -> None:
    got = scores(loud=False)
    assert got.auroc.value == 0.5
    assert (got.iou.value, got.iou_pairs) == (1.0, MIXTURES)
    assert (got.present.value, got.absent.value) == (pytest.approx(1), pytest.approx(1))
    assert got.si_sdr_gain.value == pytest.approx(0, abs=0.01)


@pytest.mark.slow
def test_a_mask_of_what_is_loud_scores_as_loudness_does_whatever_is_asked() -> None:
    got = scores(loud=True)
    assert got.auroc.value == pytest.approx(got.auroc_energy.value)
    assert got.auroc.value == pytest.approx(got.auroc_other.value)
    assert got.auroc.value > 0.5
    assert got.present.value == pytest.approx(got.absent.value, rel=1e-5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures() -> None:
    assert scores(loud=True) == scores(loud=True)
