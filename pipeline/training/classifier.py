"""Train a classifier from labelled audio."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from pipeline.audio.pcm import from_pcm_tensor
from pipeline.inputs.window_set import WindowSet
from pipeline.lmac.arguments import choose_device
from pipeline.lmac.prefetch import waveforms_on
from pipeline.models.build import build_classifier
from pipeline.models.classifier import Classifier
from pipeline.training.augment import augment_magnitude, augment_waveform
from pipeline.training.loop import Arrays, Batch, Scores, mixed_precision
from pipeline.training.ranks import Ranks
from pipeline.training.workspace import Reporter, TrainingResult, Workspace
from schemas.explainer_config import ExplainerConfig
from schemas.input_config import InputConfig
from schemas.training_config import ClassifierRecipe, ClassifierTraining


def train_classifier(
    input_url: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    recipe: ClassifierRecipe = ClassifierRecipe(),
    labels: str | os.PathLike[str] | None = None,
    label_column: str | None = None,
    reading: InputConfig = InputConfig(),
    select: Sequence[str] = (),
    validation: str = "0.1",
    test: str | None = None,
    windows: int | None = None,
    device: str = "auto",
    reporter: Reporter = Reporter(),
    command: str | None = None,
) -> TrainingResult:
    """Train a classifier from labelled audio and save it as an explainer without a decoder.

    After an interruption, the same call resumes from the last complete epoch.

    `input_url` is a folder, tar, Parquet file, manifest or URL of audio: anything that a run reads. `out` is a
    directory (path or URL) that holds no explainer yet. `recipe` has the name, the front end, the CNN10 and the
    training's settings.

    `labels` is a table (CSV, TSV, JSON lines, Parquet) with rows about recordings or segments of them; its
    `label_column` is by default the first of label, category, class... With a table there is no other source of labels,
    and recordings without one are counted and left out. Without a table a recording's label comes from its own metadata
    (sidecars, Parquet columns, manifest), else from the name of its folder. `reading` says what other columns of tables
    mean. Classes are mutually exclusive, so a recording with several labels counts as each of them in equal shares, and
    the cross-entropy is against these shares.

    `select` trains only on recordings with `COLUMN=VALUE,VALUE...`; several selections must all hold. `validation` is
    held out to choose the epoch: `COLUMN=VALUE,VALUE...`, a share such as "0.1" drawn from each class, or "none".
    `test`, `COLUMN=VALUE,VALUE...`, is not trained on, and is scored once, at the end.

    Windows are decoded to disk, at 2 bytes per sample, and read from there. `windows` is the maximum number to use,
    including held-out ones. They are drawn by a hash of their ids, so they are the same in every training, and no more
    of the input is kept.

    `device` is `cpu`, `cuda`, or `auto`: a CUDA GPU if there is one, else the CPU. An interrupted training can resume
    on either.

    `reporter` follows the training; `command` is what the model card shows as the way to repeat it, by default this
    call. In the returned scores `accuracy` is the share of recordings whose mean log-probability over their windows is
    highest for one of their labels, and `loss` is the mean cross-entropy in nats.

    Raises TrainingError if `out` holds an explainer or a checkpoint of another training, or if the loss is not finite;
    ArgumentError for an unavailable device, or fewer windows than 1; TrainingDataError or SelectionError if a label is
    missing or a set of recordings would be empty; DiskSpaceError if the windows do not fit on the disk of `out`;
    InputError or StorageError if the audio or the table cannot be read, or `out` cannot be written.

    >>> from lmac import train_classifier
    >>> from pipeline.datasets.scenes import SceneConfig, write_scenes
    >>> from lmac.settings import ClassifierRecipe, ClassifierTraining, LoopConfig
    >>> _ = write_scenes("scenes", 20, seed=0, config=SceneConfig(duration_s=1.0))
    >>> loop = LoopConfig(epochs=1, batch_size=8)
    >>> recipe = ClassifierRecipe(name="toy", training=ClassifierTraining(loop=loop))
    >>> result = train_classifier("scenes", "toy-classifier", recipe=recipe, validation="0.2")
    >>> result.how
    'trained on 20 recordings; 10 of them held out to choose the epoch (0.2)'
    """
    workspace = Workspace.of_call(train_classifier, locals(), recipe.training.loop.seed)
    chosen = choose_device(device)
    sets = workspace.read(recipe.front_end, need_labels=True)
    config = ExplainerConfig(
        name=recipe.name, labels=sets.train.classes, front_end=recipe.front_end, classifier=recipe.classifier
    )
    torch.manual_seed(workspace.seed)
    # Built on the CPU, so that the initial weights are the same on every device.
    model = build_classifier(config).to(chosen)
    task = ClassifierTask(model, sets.train, sets.validation, recipe.training)
    scores = workspace.fit(task, recipe.training.loop, sets, recipe.model_dump_json())
    if sets.test is not None:
        scores["test"] = Ranks.of_process().from_first(partial(recording_accuracy, model, sets.test))
    return workspace.save(config, model, None, sets, scores)


class ClassifierTask:
    """Cross-entropy on augmented windows, validated by the accuracy over recordings, with ties broken by the loss."""

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

    def read(self, indices: Tensor) -> Arrays:
        return {"samples": self.train.pcm(indices), "target": self.train.targets_of(indices).numpy()}

    def loss(self, batch: Batch, rng: Generator) -> tuple[Tensor, Batch]:
        classifier = self.module
        with torch.no_grad():
            waveform = from_pcm_tensor(batch["samples"])
            waveform, target = augment_waveform(waveform, batch["target"], self.config.augment, rng)
            magnitude = classifier.front_end.stft(waveform).abs()
            magnitude = augment_magnitude(magnitude, self.config.augment, rng)
        with mixed_precision(classifier.device, self.config.loop):
            logits = classifier(magnitude).logits
        loss = cross_entropy(logits.float(), target)
        hits = (logits.argmax(1) == target.argmax(1)).float().mean()
        return loss, {"loss": loss.detach(), "accuracy": hits}

    def validate(self) -> Scores:
        if self.validation is None:
            return {}
        return recording_accuracy(self.module, self.validation, self.config.loop.batch_size)


@torch.no_grad()
def recording_accuracy(classifier: Classifier, windows: WindowSet, batch_size: int = 16) -> Scores:
    """Return the share of recordings whose mean log-probability over their windows is highest for one of their labels.

    `score` is the accuracy minus 0.01 times the cross-entropy, so that of two equal accuracies the more confident wins.
    """
    log_p = torch.cat(
        [
            classifier(classifier.front_end.stft(waveforms).abs()).logits.log_softmax(1).cpu()
            for waveforms in waveforms_on(classifier.device, windows, torch.arange(len(windows)).split(batch_size))
        ]
    )
    recording = torch.as_tensor(windows.recording_index)
    n_recordings = int(recording.max()) + 1
    total = torch.zeros(n_recordings, log_p.shape[1]).index_add_(0, recording, log_p)
    count = torch.zeros(n_recordings).index_add_(0, recording, torch.ones(len(recording)))
    mean = total / count[:, None]
    target = torch.zeros(n_recordings, log_p.shape[1]).index_copy_(
        0, recording, windows.targets_of(torch.arange(len(recording)))
    )
    accuracy = float((target.gather(1, mean.argmax(1)[:, None]) > 0).float().mean())
    loss = float(-(target * mean).sum(1).mean())
    return {"score": accuracy - 0.01 * loss, "accuracy": accuracy, "loss": loss}
