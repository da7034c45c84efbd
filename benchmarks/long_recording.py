"""A FLAC and an MP3 of a day, made here: memory, time to the first window, and windows against those of its pieces:

python -m benchmarks.long_recording
python -m benchmarks.long_recording mp3 --hours 2
"""

from __future__ import annotations

import argparse
import io
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from pipeline.audio.decoder_process import DecoderProcess
from pipeline.inputs.clip_windows import ClipWindow, clip_windows
from pipeline.inputs.file_reader import StoredFile
from pipeline.inputs.recording import RawRecording
from schemas.explainer_config import FrontEndConfig
from schemas.records import Cursor
from schemas.run_config import DecodingConfig

RATE, WINDOW_S = 16_000, 5.0
FRONT_END = FrontEndConfig(
    sample_rate=RATE, n_fft=512, hop_length=160, n_mels=64, f_min=50.0, f_max=8_000.0, window_s=WINDOW_S
)
# A piece is a whole number of windows and of MP3 frames, so that pieces can be joined without any header.
WINDOWS, FRAMES, FRAME_BYTES = 117, 16_250, 144
SAMPLES = round(WINDOWS * WINDOW_S * RATE)


def piece() -> np.ndarray:
    """The sound that a recording repeats: a chirp in noise."""
    t = np.arange(SAMPLES) / RATE
    sound = 0.2 * np.sin(2 * np.pi * (200 + t) * t) + 0.02 * np.random.default_rng(0).standard_normal(SAMPLES)
    return (sound * 32768).astype(np.int16)


def mp3_frames(sound: np.ndarray) -> bytes:
    """The frames of a piece as MP3 with a constant rate of 32 kbit/s, without a header."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer, sound, RATE, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=0.85
    )
    data = buffer.getvalue()
    first = data.index(b"\xff\xf3")
    size = data.index(data[first : first + 2], first + 4) - first
    if size != FRAME_BYTES:
        raise RuntimeError(f"a frame has {size} bytes, not {FRAME_BYTES}")
    frames = data[first + size :]  # the first one is the header
    return frames[: FRAMES * FRAME_BYTES]


def write(path: Path, sound: np.ndarray, count: int) -> None:
    """A recording of so many pieces."""
    if path.suffix == ".mp3":
        frames = mp3_frames(sound)
        with path.open("wb") as file:
            for _ in range(count):
                file.write(frames)
        return
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="FLAC") as file:
        for _ in range(count):
            file.write(sound)


def windows(
    decoder: DecoderProcess, data: bytes | StoredFile, name: str, start: Cursor | None = None
) -> Iterator[ClipWindow]:
    """The windows of a recording from a place on."""
    recording = RawRecording(0, "0" * 32, name, name, data)
    for item in clip_windows(recording, FRONT_END, DecodingConfig(), decoder.stream, start or Cursor()):
        if not isinstance(item, ClipWindow):
            raise RuntimeError(item.message)
        yield item


def peak_mib(pid: int) -> float:
    """The most memory that a process has held."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def child() -> int:
    """The decoder's process."""
    return next(int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split())


def measure(path: Path, alone: bytes, count: int) -> str:
    """Go through a recording, and again from its middle."""
    stored = StoredFile(str(path), path.name, path.stat().st_size)
    Path("/proc/self/clear_refs").write_text("5")  # what it took to make the recording does not count
    with DecoderProcess() as decoder:
        expected = [item.samples for item in windows(decoder, alone, "piece")]
        begun = time.perf_counter()
        first, number, differing = 0.0, 0, 0
        for number, item in enumerate(windows(decoder, stored, path.name), start=1):
            first = first or time.perf_counter() - begun
            of_piece = (number - 1) % WINDOWS
            # Behind a seam of two MP3s the first frame holds the end of the piece before it.
            if of_piece or path.suffix == ".flac":
                differing += not np.array_equal(item.samples, expected[of_piece])
        whole, of_child = time.perf_counter() - begun, peak_mib(child())
        begun = time.perf_counter()
        at = number // 2 // WINDOWS * WINDOWS + WINDOWS // 2  # and not behind a seam
        middle = next(windows(decoder, stored, path.name, Cursor(window=at)))
        resumed = time.perf_counter() - begun
    same = np.array_equal(middle.samples, expected[at % WINDOWS])
    own = peak_mib(os.getpid())
    return (
        f"{path.name}: {count * WINDOWS * WINDOW_S / 3600:.1f} h, {path.stat().st_size / 1e6:.0f} MB, {number} windows,"
        f" {differing} differ from those of its piece; first after {first:.2f} s, all after {whole:.0f} s; resumed"
        f" in the middle after {resumed:.2f} s, {'the same' if same else 'another'} window;"
        f" peak of the decoder {of_child:.0f} MiB, of its reader {own:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", default=["flac", "mp3"])
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--folder", type=Path, help="where the recordings are made; by default they are removed")
    arguments = parser.parse_args()
    count = -(-round(arguments.hours * 3600) // round(WINDOWS * WINDOW_S))
    sound = piece()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for suffix in arguments.formats:
            alone, path = Path(folder) / f"piece.{suffix}", Path(folder) / f"day.{suffix}"
            write(alone, sound, 1)
            write(path, sound, count)
            print(measure(path, alone.read_bytes(), count), flush=True)


if __name__ == "__main__":
    main()
