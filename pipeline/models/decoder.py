"""The mask decoder: from the classifier's representations to a mask over the linear spectrogram."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.models.film import Film
from pipeline.models.frontend import FrontEnd
from schemas.explainer_config import DecoderConfig


class Upsample(nn.Module):
    """Doubles time and frequency by a transposed convolution per channel that starts as linear interpolation.

    `[B, C, T, M]` -> `[B, C, size[0], size[1]]`, where size is at most (2T, 2M): an odd edge that pooling
    had rounded up is cut off again.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, groups=channels, bias=False)
        ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
        with torch.no_grad():
            self.conv.weight.copy_(torch.outer(ramp, ramp).expand_as(self.conv.weight))

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        # The edge is replicated, otherwise the borders of every mask would fade out.
        x = nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
        # On CPUs the bf16 kernel of this convolution is several times slower than the float32 one.
        with torch.autocast(x.device.type, enabled=False):
            x = self.conv(x.float()).to(x.dtype)
        return x[:, :, 2 : 2 + size[0], 2 : 2 + size[1]]


class Merge(nn.Module):
    """Joins the features from below with this depth's skip: `[B, a, T, M]`, `[B, b, T, M]` -> `[B, c, T, M]`."""

    def __init__(self, below: int, skip: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(below + skip, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        x = nn.functional.gelu(self.conv1(torch.cat([below, skip], dim=1)))
        return nn.functional.gelu(self.conv2(x))


class Decoder(nn.Module):
    """U-Net decoder with a skip from each depth, the log-mel itself being the last (L-MAC, section 3.1).

    The mask is computed at mel resolution, the classifier's own, and spread to linear bins. Input: representations as
    `FirstPass.features` returns them, and their magnitude `[B, F, T]`; output: logits `[B, F, T]`, for any number
    of frames. Bins outside all mel filters get logit -inf: what the classifier cannot hear is no evidence.

    With `detail` a second map at mel resolution says how much louder bins within a mel band are preferred to quieter
    ones: the classifier's input is their sum, and a few partials may hold most of it.

    A `prompted` decoder is conditioned on a prompt `[B, prompt_features]` at every depth (FiLM). Raises ValueError
    if the channels do not fit the classifier, or if the classifier has no prompts.
    """

    def __init__(
        self,
        config: DecoderConfig,
        front_end: FrontEnd,
        representation_channels: tuple[int, ...],
        prompt_features: int = 0,
    ):
        super().__init__()
        config = config.fitted(len(representation_channels))
        widths = config.channels or ()
        if len(widths) != len(representation_channels):
            raise ValueError(
                f"decoder.channels names {len(widths)} depths, the classifier has "
                f"{len(representation_channels)}: give one number of channels for each"
            )
        self.front_end = front_end
        self.evidence = config.evidence or 0
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels, width in zip(representation_channels, widths, strict=True)
        )
        self.upsample = nn.ModuleList(Upsample(width) for width in widths[1:])
        self.merge = nn.ModuleList(Merge(below, skip, skip) for skip, below in pairwise(widths))
        self.detail, self.prompted = config.detail, config.prompted
        if self.prompted and not prompt_features:
            raise ValueError("decoder.prompted needs a CLAP whose classes are prompts: this classifier has no text")
        self.films = nn.ModuleList(Film(prompt_features, width) for width in widths) if self.prompted else None
        self.out = nn.Conv2d(widths[0], 2 if config.detail else 1, 1)

    def forward(self, representations: Sequence[Tensor], magnitude: Tensor, prompt: Tensor | None = None) -> Tensor:
        x = nn.functional.gelu(self._reduced(-1, representations, prompt))
        for depth in reversed(range(len(self.merge))):
            skip = self._reduced(depth, representations, prompt)
            x = self.merge[depth](self.upsample[depth](x, skip.shape[-2:]), skip)
        out = self.out(x)
        logits = self.front_end.spread(out[:, 0])
        if self.detail:
            logits = logits + self.front_end.spread(out[:, 1]) * self.front_end.loudness_in_band(magnitude)
        return logits.masked_fill(~self.front_end.audible[:, None], -torch.inf)

    def mask(self, representations: Sequence[Tensor], magnitude: Tensor, prompt: Tensor | None = None) -> Tensor:
        """Return the mask `[B, F, T]` in [0, 1]."""
        return torch.sigmoid(self.forward(representations, magnitude, prompt))

    def _reduced(self, depth: int, representations: Sequence[Tensor], prompt: Tensor | None) -> Tensor:
        x: Tensor = self.reduce[depth](representations[depth])
        if self.films is not None:
            x = self.films[depth](x, prompt)
        return x
