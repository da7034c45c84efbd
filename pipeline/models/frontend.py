"""Waveform to linear STFT and back, and the log-mel that is the classifier's input."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn

from schemas.explainer_config import FrontEndConfig


class FrontEnd(nn.Module):
    """STFT, its inverse, and a log-mel of the *linear* magnitude, so that a mask on it can be inverted to sound.

    Shapes: waveform `[B, n]` in [-1, 1], STFT `[B, F, T]` complex with `F = n_fft / 2 + 1` and
    `T = ceil(n / hop_length) + 1` centred frames, log-mel `[B, T, n_mels]` (logarithm of power as `log` says).
    """

    window: Tensor
    wide_window: Tensor
    mel_weights: Tensor
    spread_weights: Tensor
    mean_weights: Tensor
    audible: Tensor
    audible_bins: Tensor

    def __init__(self, config: FrontEndConfig) -> None:
        super().__init__()
        self.config = config
        mel_weights = torchaudio.functional.melscale_fbanks(
            config.n_freq,
            config.f_min,
            config.f_max,
            config.n_mels,
            config.sample_rate,
            norm=None if config.mel_norm == "none" else config.mel_norm,
            mel_scale=config.mel_scale,
        )
        total = mel_weights.sum(dim=1, keepdim=True)
        spread = torch.where(total > 0, mel_weights / total.clamp_min(1e-12), torch.zeros_like(total))
        constants = {
            "window": torch.hann_window(config.n_fft),
            "wide_window": torch.hann_window(config.n_fft, dtype=torch.float64),
            "mel_weights": mel_weights,
            "spread_weights": spread.T,
            "mean_weights": mel_weights / mel_weights.sum(dim=0).clamp_min(1e-12),
            # Bool `[F]`: the linear bins that at least one mel filter covers.
            "audible": total[:, 0] > 0,
            # Their numbers: indexing with these does not synchronise with a GPU, as indexing with a bool does.
            "audible_bins": total[:, 0].nonzero()[:, 0],
        }
        for name, constant in constants.items():
            # These follow from the config, so they are not stored with the weights.
            self.register_buffer(name, constant, persistent=False)

    def stft(self, waveform: Tensor) -> Tensor:
        """Compute the complex STFT `[B, F, T]` of waveforms `[B, n]`, padded with silence or reflected at the edges."""
        if self.config.quantised:
            # laion-clap's own rounding, which its checkpoints were trained with; not the grid of `pipeline.audio.pcm`.
            waveform = (waveform.clamp(-1, 1) * 32767).trunc() / 32767
        # A whole number of hops, so that the last frame is centred at or beyond the last sample and the
        # inverse is well conditioned there.
        padded = nn.functional.pad(waveform, (0, -waveform.shape[-1] % self.config.hop_length))
        # A window shorter than half an FFT is too short to reflect, so it is padded with silence.
        reflects = self.config.pad_mode == "reflect" and padded.shape[-1] > self.config.n_fft // 2
        wide = self.config.precision == "double"
        if wide:
            padded = padded.double()
        stft = torchaudio.functional.spectrogram(
            padded,
            pad=0,
            window=self.wide_window if wide else self.window,
            n_fft=self.config.n_fft,
            hop_length=self.config.hop_length,
            win_length=self.config.n_fft,
            power=None,
            normalized=False,
            pad_mode="reflect" if reflects else "constant",
        )
        return stft.to(waveform.dtype.to_complex())

    def istft(self, stft: Tensor, length: int) -> Tensor:
        """Invert a complex STFT `[B, F, T]` to waveforms `[B, length]` by least squares (Griffin and Lim 1984)."""
        return torchaudio.functional.inverse_spectrogram(
            stft,
            length=length,
            pad=0,
            window=self.window,
            n_fft=self.config.n_fft,
            hop_length=self.config.hop_length,
            win_length=self.config.n_fft,
            normalized=False,
        )

    def with_phase(self, magnitude: Tensor, stft: Tensor, length: int) -> Tensor:
        """Invert magnitudes `[k B, F, T]`, k per STFT, with the phase of the STFTs `[B, F, T]`, to `[k B, length]`."""
        phase = torch.polar(torch.ones_like(stft.real), stft.angle())
        return self.istft((magnitude.unflatten(0, (-1, len(stft))) * phase).flatten(0, 1), length)

    def log_mel(self, magnitude: Tensor) -> Tensor:
        """Compute the log-mel power `[B, T, n_mels]` of linear magnitudes `[B, F, T]`; all gradients are finite."""
        with _float32(magnitude):
            mel = magnitude.float().square().transpose(1, 2) @ self.mel_weights
        if self.config.log == "db":
            return 10 * torch.log10(mel.clamp_min(self.config.log_floor))
        return torch.log(mel + self.config.log_floor)

    def spread(self, mel_map: Tensor) -> Tensor:
        """Spread a map `[B, T, n_mels]` to linear bins `[B, F, T]`, each the weighted mean of the filters covering it.

        Bins that no filter covers get 0; `audible` is False there.
        """
        with _float32(mel_map):
            return (mel_map.float() @ self.spread_weights).transpose(1, 2)

    def loudness_in_band(self, magnitude: Tensor) -> Tensor:
        """Compute how far each bin of magnitudes `[B, F, T]` exceeds its mel band's mean power, in nepers, within ±2.

        The floor of the log-mel is added to both powers, so that digital silence has no detail.
        """
        power = magnitude.square()
        with _float32(power):
            mean = self.spread(power.transpose(1, 2) @ self.mean_weights)
        floor = self.config.log_floor
        return (0.5 * ((power + floor).log() - (mean + floor).log())).clamp(-2.0, 2.0)


def _float32(like: Tensor) -> torch.autocast:
    """Return a context in float32, whatever the surrounding precision: power spectra need far more than 3 digits."""
    return torch.autocast(like.device.type, enabled=False)
