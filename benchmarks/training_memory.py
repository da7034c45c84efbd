"""How much memory a training takes by the number of its windows, from the cache on disk and with all in memory:

python -m benchmarks.training_memory 10000 1000000

Each number is a process of its own. The windows are those of `esc10`, 5 s at 32 kHz, one a recording, in a sparse file,
which takes no room on the disk and is read like any other; the sound is silence. A small CNN is trained for a few
steps. With `--fill` also what it takes to decode an input of so many recordings, of which 500 windows are drawn. On
Linux only, where peaks are read from /proc.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from pipeline.inputs.load_windows import load_windows
from pipeline.inputs.window_file import MappedWindows
from pipeline.inputs.window_set import WindowSet
from pipeline.models.build import build_classifier
from pipeline.training.classifier import ClassifierTask
from pipeline.training.holdout import split
from pipeline.training.loop import fit
from schemas.explainer_config import Cnn10Config, ExplainerConfig, FrontEndConfig
from schemas.training_config import ClassifierTraining, LoopConfig

FRONT_END = FrontEndConfig()
CLASSES = tuple(f"class {number}" for number in range(10))
DRAWN = 500
# As large as a disk has room for, this many in memory are measured; more are computed.
MOST_IN_MEMORY = 20_000


class EnoughError(Exception):
    """So many steps are done."""


def peak_mib() -> float:
    """The most memory that this process has held at once."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def window_set(count: int, folder: Path, in_memory: bool) -> WindowSet:
    """So many silent windows, one a recording, in a sparse file or in memory."""
    n = FRONT_END.window_samples
    samples: MappedWindows | np.ndarray
    if in_memory:
        samples = np.ones((count, n), "<i2")  # zeros would take no memory before they are read
    else:
        path = folder / "windows.i16"
        path.touch()
        with path.open("r+b") as file:
            file.truncate(2 * count * n)
        samples = MappedWindows(path, count, n)
    return WindowSet(
        samples,
        np.arange(count),
        tuple(f"recordings/{number:09d}.flac" for number in range(count)),
        tuple((CLASSES[number % len(CLASSES)],) for number in range(count)),
        tuple({"fold": number % 5} for number in range(count)),
        CLASSES,
        files=tuple(f":recordings/{number:09d}.flac" for number in range(count)),
        rows=np.arange(count),
        digests=np.zeros((count, 16), np.uint8),
    )


def train(count: int, steps: int, in_memory: bool) -> dict[str, object]:
    """Peaks of a training of a few steps on so many windows, and its seconds a step."""
    torch.manual_seed(0)
    begun = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        sets = split(window_set(count, Path(folder), in_memory), [], "0.1", None, 0)
        sets.train.digest()
        known = peak_mib()
        loop = LoopConfig(epochs=1, batch_size=8)
        small = Cnn10Config(channels=(8, 16, 32, 32), embedding=32)
        config = ExplainerConfig(name="small", labels=CLASSES, front_end=FRONT_END, classifier=small)
        task = ClassifierTask(build_classifier(config), sets.train, None, ClassifierTraining(loop=loop))
        times = [time.perf_counter()]

        def step(done: int, total: int) -> None:
            times.append(time.perf_counter())
            if done == steps:
                raise EnoughError

        with suppress(EnoughError):
            fit(task, loop, Path(folder) / "checkpoint.pt", "", lambda progress: None, step)
    return {
        "windows": count,
        "samples": "in memory" if in_memory else "on disk",
        "GB of samples": round(2 * count * FRONT_END.window_samples / 1e9, 1),
        "MiB before": round(begun),
        "MiB with what is known of the windows": round(known),
        "MiB at most": round(peak_mib()),
        "s a step": round(float(np.median(np.diff(times)[2:])), 3),
    }


def write_tars(folder: Path, recordings: int) -> None:
    """WAV files of a tenth of a second of noise, a thousand in a tar."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for first in range(0, recordings, 1_000):
        with tarfile.open(folder / f"{first:07d}.tar", "w") as tar:
            for number in range(first, min(first + 1_000, recordings)):
                wav = io.BytesIO()
                with wave.open(wav, "wb") as file:
                    file.setnchannels(1)
                    file.setsampwidth(2)
                    file.setframerate(16_000)
                    file.writeframes(rng.integers(-9000, 9000, 1_600).astype("<i2").tobytes())
                entry = tarfile.TarInfo(f"{number:07d}.wav")
                entry.size = wav.tell()
                tar.addfile(entry, io.BytesIO(wav.getvalue()))


def fill(recordings: int) -> dict[str, object]:
    """Peak of decoding an input of so many recordings, of which some windows are drawn."""
    begun = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        write_tars(Path(folder) / "in", recordings)
        written, started = peak_mib(), time.perf_counter()
        front_end = FrontEndConfig(sample_rate=16_000, n_fft=512, hop_length=256, n_mels=32, f_max=8000, window_s=0.1)
        windows = load_windows(f"{folder}/in", front_end, Path(folder) / "scratch", limit=DRAWN)
        seconds = time.perf_counter() - started
        on_disk = sum(path.stat().st_size for path in (Path(folder) / "scratch").iterdir())
    return {
        "recordings": recordings,
        "windows drawn": len(windows),
        "MB on disk": round(on_disk / 1e6, 1),
        "MiB before": round(begun),
        "MiB with the input written": round(written),
        "MiB at most": round(peak_mib()),
        "s": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("windows", nargs="*", type=int, help="numbers of windows")
    parser.add_argument("--fill", nargs="*", type=int, default=[], help="numbers of recordings to draw from")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--one", choices=["disk", "memory", "fill"], help="what this process itself measures")
    arguments = parser.parse_args()
    if arguments.one == "fill":
        print(json.dumps(fill(arguments.fill[0])), flush=True)
        return
    if arguments.one:
        print(json.dumps(train(arguments.windows[0], arguments.steps, arguments.one == "memory")), flush=True)
        return
    ways = [("disk", str(count)) for count in arguments.windows]
    ways += [("memory", str(count)) for count in arguments.windows if count <= MOST_IN_MEMORY]
    for one, count in ways:
        _in_a_process("--one", one, "--steps", str(arguments.steps), count)
    for recordings in arguments.fill:
        _in_a_process("--one", "fill", "--fill", str(recordings))


def _in_a_process(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "benchmarks.training_memory", *words], check=True)


if __name__ == "__main__":
    main()
