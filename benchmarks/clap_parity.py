"""Our embeddings beside those of laion-clap and transformers, of the same random weights in the real shapes:

python -m benchmarks.clap_parity --clips data/esc10
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import soxr
import torch
from torch import Tensor

from benchmarks.clap_originals import LaionAudio, huggingface_clap, randomised, save_huggingface, save_laion
from pipeline.inputs.suffixes import is_audio
from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.classifier import ClapClassifier

SAMPLES, RATE = 480_000, 48_000
LAION = {
    "laion HTSAT-tiny": ("tiny", False),
    "laion HTSAT-tiny, fusion": ("tiny", True),
    "laion HTSAT-base": ("base", False),
    "laion HTSAT-base, fusion": ("base", True),
}
BASE = {"patch_embeds_hidden_size": 128, "depths": [2, 2, 12, 2], "hidden_size": 1024}
# The sizes of laion/clap-htsat-unfused, -fused and larger_clap_general.
HUGGINGFACE: Mapping[str, Mapping[str, Any]] = {
    "Hugging Face, unfused": {},
    "Hugging Face, fused": {"enable_fusion": True},
    "Hugging Face, larger": BASE,
}


@dataclass(frozen=True)
class Parity:
    """How far our embeddings of some waveforms lie from the original's: least cosine, largest difference."""

    cosine: float
    difference: float
    # The least cosine among the original's own embeddings: where it is 1, the comparison would tell nothing.
    spread: float


def compare(original: Tensor, ours: Tensor) -> Parity:
    """Hold embeddings `[B, D]` of length 1 against each other, row by row."""
    cosine = torch.nn.functional.cosine_similarity(original.double(), ours.double(), dim=1).min()
    return Parity(float(cosine), float((original - ours).abs().max()), float((original @ original.T).min()))


def laion_pair(name: str, folder: Path) -> tuple[Callable[[Tensor], Tensor], ClapClassifier]:
    """laion-clap's embedding of waveforms, and our classifier of the same checkpoint."""
    size, fusion = LAION[name]
    model = randomised(LaionAudio(size, fusion))
    save_laion(model, folder / "laion.pt")  # type: ignore[arg-type]
    return model, load_clap_audio(folder / "laion.pt").with_bank(torch.eye(512)[:2])


def huggingface_pair(name: str, folder: Path) -> tuple[Callable[[Tensor], Tensor], ClapClassifier]:
    """transformers' embedding of waveforms, none longer than a clip, and our classifier of the same directory."""
    from transformers import ClapFeatureExtractor

    fusion = bool(HUGGINGFACE[name].get("enable_fusion"))
    model: Any = huggingface_clap(HUGGINGFACE[name])
    save_huggingface(model, folder, fusion)
    extractor = ClapFeatureExtractor.from_pretrained(folder)

    def embed(waveforms: Tensor) -> Tensor:
        heard = extractor([x.numpy() for x in waveforms], sampling_rate=RATE, return_tensors="pt")
        longer = torch.zeros(len(waveforms), 1, dtype=torch.bool)
        features = model.get_audio_features(input_features=heard["input_features"].float(), is_longer=longer)
        return features.pooler_output  # type: ignore[no-any-return]

    return embed, load_clap_audio(folder).with_bank(torch.eye(512)[:2])


def pair(name: str, folder: Path) -> tuple[Callable[[Tensor], Tensor], ClapClassifier]:
    """An original and ours, by the name of the checkpoint; `folder` takes its files."""
    return laion_pair(name, folder) if name in LAION else huggingface_pair(name, folder)


def embed(classifier: ClapClassifier, waveforms: Tensor) -> Tensor:
    """Our embeddings `[B, D]` of waveforms `[B, n]`."""
    embedding = classifier(classifier.front_end.stft(waveforms).abs()).embedding
    return embedding


def noises() -> Tensor:
    """White noise at three levels, and a burst of it in silence, `[4, 480000]`."""
    noise = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0))
    burst = torch.where((torch.arange(SAMPLES) // 100_000) == 2, 0.1 * noise, 0.0)
    return torch.stack([0.3 * noise, 0.03 * noise, 0.0003 * noise, burst])


def tones() -> Tensor:
    """Sines from 100 Hz to 12 kHz, from 26 dB below full scale up to it, `[6, 480000]`."""
    seconds = torch.arange(SAMPLES, dtype=torch.float64) / RATE
    loud = ((100, 0.5), (220, 0.9), (440, 0.05), (1000, 1.0), (3000, 0.5), (12_000, 0.5))
    return torch.stack([(level * torch.sin(2 * torch.pi * hz * seconds)).float() for hz, level in loud])


def clips(folder: Path, n: int = 4) -> Tensor:
    """The first clip of each of n of its folders, repeated to 10 s, `[n, 480000]`."""
    first = {path.parent: path for path in sorted(folder.rglob("*"), reverse=True) if is_audio(path.name)}
    waveforms = []
    for path in sorted(first.values())[:n]:
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
        x = torch.from_numpy(soxr.resample(sound.mean(axis=1), rate, RATE))
        waveforms.append(x.repeat(-(-SAMPLES // len(x)))[:SAMPLES])
    return torch.stack(waveforms)


def rows(name: str, signals: Mapping[str, Tensor]) -> Iterator[tuple[str, Parity, float]]:
    """For each kind of signal its parity, and the seconds ours took for a window."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        original, ours = pair(name, Path(folder))
        for kind, waveforms in signals.items():
            # What is shorter the originals repeat.
            wanted = original(waveforms.repeat(1, -(-SAMPLES // waveforms.shape[1]))[:, :SAMPLES])
            start = time.perf_counter()
            found = embed(ours, waveforms)
            yield kind, compare(wanted, found), (time.perf_counter() - start) / len(waveforms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="a folder of real clips, such as ESC-10")
    parser.add_argument("--only", choices=[*LAION, *HUGGINGFACE], help="one checkpoint alone")
    arguments = parser.parse_args()
    signals = {"noise": noises(), "tones": tones()}
    if arguments.clips:
        signals["real clips"] = clips(arguments.clips)
        signals["real clips, 5 s"] = signals["real clips"][:, : SAMPLES // 2]
    print("| checkpoint | signals | least cosine | largest difference | least cosine among them | s a window |")
    print("|---|---|---|---|---|---|")
    for name in [arguments.only] if arguments.only else [*LAION, *HUGGINGFACE]:
        for kind, parity, seconds in rows(name, signals):
            figures = f"{parity.cosine:.7f} | {parity.difference:.1e} | {parity.spread:.2f} | {seconds:.2f}"
            print(f"| {name} | {kind} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
