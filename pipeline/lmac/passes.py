"""The passes of an explanation on its device: classify, mask, listenables, and the scores of both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pipeline.lmac.masking import listenables, quantised
from pipeline.lmac.refine import refine as refined
from pipeline.lmac.scores import score_audio, score_masks
from pipeline.models.classifier import Classifier, ClassifierOutput
from pipeline.models.decoder import Decoder
from pipeline.models.evidence import FirstPass
from pipeline.models.ranking import mask_logits, rank_bins
from pipeline.trace import span
from schemas.explainer_config import ExplainerConfig, Precision
from schemas.targets import Targets

MaskKind = Literal["soft", "binary"]


@dataclass(frozen=True)
class Classified:
    """Windows on the explainer's device and what the classifier makes of them; evidence for any target can be taken.

    `waveforms` `[B, n]`, `stft` and `magnitude` `[B, F, T]`, `stops` `[B]`: where each window's sound ends, None where
    all of it is sound; `first` is the classifier's pass, `probabilities` `[B, C]`, and `targets` `[B, K]` are the
    classes to explain.
    """

    waveforms: Tensor
    stft: Tensor
    magnitude: Tensor
    stops: Tensor | None
    first: FirstPass
    probabilities: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Masked:
    """One target of each of B windows: `target` `[B]`, its mask in 255ths, scores `[B]` by name, and what is masked.

    `levels` is uint8 `[B, F, T]`; `masked` `[2 B, F, T]` holds the masked-in and then the masked-out magnitudes.
    """

    target: Tensor
    levels: Tensor
    scores: dict[str, Tensor]
    masked: Tensor


class Passes:
    """A frozen classifier and its decoder on a device, in a precision.

    In `bf16` the decoder and the passes that score a mask are computed in bfloat16. The first pass, with its decisions
    and the evidence, stays in float32 on a CPU and takes TF32 on a GPU: in bfloat16 it moves one bin of a thousand by
    half of the mask's range. The log-mel, the logits, and all that is made of a mask but its passes, are float32.

    On one kind of device, a window's results depend on the size of its batch, and on nothing else in it: kernels are
    deterministic.
    """

    def __init__(
        self,
        config: ExplainerConfig,
        classifier: Classifier,
        decoder: Decoder,
        device: torch.device,
        precision: Precision = "fp32",
    ) -> None:
        self.config, self.device, self.precision = config, device, precision
        # Convolutions on CPUs take a third less time on this layout, and those of a GPU's tensor cores want it. In
        # float32 a GPU would convert every batch to the other layout and back.
        last = device.type == "cpu" or precision == "bf16"
        layout = torch.channels_last if last else torch.contiguous_format
        self.classifier: Classifier = classifier.eval().requires_grad_(False).to(device, memory_format=layout)  # type: ignore[call-overload]
        self.decoder: Decoder = decoder.eval().requires_grad_(False).to(device, memory_format=layout)  # type: ignore[call-overload]
        self.folded: Classifier = self.classifier.folded().to(memory_format=layout)

    def classify(self, waveforms: Tensor, stops: Tensor | None, targets: Targets) -> Classified:
        """Classify windows `[B, n]` that are on the device, and choose which classes of each are explained.

        `stops` `[B]` are the samples of each that are sound and not padding; None where all are.
        """
        with self.deciding(), span("classify"):
            stft = self.folded.front_end.stft(waveforms)
            magnitude = stft.abs()
            first = FirstPass(self.folded, magnitude, self.decoder.evidence, self.decoder.prompted)
            logits = first.output.logits
            fixed, count = targets.indices(self.config.labels), targets.count(self.config.labels)
            if fixed is not None:
                classes = torch.tensor(fixed, device=self.device).expand(len(waveforms), count)
            else:  # stable, so that the first is the decision where logits are equal
                classes = logits.argsort(dim=1, descending=True, stable=True)[:, :count]
            return Classified(waveforms, stft, magnitude, stops, first, logits.softmax(1), classes)

    def mask(self, windows: Classified, place: int, mask: MaskKind = "soft", refine: int = 0) -> Masked:
        """Explain one target of each window, the one at `place` among `windows.targets`; scores are spectral."""
        target = windows.targets[:, place]
        if refine:
            logits = self._refined(windows.magnitude, target, refine)
        else:
            with self.deciding(), span("evidence"):
                features = windows.first.features(target)
            with self.scoring(), span("decoder"):
                logits = mask_logits(self.decoder, self.folded, windows.first, features, windows.magnitude, target)
        with self.scoring(), span("score"):
            levels = quantised(torch.sigmoid(logits))
            if mask == "binary":
                levels = (levels >= 128).to(torch.uint8) * 255
            domain = self.config.mask_domain
            scores, masked = score_masks(self.folded, windows.magnitude, levels, windows.probabilities, target, domain)
            return Masked(target, levels, scores, masked)

    def listenables(self, windows: Classified, masked: Masked) -> tuple[Tensor, Tensor]:
        """The masked-in and then the masked-out waveforms `[2 B, n]` on the 16-bit grid, and their gains in dB."""
        with self.scoring(), span("inverse"):
            n_samples = windows.waveforms.shape[1]
            return listenables(self.folded.front_end, masked.masked, windows.stft, n_samples, windows.stops)

    def score_audio(self, probabilities: Tensor, target: Tensor, sound: Tensor) -> dict[str, Tensor]:
        """Classify listenables `[2 B, n]` again, of targets `[B]` of windows with `probabilities` `[B, C]`."""
        with self.scoring(), span("score audio"):
            return score_audio(self.folded, sound, probabilities, target)

    def rank(
        self, magnitude: Tensor, target: Tensor | None = None, steps: int = 0
    ) -> tuple[ClassifierOutput, Tensor, Tensor]:
        """The classifier's output, the classes explained `[B]`, and the mask's logits `[B, F, T]`, of magnitudes.

        `magnitude` is linear, `[B, F, T]`; `target` `[B]` are the classes to explain, by default the decisions. The
        logits rank the bins by how much they speak for the class, with -inf outside the classifier's mel bands; their
        sigmoid is the mask. `steps` of refinement follow the decoder. All of it is computed as decisions are.
        """
        with self.deciding():
            output, y, logits = rank_bins(self.decoder, self.folded, magnitude, target)
        return output, y, self._refined(magnitude, y, steps) if steps else logits

    def _refined(self, magnitude: Tensor, target: Tensor, steps: int) -> Tensor:
        # One by one: rounding differs with the batch size, and many steps amplify it.
        refined_alone = []
        with self.deciding():
            for alone, y in zip(magnitude.split(1), target.split(1), strict=True):
                _, _, logits = rank_bins(self.decoder, self.folded, alone, y)
                refined_alone.append(refined(self.folded, alone, logits, y, steps, self.config.mask_domain))
        return torch.cat(refined_alone)

    def compile(self) -> None:
        """Compile the classifier and the decoder by torch.compile, anew for each size of a batch: some minutes."""
        # Imported here: it takes seconds, and few compile.
        from torch._functorch import config as functorch

        # Once without: what the modules keep for a size of window is made before it could be compiled in.
        silence = torch.zeros(1, self.config.front_end.window_samples, device=self.device)
        self.mask(self.classify(silence, None, Targets(top=1)), 0)
        # The gradients of several targets are taken of one pass, whose buffers must then stay.
        functorch.donated_buffer = False
        self.folded.compile(dynamic=False)
        self.decoder.compile(dynamic=False)

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """No gradients, and the precision of decisions and evidence."""
        fast = self.precision == "bf16"
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = fast
        try:
            with torch.no_grad(), _deterministic(allow_tf32=fast):
                yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """No gradients, and the precision of the decoder and of the passes that score its masks."""
        bf16 = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.no_grad(), bf16, _deterministic(allow_tf32=False):
            yield


def _deterministic(allow_tf32: bool) -> AbstractContextManager[None]:
    """Convolutions of a GPU by algorithms whose result depends on nothing but their input."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=allow_tf32)
