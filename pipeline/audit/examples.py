"""Examples of a run: the window that explains each target best, with its sound before and after masking."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.lmac.picture import Panels
from pipeline.runs.original import read_originals
from pipeline.runs.run import Run

_COLUMNS = "clip_id, window_id, key, start_s, target, p, p_in_audio, p_out_audio, mask_mean"


@dataclass(frozen=True)
class Example:
    """One explanation of a run, with the values in its tables."""

    clip_id: str
    window_id: str
    key: str
    start_s: float
    target: str
    p: float
    p_in_audio: float
    p_out_audio: float
    mask_mean: float


def pick_examples(run: Run, count: int) -> list[Example]:
    """Pick up to `count` windows of different targets, with the most faithful explanations (fid_in, then ff)."""
    query = f"""
        SELECT {_COLUMNS} FROM explanations
        QUALIFY row_number() OVER (PARTITION BY target ORDER BY fid_in DESC, ff DESC, window_id) = 1
        ORDER BY fid_in DESC, ff DESC, window_id, target LIMIT ?
    """
    return [Example(*row) for row in run.sql(query, [count]).fetchall()]


def pick_windows(run: Run, count: int) -> list[Example]:
    """Pick the `count` windows whose worst explanation is the most faithful by ff; return all their targets in turn."""
    query = f"""
        SELECT {_COLUMNS} FROM explanations JOIN (
            SELECT window_id, min(ff) AS worst FROM faithfulness GROUP BY 1 ORDER BY worst DESC, 1 LIMIT ?
        ) USING (window_id) ORDER BY worst DESC, window_id, p DESC, target
    """
    return [Example(*row) for row in run.sql(query, [count]).fetchall()]


def panels_of(input_url: str, run: Run, examples: list[Example]) -> list[Panels]:
    """Read what a picture of each example needs back from the run and its input."""
    waveforms = dict(read_originals(run, [example.window_id for example in examples], input_url))
    result = []
    for example in examples:
        kept = run.listenable(example.window_id, example.target)
        row = run.mask_row(example.window_id, example.target)
        result.append(
            Panels(
                waveform=waveforms[example.window_id],
                masked_in=kept.waveform,
                mask=run.mask(example.window_id, example.target),
                sample_rate=kept.sample_rate,
                hop_s=row["hop_s"],
                bin_hz=row["bin_hz"],
                title=example.key,
                subtitle=f"{example.target}, p {example.p:.2f}; kept part alone {example.p_in_audio:.2f}, "
                f"the rest {example.p_out_audio:.2f}",
            )
        )
    return result
