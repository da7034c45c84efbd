"""Small models and signals for the tests."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from pipeline.models.build import build_classifier, build_decoder
from pipeline.models.classifier import Classifier
from pipeline.models.decoder import Decoder
from pipeline.models.frontend import FrontEnd
from schemas.explainer_config import Cnn10Config, DecoderConfig, ExplainerConfig, FrontEndConfig

FRONT_END = FrontEndConfig(
    sample_rate=16_000, n_fft=512, hop_length=160, n_mels=32, f_min=50.0, f_max=7_000.0, window_s=0.5
)
CONFIG = ExplainerConfig(
    name="small",
    labels=("a", "b", "c"),
    front_end=FRONT_END,
    classifier=Cnn10Config(channels=(4, 6, 8, 8), embedding=8, dropout=0.2),
    decoder=DecoderConfig(channels=(4, 4, 4, 4, 4)),
)


@lru_cache
def front_end(n_fft: int = 512, hop_length: int = 160, n_mels: int = 32) -> FrontEnd:
    """A front end at 16 kHz."""
    config = FRONT_END.model_copy(update={"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels})
    return FrontEnd(config)


def small_models(seed: int = 0, config: ExplainerConfig = CONFIG) -> tuple[Classifier, Decoder]:
    """A classifier and a decoder with random weights, scaled so that neither decisions nor masks are flat."""
    torch.manual_seed(seed)
    classifier = build_classifier(config).eval()
    decoder = build_decoder(config, classifier).eval()
    with torch.no_grad():
        for name, weight in [*classifier.named_parameters(), *decoder.named_parameters()]:
            if weight.ndim == 4 and "upsample" not in name:
                weight.mul_(3)
        classifier.get_submodule("classify").weight.mul_(3)  # type: ignore[operator]
    return classifier, decoder


def tone(hz: float, n: int, sample_rate: int = 16_000, amplitude: float = 0.5) -> Tensor:
    """A sine `[1, n]`."""
    return amplitude * torch.sin(2 * torch.pi * hz * torch.arange(n, dtype=torch.float64) / sample_rate).float()[None]


def noise(*shape: int, seed: int = 0, amplitude: float = 0.1) -> Tensor:
    """White noise of a shape, the same for a seed."""
    return amplitude * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
