"""Time and frequency in HTSAT: between its folded image and the frames and mel bands of the log-mel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Clip:
    """How a window of `frames` becomes HTSAT's input: repeated `repeats` times, then silence up to `clip_frames`.

    The first and the last frame are centred on the window's edges, so that repeats are `frames - 1` frames apart. The
    clip is then stretched linearly to `image_frames`.
    """

    frames: int
    clip_frames: int
    image_frames: int
    repeated: bool

    def __post_init__(self) -> None:
        if not 0 < self.frames <= self.clip_frames:
            raise ValueError(f"this CLAP takes 1 to {self.clip_frames} frames at once, got {self.frames}")

    @property
    def period(self) -> int:
        """Frames from the start of one repeat to the next."""
        return max(self.frames - 1, 1)

    @property
    def repeats(self) -> int:
        """How often the whole window fits into the clip."""
        return max((self.clip_frames - 1) // self.period, 1) if self.repeated else 1

    def frame_of_clip(self) -> Tensor:
        """Return the window's frame number for each frame of the clip, `[clip_frames]`; `frames` means silence."""
        place = torch.arange(self.clip_frames)
        end = self.repeats * self.period
        last = torch.where(place == end, self.frames - 1, self.frames)
        return torch.where(place < end, place % self.period, last)


@lru_cache(maxsize=64)
def time_maps(clip: Clip, stride: int, cell: int) -> tuple[Tensor, Tensor]:
    """Return linear maps between image columns of `cell` stretched frames and cells of `stride` window frames.

    The map to the window, `[ceil(frames / stride), image_frames / cell]`, averages over the repeats; the map to the
    image, `[image_frames / cell, ceil(frames / stride)]`, is zero for silence. Both interpolate linearly between
    centres.
    """
    stretch = (clip.image_frames - 1) / max(clip.clip_frames - 1, 1)
    n_cells, n_columns = -(-clip.frames // stride), clip.image_frames // cell
    centres = (torch.arange(n_cells, dtype=torch.float64) * stride + (stride - 1) / 2).clamp_max(clip.frames - 1)
    to_window = torch.zeros(n_cells, n_columns, dtype=torch.float64)
    for repeat in range(clip.repeats):
        place = (centres + repeat * clip.period) * stretch
        to_window += interpolation((place - (cell - 1) / 2) / cell, n_columns) / clip.repeats
    starts = torch.arange(n_columns, dtype=torch.float64) * cell
    place = (starts + (cell - 1) / 2) / stretch
    within = place - (place / clip.period).floor().clamp_max(clip.repeats - 1) * clip.period
    to_image = interpolation((within - (stride - 1) / 2) / stride, n_cells)
    to_image[starts / stretch > clip.repeats * clip.period] = 0
    return to_window.float(), to_image.float()


@lru_cache(maxsize=64)
def mel_maps(n_mels: int, stride: int, cell: int) -> tuple[Tensor, Tensor]:
    """Return linear maps from image rows of `cell` mel bands to cells of `stride`, `[n/stride, n/cell]`, and back."""
    n_cells, n_rows = n_mels // stride, n_mels // cell
    to_window = ((torch.arange(n_cells, dtype=torch.float64) + 0.5) * stride - 0.5 - (cell - 1) / 2) / cell
    to_image = ((torch.arange(n_rows, dtype=torch.float64) + 0.5) * cell - 0.5 - (stride - 1) / 2) / stride
    return interpolation(to_window, n_rows).float(), interpolation(to_image, n_cells).float()


def interpolation(place: Tensor, n: int) -> Tensor:
    """Return weights `[m, n]` of linear interpolation at places `[m]` between points 0..n-1; beyond, the nearest."""
    place = place.clamp(0, n - 1)
    return (1 - (place[:, None] - torch.arange(n, dtype=place.dtype)).abs()).clamp_min(0)


def unfolded(tokens: Tensor, strips: int) -> Tensor:
    """Unfold HTSAT's tokens `[B, side * side, C]` to the clip's `[B, C, time, mel]`, joining its strips of time."""
    batch, n, channels = tokens.shape
    side = round(n**0.5)
    x = tokens.view(batch, strips, side // strips, side, channels)
    return x.permute(0, 4, 1, 3, 2).reshape(batch, channels, strips * side, side // strips)


def folded(x: Tensor, strips: int) -> Tensor:
    """Invert `unfolded`."""
    batch, channels, time, mels = x.shape
    x = x.view(batch, channels, strips, time // strips, mels)
    return x.permute(0, 2, 4, 3, 1).reshape(batch, time * mels, channels)


class TokenGrid(nn.Module):
    """Tokens of HTSAT `[B, side * side, C]` -> a window's representation `[B, C, ceil(T / stride), n_mels / stride]`.

    Time and mel bands are laid out as in the log-mel `[B, T, n_mels]`; repeats of a short window are averaged. A token
    covers `cell` frames and `cell` mel bands.
    """

    def __init__(self, n_mels: int, strips: int, stride: int, cell: int) -> None:
        super().__init__()
        self.n_mels, self.strips, self.stride, self.cell = n_mels, strips, stride, cell
        # Copied to a device once, as a copy in every pass would wait for the device's computations.
        self._maps: dict[tuple[Clip, torch.device, torch.dtype], list[Tensor]] = {}

    def maps(self, clip: Clip, like: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the maps of time and of mel bands, each to the window and to the image, on the device of `like`."""
        key = (clip, like.device, like.dtype)
        if key not in self._maps:
            both = *time_maps(clip, self.stride, self.cell), *mel_maps(self.n_mels, self.stride, self.cell)
            self._maps[key] = [weights.to(like) for weights in both]
        time_in, time_out, mel_in, mel_out = self._maps[key]
        return (time_in, time_out), (mel_in, mel_out)

    def forward(self, tokens: Tensor, clip: Clip) -> Tensor:
        time, mel = self.maps(clip, tokens)
        return time[0] @ unfolded(tokens, self.strips) @ mel[0].T

    def to_tokens(self, representation: Tensor, clip: Clip) -> Tensor:
        """Map a representation `[B, C, ceil(T / stride), n_mels / stride]` back to tokens `[B, side * side, C]`."""
        time, mel = self.maps(clip, representation)
        return folded(time[1] @ representation @ mel[1].T, self.strips)

    def with_gradient(self, tokens: Tensor, representation: Tensor, clip: Clip) -> Tensor:
        """Return the tokens unchanged, but for autograd as a function of their representation."""
        passed: Tensor = _GradientThroughGrid.apply(tokens, representation, self, clip)
        return passed


class _GradientThroughGrid(torch.autograd.Function):
    """`h` -> `h`, written as a function of `r = R h`: `h = U r + (h - U R h)`, where the bracket is constant in `r`.

    R and U are not inverses of each other, as windows repeat and grids differ. The gradient of `r` is `U' g`, and the
    direct gradient of `h` is `g - R' U' g`. Together with the gradient through `r` it is `g` again, so that the
    classifier's gradients do not depend on this rewriting.
    """

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, representation: Tensor, grid: TokenGrid, clip: Clip) -> Tensor:
        ctx.grid, ctx.clip = grid, clip
        return tokens.view_as(tokens)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grid: TokenGrid = ctx.grid
        time, mel = grid.maps(ctx.clip, gradient)
        of_representation = time[1].T @ unfolded(gradient, grid.strips) @ mel[1]
        back = time[0].T @ of_representation @ mel[0]
        return gradient - folded(back, grid.strips), of_representation, None, None
