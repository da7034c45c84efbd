"""The explainer: what a classifier decided on, as a mask, as scores, and as sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.lmac.masking import apply_mask, quantised, to_pcm_grid
from pipeline.lmac.refine import refine as refined
from pipeline.lmac.scores import complexity, energy_kept, faithfulness, sparseness
from pipeline.models.checkpoint import ExplainerError, load_explainer
from pipeline.models.classifier import Classifier, ClassifierOutput
from pipeline.models.decoder import Decoder
from pipeline.models.evidence import classify_with_evidence
from pipeline.models.ranking import rank_bins
from schemas.explainer_config import ExplainerConfig
from schemas.targets import Targets

MaskKind = Literal["soft", "binary"]


@dataclass(frozen=True)
class Explanation:
    """Explanations of a batch of B windows, R in all: one for each window and target; arrays are on the CPU.

    The targets of a window stand together. With `top1` each window has one, the classifier's decision, and R is B.

    - `window` `[R]`: which of the windows is explained; `target_index` `[R]`, `targets`: the class explained;
    - `probabilities` `[B, C]`, `embedding` `[B, D]`: of each window;
    - `mask` `[R, F, T]` uint8: the mask in 255ths, exactly as it was applied;
    - `masked_in`, `masked_out` `[R, n]`: the listenables, float32 on the 16-bit grid they are written on;
    - `gain_db_in`, `gain_db_out` `[R]`: 0, or by how much a listenable was lowered to stay within full scale;
    - `scores`: by name, `[R]` each; names ending in `_audio` are of the listenables classified again.
    """

    targets: tuple[str, ...]
    window: np.ndarray
    target_index: np.ndarray
    probabilities: np.ndarray
    embedding: np.ndarray
    mask: np.ndarray
    masked_in: np.ndarray
    masked_out: np.ndarray
    gain_db_in: np.ndarray
    gain_db_out: np.ndarray
    scores: dict[str, np.ndarray]


class _Windows(NamedTuple):
    """What the masks of a batch are laid over: waveforms `[B, n]`, spectra `[B, F, T]`, probabilities `[B, C]`."""

    waveforms: Tensor
    lengths: np.ndarray | None
    stft: Tensor
    magnitude: Tensor
    full: Tensor


class Explainer:
    """A frozen classifier with its decoder; works on its own, without Ray."""

    def __init__(
        self,
        config: ExplainerConfig,
        classifier: Classifier,
        decoder: Decoder,
        device: str = "cpu",
        digest: str = "",
    ) -> None:
        self.config, self.digest, self.device = config, digest, torch.device(device)
        # Convolutions on CPUs take a third less time on this layout.
        layout = torch.channels_last
        self.classifier = classifier.eval().requires_grad_(False).to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.decoder = decoder.eval().requires_grad_(False).to(self.device, memory_format=layout)  # type: ignore[call-overload]

    @classmethod
    def load(cls, name_or_url: str, device: str = "cpu") -> Explainer:
        """Load a shipped explainer by name, or one from a directory on any fsspec URL.

        Raises ExplainerError when there is none or it has no decoder.
        """
        loaded = load_explainer(name_or_url)
        if loaded.decoder is None:
            raise ExplainerError(
                f"{name_or_url!r} is a classifier without a decoder: train one with "
                f"`lmac train decoder DATA OUT --classifier {name_or_url}`"
            )
        return cls(loaded.config, loaded.classifier, loaded.decoder, device, loaded.digest)

    @torch.no_grad()
    def explain(
        self,
        waveforms: np.ndarray | Tensor,
        *,
        lengths: np.ndarray | None = None,
        targets: str = "top1",
        mask: MaskKind = "soft",
        refine: int = 0,
    ) -> Explanation:
        """Explain waveforms `[B, n]` (or one, `[n]`) in [-1, 1] at the explainer's sample rate.

        Any n does where the classifier takes any; a CLAP takes up to the length its checkpoint was made for.

        `lengths` `[B]` are the samples of each that are sound and not padding. `targets` says which classes of each
        window are explained: `top1`, the decision; `topk:K`, by falling probability; `all`, by number; or names between
        semicolons, in their order. A `binary` mask is the soft one at 0.5. `refine` is a number of gradient steps that
        make each mask better for its own window (see `pipeline.lmac.refine`).

        Raises ValueError when a waveform is empty or not finite, or the explainer has no such classes or one mask for
        all of them.
        """
        x = self._checked(waveforms)
        chosen = Targets.parse(targets)
        chosen.refuse_for(self.config)
        stft = self.classifier.front_end.stft(x)
        magnitude = stft.abs()
        count = chosen.count(self.config.labels)
        fixed = chosen.indices(self.config.labels)
        asked = None if fixed is None else torch.tensor(fixed, device=self.device).expand(len(x), count)
        output, y, logits = self.rank(magnitude, None if asked is None else asked[:, 0], refine)
        if asked is None:  # stable, so that the first is the decision where logits are equal
            asked = output.logits.argsort(dim=1, descending=True, stable=True)[:, :count]
        windows = _Windows(x, lengths, stft, magnitude, full=output.logits.softmax(1))
        rows: dict[str, np.ndarray] = {}
        scores: dict[str, np.ndarray] = {}
        # Target by target: the device holds the masks and the sound of one at a time.
        for place in range(count):
            if place:
                _, y, logits = self.rank(magnitude, asked[:, place], refine)
            made, scored = self._masked(windows, y, logits, mask)
            _lay(rows, made, place, count)
            _lay(scores, scored, place, count)
        target_index = asked.flatten().cpu().numpy()
        return Explanation(
            targets=tuple(self.config.labels[index] for index in target_index),
            window=np.arange(len(x)).repeat(count),
            target_index=target_index,
            probabilities=windows.full.cpu().numpy(),
            embedding=output.embedding.cpu().numpy(),
            scores={name: _by_window(values) for name, values in scores.items()},
            **{name: _by_window(values) for name, values in rows.items()},
        )

    def _masked(
        self, windows: _Windows, y: Tensor, logits: Tensor, mask: MaskKind
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """For one target `[B]` of each window: mask, listenables and gains `[B, ...]`, and scores `[B]`, by name."""
        x, lengths, stft, magnitude, full = windows
        levels = quantised(torch.sigmoid(logits))
        if mask == "binary":
            levels = (levels >= 128).to(torch.uint8) * 255
        kept = levels.float() / 255

        inside = apply_mask(magnitude, kept, self.config.mask_domain)
        outside = apply_mask(magnitude, 1 - kept, self.config.mask_domain)
        p_in, p_out = self.classifier(torch.cat([inside, outside])).logits.softmax(1).chunk(2)
        scores = faithfulness(full, p_in, p_out, y)
        scores["sps"], scores["comp"] = sparseness(levels), complexity(levels)
        scores["mask_mean"] = kept.mean(dim=(1, 2))
        scores["energy_kept"] = energy_kept(magnitude, inside)

        sound = self.classifier.front_end.with_phase(torch.cat([inside, outside]), stft, x.shape[1])
        if lengths is not None:
            stop = torch.as_tensor(lengths, device=self.device).repeat(2)[:, None]
            sound = sound * (torch.arange(x.shape[1], device=self.device) < stop)
        sound, gain_db = to_pcm_grid(sound)
        again = self.classifier(self.classifier.front_end.stft(sound).abs()).logits.softmax(1)
        again_in, again_out = again.chunk(2)
        heard = faithfulness(full, again_in, again_out, y)
        for name in ("p_in", "p_out", "ai", "ad", "ag", "ff", "fid_in", "keep"):
            scores[f"{name}_audio"] = heard[name]

        masked_in, masked_out = sound.chunk(2)
        gain_in, gain_out = gain_db.chunk(2)
        made = {
            "mask": levels,
            "masked_in": masked_in,
            "masked_out": masked_out,
            "gain_db_in": gain_in,
            "gain_db_out": gain_out,
        }
        return made, {name: value.float() for name, value in scores.items()}

    @torch.no_grad()
    def rank(
        self, magnitude: Tensor, target: Tensor | None = None, steps: int = 0
    ) -> tuple[ClassifierOutput, Tensor, Tensor]:
        """The classifier's output, the classes explained `[B]`, and the mask's logits `[B, F, T]` of magnitudes.

        The logits are a ranking of bins by how much they speak for the class, -inf where the classifier cannot hear;
        their sigmoid is the mask. `steps` of refinement follow the decoder.
        """
        if not steps:
            return rank_bins(self.decoder, self.classifier, magnitude, target)
        output, y, _ = classify_with_evidence(self.classifier, magnitude, target, evidence=0)
        # One by one: rounding differs from batch to batch, and many steps make much of it.
        alone = [self._refined(*window, steps) for window in zip(magnitude.split(1), y.split(1), strict=True)]
        return output, y, torch.cat(alone)

    def _refined(self, magnitude: Tensor, target: Tensor, steps: int) -> Tensor:
        _, y, logits = rank_bins(self.decoder, self.classifier, magnitude, target)
        return refined(self.classifier, magnitude, logits, y, steps, self.config.mask_domain)

    def _checked(self, waveforms: np.ndarray | Tensor) -> Tensor:
        # A copy: arrays out of an object store are read-only, which a tensor cannot be.
        x = waveforms if isinstance(waveforms, Tensor) else torch.tensor(np.asarray(waveforms, dtype=np.float32))
        x = torch.atleast_2d(x.detach().to(self.device, torch.float32))
        if x.ndim != 2 or x.numel() == 0 or not bool(torch.isfinite(x).all()):
            raise ValueError(
                f"waveforms [B, n] must be finite and hold at least one sample, got shape {tuple(x.shape)}"
            )
        return x


def _lay(rows: dict[str, np.ndarray], values: dict[str, Tensor], place: int, count: int) -> None:
    """Put values `[B, ...]` of one label at its place in rows `[B, count, ...]`, which the first of them makes."""
    for name, value in values.items():
        array = value.cpu().numpy()
        if place == 0:
            rows[name] = np.empty((len(array), count, *array.shape[1:]), array.dtype)
        rows[name][:, place] = array


def _by_window(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, *rows.shape[2:])
