"""`lmac train head`: classes from labels for a CLAP, by a linear head on its embeddings."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from jobs.messages import console, fail, for_people
from jobs.training_options import Data, LabelColumn, Labels, Out, Seed, Select, Test, Validation, WindowSeconds
from jobs.training_run import finish, prepared_folder, say_skipped, typed_command
from pipeline.inputs.labels import load_labels
from pipeline.inputs.window_set import WindowSet, load_windows
from pipeline.models.checkpoint import save_explainer
from pipeline.models.clap.audio import load_clap_audio
from pipeline.models.clap.source import resolve_clap
from pipeline.models.clap.zero_shot import PREFIX
from pipeline.storage.filesystem import display_url
from pipeline.training.classifier_task import recording_accuracy
from pipeline.training.head_task import embeddings_and_classes, fit_head
from pipeline.training.holdout import selections_of, split
from pipeline.training.loop import Scores
from pipeline.training.model_card import model_card
from schemas.explainer_config import ExplainerConfig


def head(
    data: Data,
    out: Out,
    classifier: Annotated[str, typer.Option(help="clap:WHERE, the CLAP whose embeddings are classified.")],
    labels: Labels = None,
    label_column: LabelColumn = None,
    select: Select = None,
    validation: Validation = "0.1",
    test: Test = None,
    name: Annotated[str, typer.Option(help="The explainer's name.")] = "clap-head",
    window_s: WindowSeconds = None,
    seed: Seed = None,
) -> None:
    """Learn classes from labelled audio by a linear head on the embeddings of a frozen CLAP."""
    with for_people():
        if not classifier.startswith(PREFIX):
            raise fail(f"--classifier {display_url(classifier)}: a head is trained on a CLAP, give clap:WHERE")
        scratch = prepared_folder(out)
        audio = load_clap_audio(resolve_clap(classifier.removeprefix(PREFIX)).path, window_s)
        windows = load_windows(
            data,
            audio.front_end,
            scratch,
            labels=load_labels(labels, label_column) if labels else None,
            label_column=label_column,
            need_labels=True,
            selections=selections_of(select or [], test),
            on_skip=say_skipped,
        )
        sets = split(windows, select or [], validation, test, seed or 0)
        console.print(sets.how, markup=False)
        model = audio.with_linear_head(len(windows.classes))

        def embedded(part: WindowSet) -> tuple[np.ndarray, np.ndarray]:
            with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
                task = bar.add_task("embedding", total=len(part))
                return embeddings_and_classes(model, part, lambda done: bar.update(task, completed=done))

        held_out = embedded(sets.validation) if sets.validation is not None else None
        strength = fit_head(model, windows.classes, embedded(sets.train), held_out)
        scores: dict[str, Scores] = {}
        if sets.validation is not None:
            scores["validation"] = {**recording_accuracy(model, sets.validation), "strength": strength}
        if sets.test is not None:
            scores["test"] = recording_accuracy(model, sets.test)
        explainer = ExplainerConfig(
            name=name, labels=windows.classes, front_end=audio.front_end, classifier=model.config
        )
        save_explainer(out, explainer, model, None, model_card(name, "classifier", sets.how, typed_command(), scores))
        finish(out, scratch, scores)
