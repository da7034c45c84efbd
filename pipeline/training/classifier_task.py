"""Training a classifier from labelled windows."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, one_hot

from pipeline.inputs.window_set import WindowSet
from pipeline.models.classifier import Classifier
from pipeline.training.augment import augment_magnitude, augment_waveform
from pipeline.training.loop import Scores
from schemas.training_config import ClassifierTraining


class ClassifierTask:
    """Cross-entropy on augmented windows; validated by accuracy per recording, ties broken by the loss."""

    def __init__(
        self,
        classifier: Classifier,
        train: WindowSet,
        validation: WindowSet | None,
        config: ClassifierTraining,
    ) -> None:
        self.module = classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train, self.validation, self.config = train, validation, config
        self.n_windows = len(train)

    def loss(self, indices: Tensor, rng: Generator) -> tuple[Tensor, Scores]:
        classifier = self.module
        target = one_hot(self.train.labels_of(indices), classifier.n_classes).float()
        with torch.no_grad():
            waveform, target = augment_waveform(self.train.waveforms(indices), target, self.config.augment, rng)
            magnitude = classifier.front_end.stft(waveform).abs()
            magnitude = augment_magnitude(magnitude, self.config.augment, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.loop.bf16):
            logits = classifier(magnitude).logits
        loss = cross_entropy(logits.float(), target)
        hits = (logits.argmax(1) == target.argmax(1)).float().mean()
        return loss, {"loss": float(loss.detach()), "accuracy": float(hits)}

    def validate(self) -> Scores:
        if self.validation is None:
            return {}
        return recording_accuracy(self.module, self.validation, self.config.loop.batch_size)


@torch.no_grad()
def recording_accuracy(classifier: Classifier, windows: WindowSet, batch_size: int = 16) -> Scores:
    """Share of recordings whose mean log-probability over their windows is highest for their label.

    `score` is the accuracy less a hundredth of the cross-entropy, so that of two equals the surer wins.
    """
    log_p = torch.cat(
        [
            classifier(classifier.front_end.stft(windows.waveforms(batch)).abs()).logits.log_softmax(1)
            for batch in torch.arange(len(windows)).split(batch_size)
        ]
    )
    recording = torch.as_tensor(windows.recording_index)
    n_recordings = int(recording.max()) + 1
    total = torch.zeros(n_recordings, log_p.shape[1]).index_add_(0, recording, log_p)
    count = torch.zeros(n_recordings).index_add_(0, recording, torch.ones(len(recording)))
    mean = total / count[:, None]
    label = torch.zeros(n_recordings, dtype=torch.long).index_copy_(
        0, recording, windows.labels_of(torch.arange(len(recording)))
    )
    accuracy = float((mean.argmax(1) == label).float().mean())
    loss = float(-mean.gather(1, label[:, None]).mean())
    return {"score": accuracy - 0.01 * loss, "accuracy": accuracy, "loss": loss}
