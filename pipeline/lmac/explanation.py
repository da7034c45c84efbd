"""The result of an explainer: masks, listenables and scores, which can be displayed and saved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from schemas.explainer_config import FrontEndConfig


@dataclass(frozen=True, repr=False, eq=False)
class Explanation:
    """Explanations of B windows, R in all: one for each window and target; arrays are on the CPU.

    The targets of a window are adjacent. With `top1` each window has one, the classifier's decision, and R is B.
    `print` shows a row for each explanation, with the probabilities of the listenables classified again; a notebook
    also shows pictures and players for the first few.

    - `name`: what was explained, for people; `front_end`: the sample rate, and the grid of the masks;
    - `waveforms` `[B, n]`: the windows, float32; `start_s` `[B]`: where each begins in its recording, in seconds;
      `lengths` `[B]`: how many samples of each are sound and not padding;
    - `window` `[R]`: which of the windows is explained; `target_index` `[R]`, `targets`: the class explained;
    - `probabilities` `[B, C]`, `embedding` `[B, D]`: of each window;
    - `mask` `[R, F, T]` uint8: the mask in 255ths, exactly as it was applied;
    - `masked_in`, `masked_out` `[R, n]`: the listenables, float32 on the 16-bit grid they are written on;
    - `gain_db_in`, `gain_db_out` `[R]`: the gain in dB, 0 unless a listenable was lowered to stay within full scale;
    - `scores`: `[R]` by name, described in `pipeline.lmac.scores.faithfulness`; names ending in `_audio` are scores
      of the listenables classified again.
    """

    name: str
    front_end: FrontEndConfig
    waveforms: np.ndarray
    start_s: np.ndarray
    lengths: np.ndarray
    targets: tuple[str, ...]
    window: np.ndarray
    target_index: np.ndarray
    probabilities: np.ndarray
    embedding: np.ndarray
    mask: np.ndarray
    masked_in: np.ndarray
    masked_out: np.ndarray
    gain_db_in: np.ndarray
    gain_db_out: np.ndarray
    scores: dict[str, np.ndarray]

    def __len__(self) -> int:
        """The number of explanations, R."""
        return len(self.targets)

    def __repr__(self) -> str:
        from pipeline.lmac.show import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        # Imported here and above, as a run's actors do not need a plotting library.
        from pipeline.lmac.show import as_html

        return as_html(self)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `scores.csv` and, for each window and target, three FLAC files and a picture; return their paths.

        File names hold the number, target, recording, start of the window, and kind: `original`, `masked_in` and
        `masked_out`, each as long as the window's sound, and `picture`. The folder is created if it does not exist,
        and files of the same names are replaced. Raises OSError if it cannot be written.
        """
        from pipeline.lmac.show import save

        return save(self, Path(folder))

    @classmethod
    def concatenate(cls, parts: Sequence[Explanation]) -> Explanation:
        """Join explanations by one explainer in order, numbering windows consecutively and keeping the first name.

        Raises ValueError if there is none, or if their windows differ in length.
        """
        if not parts:
            raise ValueError("there is no explanation to join")
        offsets = np.cumsum([0, *(len(part.waveforms) for part in parts)])
        columns = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if field.name not in ("name", "front_end", "window", "targets", "scores")
        }
        return cls(
            name=parts[0].name,
            front_end=parts[0].front_end,
            window=np.concatenate([part.window + first for part, first in zip(parts, offsets, strict=False)]),
            targets=tuple(target for part in parts for target in part.targets),
            scores={name: np.concatenate([part.scores[name] for part in parts]) for name in parts[0].scores},
            **columns,
        )
