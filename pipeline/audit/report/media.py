"""Sound and pictures of the windows shown, as files whose names are made from numbers alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.audit.report.pictures import Axes
from pipeline.audit.report.sounds import Sounds
from pipeline.audit.report.windows import Windows
from pipeline.runs.original import Originals
from pipeline.runs.run import Run
from pipeline.runs.window_rows import WindowRows
from pipeline.storage.retry import BUDGET_S
from schemas.draws import Draw

SOUNDS, PICTURES = "sounds/", "pictures/"
_MASK = ("window_id", "target", "mask", "n_freq", "n_frames")


class Media:
    """What can be heard and seen of the windows shown, by paths relative to the report.

    The paths are known before any sound or picture is read: they cover what the run keeps and `originals` can
    provide. An outage of the run's storage is waited out for up to `budget_s` seconds.
    """

    def __init__(self, run: Run, windows: Windows, originals: Originals | None, budget_s: float = BUDGET_S) -> None:
        self.axes = _axes(run)
        self._windows = windows
        self._paths: dict[int, dict[str, Any]] = {}
        if self.axes is None:
            return
        ids = list(windows.by_id)
        listenables = WindowRows(run.url, run.files("listenables"), ids, ("target", "kind"), budget_s)
        self._sounds = Sounds(run, windows, listenables, originals, self.axes.spectrogram)
        self._masks = WindowRows(run.url, run.files("masks"), ids, budget_s=budget_s)
        self._drawn = Draw.parse(run.record.config["masks"])
        everything = {i: self._promised(i) for i in range(len(windows.rows))}
        self._paths = {i: paths for i, paths in everything.items() if list(_files(paths))}

    @property
    def heard(self) -> int:
        """How many windows have sound."""
        return sum(self.level(i) == 2 for i in self._paths)

    @property
    def pictured(self) -> int:
        """How many windows have a spectrogram or a mask."""
        return sum(any(path.startswith(PICTURES) for path in _files(paths)) for paths in self._paths.values())

    def places(self) -> dict[str, int]:
        """The window that each path belongs to."""
        return {path: i for i, paths in self._paths.items() for path in _files(paths)}

    def of(self, i: int) -> dict[str, Any] | None:
        """The paths of window `i`: `picture`, `original`, and `mask` and `sounds` of each explanation."""
        return self._paths.get(i)

    def level(self, i: int) -> int:
        """What window `i` has: 0 nothing, 1 pictures, 2 sound as well."""
        paths = self.of(i)
        if paths is None:
            return 0
        return 2 if any(path.startswith(SOUNDS) for path in _files(paths)) else 1

    def thumbnail(self, i: int) -> dict[str, str]:
        """What a card of window `i` shows and plays: `picture`, `original`, `kept`, as far as there are any."""
        paths = self.of(i)
        if paths is None:
            return {}
        first = paths["explanations"][0] if paths["explanations"] else {"sounds": {}}
        sounds = {kind: first["sounds"][kind] for kind in ("original", "kept", "removed") if kind in first["sounds"]}
        return {name: paths[name] for name in ("picture", "original") if name in paths} | sounds

    def files(self, places: Sequence[int]) -> Iterator[dict[str, bytes]]:
        """Yield the sound and the spectrogram of each of the windows at these places, by path; not the masks.

        What the run's input no longer provides is left out.
        """
        heard = self._sounds.read(places) if self._paths else {}
        for i in places:
            paths, found = self._paths.get(i), heard.pop(i, None)
            if paths is None or found is None:
                continue
            made = {paths.get("picture"): found.picture, paths.get("original"): found.original}
            for one, of_target in zip(self._windows.explanations[i], paths["explanations"], strict=True):
                sides = found.sides.get(one["target"], {})
                made |= {path: sides[kind] for kind, path in of_target["sounds"].items() if kind in sides}
            yield {path: data for path, data in made.items() if path is not None and data is not None}

    def masks(self, places: Sequence[int]) -> Iterator[tuple[str, bytes]]:
        """Yield the masks of the windows at these places as veils over their spectrograms, with their paths."""
        targets = self._windows.targets([i for i in places if i in self._paths])
        for row in self._masks.rows(targets.keys(), _MASK) if targets else ():
            paths = self._paths[self._windows.by_id[row["window_id"]]]
            for target, of_target in zip(targets[row["window_id"]], paths["explanations"], strict=True):
                if target == row["target"] and "mask" in of_target and row["mask"] is not None and self.axes:
                    mask = np.frombuffer(row["mask"], np.uint8).reshape(row["n_freq"], row["n_frames"])
                    yield of_target["mask"], self.axes.veil(mask)

    def find_masks(self) -> None:
        """Locate the masks of all windows now; otherwise the first mask would wait for it."""
        if self._paths:
            self._masks.find()

    def keep(self, paths: Collection[str]) -> None:
        """Forget all files but these."""
        left = {i: _kept(of_window, paths) for i, of_window in self._paths.items()}
        self._paths = {i: of_window for i, of_window in left.items() if list(_files(of_window))}

    def _promised(self, i: int) -> dict[str, Any]:
        window_id, original = self._windows.rows[i]["window_id"], f"{SOUNDS}{i:05d}-original.flac"
        whole, sides = self._sounds.has_original(i), self._sounds.sides(i)
        paths: dict[str, Any] = {"explanations": []}
        for t, kinds in enumerate(sides):
            sounds = {kind: f"{SOUNDS}{i:05d}-{t}-{kind}.flac" for kind in sorted(kinds)}
            mask = {"mask": f"{PICTURES}{i:05d}-{t}.png"} if self._drawn.takes(window_id) else {}
            paths["explanations"].append({"sounds": ({"original": original} if whole else {}) | sounds, **mask})
        if whole or any("kept" in kinds for kinds in sides):
            paths["picture"] = f"{PICTURES}{i:05d}.jpg"
        return paths | ({"original": original} if whole else {})


def _files(paths: dict[str, Any]) -> Iterator[str]:
    yield from (paths[name] for name in ("picture", "original") if name in paths)
    for one in paths["explanations"]:
        yield from (path for kind, path in one["sounds"].items() if kind != "original")
        yield from ([one["mask"]] if "mask" in one else ())


def _kept(paths: dict[str, Any], files: Collection[str]) -> dict[str, Any]:
    """The same paths, limited to these files."""
    explanations = [
        {"sounds": {kind: path for kind, path in one["sounds"].items() if path in files}}
        | ({"mask": one["mask"]} if one.get("mask") in files else {})
        for one in paths["explanations"]
    ]
    return {"explanations": explanations} | {
        name: paths[name] for name in ("picture", "original") if paths.get(name) in files
    }


def _axes(run: Run) -> Axes | None:
    grid = run.table("masks").head(1, columns=["bin_hz", "hop_s"]).to_pylist()
    return Axes(run.band_edges_hz, grid[0]["bin_hz"], grid[0]["hop_s"]) if grid else None
