"""Training a mask decoder for a frozen classifier, without labels."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from pipeline.lmac.augment import mixture, random_gain, roll_in_time
from pipeline.lmac.faithfulness import faithfulness
from pipeline.lmac.objective import apply_mask, objective
from pipeline.lmac.training import Scores
from pipeline.lmac.windowset import WindowSet
from pipeline.models.classifier import Classifier
from pipeline.models.decoder import Decoder
from schemas.training_config import DecoderTraining


class DecoderTask:
    """The L-MAC objective on the classifier's own decisions; validated by faithfulness on unseen windows."""

    def __init__(
        self,
        decoder: Decoder,
        classifier: Classifier,
        train: WindowSet,
        validation: WindowSet | None,
        config: DecoderTraining,
        domain: str,
    ) -> None:
        self.module = decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classifier = classifier.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train, self.validation, self.config, self.domain = train, validation, config, domain
        self.n_windows = len(train)

    def loss(self, indices: Tensor, rng: Generator) -> tuple[Tensor, Scores]:
        config = self.config
        with torch.no_grad():
            waveform = random_gain(roll_in_time(self.train.waveforms(indices), rng), config.gain_db, rng)
            waveform = mixture(waveform, config.mixtures, config.mixture_db, rng)
            magnitude = self.classifier.front_end.stft(waveform).abs()
        with torch.autocast("cpu", torch.bfloat16, enabled=config.loop.bf16):
            with torch.no_grad():
                output = self.classifier(magnitude)
            mask = self.module.mask(output.representations).float()
            terms = objective(self.classifier, magnitude, mask, output.logits.argmax(1), config.objective, self.domain)
        return terms.total, {
            "loss": float(terms.total.detach()),
            "masked_in": float(terms.masked_in.detach()),
            "masked_out": float(terms.masked_out.detach()),
            "mask_mean": float(mask.detach().mean()),
        }

    def validate(self) -> Scores:
        if self.validation is None:
            return {}
        scores = mean_faithfulness(self.classifier, self.module, self.validation, self.domain)
        # What is asked for together: FF high, AD low, at the size that was asked for.
        over = max(0.0, scores["mask_mean"] - self.config.objective.target_mean)
        return {"score": scores["ff"] - scores["ad"] / 100 - 5 * over, **scores}


@torch.no_grad()
def mean_faithfulness(
    classifier: Classifier, decoder: Decoder, windows: WindowSet, domain: str, batch_size: int = 16
) -> Scores:
    """Spectral faithfulness of a decoder's masks, averaged over windows."""
    sums: Scores = {}
    for batch in torch.arange(len(windows)).split(batch_size):
        magnitude = classifier.front_end.stft(windows.waveforms(batch)).abs()
        output = classifier(magnitude)
        mask = decoder.mask(output.representations)
        masked = torch.cat([apply_mask(magnitude, m, domain) for m in (mask, 1 - mask)])
        inside, outside = classifier(masked).logits.softmax(1).chunk(2)
        full = output.logits.softmax(1)
        scores = faithfulness(full, inside, outside, full.argmax(1))
        scores["mask_mean"] = mask.mean(dim=(1, 2))
        for name in ("p", "ai", "ad", "ag", "ff", "fid_in", "mask_mean"):
            sums[name] = sums.get(name, 0.0) + float(scores[name].sum()) / len(windows)
    return sums
