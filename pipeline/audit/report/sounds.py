"""The sound of the windows shown: what is kept, what is removed, and the original."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.flac import encode_flac
from pipeline.audit.report.few_rows import rows_of_windows
from pipeline.runs.original import SidesSum, read_originals, sides_add_up
from pipeline.runs.run import Listenable, Run

KINDS = ("original", "kept", "removed")
_NAMES = {"masked_in": "kept", "masked_out": "removed"}
# Bits that FLAC takes of 16, for an estimate: noise takes more, speech and silence less.
_FLAC_SHARE = 0.6


@dataclass
class Heard:
    """The sound of one window: FLACs by target and kind, the original's FLAC, and a picture of what there is."""

    sides: dict[str, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    original: bytes | None = None
    picture: bytes | None = None

    def of(self, target: str) -> dict[str, bytes]:
        """The FLACs of a target by kind, of KINDS, as far as there are any."""
        found = {**({"original": self.original} if self.original else {}), **self.sides.get(target, {})}
        return {kind: found[kind] for kind in KINDS if kind in found}

    @property
    def size(self) -> int:
        """Bytes of all FLACs."""
        return len(self.original or b"") + sum(len(flac) for sides in self.sides.values() for flac in sides.values())


def estimated_bytes(run: Run, seconds: float, targets: float, from_input: bool) -> float:
    """About how many bytes the sound of a window takes, of so many seconds and targets on average."""
    table = run.manifest.tables.get("listenables")
    sides = len(run.record.config["listenables"]) if table is not None and table.rows else 0
    one = table.bytes / table.rows if sides and table is not None else 0.0
    whole = seconds * run.record.explainer["sample_rate"] * 2 * _FLAC_SHARE
    return one * sides * targets + (whole if from_input or sides_add_up(run) else 0.0)


def listen(
    run: Run,
    targets: Mapping[str, Collection[str]],
    input_url: str | None,
    draw: Callable[[NDArray[np.float32], int], bytes],
) -> dict[str, Heard]:
    """Read the sound of windows, for the `targets` of each; `draw` makes a picture of a waveform `[n]` at a rate in Hz.

    The original is the sum of both sides where the run has both, else it is read from the input where that is given;
    where there is none, the picture is of what is kept. Windows without any sound are left out.
    Raises InputError where the input cannot give a window again.
    """
    heard: dict[str, Heard] = defaultdict(Heard)
    rate = run.record.explainer["sample_rate"]

    def original(window_id: str, waveform: NDArray[np.float32]) -> None:
        # Pictures at once: the waveforms of all windows would take gigabytes.
        heard[window_id].original, heard[window_id].picture = encode_flac(waveform, rate), draw(waveform, rate)

    sides = SidesSum()
    for row in rows_of_windows(run, "listenables", targets.keys()):
        window_id, target = row["window_id"], row["target"]
        if target not in targets[window_id]:
            continue
        side = Listenable(row.pop("audio")["bytes"], row)
        heard[window_id].sides[target][_NAMES[row["kind"]]] = side.flac
        if heard[window_id].original is None and sides_add_up(run):
            waveform = sides.add(side)
            if waveform is not None:
                original(window_id, waveform)
    lacking = [one for one in targets if heard[one].original is None]
    if input_url is not None and lacking:
        for window_id, waveform in read_originals(run, lacking, input_url):
            original(window_id, waveform)
    for one in heard.values():
        kept = next((sides["kept"] for sides in one.sides.values() if "kept" in sides), None)
        if one.picture is None and kept is not None:
            one.picture = draw(soundfile.read(io.BytesIO(kept), dtype="float32")[0], rate)
    return {window_id: one for window_id, one in heard.items() if one.size}
