"""Pictures: a tone is where its frequency is, and the veil is clear where the mask keeps."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
from PIL import Image

from pipeline.audit.report.pictures import HEIGHT, WIDTH, Axes
from pipeline.runs.profiles import band_edges_hz
from tests.flow.make import FRONT_END, RATE

AXES = Axes(band_edges_hz(FRONT_END).tolist(), FRONT_END.bin_hz, FRONT_END.hop_s)


def test_a_tone_is_drawn_at_its_frequency() -> None:
    t = np.arange(10 * RATE) / RATE
    for hz in (500, 3000):
        data = AXES.spectrogram(np.sin(2 * np.pi * hz * t).astype(np.float32), RATE)
        shade = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(float)
        assert shade.shape == (HEIGHT, WIDTH)
        row = HEIGHT - 1 - int(shade.mean(axis=1).argmax())
        assert AXES.rows_hz[row] - 40 <= hz <= AXES.rows_hz[row + 1] + 40


def test_silence_is_dark() -> None:
    image = Image.open(io.BytesIO(AXES.spectrogram(np.zeros(RATE, np.float32), RATE)))
    assert np.asarray(image).max() < 16


def test_the_veil_is_clear_where_the_mask_keeps_and_dark_elsewhere() -> None:
    mask = np.zeros((FRONT_END.n_freq, 400), np.uint8)
    mask[: FRONT_END.n_freq // 2, :100] = 255
    image = Image.open(io.BytesIO(AXES.veil(mask))).convert("RGBA")
    alpha = np.asarray(image)[:, :, 3]
    half = np.searchsorted(AXES.rows_hz, RATE / 4)
    assert (alpha[HEIGHT - half + 2 :, : WIDTH // 4 - 1] == 0).all()
    assert (alpha[: HEIGHT - half - 2] == 255).all()
    assert (alpha[:, WIDTH // 4 + 1 :] == 255).all()


def test_ticks_lie_at_their_frequencies_and_apart() -> None:
    ticks = dict(AXES.ticks())
    assert {1000, 2000, 4000} <= set(ticks)
    heights = list(ticks.values())
    assert all(b - a > 0.05 for a, b in pairwise(heights))
    row = int(ticks[1000] * HEIGHT)
    assert AXES.rows_hz[row] <= 1000 <= AXES.rows_hz[row + 1]
