"""Write a folder of mixtures to try prompts on: FLAC files named by their contents, and a table of them."""

from __future__ import annotations

import csv
from pathlib import Path

from pipeline.audio.flac import encode_flac
from pipeline.datasets.clap_mini.mixtures import render_mixture


def write_mixtures(folder: Path, count: int, seed: int, sample_rate: int = 32_000, duration_s: float = 5.0) -> None:
    """Write the first `count` mixtures of two events of the series `seed`; files of the same names are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "mixtures.csv").open("w", newline="") as table:
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["path", "events", "background", "snr_db"])
        for index in range(count):
            mixture = render_mixture(seed, index, sample_rate=sample_rate, duration_s=duration_s)
            kinds = [event.kind for event in mixture.contents.events]
            name = f"{index:03d}-{'-'.join(kinds)}.flac"
            (folder / name).write_bytes(encode_flac(mixture.waveform, sample_rate))
            levels = [f"{event.snr_db:.1f}" for event in mixture.contents.events]
            rows.writerow([name, "; ".join(kinds), mixture.contents.background, "; ".join(levels)])
