"""A run of `lmac explain` with a CLAP of real size: how fast, how large, and what the start of an actor costs:

python -m benchmarks.clap_run data/esc10 --limit 12

The CLAP is laion's HTSAT-tiny with random weights, its ten classes random embeddings of length 1, as RoBERTa's
tokenizer is not to be had without a network; the decoder is the default one, not trained. Time and memory are those of
trained weights, explanations are not. On Linux only, where memory can be asked for.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import ray
import torch

from benchmarks.actor_memory import watched_actors
from benchmarks.actor_start import measure_start
from benchmarks.clap_originals import randomised, save_laion
from pipeline.flow.actor_pool import actor_starter
from pipeline.flow.cluster import PoolSize, ray_cluster
from pipeline.flow.parts import RunContext
from pipeline.flow.plan import Work
from pipeline.flow.run import run
from pipeline.flow.tasks import ContextRef
from pipeline.inputs.listing import Listing
from pipeline.inputs.suffixes import is_audio
from pipeline.models.build import build_decoder
from pipeline.models.checkpoint import load_explainer, save_explainer
from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.originals import LaionAudio
from schemas.explainer_config import ExplainerConfig
from schemas.records import CommitRecord
from schemas.run_config import ClusterConfig, ContentConfig, RunConfig
from schemas.training_config import DecoderRecipe

CLASSES = 10
GIB = 1 << 30


class Reporter:
    """Keeps the size of the pool, and prints notes."""

    size: PoolSize | None = None

    def planned(self, listing: Listing, work: list[Work]) -> None:
        pass

    def cluster_ready(self, size: PoolSize) -> None:
        self.size = size

    def committed(self, record: CommitRecord, before: float) -> None:
        pass

    def note(self, text: str) -> None:
        print(f"note: {text}", file=sys.stderr, flush=True)


def write_explainer(folder: Path) -> str:
    """The directory of an explainer made of a laion-clap checkpoint, which is left beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_laion(randomised(LaionAudio("tiny", fusion=False)), folder / "laion.pt")  # type: ignore[arg-type]
    audio = load_clap_audio(folder / "laion.pt")
    torch.manual_seed(0)
    bank = torch.nn.functional.normalize(torch.randn(CLASSES, audio.config.projection), dim=1)
    classifier = audio.with_bank(bank)
    config = ExplainerConfig(
        name="clap",
        labels=tuple(f"class {number}" for number in range(CLASSES)),
        front_end=audio.front_end,
        classifier=classifier.config,
        decoder=DecoderRecipe().decoder.fitted(len(classifier.representation_channels)),
    )
    save_explainer(str(folder / "explainer"), config, classifier, build_decoder(config, classifier), "")
    return str(folder / "explainer")


def first_clips(data: Path, limit: int | None, folder: Path) -> str:
    """A manifest of the first clips of a folder, in the order of their names; all of them without a limit."""
    clips = sorted(str(path) for path in data.resolve().rglob("*") if is_audio(path.name))[:limit]
    if not clips:
        raise SystemExit(f"{data}: there is no audio in it")
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["uri"], *([clip] for clip in clips)])
    return str(folder / "clips.csv")


def seconds_to_ready(config: RunConfig) -> float:
    """From asking Ray, which runs, for an actor, to its saying that it is ready."""
    loaded = load_explainer(config.content.explainer)
    context = RunContext("", "", config.content, loaded.config.front_end, loaded.digest)
    with ray_cluster(config.cluster) as size:
        start = actor_starter(size, ContextRef(ray.put(context)), config.cluster)
        asked = time.perf_counter()
        start().ready.remote().future().result()
        return time.perf_counter() - asked


def explained(input_url: str, output: Path, config: RunConfig) -> dict[str, str]:
    """Run to the end; what it took, in words, by name."""
    reporter, asked = Reporter(), time.time()
    with watched_actors() as peaks:
        manifest = run(input_url, str(output), config, reporter).manifest
    ended = time.time()
    assert reporter.size is not None
    assert manifest is not None
    # The driver is told of a commit only two parts later.
    commits = list(output.glob("_commits/*/*.json"))
    begun = min(path.stat().st_mtime - json.loads(path.read_text())["seconds"] for path in commits)
    return {
        "actors, of so many CPU cores each": f"{reporter.size.actors}, {reporter.size.cpus}",
        "windows": str(manifest.windows),
        "errors": str(manifest.errors),
        "the whole run, s": f"{ended - asked:.1f}",
        "from the command to the first part, s": f"{begun - asked:.1f}",
        "windows/s, from the first part on": f"{manifest.windows / (ended - begun):.2f}",
        "peak memory of an actor, GiB": ", ".join(f"{peak.resident / GIB:.2f}" for peak in peaks.values()),
        "of it the object store's, at most, GiB": ", ".join(f"{peak.shared / GIB:.2f}" for peak in peaks.values()),
    }


def started_alone(explainer: str) -> dict[str, str]:
    """The steps of an actor's start, timed in a fresh process, in words, by name."""
    found = measure_start(explainer)
    *before, (last, first_window) = found.seconds.items()
    return {
        **{f"{step}, s": f"{seconds:.1f}" for step, seconds in before},
        "all of these: from its process's start to ready, s": f"{sum(seconds for _, seconds in before):.1f}",
        f"{last}, s": f"{first_window:.1f}",
        "laion_clap is imported": "yes" if found.laion_clap else "no",
        "hosts asked for, the hub's or any other": ", ".join(found.network) or "none",
    }


def show(rows: Mapping[str, str]) -> None:
    """Rows of a Markdown table."""
    for name, value in rows.items():
        print(f"| {name} | {value} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder of clips, such as ESC-10")
    parser.add_argument("--limit", type=int, help="so many of them, the first by name; else all")
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=ClusterConfig().batch_size)
    parser.add_argument("--work", type=Path, help="an empty folder for explainer and tables, which stay; else none do")
    given = parser.parse_args()
    if given.work and given.work.exists() and any(given.work.iterdir()):
        parser.error(f"--work {given.work} is not empty: a run that lies there would be resumed, not measured")
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        explainer = write_explainer(work)
        cluster = ClusterConfig(actors=given.actors, batch_size=given.batch_size, device="cpu")
        config = RunConfig(content=ContentConfig(explainer=explainer), cluster=cluster)
        source = first_clips(given.data, given.limit, work)
        print("| | |\n|---|--:|")
        show(started_alone(explainer))
        show({"in Ray, from asking for an actor to ready, s": f"{seconds_to_ready(config):.1f}"})
        show(explained(source, work / "output", config))


if __name__ == "__main__":
    main()
