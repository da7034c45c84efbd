"""What all trainings have in common: reading and splitting the data, reporting, saving the explainer."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.inputs.load_windows import load_windows
from pipeline.inputs.window_cache import CACHE_FILES
from pipeline.lmac.arguments import ArgumentError
from pipeline.models.checkpoint import has_explainer, save_explainer
from pipeline.models.classifier import Classifier
from pipeline.models.decoder import Decoder
from pipeline.storage.filesystem import display_url, is_url
from pipeline.training.holdout import Split, selections_of, split
from pipeline.training.loop import Progress, Scores, Task, TrainingError, fit
from pipeline.training.model_card import model_card, shown_call
from pipeline.training.ranks import Ranks
from pipeline.training.saved_state import CHECKPOINT, CHECKPOINT_PARTIAL
from schemas.explainer_config import ExplainerConfig, FrontEndConfig
from schemas.input_config import InputConfig
from schemas.training_config import LoopConfig


class Reporter:
    """Follows a training; its methods do nothing until a subclass overrides them."""

    def skipped(self, key: str, reason: str) -> None:
        """A recording cannot be decoded and is left out."""

    def rendered(self, done: int, total: int) -> None:
        """`done` of `total` mixtures are rendered; for clap-mini alone."""

    def started(self, how: str, windows: int, epochs: int) -> None:
        """Training begins on `windows` windows; `how` says what is held out, `epochs` is 0 for a head."""

    def step(self, done: int, total: int) -> None:
        """`done` of `total` steps of the epoch are done; for a head, `done` of `total` windows are embedded."""

    def epoch(self, progress: Progress) -> None:
        """An epoch is finished and its checkpoint is written."""


@dataclass(frozen=True)
class TrainingResult:
    """The scores of each held-out set (`validation`, `test`), the explainer's path or URL, and the split in words."""

    scores: dict[str, Scores]
    path: str
    how: str


@dataclass(frozen=True)
class Workspace:
    """The input, held-out sets and output of one training; `made_by` is the command or call that its card shows.

    Raises TrainingError if `out` already holds an explainer, and ArgumentError for fewer windows than 1.
    """

    data: str
    out: str
    reading: InputConfig
    select: Sequence[str]
    validation: str
    test: str | None
    windows: int | None
    seed: int
    reporter: Reporter
    made_by: str

    @classmethod
    def of_call(cls, training: Callable[..., TrainingResult], arguments: Mapping[str, Any], seed: int) -> Workspace:
        """Make the workspace for a call of `training` with `arguments` by name."""
        return cls(
            data=os.fspath(arguments["input_url"]),
            out=os.fspath(arguments["out"]),
            reading=_reading(arguments),
            **{name: arguments[name] for name in ("select", "validation", "test", "windows", "reporter")},
            seed=seed,
            made_by=arguments["command"] or shown_call(training, arguments),
        )

    def __post_init__(self) -> None:
        if self.windows is not None and self.windows < 1:
            raise ArgumentError(f"windows must be a whole number of windows, at least 1, got {self.windows!r}")
        if has_explainer(self.out):
            raise TrainingError(
                f"{display_url(self.out)} already holds an explainer: choose another place, or delete it first"
            )

    @property
    def scratch(self) -> Path:
        """The folder of windows and checkpoints: below the output, or in the current folder if the output is a URL."""
        if is_url(self.out):
            return Path(f"lmac-training-{re.sub(r'[^A-Za-z0-9]+', '-', self.out).strip('-')}")
        return Path(self.out) / "training"

    def read(self, front_end: FrontEndConfig, need_labels: bool = False) -> Split:
        """Decode the data into windows, or reuse those of an interrupted training, and split them.

        Raises what `load_windows` and `split` raise.
        """
        load = partial(
            load_windows,
            self.data,
            front_end,
            self.scratch,
            reading=self.reading,
            need_labels=need_labels,
            labels_used=need_labels,
            selections=selections_of(self.select, self.test),
            limit=self.windows,
            on_skip=self.reporter.skipped,
        )
        windows = Ranks.of_process().in_turns(load)
        return split(windows, self.select, self.validation, self.test, self.seed)

    def fit(self, task: Task, loop: LoopConfig, sets: Split, settings: str) -> dict[str, Scores]:
        """Train, or resume from a checkpoint of the same data and settings; return the kept epoch's scores."""
        self.reporter.started(sets.how, len(sets.train), loop.epochs)
        held_out = sets.validation.digest() if sets.validation is not None else "none"
        fingerprint = f"{sets.train.digest()}-{held_out}-{settings}"
        state = fit(task, loop, self.scratch / CHECKPOINT, fingerprint, self.reporter.epoch, self.reporter.step)
        return {"validation": state.history[state.best_epoch]} if sets.validation is not None else {}

    def save(
        self,
        config: ExplainerConfig,
        classifier: Classifier,
        decoder: Decoder | None,
        sets: Split,
        scores: dict[str, Scores],
        base_card: str = "",
    ) -> TrainingResult:
        """Write the explainer and its model card, and delete the windows and checkpoints.

        Of several processes that train together only the first writes; each machine deletes what it decoded.
        """
        what = "classifier" if decoder is None else "decoder"
        card = model_card(config.name, what, sets.how, self.made_by, scores, base_card)
        ranks = Ranks.of_process()
        ranks.from_first(lambda: save_explainer(self.out, config, classifier, decoder, card))
        if ranks.first:
            clear_folder(self.scratch, (*CACHE_FILES, CHECKPOINT, CHECKPOINT_PARTIAL))
        elif ranks.leads_machine:
            clear_folder(self.scratch, CACHE_FILES)
        return TrainingResult(scores, self.out, sets.how)


def _reading(arguments: Mapping[str, Any]) -> InputConfig:
    labels, reading = arguments["labels"], arguments["reading"]
    given = {"labels": labels and os.fspath(labels), "label_column": arguments.get("label_column")}
    return InputConfig(**reading.model_dump() | {name: value for name, value in given.items() if value is not None})


def clear_folder(folder: Path, names: Iterable[str]) -> None:
    """Remove the files that a training put into a folder, and the folder itself if nothing else is in it."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    with suppress(FileNotFoundError):  # another machine that sees the same disk was faster
        if not any(folder.iterdir()):
            folder.rmdir()
