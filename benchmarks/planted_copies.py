"""Copies of recordings as they come about: another level, a cut, a codec, noise, another beginning, all of these."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

Waveform = NDArray[np.float32]


class Recording(NamedTuple):
    """A recording of ESC-10: its path in the dataset, its fold, and the Freesound recording that it was cut from."""

    path: str
    fold: int
    source: str


def esc10_recordings(folder: Path) -> list[Recording]:
    """The recordings of ESC-10, as its table names them."""
    with (folder / "meta" / "esc10.csv").open(newline="", encoding="utf-8") as file:
        return [Recording(row["path"], int(row["fold"]), row["freesound_id"]) for row in csv.DictReader(file)]


def mono(path: Path) -> tuple[Waveform, int]:
    """A recording as it is, mixed to mono, and its rate in Hz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate


def gain(sound: Waveform, rate: int, rng: np.random.Generator) -> Waveform:
    """Softer by 6 to 20 dB, every other time with its polarity turned."""
    factor = 10 ** (rng.uniform(-20, -6) / 20) * rng.choice([-1, 1])
    return (sound * factor).astype(np.float32)


def cut(sound: Waveform, rate: int, rng: np.random.Generator) -> Waveform:
    """Without up to 1 s at its beginning or end, of which at least half of the energy remains."""
    count = round(rng.uniform(0.1, 1.0) * rate)
    pieces = [sound[count:], sound[:-count]]
    if rng.random() < 0.5:
        pieces.reverse()
    kept = [float(np.square(piece, dtype=np.float64).sum()) for piece in pieces]
    # A sneeze of half a second may lie in what is cut off, and then there is no copy.
    return pieces[0] if kept[0] >= 0.5 * np.square(sound, dtype=np.float64).sum() else pieces[int(np.argmax(kept))]


def mp3(sound: Waveform, rate: int, rng: np.random.Generator) -> Waveform:
    """Encoded by LAME at 64 kbit/s, and decoded."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate)
        stream.bit_rate, stream.codec_context.layout, stream.codec_context.format = 64_000, "mono", "s16p"
        frame = av.AudioFrame.from_ndarray(
            (np.clip(sound, -1, 1) * 32767).astype(np.int16)[None], format="s16p", layout="mono"
        )
        frame.sample_rate = rate
        blocks = av.AudioFifo()
        blocks.write(frame)
        while (block := blocks.read(1152, partial=True)) is not None:
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        return np.concatenate([block.to_ndarray()[0] for block in container.decode(audio=0)]).astype(np.float32)


def noise(sound: Waveform, rate: int, rng: np.random.Generator) -> Waveform:
    """With white noise 20 dB below its own level."""
    level = np.sqrt(np.mean(np.square(sound, dtype=np.float64)))
    return (sound + 0.1 * level * rng.standard_normal(len(sound))).astype(np.float32)


def shift(sound: Waveform, rate: int, rng: np.random.Generator) -> Waveform:
    """Later by up to 1 s, as if recorded from the quiet before on: its end falls away, at most half its energy."""
    count = round(rng.uniform(0.1, 1.0) * rate)
    energy = np.cumsum(np.square(sound, dtype=np.float64))
    count = min(count, len(sound) - 1 - int(np.searchsorted(energy, 0.5 * energy[-1])))
    before = (1e-4 * rng.standard_normal(count)).astype(np.float32)
    return np.concatenate([before, sound[: len(sound) - count]])


def all_at_once(sound: Waveform, rate: int, rng: np.random.Generator) -> Waveform:
    """Cut, softer, with noise, and as MP3."""
    for change in (cut, gain, noise, mp3):
        sound = change(sound, rate, rng)
    return sound


KINDS: dict[str, Callable[[Waveform, int, np.random.Generator], Waveform]] = {
    "gain": gain,
    "cut": cut,
    "mp3": mp3,
    "noise": noise,
    "shift": shift,
    "all": all_at_once,
}
