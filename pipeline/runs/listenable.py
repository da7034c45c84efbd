"""A listenable of a run: what is heard of one window for one target."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray


@dataclass(frozen=True)
class Listenable:
    """A listenable of a run.

    `flac` is the FLAC file, mono at `sample_rate` Hz; `row` is its row of `listenables` without the audio, with its
    `target`, its `kind` (`masked_in` or `masked_out`), `duration_s` in seconds, and levels in dBFS, LUFS and dB.
    """

    flac: bytes
    row: Mapping[str, Any]

    @cached_property
    def waveform(self) -> NDArray[np.float32]:
        """The samples `[n]`, mono, float32 in [-1, 1], at `sample_rate`."""
        samples: NDArray[np.float32] = soundfile.read(io.BytesIO(self.flac), dtype="float32")[0]
        return samples

    @property
    def sample_rate(self) -> int:
        """The sample rate in Hz."""
        return int(self.row["sample_rate"])

    def __repr__(self) -> str:
        of, seconds = f"{self.row['kind']} for {self.row['target']!r}", self.row["duration_s"]
        return f"Listenable({of}, {seconds:g} s at {self.sample_rate} Hz, FLAC of {len(self.flac):,} bytes)"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.flac).decode()
        words = escape(f"{self.row['target']}, {self.row['kind']}")
        player = f'<audio controls src="data:audio/flac;base64,{data}"></audio>'
        return f"<figure><figcaption>{words}</figcaption>{player}</figure>"
