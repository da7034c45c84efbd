"""A tiny explainer, small inputs of every kind, and runs to compare."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import soundfile
import torch

from pipeline.flow.cluster import PoolSize
from pipeline.flow.explain import explain_part
from pipeline.flow.finalize import finalize
from pipeline.flow.parts import Part, RunContext, cut_parts
from pipeline.flow.plan import Work
from pipeline.flow.run import RunResult, run, run_record
from pipeline.flow.tasks import commit_part
from pipeline.inputs.label_table import ground_truth, load_labels
from pipeline.inputs.listing import Listing, list_input
from pipeline.lmac.explainer import Explainer
from pipeline.models.checkpoint import load_explainer, save_explainer
from pipeline.runs.output import RunOutput
from schemas.draws import Draw
from schemas.explainer_config import Cnn10Config, DecoderConfig, ExplainerConfig, FrontEndConfig
from schemas.records import CommitRecord, Cursor, Manifest, TableName
from schemas.run_config import ClusterConfig, ContentConfig, RunConfig
from tests.models.make import small_models

RATE = 16_000
FRONT_END = FrontEndConfig(
    sample_rate=RATE, n_fft=512, hop_length=256, n_mels=32, f_min=50.0, f_max=8_000.0, window_s=1.0
)
TINY = ExplainerConfig(
    name="tiny",
    labels=("low", "high", "noise"),
    front_end=FRONT_END,
    classifier=Cnn10Config(channels=(4, 4, 8, 8), embedding=8),
    decoder=DecoderConfig(channels=(4, 4, 4, 4, 4)),
)
# Recordings that can be used: seconds, rate, channels; and those that cannot: the reason.
GOOD = {
    "dog/one.wav": (1.0, 16_000, 1),
    "dog/a long recording ü.flac": (2.7, 22_050, 2),
    "dog/tail.wav": (2.2, 16_000, 1),
    "cat/three.ogg": (0.6, 44_100, 1),
    "cat/läuft 日本.wav": (3.0, 8_000, 1),
}
WINDOWS = {"dog/one": 1, "dog/a long recording ü": 3, "dog/tail": 2, "cat/three": 1, "cat/läuft 日本": 3}
BAD = {"bad/text.wav": "not_audio", "bad/empty.flac": "empty", "bad/cut.wav": "truncated"}


def save_tiny(folder: Path, seed: int = 0) -> str:
    """Write the tiny explainer, with random weights, as a directory."""
    classifier, decoder = small_models(seed, TINY)
    sounds = np.stack([sound(1.0, seed=number) for number in range(16)]).astype(np.float32)
    with torch.no_grad():
        # Moved and spread, so that labels differ between sounds and masks are neither empty nor full.
        magnitude = classifier.front_end.stft(torch.from_numpy(sounds)).abs()
        output = classifier(magnitude)
        last = classifier.get_submodule("classify")
        last.weight.div_(output.logits.std(0)[:, None])  # type: ignore[operator]
        last.bias.sub_(classifier(magnitude).logits.mean(0))  # type: ignore[operator]
        logits = decoder(output.representations, magnitude)
        logits = logits[torch.isfinite(logits)]
        decoder.out.weight.mul_(2 / logits.std())
        assert decoder.out.bias is not None
        decoder.out.bias.add_(decoder.out.bias * (2 / logits.std() - 1) - 2 * logits.mean() / logits.std())
    save_explainer(str(folder), TINY, classifier, decoder, "# tiny\n")
    return str(folder)


def sound(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    """A chirp in noise `[n]` or `[n, channels]`, another for each seed."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (150 + 400 * rng.random() * (1 + t)) * t) * (np.sin(7 * t + seed) > 0)
    samples = tone[:, None] + 0.05 * rng.standard_normal((len(t), channels))
    return samples[:, 0] if channels == 1 else samples


def encoded(samples: np.ndarray, rate: int = RATE, container: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=container)
    return buffer.getvalue()


def mixed_recordings() -> dict[str, bytes]:
    """File contents by path: the recordings of GOOD and BAD."""
    files = {}
    for seed, (path, (seconds, rate, channels)) in enumerate(GOOD.items()):
        container = path.rpartition(".")[2].upper()
        files[path] = encoded(sound(seconds, rate, channels, seed), rate, container)
    files["bad/text.wav"] = b"this is no audio, whatever its name says\n" * 40
    files["bad/empty.flac"] = b""
    files["bad/cut.wav"] = encoded(sound(1.0))[:30]
    return files


def write_folder(folder: Path, files: Mapping[str, bytes]) -> str:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return str(folder)


