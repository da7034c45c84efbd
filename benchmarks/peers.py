"""The same classifier on the same recordings, explained as others would, in turns:

python -m benchmarks.peers data/esc10 --windows 64 --recordings 80

`masks` compares masks a second of the explainer's decoder with captum's methods, each at its best size of a batch.
`loop` is what a researcher writes: a file at a time, load, STFT, classify, mask, score by quantus, inverse STFT, write.
`ray data` is the job as Ray Data's documentation would have it: binary files, `map_batches` to decode, `map_batches`
with a class to explain, Parquet. Both write the same masks, scores and listenables (FLAC) as `lmac explain`, and not
what a run adds: signal measures, commits to resume by, a verified manifest. Ratios are of pairs in turns.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import soundfile
import soxr
import torch

from benchmarks.figures import Figure, ratios, table
from benchmarks.pipeline import drawn
from pipeline.attribution.baselines import baseline
from pipeline.flow.run import explain_dataset
from pipeline.lmac.explainer import Explainer

METHODS = ("integrated gradients", "gradient_shap", "smoothgrad", "occlusion")
BATCHES = (1, 4, 16)
EXPLAINER = "esc10"


def masks(chosen: list[Path], rounds: int) -> list[Figure]:
    """Masks a second of the decoder and of each method, on one window of each recording, and their ratio."""
    explainer, count, made = Explainer.load(EXPLAINER), len(chosen), []
    classifier = explainer.classifier
    waveforms = torch.stack([_windows(path.read_bytes(), explainer)[0] for path in chosen])
    with torch.no_grad():
        magnitude = classifier.front_end.stft(waveforms).abs()
        target = classifier(magnitude).logits.argmax(1)

    def per_second(attribute: Callable[[torch.Tensor, torch.Tensor], object], size: int, windows: int) -> float:
        begun = time.perf_counter()
        for x, y in zip(magnitude[:windows].split(size), target[:windows].split(size), strict=True):
            attribute(x, y)
        return windows / (time.perf_counter() - begun)

    def own(x: torch.Tensor, y: torch.Tensor) -> object:
        return explainer.passes.rank(x, y)

    def best(attribute: Callable[[torch.Tensor, torch.Tensor], object], sizes: tuple[int, ...], windows: int) -> int:
        return max(sizes, key=lambda size: per_second(attribute, size, max(size, min(windows, 16))))

    ours = best(own, BATCHES, count)
    for name in METHODS:
        method = baseline(name.replace(" ", "_"), classifier)
        sizes = tuple(size for size in BATCHES if size <= (method.largest_batch or size))
        few = min(count, 16)
        theirs = best(method.attribute, sizes, few)
        pairs = [(per_second(own, ours, count), per_second(method.attribute, theirs, few)) for _ in range(rounds)]
        decoder, other = zip(*pairs, strict=True)
        made += [
            Figure("peers: masks", f"decoder, batches of {ours}", "masks/s", decoder),
            Figure("peers: masks", f"{name}, batches of {theirs}", "masks/s", other),
            ratios("peers: masks", f"decoder / {name}", decoder, other),
        ]
        print(made[-1].row, flush=True)
    return made


def researcher(files: list[Path], out: Path) -> None:
    """A file at a time, with metrics from quantus and the passes that the scores ask for."""
    import quantus

    explainer = Explainer.load(EXPLAINER)
    classifier, front_end = explainer.classifier, explainer.classifier.front_end
    metrics = [quantus.Sparseness(disable_warnings=True), quantus.Complexity(disable_warnings=True)]
    out.mkdir(parents=True)
    rows: list[tuple[Any, ...]] = []
    for path in files:
        for x in _windows(path.read_bytes(), explainer):
            with torch.no_grad():
                stft = front_end.stft(x[None])
                magnitude = stft.abs()
                p = classifier(magnitude).logits.softmax(1)[0]
                label = int(p.argmax())
            _, _, logits = explainer.passes.rank(magnitude, torch.tensor([label]))
            mask = logits.sigmoid()
            with torch.no_grad():
                kept = classifier(magnitude * mask).logits.softmax(1)[0, label]
                left = classifier(magnitude * (1 - mask)).logits.softmax(1)[0, label]
                sound = front_end.istft(stft * mask, x.shape[0])[0]
                heard = classifier(front_end.stft(sound[None]).abs()).logits.softmax(1)[0, label]
            relevance = mask.numpy().astype(np.float64)[:, None]
            scored = [one.evaluate_batch(x_batch=relevance.copy(), a_batch=relevance.copy())[0] for one in metrics]
            name = out / f"{len(rows):05d}"
            np.save(name.with_suffix(".npy"), np.round(255 * mask[0].numpy()).astype(np.uint8))
            soundfile.write(name.with_suffix(".flac"), sound.numpy(), front_end.config.sample_rate)
            rows.append((path.name, label, float(p[label]), float(kept), float(left), float(heard), *scored))
    names = ["file", "label", "p", "p_in", "p_out", "p_audio", "sparseness", "complexity"]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.Table.from_arrays(columns, names), out / "scores.parquet")


def _windows(data: bytes, explainer: Explainer) -> list[torch.Tensor]:
    config = explainer.config.front_end
    sound, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    mono = soxr.resample(sound.mean(axis=1), rate, config.sample_rate)
    n = config.window_samples
    padded = np.pad(mono, (0, max(0, n - len(mono))))
    return [torch.from_numpy(padded[start : start + n].copy()) for start in range(0, len(padded) - n + 1, n)]


class _Explain:
    """What a worker of Ray Data holds."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.explainer = Explainer.load(EXPLAINER)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        made = self.explainer.explain_windows(np.stack(batch["waveform"]))
        rate = self.explainer.config.front_end.sample_rate
        flacs = []
        for one in made.masked_in:
            file = io.BytesIO()
            soundfile.write(file, one, rate, format="FLAC")
            flacs.append(file.getvalue())
        return {
            "path": batch["path"],
            "target": list(made.targets),
            "mask": [one.tobytes() for one in made.mask],
            "flac": flacs,
            **made.scores,
        }


