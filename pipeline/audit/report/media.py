"""Sound and pictures of the windows shown, as files under names that come from numbers alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from pipeline.audit.report.few_rows import rows_of_windows, windows_in
from pipeline.audit.report.pictures import Axes
from pipeline.audit.report.sounds import Heard, estimated_bytes, listen
from pipeline.audit.report.windows import Windows
from pipeline.runs.run import Run
from schemas.report_config import ReportConfig


class Media:
    """What can be heard and seen of the windows at `places`, and where it lies: paths relative to the report.

    These are the first windows shown of which there is sound, as many as the budget for sound lets one expect.
    """

    def __init__(self, run: Run, windows: Windows, config: ReportConfig, input_url: str | None) -> None:
        self.axes = _axes(run)
        self.heard = 0
        self._budget = config.sound_mb * 1e6
        self._windows = windows
        self._paths: dict[int, dict[str, Any]] = {}
        self._heard: dict[str, Heard] = {}
        self._veils: dict[tuple[str, str], bytes] = {}
        count = _affordable(run, windows, config, input_url is not None)
        keeps = set() if input_url is not None else windows_in(run, "listenables", list(windows.by_id))
        # Without any sound there are masks to be seen.
        candidates = [i for i, row in enumerate(windows.rows) if not keeps or row["window_id"] in keeps]
        self.places = candidates[:count]
        if self.axes is not None:
            targets = windows.targets(self.places)
            self._heard = listen(run, targets, input_url, self.axes.spectrogram)
            self._veils = dict(_veils(run, targets, self.axes))

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield all files with their paths, the first windows first, and sound only as far as its budget goes."""
        spent = 0
        for i in self.places:
            row = self._windows.rows[i]
            found = self._heard.pop(row["window_id"], Heard())
            spent += found.size
            sounding = bool(found.size) and spent <= self._budget
            self.heard += sounding
            paths: dict[str, Any] = {"explanations": []}
            if found.picture is not None:
                paths["picture"] = f"pictures/{i:05d}.jpg"
                yield paths["picture"], found.picture
            original = f"sounds/{i:05d}-original.flac"
            if sounding and found.original is not None:
                paths["original"] = original
                yield original, found.original
            for t, one in enumerate(self._windows.explanations[i]):
                of_target: dict[str, Any] = {"sounds": {}}
                veil = self._veils.pop((row["window_id"], one["target"]), None)
                if veil is not None:
                    of_target["mask"] = f"pictures/{i:05d}-{t}.png"
                    yield of_target["mask"], veil
                for kind, flac in found.of(one["target"]).items() if sounding else ():
                    path = original if kind == "original" else f"sounds/{i:05d}-{t}-{kind}.flac"
                    of_target["sounds"][kind] = path
                    if kind != "original":
                        yield path, flac
                paths["explanations"].append(of_target)
            if len(paths) > 1 or any(len(one) > 1 or one["sounds"] for one in paths["explanations"]):
                self._paths[i] = paths

    def of(self, i: int) -> dict[str, Any] | None:
        """The paths of window `i`: `picture`, `original`, and of each explanation `mask` and `sounds`; once written."""
        return self._paths.get(i)

    def level(self, i: int) -> int:
        """What window `i` has: 0 nothing, 1 pictures, 2 sound as well."""
        paths = self.of(i)
        if paths is None:
            return 0
        return 2 if any(one["sounds"] for one in paths["explanations"]) or "original" in paths else 1

    def thumbnail(self, i: int) -> dict[str, str]:
        """What a card of window `i` shows and plays: `picture`, `mask`, `original`, `kept`, as far as there are any."""
        paths = self.of(i)
        if paths is None:
            return {}
        first = paths["explanations"][0] if paths["explanations"] else {"sounds": {}}
        sounds = {kind: first["sounds"][kind] for kind in ("original", "kept", "removed") if kind in first["sounds"]}
        return {name: paths[name] for name in ("picture", "original") if name in paths} | sounds


def _affordable(run: Run, windows: Windows, config: ReportConfig, from_input: bool) -> int:
    """How many windows have sound and pictures: as many as the budget for sound lets one expect."""
    count = min(config.pictured, len(windows.rows))
    if not config.sound_mb or not count:
        return count
    seconds = float(np.mean([row["duration_s"] for row in windows.rows]))
    targets = float(np.mean([len(found) for found in windows.explanations]))
    each = estimated_bytes(run, seconds, targets, from_input)
    return count if not each else min(count, max(1, int(config.sound_mb * 1e6 / each)))


def _axes(run: Run) -> Axes | None:
    grid = run.table("masks").head(1, columns=["bin_hz", "hop_s"]).to_pylist()
    return Axes(run.band_edges_hz, grid[0]["bin_hz"], grid[0]["hop_s"]) if grid else None


def _veils(run: Run, targets: Mapping[str, Collection[str]], axes: Axes) -> Iterator[tuple[tuple[str, str], bytes]]:
    for row in rows_of_windows(run, "masks", targets.keys()):
        if row["mask"] is not None and row["target"] in targets[row["window_id"]]:
            mask = np.frombuffer(row["mask"], np.uint8).reshape(row["n_freq"], row["n_frames"])
            yield (row["window_id"], row["target"]), axes.veil(mask)