def short_clips(count: int, seconds: float = 0.5) -> dict[str, bytes]:
    """So many WAV files of one window each."""
    return {f"s{number:03d}.wav": encoded(sound(seconds, seed=number)) for number in range(count)}


def all_parts(
    url: str | Path,
    content: ContentConfig,
    start: Cursor | None = None,
    first: int = 0,
    share: float = 0.0,
) -> list[Part]:
    """The parts of an input that is one shard."""
    listing = list_input(str(url), content.reading(), content.sample, files_per_shard=content.files_per_shard)
    (shard,) = listing.shards
    reading = content.reading()
    truth = ground_truth(listing, reading, load_labels(reading))
    context = RunContext(listing.root_url, "out", content, FRONT_END, "digest", truth)
    return list(cut_parts(context, Work(shard, start or Cursor(), first, share)))


class Recorder:
    """A reporter that remembers; `on_commit` is called with each commit."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.commits: list[CommitRecord] = []
        self.size: PoolSize | None = None

    def planned(self, listing: Listing, work: list[Work]) -> None:
        self.work = work

    def cluster_ready(self, size: PoolSize) -> None:
        self.size = size

    def committed(self, record: CommitRecord, before: float) -> None:
        self.commits.append(record)
        self.on_commit(record)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def on_commit(self, record: CommitRecord) -> None:
        """To be overridden."""


def content_of(explainer: str, **settings: Any) -> ContentConfig:
    """The settings of the shared run, with others laid over them."""
    given = {"listenables": ("masked_in", "masked_out"), "part_windows": 4, "files_per_shard": 3, **settings}
    return ContentConfig(explainer=explainer, **given)


def explain(
    input_url: str | Path,
    output_url: str | Path,
    content: ContentConfig,
    reporter: Recorder | None = None,
    **cluster: Any,
) -> RunResult:
    """One run, on one CPU core an actor by default."""
    config = RunConfig(content=content, cluster=ClusterConfig(**{"actors": 1, "cpus_per_actor": 1, **cluster}))
    return run(str(input_url), str(output_url), config, reporter or Recorder())


def explain_here(input_url: str, output_url: str, content: ContentConfig) -> Manifest:
    """A run in this process, part after part, by the very functions that a run on Ray calls."""
    loaded = load_explainer(content.explainer)
    explainer = Explainer.load(content.explainer)
    reading, output = content.reading(), RunOutput(output_url)
    listing = list_input(input_url, reading, content.sample, files_per_shard=content.files_per_shard)
    labels = load_labels(reading)
    output.write_run_record(run_record(listing, content, loaded, labels))
    truth = ground_truth(listing, reading, labels)
    context = RunContext(listing.root_url, output.url, content, explainer.config.front_end, explainer.digest, truth)
    for shard in listing.shards:
        for part in cut_parts(context, Work(shard)):
            commit_part(output, explain_part(explainer, part, shard.uri, content, 16), "here", time.time())
    per_target = Draw.parse(content.listen).per_target
    return finalize(output, listing.shards, [], per_target=per_target, left_out=listing.left_out_counts)


def rows(output_url: str | Path, table: TableName) -> list[dict[str, Any]]:
    """A table's rows as the manifest names its files, by window (errors: by recording)."""
    output = RunOutput(str(output_url))
    paths = [file.path for file in output.files(table)]
    found = [row for path in paths for row in pq.read_table(io.BytesIO(output.read_bytes(path))).to_pylist()]
    return sorted(found, key=lambda row: (row.get("window_id", row["clip_id"]), row.get("kind", "")))


def stem(key: str) -> str:
    """A recording's key without its suffix: what it is called in every kind of input."""
    return key.partition(".")[0]


def by_place(output_url: str | Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Predictions with their masks, by recording and window, comparable between kinds of input."""
    masks = {row["window_id"]: row for row in rows(output_url, "masks")}
    return {
        (stem(row["key"]), row["window_index"]): {**row, **masks[row["window_id"]]}
        for row in rows(output_url, "predictions")
    }


def assert_same_explanations(one: str | Path, other: str | Path) -> None:
    """The same windows, labels, masks to within 1 of 255, and probabilities to within 1e-3."""
    first, second = by_place(one), by_place(other)
    assert first.keys() == second.keys()
    for place, row in first.items():
        twin = second[place]
        assert row["label"] == twin["label"], place
        np.testing.assert_allclose(row["probabilities"], twin["probabilities"], atol=1e-3)
        a, b = (np.frombuffer(x["mask"], np.uint8).astype(int) for x in (row, twin))
        assert np.abs(a - b).max() <= 1, place
