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
    """Windows on the explainer's device with the classifier's output, from which evidence for any target can be taken.

    `waveforms` are `[B, n]`, `stft` and `magnitude` `[B, F, T]`. `stops` `[B]` says where each window's sound ends,
    None if all of it is sound. `first` is the classifier's pass, `probabilities` are `[B, C]`, and `targets` `[B, K]`
    the classes to explain.
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
    """Masks for one target of each of B windows: `target` `[B]`, `levels` in 255ths, scores `[B]` by name, `masked`.

    `levels` is uint8 `[B, F, T]`; `masked` `[2 B, F, T]` holds the masked-in and then the masked-out magnitudes.
    """

    target: Tensor
    levels: Tensor
    scores: dict[str, Tensor]
    masked: Tensor


class Passes:
    """A frozen classifier and its decoder on a device, in a precision.

    In `bf16` the decoder and the passes that score a mask are computed in bfloat16. The first pass, with its decisions
    and the evidence, stays in float32 on a CPU and uses TF32 on a GPU: bfloat16 would change one bin in a thousand by
    half of the mask's range. The log-mel, the logits, and everything derived from a mask except the classifier's
    passes, are float32.

    On one kind of device, a window's results depend on the size of its batch, but on nothing else in it: kernels are
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
        # Convolutions on CPUs take a third less time in this layout, and a GPU's tensor cores need it. In float32 a
        # GPU would convert every batch to the other layout and back.
        last = device.type == "cpu" or precision == "bf16"
        layout = torch.channels_last if last else torch.contiguous_format
        self.classifier: Classifier = classifier.eval().requires_grad_(False).to(device, memory_format=layout)  # type: ignore[call-overload]
        self.decoder: Decoder = decoder.eval().requires_grad_(False).to(device, memory_format=layout)  # type: ignore[call-overload]
        self.folded: Classifier = self.classifier.folded().to(memory_format=layout)
        self.compiled = False

    def classify(self, waveforms: Tensor, stops: Tensor | None, targets: Targets) -> Classified:
        """Classify windows `[B, n]` on the device, and choose the classes to explain for each.

        `stops` `[B]` are the numbers of samples that are sound and not padding; None if all are.
        """
        with self.deciding(), span("classify"):
            stft = self.folded.front_end.stft(waveforms)
            magnitude = stft.abs()
            first = FirstPass(self.folded, magnitude, self.decoder.evidence, self.decoder.prompted)
            logits = first.output.logits
            fixed, count = targets.indices(self.config.labels), targets.count(self.config.labels)
            if fixed is not None:
                classes = torch.tensor(fixed, device=self.device).expand(len(waveforms), count)
            else:  # stable, so that the first is the decision even when logits are equal
                classes = logits.argsort(dim=1, descending=True, stable=True)[:, :count]
            return Classified(waveforms, stft, magnitude, stops, first, logits.softmax(1), classes)

    def mask(self, windows: Classified, place: int, mask: MaskKind = "soft", refine: int = 0) -> Masked:
        """Explain one target of each window, number `place` of `windows.targets`; scores are spectral."""
        target = windows.targets[:, place]
        if refine:
            with span("refine"):
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
        """Return masked-in, then masked-out waveforms `[2 B, n]` on the 16-bit grid, and their gains in dB."""
        with self.scoring(), span("inverse"):
            n_samples = windows.waveforms.shape[1]
            return listenables(self.folded.front_end, masked.masked, windows.stft, n_samples, windows.stops)

    def score_audio(self, probabilities: Tensor, target: Tensor, sound: Tensor) -> dict[str, Tensor]:
        """Classify the listenables `[2 B, n]` for targets `[B]` again; `probabilities` `[B, C]` are the windows'."""
        with self.scoring(), span("score audio"):
            return score_audio(self.folded, sound, probabilities, target)

    def rank(
        self, magnitude: Tensor, target: Tensor | None = None, steps: int = 0
    ) -> tuple[ClassifierOutput, Tensor, Tensor]:
        """Return the classifier's output, the classes explained `[B]`, and the mask's logits `[B, F, T]`.

        `magnitude` is linear, `[B, F, T]`; `target` `[B]` are the classes to explain, by default the decisions. The
        logits rank the bins by their evidence for the class, with -inf outside the classifier's mel bands; their
        sigmoid is the mask. The decoder is followed by `steps` of refinement. Everything is computed in the precision
        of decisions.
        """
        with self.deciding():
            output, y, logits = rank_bins(self.decoder, self.folded, magnitude, target)
        return output, y, self._refined(magnitude, y, steps) if steps else logits

    def _refined(self, magnitude: Tensor, target: Tensor, steps: int) -> Tensor:
        # One window at a time: rounding differs with the batch size, and many steps amplify it.
        refined_alone = []
        with self.deciding():
            for alone, y in zip(magnitude.split(1), target.split(1), strict=True):
                _, _, logits = rank_bins(self.decoder, self.folded, alone, y)
                refined_alone.append(refined(self.folded, alone, logits, y, steps, self.config.mask_domain))
        return torch.cat(refined_alone)

    def compile(self) -> None:
        """Compile the classifier and the decoder with torch.compile; each new batch size takes some minutes."""
        # Imported here: it takes seconds, and is rarely needed.
        from torch._functorch import config as functorch

        # One pass without compiling: what the modules cache per window size must exist before compilation.
        silence = torch.zeros(1, self.config.front_end.window_samples, device=self.device)
        self.mask(self.classify(silence, None, Targets(top=1)), 0)
        # The gradients of several targets are taken from one pass, whose buffers must be kept for that.
        functorch.donated_buffer = False
        self.folded.compile(dynamic=False)
        self.decoder.compile(dynamic=False)
        self.compiled = True

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Compute without gradients, in the precision of decisions and evidence."""
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
        """Compute without gradients, in the precision of the decoder and of the passes that score its masks."""
        with scoring_in(self.precision, self.device):
            yield


@contextmanager
def scoring_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """No gradients, and passes that score masks on a device computed in a precision."""
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
    with torch.no_grad(), bf16, _deterministic(allow_tf32=False):
        yield


def _deterministic(allow_tf32: bool) -> AbstractContextManager[None]:
    """Use only deterministic convolution algorithms on a GPU."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=allow_tf32)
