"""HTSAT, the audio encoder of CLAP: transformers' implementation, its stages laid out in time and mel bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pipeline.models.clap.layout import Clip, TokenGrid
from schemas.explainer_config import ClapConfig

if TYPE_CHECKING:
    from transformers import ClapAudioConfig


class Htsat(nn.Module):
    """Log-mel `[B, T, n_mels]` -> projected embedding `[B, D]`, not normalised, and representations shallow to deep.

    The first representation (see `ClassifierOutput`) is the standardised log-mel, the second the embedded patches, and
    the others are the stages of Swin blocks: `[B, C_k, ceil(T / 2^k), n_mels / 2^k]`. The patches, four frames and
    four bands wide, are interpolated to a stride of two, so that no depth is coarser than twice the one before.

    `weights` is transformers' ClapAudioModelWithProjection, with its names of weights. It stays in evaluation mode:
    batch normalisation is never updated here.
    """

    def __init__(self, config: ClapConfig, n_mels: int, clip_frames: int) -> None:
        super().__init__()
        # Imported late: it takes seconds, and few commands need it.
        from transformers.models.clap.modeling_clap import ClapAudioModelWithProjection

        self.weights = ClapAudioModelWithProjection(audio_config(config, n_mels))
        self.repeated = config.short_windows == "repeatpad"
        self.n_mels, self.clip_frames = n_mels, clip_frames
        self.strips = config.image_size // n_mels
        self.image_frames = config.image_size * self.strips
        self.side = config.image_size // config.patch_size
        cells = [config.patch_size, *(config.patch_size << stage for stage in range(len(config.depths)))]
        strides = [max(cells[0] // 2, 1), *cells[1:]]
        self._weights_of_image: dict[tuple[Clip, torch.device], Tensor] = {}
        self.grids = nn.ModuleList(
            TokenGrid(n_mels, self.strips, stride, cell) for stride, cell in zip(strides, cells, strict=True)
        )

    def train(self, mode: bool = True) -> Htsat:
        super().train(mode)
        self.weights.eval()
        return self

    def forward(
        self, log_mel: Tensor, silence: Tensor, shifts: Sequence[Tensor] = ()
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Encode a batch; `silence` `[n_mels]` is the log-mel of silence, which pads windows shorter than the clip.

        `shifts` as in `Classifier.forward`.
        """
        encoder: Any = self.weights.audio_model.audio_encoder
        clip = Clip(log_mel.shape[1], self.clip_frames, self.image_frames, self.repeated)
        # One channel: the other three of a fusion checkpoint are only for audio longer than a clip.
        x = standardised(encoder.batch_norm, log_mel)
        plain = 1 + len(self.grids) - len(shifts)
        representations = [x]
        x = x if plain else x + shifts[0]
        quiet = standardised(encoder.batch_norm, silence[None, None])
        of_window, of_silence = self._image_weights(clip, x)
        with torch.autocast(x.device.type, enabled=False):
            stretched = of_window @ x + of_silence * quiet
        tokens = encoder.patch_embed(encoder.reshape_mel2img(stretched), ())

        def keep(grid: nn.Module, tokens: Tensor) -> Tensor:
            depth = len(representations)
            representation = grid(tokens, clip)
            representations.append(representation)
            if depth >= plain:
                return tokens + grid.to_tokens(shifts[depth - plain].to(tokens.dtype), clip)  # type: ignore[operator]
            if shifts or not torch.is_grad_enabled():
                return tokens
            return grid.with_gradient(tokens, representation, clip)  # type: ignore[operator]

        tokens = keep(self.grids[0], tokens)
        for stage, (layer, grid) in enumerate(zip(encoder.layers, self.grids[1:], strict=True)):
            size = (self.side >> stage, self.side >> stage)
            for block in layer.blocks:
                tokens = block(tokens, size)[0]
            tokens = keep(grid, tokens)
            if layer.downsample is not None:
                tokens = layer.downsample(tokens, size)
        with torch.autocast(tokens.device.type, enabled=False):
            embedding = self.weights.audio_projection(encoder.norm(tokens.float()).mean(dim=1))
        return embedding, tuple(representations)

    def _image_weights(self, clip: Clip, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of a window's frames `[image_frames, T]` and of silence `[image_frames, 1]` in the image.

        They repeat or pad the clip and stretch it as transformers does, in one matrix product, because a GPU sums the
        gradients of an interpolation in no fixed order.
        """
        key = (clip, like.device)
        if key not in self._weights_of_image:
            frames = torch.eye(clip.clip_frames)[None, None]
            size = (clip.image_frames, clip.clip_frames)
            if clip.clip_frames < clip.image_frames:
                frames = nn.functional.interpolate(frames, size, mode="bicubic", align_corners=True)
            weights = torch.zeros(clip.image_frames, clip.frames + 1)
            weights.index_add_(1, clip.frame_of_clip(), frames[0, 0])
            self._weights_of_image[key] = weights.to(like.device)
        weights = self._weights_of_image[key]
        return weights[:, :-1], weights[:, -1:]


def standardised(batch_norm: nn.Module, log_mel: Tensor) -> Tensor:
    """Normalise a log-mel `[B, T, n_mels]` per band, to `[B, 1, T, n_mels]`."""
    x: Tensor = batch_norm(log_mel.transpose(1, 2)[..., None])
    return x.permute(0, 3, 2, 1)


def audio_config(config: ClapConfig, n_mels: int) -> ClapAudioConfig:
    """Convert the sizes to transformers' configuration."""
    from transformers import ClapAudioConfig

    return ClapAudioConfig(
        window_size=config.attention_window,
        num_mel_bins=n_mels,
        spec_size=config.image_size,
        patch_size=config.patch_size,
        patch_stride=(config.patch_size, config.patch_size),
        patch_embeds_hidden_size=config.channels,
        hidden_size=config.stage_channels[-1],
        depths=config.depths,
        num_attention_heads=config.heads,
        num_hidden_layers=len(config.depths),
        mlp_ratio=config.mlp_ratio,
        enable_fusion=config.fusion,
        projection_dim=config.projection,
        hidden_dropout_prob=0.0,
    )
