from __future__ import annotations

import numpy as np
import pytest

from pipeline.datasets.scenes.separation import si_sdr

N = 4000
TONE = np.sin(2 * np.pi * 100 * np.arange(N) / N)
OTHER = np.sin(2 * np.pi * 300 * np.arange(N) / N)  # orthogonal to TONE over whole periods


@pytest.mark.parametrize("ratio_db", [-10.0, 0.0, 20.0])
def test_a_second_tone_is_distortion_by_its_level(ratio_db: float) -> None:
    assert si_sdr(TONE + 10 ** (-ratio_db / 20) * OTHER, TONE) == pytest.approx(ratio_db, abs=1e-6)


@pytest.mark.parametrize("scale", [0.01, -3.0])
def test_scale_and_sign_of_the_estimate_do_not_count(scale: float) -> None:
    assert si_sdr(scale * (TONE + OTHER), TONE) == pytest.approx(si_sdr(TONE + OTHER, TONE))


def test_a_silent_estimate_holds_nothing_of_the_reference() -> None:
    assert si_sdr(np.zeros(N), TONE) == -np.inf


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="silent"):
        si_sdr(TONE, np.zeros(N))
    with pytest.raises(ValueError, match="must agree"):
        si_sdr(TONE[:-1], TONE)
