"""Findings of `lmac audit` on ESC-10, looked at in the sound itself, without masks or a classifier.

python -m benchmarks.esc10_evidence ESC10 --picture evidence.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate, correlation_lags
from scipy.stats import kurtosis

from pipeline.audio.decode import decode

RATE = 32_000
CRIES = ("004 - Baby cry/3-151080-A.ogg", "004 - Baby cry/5-151085-A.ogg")
FIRES = ("010 - Fire crackling/2-28314-A.ogg", "010 - Fire crackling/2-30322-A.ogg")
NO_CRACKLE = "010 - Fire crackling/5-213802-A.ogg"
DULL = ("007 - Helicopter/4-175000-A.ogg", "001 - Dog bark/5-217158-A.ogg")
TICKS = "005 - Clock tick/3-142593-A.ogg"
PIECE = RATE // 10

Sound = NDArray[np.float32]


def read(path: Path) -> Sound:
    """The samples `[n]` of a recording."""
    return decode(path.read_bytes(), path.name, RATE).waveform


def shared(a: Sound, b: Sound) -> tuple[float, NDArray[np.float64]]:
    """How many seconds `b` lies later in `a`, and the correlation of each tenth of a second of `b` with that of `a`."""
    lag = int(correlation_lags(len(a), len(b))[np.abs(correlate(a, b)).argmax()])
    x, y = a[max(lag, 0) :], b[max(-lag, 0) :]
    starts = range(0, min(len(x), len(y)) - PIECE, PIECE)
    return lag / RATE, np.array([np.corrcoef(x[i : i + PIECE], y[i : i + PIECE])[0, 1] for i in starts])


def bursts(sound: Sound) -> float:
    """The excess kurtosis of the sound above 2 kHz: 0 for steady noise, large where it consists of clicks."""
    spectrum = np.fft.rfft(sound)
    spectrum[: round(2_000 * len(sound) / RATE)] = 0
    return float(kurtosis(np.fft.irfft(spectrum)))


def level_above(sound: Sound, hz: float) -> float:
    """The energy above a frequency, in dB of all of it."""
    power = np.square(np.abs(np.fft.rfft(sound)))
    return float(10 * np.log10(power[round(hz * len(sound) / RATE) :].sum() / power.sum() + 1e-12))


def tick_spacing(sound: Sound) -> tuple[float, float]:
    """The time between ticks and how much of the envelope's variance recurs after it (its autocorrelation), in s."""
    frames = np.square(sound[: len(sound) // 160 * 160]).reshape(-1, 160).mean(1)
    envelope = np.sqrt(frames) - np.sqrt(frames).mean()
    recurs = correlate(envelope, envelope)[len(envelope) - 1 :]
    recurs = recurs / recurs[0]
    first = 20 + int(recurs[20:200].argmax())
    return first * 160 / RATE, float(recurs[first])


def main() -> None:
    """Print the evidence, and draw it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("esc10", type=Path, help="folder of ESC-10")
    parser.add_argument("--picture", type=Path, help="file for a picture of their spectrograms")
    given = parser.parse_args()
    for first, second in (CRIES, FIRES):
        lag, correlations = shared(read(given.esc10 / first), read(given.esc10 / second))
        same = correlations > 0.9
        print(f"{second} lies {lag:.3f} s into {first}:")
        print(f"  {same.sum() / 10:.1f} s correlate by {correlations[same].mean():.3f} in the mean,")
        if not same.all():
            print(f"  the rest, {(~same).sum() / 10:.1f} s, by {np.abs(correlations[~same]).mean():.3f}")
    fires = {path.name: bursts(read(path)) for path in sorted((given.esc10 / "010 - Fire crackling").glob("*.ogg"))}
    least = sorted(fires, key=fires.__getitem__)
    print(f"clicks above 2 kHz, excess kurtosis: median of {len(fires)} fires {np.median(list(fires.values())):.1f}")
    print("  least: " + ", ".join(f"{name} {fires[name]:.2f}" for name in least[:3]))
    for name in DULL:
        path = given.esc10 / name
        above = {one.name: level_above(read(one), 5_000) for one in sorted(path.parent.glob("*.ogg"))}
        print(f"energy above 5 kHz: {name} {above[path.name]:.0f} dB,")
        lower = sum(level < above[path.name] for level in above.values())
        print(f"  median of its class {np.median(list(above.values())):.0f} dB; {lower} of {len(above)} have less")
    spacing, recurs = tick_spacing(read(given.esc10 / TICKS))
    print(f"{TICKS}: a tick each {spacing:.3f} s; {recurs:.2f} of the envelope's variance recurs")
    if given.picture:
        draw(given.esc10, given.picture)


def draw(folder: Path, picture: Path) -> None:
    """Write spectrograms of the recordings named."""
    names = (*CRIES, NO_CRACKLE, DULL[0], TICKS)
    figure, axes = plt.subplots(len(names), 1, figsize=(9, 9), sharex=True, constrained_layout=True)
    for axis, name in zip(axes, names, strict=True):
        axis.specgram(read(folder / name) + 1e-6, NFFT=1024, Fs=RATE, noverlap=512, vmin=-140, vmax=-40, cmap="magma")
        axis.set_title(name, fontsize=8, loc="left")
        axis.set_ylabel("Hz", fontsize=8)
    axes[-1].set_xlabel("seconds", fontsize=8)
    figure.savefig(picture, dpi=70)


if __name__ == "__main__":
    main()
