"""Each fault of a signal is found in the recordings that have it, and in no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.audit.audited import AuditedRun
from pipeline.audit.broken_audio import broken_audio
from pipeline.audit.findings import Finding
from pipeline.audit.speed import shifted_spectra
from pipeline.inputs.shards import clip_id
from pipeline.runs.run import open_run
from schemas.audit_config import AuditConfig
from tests.audit.make import made_run, window

FAULTS: dict[str, dict[str, Any]] = {
    "silent": {"silence": 1.0, "level_dbfs": -120.0, "bandwidth_hz": None},
    "clipped": {"clipped": 0.002},
    "dc_offset": {"dc_offset": -0.02},
    "dropout": {"dropout_s": 0.02},
    "band_limited": {"bandwidth_hz": 3000.0},
    "level": {"level_dbfs": -50.0},
    "wrong_speed": {"duration_s": 0.5},
}


def plain(count: int = 30) -> list[dict[str, Any]]:
    return [window(f"plain{number}.wav", level_dbfs=-20.0 + number % 5) for number in range(count)]


def found(folder: Path, windows: list[dict[str, Any]], right: frozenset[str] = frozenset()) -> dict[str, Finding]:
    about = AuditedRun(open_run(made_run(folder / "run", windows)), found_right=right)
    return {one.subject: one for one in broken_audio(about, AuditConfig())}


def test_nothing_is_wrong_with_sound_recordings(tmp_path: Path) -> None:
    assert found(tmp_path, plain()) == {}


def test_each_fault_is_found_where_it_is_and_as_nothing_else(tmp_path: Path) -> None:
    windows = [*plain(), *(window(f"{fault}.wav", **columns) for fault, columns in FAULTS.items())]
    findings = found(tmp_path, windows)
    assert findings.keys() == FAULTS.keys()
    for fault, one in findings.items():
        assert [member.clip_id for member in one.members] == [clip_id(f"{fault}.wav")]
        assert (one.n, one.share) == (1, pytest.approx(1 / 37))
        assert one.members[0].score >= 1
        assert one.effect is not None
        assert one.effect.low is not None
        assert one.effect.low < one.share


def test_of_a_long_recording_the_window_with_the_fault_is_named_and_the_recording_counted_once(tmp_path: Path) -> None:
    long = [window("long.wav", index, dropout_s=0.0 if index != 2 else 0.05) for index in range(4)]
    one = found(tmp_path, [*plain(), *long, window("other.wav", dropout_s=0.01)])["dropout"]
    assert (one.n, [member.window_id for member in one.members]) == (
        2,
        [f"{clip_id('long.wav')}-00002", f"{clip_id('other.wav')}-00000"],
    )
    # Silence in a part of it, and a soft part, are no faults of the whole.
    partly = [window("partly.wav", index, **(FAULTS["silent"] if index else {})) for index in range(2)]
    partly.append(window("partly.wav", 2, duration_s=0.77))
    assert found(tmp_path / "partly", [*plain(), *partly]) == {}


def test_where_all_end_alike_or_the_rate_allows_no_more_none_is_low_passed(tmp_path: Path) -> None:
    alike = {"bandwidth_hz": 3000.0}
    assert found(tmp_path / "alike", [window(f"{number}.wav", **alike) for number in range(20)]) == {}
    assert found(tmp_path / "rate", [*plain(), window("low.wav", sample_rate_in=6000, **alike)]) == {}


def test_lengths_that_vary_say_nothing_of_speed(tmp_path: Path) -> None:
    windows = [window(f"{number}.wav", duration_s=0.3 + 0.02 * number) for number in range(30)]
    assert found(tmp_path, [*windows, window("half.wav", duration_s=0.5)]) == {}


def test_what_was_found_right_is_not_named_again(tmp_path: Path) -> None:
    windows = [*plain(), window("one.wav", clipped=0.01), window("other.wav", clipped=0.02)]
    one = found(tmp_path, windows, frozenset([clip_id("other.wav")]))["clipped"]
    assert (one.n, len(one.members)) == (1, 1)
    assert "1 recording clipped" in one.statement


def test_a_spectrum_that_is_its_labels_shifted_by_an_octave_is_a_suspect_and_no_other_is() -> None:
    rng = np.random.default_rng(0)
    edges = np.geomspace(50, 8000, 65)
    centres = (edges[:-1] + edges[1:]) / 2

    def spectrum(speed: float) -> np.ndarray:
        peaks = (300, 700, 1900)
        shape = sum(10 ** (-((np.log2(centres / speed / peak) / 0.2) ** 2)) for peak in peaks)
        return 10 * np.log10(shape + 1e-3) + 0.5 * rng.standard_normal(len(centres)) - 40

    levels = np.array([spectrum(1.0) for _ in range(40)] + [spectrum(2.0), spectrum(0.5)], np.float32)
    found = shifted_spectra(levels, edges, ["bell"] * 42)
    assert [(recording, speed) for recording, speed, _ in found] == [(40, 2.0), (41, 0.5)]
    # Others to compare with are needed.
    assert shifted_spectra(levels[30:], edges, ["bell"] * 12) == []
    assert shifted_spectra(levels, edges, [None] * 42) == []
