"""What a part costs beside its explaining, by its size: making rows, writing files, the commit; on disk and on S3.

python -m benchmarks.part_size --windows 32 128 256 512 --explain-ms 180
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.audio.pcm import from_pcm
from pipeline.audio.signal import measure_signal
from pipeline.flow.part_tables import ExplainedPart
from pipeline.flow.parts import Part, WindowRow
from pipeline.flow.tasks import commit_part
from pipeline.models.checkpoint import load_config
from pipeline.runs.output import RunOutput
from pipeline.runs.profiles import band_edges_hz
from schemas.records import Cursor
from schemas.tables import FAITHFULNESS
from tests.s3 import S3Server, serve_s3

TABLES_A_PART = 4  # predictions, masks, faithfulness, listenables; errors where there are any


def explained_part(windows: int, number: int, rng: np.random.Generator) -> ExplainedPart:
    """A part of `esc10`'s shapes: 5 s at 32 kHz, masks as smooth as a decoder's, sound as dense as a recording's."""
    config = load_config("esc10")[0]
    front_end = config.front_end
    coarse = rng.random((windows, front_end.n_freq // 8 + 1, front_end.n_frames // 8 + 1))
    masks = np.kron(coarse, np.ones((8, 8)))[:, : front_end.n_freq, : front_end.n_frames]
    sound = (rng.standard_normal((windows, front_end.window_samples)) * 1000).astype(np.int16)
    edges_hz = tuple(band_edges_hz(front_end).tolist())
    rows = [
        WindowRow(
            clip_id=f"{number * windows + i:032x}",
            key=f"recording-{i}.wav",
            window_index=0,
            start_s=0.0,
            length=front_end.window_samples,
            unheard_s=0.0,
            sample_rate_in=44_100,
            channels_in=1,
            channel=None,
            damaged=False,
            label_true=("rain",),
            signal=measure_signal(from_pcm(sound[i]), front_end.sample_rate, edges_hz),
            metadata={},
        )
        for i in range(windows)
    ]
    part = Part("shard-0", number, np.zeros((0, 1), np.float32), rows, [], windows, Cursor(), 1.0, False)
    return ExplainedPart(
        part=part,
        shard_uri="shard-0.tar",
        front_end=front_end,
        labels=list(config.labels),
        window=np.arange(windows),
        target_index=np.zeros(windows, np.int64),
        probabilities=rng.random((windows, len(config.labels))).astype(np.float32),
        embedding=rng.random((windows, 256)).astype(np.float32),
        by_freq=(masks * 255).astype(np.uint8).sum(axis=2, dtype=np.int64),
        by_frame=(masks * 255).astype(np.uint8).sum(axis=1, dtype=np.int64),
        masked=np.arange(windows),
        mask=(masks * 255).astype(np.uint8),
        listened=np.arange(windows),
        listenables={"masked_in": sound},
        gain_db={"masked_in": np.zeros(windows)},
        scores={field.name: np.zeros(windows, np.float32) for field in FAITHFULNESS if field.type == pa.float32()},
    )


def served(kind: str, folder: Path) -> AbstractContextManager[S3Server | None]:
    """An S3 server over a folder, or none for a disk."""
    return serve_s3(folder) if kind == "s3" else nullcontext()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, nargs="+", default=[32, 128, 256, 512])
    parser.add_argument("--explain-ms", type=float, default=180.0, help="what explaining a window takes")
    parser.add_argument("--parts", type=int, default=3)
    arguments = parser.parse_args()
    print("store  windows  s a part  ms a window  of explaining  objects for 1,000,000 windows  MB a part  peak MiB")
    for kind in ("disk", "s3"):
        for windows in arguments.windows:
            with tempfile.TemporaryDirectory() as name, served(kind, Path(name)) as server:
                output = RunOutput(f"{server.bucket_url}/run" if server else f"{name}/run")
                rng = np.random.default_rng(0)
                seconds = []
                for number in range(arguments.parts):
                    part = explained_part(windows, number, rng)
                    started = time.perf_counter()
                    record = commit_part(output, part, "actor", time.time())
                    seconds.append(time.perf_counter() - started)
            took, size = float(np.median(seconds)), sum(file.bytes for file in record.files) / 1e6
            objects = (TABLES_A_PART + 1) * 1_000_000 // windows
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            share = took / windows / (arguments.explain_ms / 1000)
            print(
                f"{kind:5} {windows:8d} {took:9.2f} {took / windows * 1000:12.1f} {share:13.1%} {objects:30,d} "
                f"{size:10.1f} {peak:9.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
