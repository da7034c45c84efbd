"""Compare our embeddings of a CLAP checkpoint with those of its original library."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.clap_classifier import ClapClassifier
from pipeline.models.clap.originals import Embed, load_original
from pipeline.models.clap.source import resolve_clap
from pipeline.models.clap.zero_shot import PREFIX

# Embeddings have length 1. The largest difference measured is 2.2e-5 (docs/clap.md).
BOUND = 1e-4

# Hertz and amplitude, from 26 dB below full scale up to full scale.
_TONES = ((100, 0.5), (220, 0.9), (440, 0.05), (1000, 1.0), (3000, 0.5), (12_000, 0.5))


@dataclass(frozen=True)
class Pair:
    """A checkpoint loaded in its original library, whose name is `library`, and in ours."""

    library: str
    original: Embed
    classifier: ClapClassifier

    @property
    def sample_rate(self) -> int:
        """The sample rate in Hz of the waveforms that both take."""
        return self.classifier.front_end.config.sample_rate

    @property
    def samples(self) -> int:
        """The number of samples of a clip, the longest waveform that both take."""
        return self.classifier.front_end.config.window_samples


@dataclass(frozen=True)
class Parity:
    """How far our embeddings of `n` waveforms lie from the original's: least cosine, largest difference of an entry.

    `spread` is the least cosine among the original's own embeddings: if it were 1, the comparison would mean nothing.
    `seconds` is our time per waveform. `whole` says that the waveforms fill a clip. Shorter ones are repeated: the
    originals repeat the waveform, we repeat its frames, so results differ at the seams.
    """

    signals: str
    n: int
    cosine: float
    difference: float
    spread: float
    seconds: float
    whole: bool

    def within(self, bound: float = BOUND) -> bool:
        """Return whether whole clips agree within a bound; shorter ones always pass."""
        return not self.whole or self.difference <= bound


def load_pair(where: str, device: torch.device = torch.device("cpu")) -> Pair:
    """Load a CLAP in its original library and in ours; `where` is what `resolve_clap` takes, with or without `clap:`.

    Ours is on `device`, the original always on the CPU. Neither needs a network for a checkpoint on this machine.
    Raises ClapError and StorageError.
    """
    source = resolve_clap(where.removeprefix(PREFIX))
    audio = load_clap_audio(source.path)
    classifier = audio.with_bank(torch.eye(audio.config.projection)[:2])
    return Pair(*load_original(source), classifier.to(device))


def check_parity(pair: Pair, clips: Sequence[Tensor] = ()) -> Iterator[Parity]:
    """Compare the two on noise, tones and clips `[n]`, at the pair's sample rate.

    Each clip is cut or repeated to `pair.samples` samples; shorter ones are also compared as they are.
    """
    yield compare(pair, "noise", list(noises(pair.samples)))
    yield compare(pair, "tones", list(tones(pair.samples, pair.sample_rate)))
    if not clips:
        return
    filled = [clip.repeat(-(-pair.samples // len(clip)))[: pair.samples] for clip in clips]
    yield compare(pair, "clips", filled)
    short = [clip for clip in clips if len(clip) < pair.samples]
    if short:
        yield compare(pair, "clips, not repeated", short)


@torch.no_grad()
def compare(pair: Pair, signals: str, waveforms: Sequence[Tensor]) -> Parity:
    """Compare the embeddings of waveforms `[n]`, one at a time."""
    original = torch.cat([pair.original(waveform[None]) for waveform in waveforms])
    start = time.perf_counter()
    # By default a GPU's convolutions round to ten bits (TF32), which would distort the comparison.
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        ours = torch.cat([embed(pair.classifier, waveform[None].to(pair.classifier.device)) for waveform in waveforms])
    ours = ours.cpu()
    seconds = (time.perf_counter() - start) / len(waveforms)
    cosine = F.cosine_similarity(original.double(), ours.double(), dim=1).min()
    difference, spread = (original - ours).abs().max(), (original @ original.T).min()
    whole = all(len(waveform) == pair.samples for waveform in waveforms)
    return Parity(signals, len(waveforms), float(cosine), float(difference), float(spread), seconds, whole)


def embed(classifier: ClapClassifier, waveforms: Tensor) -> Tensor:
    """Compute our embeddings `[B, D]` of waveforms `[B, n]`."""
    embedding: Tensor = classifier(classifier.front_end.stft(waveforms).abs()).embedding
    return embedding


def noises(samples: int) -> Tensor:
    """Return white noise at three levels, and a burst of noise in silence, `[4, samples]`."""
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    burst = torch.where(torch.arange(samples) * 5 // samples == 2, 0.1 * noise, 0.0)
    return torch.stack([0.3 * noise, 0.03 * noise, 0.0003 * noise, burst])


def tones(samples: int, sample_rate: int) -> Tensor:
    """Return sines from 100 Hz to 12 kHz, as far as the sample rate allows, `[n, samples]`."""
    seconds = torch.arange(samples, dtype=torch.float64) / sample_rate
    tones = [(hz, level) for hz, level in _TONES if hz < sample_rate / 2]
    return torch.stack([(level * torch.sin(2 * torch.pi * hz * seconds)).float() for hz, level in tones])
