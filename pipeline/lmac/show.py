"""Show an explanation to people: as text, as HTML with players, and as files."""

from __future__ import annotations

import base64
import csv
from pathlib import Path

import numpy as np
from jinja2 import Environment

from pipeline.audio.flac import encode_flac
from pipeline.lmac.explanation import Explanation
from pipeline.lmac.picture import Panels, draw
from pipeline.storage.file_names import explanation_name

# A window of 5 s at 32 kHz takes about a megabyte of picture and players: a notebook with many of them would not open.
MAX_PLAYED, MAX_PLAYED_S = 4, 20.0
MAX_ROWS = 40

_KINDS = ("original", "masked_in", "masked_out")
_HTML = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<div>
<pre>{{ text }}</pre>
{% for block in blocks %}
<h4>{{ block.title }}</h4>
<img src="data:image/png;base64,{{ block.picture }}" alt="spectrogram, mask, masked-in" style="max-width: 100%">
<p>
{% for kind, flac in block.sounds.items() %}
<span style="display: inline-block">{{ kind }}<br>\
<audio controls preload="none" src="data:audio/flac;base64,{{ flac }}"></audio></span>
{% endfor %}
</p>
{% endfor %}
{% if left %}
<p>Pictures and players of the first {{ blocks | length }} of {{ left + blocks | length }} explanations; \
<code>explanation.save(folder)</code> writes them all.</p>
{% endif %}
</div>
""")


def as_text(explanation: Explanation) -> str:
    """Return a table with a row for each of the first 40 explanations; `p masked-in` is that of the written audio."""
    scores, count = explanation.scores, len(explanation.waveforms)
    header = ("window", "seconds", "target", "p", "p masked-in", "p masked-out", "mask mean")
    rows: list[tuple[str, ...]] = [header]
    for row in range(min(len(explanation), MAX_ROWS)):
        values = (scores[name][row] for name in ("p", "p_in_audio", "p_out_audio", "mask_mean"))
        place = str(explanation.window[row]), _seconds(explanation, row), explanation.targets[row]
        rows.append((*place, *(f"{value:.2f}" for value in values)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    windows = f"{count} window{'s' if count > 1 else ''} of {_window_s(explanation):g} s"
    lines = [f"{explanation.name}: {windows} at {explanation.front_end.sample_rate} Hz"]
    for cells in rows:
        padded = [
            cell.ljust(width) if title == "target" else cell.rjust(width)
            for title, cell, width in zip(header, cells, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    if len(explanation) > MAX_ROWS:
        lines.append(f"... and {len(explanation) - MAX_ROWS} more")
    return "\n".join(lines)


def as_html(explanation: Explanation) -> str:
    """Return the table of `as_text`, and a picture and three players for up to 4 rows, or as many as last 20 s."""
    most = max(1, min(MAX_PLAYED, int(MAX_PLAYED_S / _window_s(explanation))))
    shown = range(min(len(explanation), most))
    blocks = [
        {
            "title": f"{_seconds(explanation, row)} s: {explanation.targets[row]}",
            "picture": _base64(draw(panels(explanation, row))),
            "sounds": {kind.replace("_", "-"): _base64(_flac(explanation, row, kind)) for kind in _KINDS},
        }
        for row in shown
    ]
    return _HTML.render(text=as_text(explanation), blocks=blocks, left=len(explanation) - len(blocks))


def save(explanation: Explanation, folder: Path) -> list[Path]:
    """Write the files that `Explanation.save` describes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "scores.csv"]
    with paths[0].open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["window", "start_s", "target", *explanation.scores])
        for row, target in enumerate(explanation.targets):
            window = explanation.window[row]
            values = (float(score[row]) for score in explanation.scores.values())
            table.writerow([window, explanation.start_s[window], target, *values])
    for row, target in enumerate(explanation.targets):
        start_s = explanation.start_s[explanation.window[row]]
        stem = explanation_name(row + 1, target, Path(explanation.name).stem, start_s)
        files = {f"{stem}-{kind}.flac": _flac(explanation, row, kind) for kind in _KINDS}
        files[f"{stem}-picture.png"] = draw(panels(explanation, row))
        for name, data in files.items():
            paths.append(folder / name)
            paths[-1].write_bytes(data)
    return paths


def panels(explanation: Explanation, row: int) -> Panels:
    """Return what is needed to draw one window and target."""
    front_end, scores = explanation.front_end, explanation.scores
    return Panels(
        waveform=explanation.waveforms[explanation.window[row]],
        masked_in=explanation.masked_in[row],
        mask=explanation.mask[row] / 255,
        sample_rate=front_end.sample_rate,
        hop_s=front_end.hop_s,
        bin_hz=front_end.bin_hz,
        title=f"{explanation.name}, {_seconds(explanation, row)} s",
        subtitle=f"{explanation.targets[row]}, p {scores['p'][row]:.2f}, masked-in {scores['p_in_audio'][row]:.2f}",
    )


def _sound(explanation: Explanation, row: int, kind: str) -> np.ndarray:
    window = explanation.window[row]
    whole = explanation.waveforms[window] if kind == "original" else getattr(explanation, kind)[row]
    return np.asarray(whole[: max(int(explanation.lengths[window]), 1)])


def _flac(explanation: Explanation, row: int, kind: str) -> bytes:
    return encode_flac(_sound(explanation, row, kind), explanation.front_end.sample_rate)


def _window_s(explanation: Explanation) -> float:
    return float(explanation.waveforms.shape[1] / explanation.front_end.sample_rate)


def _seconds(explanation: Explanation, row: int) -> str:
    window = explanation.window[row]
    start = explanation.start_s[window]
    return f"{start:.2f}-{start + explanation.lengths[window] / explanation.front_end.sample_rate:.2f}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
