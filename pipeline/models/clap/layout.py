"""Where HTSAT puts time and frequency: from its folded image back to frames and mel bands, and there again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Clip:
    """What HTSAT hears of a window of `frames`: the window `repeats` times, then silence up to `clip_frames`.

    A window of n frames has a frame at either edge, so that it starts anew every n - 1 frames. All is then stretched to
    `image_frames`, the first frame to the first and the last to the last.
    """

    frames: int
    clip_frames: int
    image_frames: int
    repeated: bool

    def __post_init__(self) -> None:
        if not 0 < self.frames <= self.clip_frames:
            raise ValueError(f"this CLAP hears 1 to {self.clip_frames} frames at once, got {self.frames}")

    @property
    def period(self) -> int:
        """Frames from one repeat to the next."""
        return max(self.frames - 1, 1)

    @property
    def repeats(self) -> int:
        """How often the whole window fits."""
        return max((self.clip_frames - 1) // self.period, 1) if self.repeated else 1

    def frame_of_clip(self) -> Tensor:
        """The frame of the window at each frame of the clip, `[clip_frames]`; `frames` stands for silence."""
        place = torch.arange(self.clip_frames)
        end = self.repeats * self.period
        last = torch.where(place == end, self.frames - 1, self.frames)
        return torch.where(place < end, place % self.period, last)


@lru_cache(maxsize=64)
def time_maps(clip: Clip, stride: int, cell: int) -> tuple[Tensor, Tensor]:
    """Linear maps between the image's columns, of `cell` stretched frames, and cells of `stride` frames of a window.

    Returns the map to the window `[ceil(frames / stride), image_frames / cell]`, the mean over the repeats, and the map
    to the image `[image_frames / cell, ceil(frames / stride)]`, where silence gets nothing. Both interpolate linearly
    between centres.
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
    """Linear maps between rows of `cell` mel bands and cells of `stride`: there `[n/stride, n/cell]`, and back."""
    n_cells, n_rows = n_mels // stride, n_mels // cell
    there = ((torch.arange(n_cells, dtype=torch.float64) + 0.5) * stride - 0.5 - (cell - 1) / 2) / cell
    back = ((torch.arange(n_rows, dtype=torch.float64) + 0.5) * cell - 0.5 - (stride - 1) / 2) / stride
    return interpolation(there, n_rows).float(), interpolation(back, n_cells).float()


def interpolation(place: Tensor, n: int) -> Tensor:
    """Weights `[m, n]` of linear interpolation at places `[m]` between the points 0..n-1; beyond them, the nearest."""
    place = place.clamp(0, n - 1)
    return (1 - (place[:, None] - torch.arange(n, dtype=place.dtype)).abs()).clamp_min(0)


def unfolded(tokens: Tensor, strips: int) -> Tensor:
    """HTSAT's tokens `[B, side * side, C]` as `[B, C, time, mel]` of the clip: its strips of time put end to end."""
    batch, n, channels = tokens.shape
    side = round(n**0.5)
    x = tokens.view(batch, strips, side // strips, side, channels)
    return x.permute(0, 4, 1, 3, 2).reshape(batch, channels, strips * side, side // strips)


def folded(x: Tensor, strips: int) -> Tensor:
    """`unfolded` undone."""
    batch, channels, time, mels = x.shape
    x = x.view(batch, channels, strips, time // strips, mels)
    return x.permute(0, 2, 4, 3, 1).reshape(batch, time * mels, channels)


class Place(nn.Module):
    """Tokens of HTSAT `[B, side * side, C]` -> a window's representation `[B, C, ceil(T / stride), n_mels / stride]`.

    Time and mel bands lie as in the log-mel `[B, T, n_mels]`; repeats of a short window are averaged. `cell` is how
    many frames and mel bands a token stands for.
    """

    def __init__(self, n_mels: int, strips: int, stride: int, cell: int) -> None:
        super().__init__()
        self.n_mels, self.strips, self.stride, self.cell = n_mels, strips, stride, cell

    def maps(self, clip: Clip, like: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The maps of time and of mel bands, each there and back, on the device and of the type of a tensor."""
        time, mel = time_maps(clip, self.stride, self.cell), mel_maps(self.n_mels, self.stride, self.cell)
        return (time[0].to(like), time[1].to(like)), (mel[0].to(like), mel[1].to(like))

    def forward(self, tokens: Tensor, clip: Clip) -> Tensor:
        time, mel = self.maps(clip, tokens)
        return time[0] @ unfolded(tokens, self.strips) @ mel[0].T

    def through(self, tokens: Tensor, representation: Tensor, clip: Clip) -> Tensor:
        """The tokens unchanged, but for autograd: as if they had been made from their representation."""
        passed: Tensor = _Through.apply(tokens, representation, self, clip)
        return passed


class _Through(torch.autograd.Function):
    """`h` -> `h`, with `r = R h` put into its path: `h = U r + (h - U R h)`, the bracket being constant to `r`.

    R and U are no inverses of each other, as windows repeat and grids differ. So the slope of `r` is `U' g`, what
    changes when `r` changes and is carried to the tokens, and that of `h` beside it `g - R' U' g`: with what comes by
    way of `r` it is `g` again, and no gradient of the classifier depends on the detour.
    """

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, representation: Tensor, place: Place, clip: Clip) -> Tensor:
        ctx.place, ctx.clip = place, clip
        return tokens.view_as(tokens)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None]:
        place: Place = ctx.place
        time, mel = place.maps(ctx.clip, slope)
        of_representation = time[1].T @ unfolded(slope, place.strips) @ mel[1]
        back = time[0].T @ of_representation @ mel[0]
        return slope - folded(back, place.strips), of_representation, None, None
