"""How much of a run's sound and pictures goes into a report: its first windows, as far as there is room."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.audit.report.media import PICTURES, Media
from pipeline.audit.report.windows import Windows
from pipeline.runs.original import sides_add_up
from pipeline.runs.run import Run
from schemas.report_config import ReportConfig

# Share of 16-bit samples that FLAC takes, for an estimate: noise takes more, speech and silence less.
_FLAC_SHARE = 0.6


def affordable(run: Run, windows: Windows, media: Media, config: ReportConfig, from_input: bool) -> list[int]:
    """Choose the windows that get sound and pictures: the first ones with sound, as many as are expected to fit."""
    # Without any sound there are masks to be seen.
    candidates = [i for i in range(len(windows.rows)) if media.level(i) == 2] or list(range(len(windows.rows)))
    count = min(config.pictured, len(windows.rows))
    if config.sound_mb and count:
        each = _estimated_bytes(run, windows, from_input)
        count = count if not each else min(count, max(1, int(config.sound_mb * 1e6 / each)))
    return candidates[:count]


def files_within(media: Media, places: list[int], sound_mb: float) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the windows at these places with their paths, sound only within its budget.

    At the end `media` knows only these files.
    """
    made: set[str] = set()
    spent = 0
    for files in media.files(places):
        spent += sum(len(data) for path, data in files.items() if not path.startswith(PICTURES))
        for path, data in files.items():
            if path.startswith(PICTURES) or spent <= sound_mb * 1e6:
                made.add(path)
                yield path, data
    for path, data in media.masks(places):
        made.add(path)
        yield path, data
    media.keep(made)


def _estimated_bytes(run: Run, windows: Windows, from_input: bool) -> float:
    """About how many bytes the sound of a window takes, on average."""
    seconds = float(np.mean([row["duration_s"] for row in windows.rows]))
    targets = float(np.mean([len(found) for found in windows.explanations]))
    table = run.manifest.tables.get("listenables")
    sides = len(run.record.config["listenables"]) if table is not None and table.rows else 0
    one = table.bytes / table.rows if sides and table is not None else 0.0
    whole = seconds * run.record.explainer["sample_rate"] * 2 * _FLAC_SHARE
    return one * sides * targets + (whole if from_input or sides_add_up(run) else 0.0)
