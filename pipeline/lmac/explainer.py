"""The explainer: shows which part of a sound made a classifier decide, as a mask, as scores, and as audio."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.windows import MIN_TAIL, windows_of
from pipeline.lmac.arguments import ArgumentError, check_mask, check_windows, choose_device, choose_targets
from pipeline.lmac.explanation import Explanation
from pipeline.lmac.passes import MaskKind, Passes
from pipeline.models.checkpoint import ExplainerError, load_explainer
from pipeline.models.classifier import Classifier
from pipeline.models.decoder import Decoder
from schemas.explainer_config import ExplainerConfig, Precision

if TYPE_CHECKING:
    from pipeline.lmac.read_recording import RecordingSource


class Explainer:
    """A frozen classifier with its decoder, which makes the masks of L-MAC (arXiv 2403.13086).

    `explain` explains one recording, wherever it is stored; for a dataset, `lmac explain` does the same on Ray.
    """

    def __init__(
        self,
        config: ExplainerConfig,
        classifier: Classifier,
        decoder: Decoder,
        device: str = "cpu",
        digest: str = "",
        precision: Precision = "fp32",
    ) -> None:
        self.config, self.digest = config, digest
        self.passes = Passes(config, classifier, decoder, choose_device(device), precision)
        self.classifier, self.decoder, self.device = self.passes.classifier, self.passes.decoder, self.passes.device

    @classmethod
    def load(cls, name_or_url: str | os.PathLike[str], device: str = "cpu", precision: Precision = "fp32") -> Explainer:
        """Load a shipped explainer (`esc10`, `scenes`, `clap-mini`), or one from a directory on any fsspec URL.

        `device` is a torch device, or `auto`: a CUDA GPU if there is one, else the CPU. With `bf16` the classifier and
        the decoder compute in less than float32 where it changes little (see `Passes`): faster on GPUs, and on CPUs
        that support bfloat16.

        Raises ExplainerError when there is no such explainer or it has no decoder, StorageError when it cannot be read,
        and ArgumentError for a device that is not there.

        >>> from lmac import Explainer
        >>> Explainer.load("scenes", device="auto").config.front_end.sample_rate
        32000
        """
        name_or_url, chosen = os.fspath(name_or_url), choose_device(device)
        loaded = load_explainer(name_or_url)
        if loaded.decoder is None:
            raise ExplainerError(
                f"{name_or_url!r} is a classifier without a decoder: train one with "
                f"`lmac train decoder INPUT OUTPUT --classifier {name_or_url}`"
            )
        return cls(loaded.config, loaded.classifier, loaded.decoder, str(chosen), loaded.digest, precision)

    def explain(
        self,
        source: RecordingSource,
        *,
        targets: str = "top1",
        mask: MaskKind = "soft",
        refine: int = 0,
        window_hop_s: float | None = None,
        min_tail: float = MIN_TAIL,
        max_seconds: float | None = None,
        batch_size: int = 16,
    ) -> Explanation:
        """Explain one recording: a path, an fsspec URL, the bytes of an audio file, or `(samples, rate)`.

        The recording may have any rate and number of channels: it is mixed to mono, resampled and cut into windows as
        in a run. Samples are `[n]`, `[channels, n]` or `[n, channels]` (at most 64 channels, and more samples than
        that), floats with full scale at 1 or PCM integers; the rate is in Hz.

        `targets`, `mask` and `refine` are those of `explain_windows`. Windows begin `window_hop_s` seconds apart, by
        default end to end. The remainder at the end is padded with zeros if it is at least `min_tail` of a window or
        the whole recording, and left out otherwise. `batch_size` windows are computed at once. The explanation of one
        target in a 5 s window takes about 2 MB of memory.

        Raises InputError if the source holds no usable audio or more than `max_seconds` of it, StorageError if it
        cannot be read, and ArgumentError, a ValueError, for targets that the explainer does not have, a hop longer
        than a window, and any other invalid argument.

        >>> from lmac import Explainer
        >>> from pipeline.datasets.scenes import render_scene
        >>> bell = render_scene(seed=1, index=1)  # over noise
        >>> print(Explainer.load("scenes").explain((bell.mixture, 32_000)))
        array: 1 window of 5 s at 32000 Hz
        window    seconds  target     p  p masked-in  p masked-out  mask mean
             0  0.00-5.00  bell    0.95         0.97          0.01       0.05
        """
        # Imported here: a run's actors, and callers that already have windows, need no audio decoders.
        from pipeline.lmac.read_recording import read_recording

        front_end = self.config.front_end
        check_windows(front_end, window_hop_s, min_tail, max_seconds, batch_size)
        check_mask(mask, refine)
        choose_targets(targets, self.config)
        rate = front_end.sample_rate
        name, audio = read_recording(source, rate, max_seconds)
        windows = list(windows_of(audio.waveform, front_end, window_hop_s, min_tail))
        explained = [
            self.explain_windows(
                np.stack([window.samples for window in batch]),
                lengths=np.array([window.span.stop - window.span.start for window in batch]),
                targets=targets,
                mask=mask,
                refine=refine,
            )
            for batch in (windows[first : first + batch_size] for first in range(0, len(windows), batch_size))
        ]
        start_s = np.array([window.span.start for window in windows]) / rate
        return replace(Explanation.concatenate(explained), name=name, start_s=start_s)

    def explain_windows(
        self,
        waveforms: np.ndarray | Tensor,
        *,
        lengths: np.ndarray | None = None,
        targets: str = "top1",
        mask: MaskKind = "soft",
        refine: int = 0,
    ) -> Explanation:
        """Explain windows `[B, n]` (or one, `[n]`) in [-1, 1] at the explainer's sample rate, as one batch.

        Windows may have any length n that the classifier accepts; a CLAP accepts up to its checkpoint's clip length.

        `lengths` `[B]` are the numbers of samples in each window that are sound and not padding, by default all.
        `targets` says which classes of each window are explained: `top1`, the decision; `topk:K`, the K most probable,
        in that order; `all`, by class number; or names separated by semicolons, in their order. A `binary` mask is the
        soft one thresholded at 0.5. `refine` is the number of gradient steps that improve each mask for its own window
        (see `pipeline.lmac.refine`).

        Raises ArgumentError, a ValueError, if a waveform is empty or not finite, the explainer lacks the classes or
        has one mask for all of them, or another argument is invalid.

        >>> import numpy as np
        >>> from lmac import Explainer
        >>> explanation = Explainer.load("scenes").explain_windows(np.zeros((2, 160_000)))
        >>> explanation.mask.shape, explanation.masked_in.shape, sorted(explanation.scores)[:3]
        ((2, 513, 401), (2, 160000), ['ad', 'ad_audio', 'ad_double_softmax'])
        """
        chosen = choose_targets(targets, self.config)
        check_mask(mask, refine)
        x = self._checked(waveforms)
        samples = np.full(len(x), x.shape[1]) if lengths is None else np.asarray(lengths)
        if samples.shape != (len(x),) or not ((samples >= 0) & (samples <= x.shape[1])).all():
            raise ArgumentError(
                f"lengths [B] must be 0 to {x.shape[1]} samples for each of {len(x)} windows, got {samples.tolist()}"
            )
        stops = None if lengths is None else torch.as_tensor(samples, device=self.device)
        windows = self.passes.classify(x, stops, chosen)
        count = windows.targets.shape[1]
        rows: dict[str, np.ndarray] = {}
        scores: dict[str, np.ndarray] = {}
        # Target by target, so that the device holds the masks and the sound of only one at a time.
        for place in range(count):
            masked = self.passes.mask(windows, place, mask, refine)
            sound, gain_db = self.passes.listenables(windows, masked)
            again = self.passes.score_audio(windows.probabilities, masked.target, sound)
            _put(scores, masked.scores | again, place, count)
            made = {"mask": masked.levels}
            made["masked_in"], made["masked_out"] = sound.chunk(2)
            made["gain_db_in"], made["gain_db_out"] = gain_db.chunk(2)
            _put(rows, made, place, count)
        target_index = windows.targets.flatten().cpu().numpy()
        return Explanation(
            name="windows",
            front_end=self.config.front_end,
            waveforms=x.cpu().numpy() if isinstance(waveforms, Tensor) else _float32(waveforms),
            start_s=np.zeros(len(x)),
            lengths=samples,
            targets=tuple(self.config.labels[index] for index in target_index),
            window=np.arange(len(x)).repeat(count),
            target_index=target_index,
            probabilities=windows.probabilities.cpu().numpy(),
            embedding=windows.first.output.embedding.cpu().numpy(),
            scores=_by_window(scores),
            **_by_window(rows),
        )

    def _checked(self, waveforms: np.ndarray | Tensor) -> Tensor:
        try:
            # A copy, because arrays from an object store are read-only and tensors cannot be.
            x = waveforms if isinstance(waveforms, Tensor) else torch.tensor(_float32(waveforms))
        except (ValueError, TypeError):
            raise ArgumentError("waveforms [B, n] must be numbers, with equally many in each window") from None
        x = torch.atleast_2d(x.detach().to(self.device, torch.float32))
        if x.ndim != 2 or x.numel() == 0 or not bool(torch.isfinite(x).all()):
            raise ArgumentError(
                f"waveforms [B, n] must be finite and hold at least one sample, got shape {tuple(x.shape)}"
            )
        return x


def _float32(waveforms: np.ndarray) -> np.ndarray:
    return np.atleast_2d(np.asarray(waveforms, dtype=np.float32))


def _put(rows: dict[str, np.ndarray], values: dict[str, Tensor], place: int, count: int) -> None:
    """Put values `[B, ...]` of one target at its place in rows `[B, count, ...]`; place 0 allocates the rows."""
    for name, value in values.items():
        array = value.cpu().numpy()
        if place == 0:
            rows[name] = np.empty((len(array), count, *array.shape[1:]), array.dtype)
        rows[name][:, place] = array


def _by_window(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values.reshape(-1, *values.shape[2:]) for name, values in rows.items()}
