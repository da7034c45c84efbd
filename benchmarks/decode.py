"""How fast recordings become parts, for plain WAV, FLAC, Ogg Vorbis and MP3 with a header, each of 5 s:

python -m benchmarks.decode
python -m benchmarks.decode --input data/esc10
python -m benchmarks.decode --beside ../earlier

What decoding in a process of its own costs is told beside decoding in place. With --beside another checkout is timed in
turns with this one, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile

from pipeline.flow import parts
from pipeline.flow.plan import Work
from pipeline.inputs.listing import list_input
from schemas.explainer_config import FrontEndConfig
from schemas.run_config import ContentConfig

FRONT_END = FrontEndConfig(
    sample_rate=32_000, n_fft=1024, hop_length=320, n_mels=64, f_min=50.0, f_max=14_000.0, window_s=5.0
)
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
FILES, SECONDS, RATE = 64, 5.0, 44_100


def write_inputs(folder: Path) -> dict[str, Path]:
    """A folder of recordings for each kind: tones in noise."""
    rng, t = np.random.default_rng(0), np.arange(round(SECONDS * RATE)) / RATE
    for number in range(FILES):
        sound = 0.3 * np.sin(2 * np.pi * 200 * (1 + number % 9) * t) + 0.02 * rng.standard_normal(len(t))
        for kind, (container, subtype) in KINDS.items():
            path = folder / kind / f"{number}.{kind}"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, sound, RATE, format=container, subtype=subtype)
    return {kind: folder / kind for kind in KINDS}


def seconds(url: str) -> float:
    """Seconds that an input takes to become parts, once the decoder is started."""
    listing = list_input(url)
    context = parts.RunContext(listing.root_url, "", ContentConfig(), FRONT_END, "")
    works = [Work(shard) for shard in listing.shards]
    next(iter(parts.cut_parts(context, works[0])))
    start = time.perf_counter()
    for work in works:
        for _ in parts.cut_parts(context, work):
            pass
    return time.perf_counter() - start


def elsewhere(checkout: Path, urls: dict[str, str]) -> dict[str, float]:
    """The same by the code of another checkout."""
    command = [sys.executable, os.path.abspath(__file__), "--once", json.dumps(urls)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    # From there, as the decoder's process finds its code by where it is started.
    done = subprocess.run(command, env=environment, cwd=checkout, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def rounds(urls: dict[str, str], count: int, checkouts: list[Path]) -> Iterator[list[dict[str, float]]]:
    """Seconds by input for each checkout, or for decoding in place and apart, in turns."""
    for number in range(count):
        if len(checkouts) > 1:
            timed = [elsewhere(checkout, urls) for checkout in checkouts[:: 1 if number % 2 else -1]]
            yield timed[:: 1 if number % 2 else -1]
            continue
        from pipeline.inputs.clip_windows import stream_here

        with mock.patch.object(parts.DECODER, "stream", stream_here):
            here = {name: seconds(url) for name, url in urls.items()}
        yield [here, {name: seconds(url) for name, url in urls.items()}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", help="an input of your own")
    parser.add_argument("--beside", type=Path, help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps({name: seconds(url) for name, url in json.loads(arguments.once).items()}))
        return
    here = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        made = {} if arguments.input else write_inputs(Path(folder))
        urls = {"input": arguments.input} if arguments.input else {kind: str(path) for kind, path in made.items()}
        pairs = list(rounds(urls, arguments.rounds, [arguments.beside, here] if arguments.beside else [here]))
        first, second = ("there", "here") if arguments.beside else ("in place", "in a process of its own")
        for name, url in urls.items():
            files = sum(len(shard.entries) for shard in list_input(url).shards)
            a, b = ([pair[side][name] for pair in pairs] for side in (0, 1))
            ratio = statistics.median(after / before for before, after in zip(a, b, strict=True))
            print(
                f"{name}: {files} recordings, {files / statistics.median(a):.0f}/s {first},"
                f" {files / statistics.median(b):.0f}/s {second}, time x {ratio:.3f} (median of {len(pairs)})"
            )


if __name__ == "__main__":
    main()