@cache
def _loaded() -> Explainer:
    return Explainer.load(EXPLAINER)


def _decode(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"path": row["path"], "waveform": one.numpy()} for one in _windows(row["bytes"], _loaded())]


def ray_data(files: list[Path], out: Path, actors: int) -> None:
    """The job as a pipeline of Ray Data."""
    ray.data.DataContext.get_current().enable_progress_bars = False
    found = ray.data.read_binary_files([str(path) for path in files], include_paths=True)
    decoded = found.flat_map(_decode)
    decoded.map_batches(_Explain, batch_size=16, concurrency=actors).write_parquet(str(out))


def jobs(files: list[Path], rounds: int, actors: int) -> list[Figure]:
    """Recordings a second of `lmac explain`, of the loop and of Ray Data, in turns, each with its start."""
    rates: dict[str, list[float]] = {"lmac explain": [], "loop": [], "ray data": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            work = Path(scratch)
            data = work / "data"
            data.mkdir()
            for number, path in enumerate(files):
                (data / f"{number:05d}{path.suffix}").write_bytes(path.read_bytes())
            copies = sorted(data.iterdir())
            ways: dict[str, Callable[[], object]] = {
                "lmac explain": partial(
                    explain_dataset,
                    str(data),
                    str(work / "lmac"),
                    explainer=EXPLAINER,
                    actors=actors,
                    cpus_per_actor=1,
                    device="cpu",
                ),
                "loop": partial(researcher, copies, work / "loop"),
                "ray data": partial(ray_data, copies, work / "ray", actors),
            }
            for name, way in ways.items():
                begun = time.perf_counter()
                if name == "ray data":
                    ray.init(num_cpus=actors + 1, include_dashboard=False, log_to_driver=False)
                way()
                rates[name].append(len(files) / (time.perf_counter() - begun))
                if name == "ray data":
                    ray.shutdown()
                print(f"{name}: {rates[name][-1]:.2f} recordings/s", flush=True)
    part = f"peers: jobs of {len(files)} recordings, {actors} actors"
    return [
        *(Figure(part, name, "recordings/s", tuple(found)) for name, found in rates.items()),
        *(ratios(part, f"lmac explain / {name}", rates["lmac explain"], rates[name]) for name in ("loop", "ray data")),
    ]


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("--windows", type=int, default=64, help="windows for masks a second")
    parser.add_argument("--recordings", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--parts", nargs="+", default=["masks", "jobs"])
    given = parser.parse_args()
    made = []
    if "masks" in given.parts:
        made += masks(drawn(given.input, given.windows), given.rounds)
    if "jobs" in given.parts:
        made += jobs(drawn(given.input, given.recordings), given.rounds, given.actors)
    print(table(made))


if __name__ == "__main__":
    main()
