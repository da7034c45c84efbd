"""The trainings as calls of the library: their documented examples run, and the model card shows the call."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.scenes import SceneConfig, write_scenes
from pipeline.lmac.arguments import ArgumentError
from pipeline.models.checkpoint import load_explainer
from pipeline.training.classifier import train_classifier
from pipeline.training.decoder import train_decoder
from pipeline.training.head import train_head
from pipeline.training.loop import Progress, TrainingError
from pipeline.training.model_card import shown_call
from pipeline.training.workspace import Reporter, TrainingResult
from schemas.explainer_config import Cnn10Config, DecoderConfig, FrontEndConfig
from schemas.input_config import InputConfig
from schemas.training_config import ClassifierRecipe, ClassifierTraining, DecoderRecipe, DecoderTraining, LoopConfig

pytestmark = pytest.mark.slow

FRONT_END = FrontEndConfig(sample_rate=16_000, n_fft=512, hop_length=256, n_mels=32, f_max=8000, window_s=1.0)
LOOP = LoopConfig(epochs=2, batch_size=8)
RECIPE = ClassifierRecipe(
    name="toy",
    front_end=FRONT_END,
    classifier=Cnn10Config(channels=(4, 4, 8, 8), embedding=8),
    training=ClassifierTraining(loop=LOOP),
)


class Log(Reporter):
    """Everything that was reported, in order."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.events: list[tuple[object, ...]] = []
        self.stop_after = stop_after

    def started(self, how: str, windows: int, epochs: int) -> None:
        self.events.append(("started", windows, epochs))

    def step(self, done: int, total: int) -> None:
        self.events.append(("step", done, total))

    def epoch(self, progress: Progress) -> None:
        self.events.append(("epoch", progress.epoch))
        if progress.epoch == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "data"
    write_scenes(str(folder), 20, seed=3, config=SceneConfig(duration_s=1.0))
    return folder


@pytest.mark.parametrize("training", [train_classifier, train_decoder, train_head])
def test_the_examples_print_what_they_say(
    training: Callable[..., TrainingResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = training.__name__
    (example,) = doctest.DocTestFinder(recurse=False).find(training, name, globs={name: training})
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_a_call_reports_goes_on_where_it_was_stopped_and_says_in_its_card_how_it_was_made(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "classifier"
    first, second = Log(stop_after=1), Log()
    with pytest.raises(KeyboardInterrupt):
        train_classifier(scenes, out, recipe=RECIPE, validation="none", reporter=first)
    # The windows are there: they are not decoded again.
    monkeypatch.setattr("pipeline.inputs.load_windows.clip_windows", None)
    result = train_classifier(scenes, out, recipe=RECIPE, validation="none", reporter=second)
    assert first.events == [("started", 20, 2), ("step", 1, 2), ("step", 2, 2), ("epoch", 1)]
    assert second.events == [("started", 20, 2), ("step", 1, 2), ("step", 2, 2), ("epoch", 2)]
    assert (result.scores, result.path, result.how) == ({}, str(out), "trained on 20 recordings")
    card = (out / "README.md").read_text()
    assert (
        "lmac.train_classifier(input_url='data', out='classifier', recipe=ClassifierRecipe.model_validate({'name': "
        in card
    )
    assert str(tmp_path) not in card
    assert not (out / "training").exists()
    with pytest.raises(TrainingError, match="already holds an explainer"):
        train_classifier(scenes, out, recipe=RECIPE)


def test_a_recipe_in_a_card_is_the_recipe() -> None:
    recipe = DecoderRecipe(training=DecoderTraining(objective="lmac-zs"))  # type: ignore[arg-type]
    arguments = dict.fromkeys(("prompts", "window_s", "wordings", "start", "labels", "test", "command"))
    given = {"input_url": "s3://user:secret@bucket/x", "classifier": "clap:/home/me/630k.pt", "recipe": recipe}
    rest = {"out": "out", "templates": (), "select": ["fold=1"], "validation": "0.1", "reading": InputConfig()}
    rest |= {"device": "auto", "windows": None}
    shown = shown_call(train_decoder, {**arguments, **given, **rest})
    assert "secret" not in shown
    assert "/home" not in shown
    assert shown.startswith(
        "lmac.train_decoder(input_url='s3://bucket/x', out='out', classifier='clap:630k.pt', recipe="
    )
    assert shown.endswith(", select=['fold=1'])")
    written = shown.partition("recipe=")[2].partition(", select=")[0]
    assert eval(written, {"DecoderRecipe": DecoderRecipe}) == recipe


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wordings": "rain; wind"}, "wordings are for the objective lmac-zs"),
        ({"templates": ["the sound of {}"]}, "prompts, templates and window_s are for the classifier clap:WHERE"),
        ({"start": "esc10"}, "start esc10: its classifier.channels is"),
        ({"start": "esc10", "classifier": "clap-mini"}, "start esc10: its "),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_audio_is_read(
    arguments: dict[str, object], message: str, tmp_path: Path
) -> None:
    known = {"classifier": "scenes", **arguments}
    with pytest.raises(TrainingError, match=message):
        train_decoder(tmp_path / "no-audio", tmp_path / "out", **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objective", "arguments", "message"),
    [
        ({}, {"classifier": "scenes"}, "the objective lmac-zs needs a CLAP whose classes are prompts"),
        ({}, {"classifier": "clap-mini", "wordings": "rain"}, "wordings need the text encoder"),
        ({}, {"classifier": "clap-mini", "wordings": "rain; Rain"}, "wordings: the prompts: "),
        ({"prompts": 99}, {"classifier": "clap-mini"}, "training.objective.prompts is 99 prompts a window"),
        (
            {},
            {"classifier": "clap:clap-mini", "prompts": "rain; a dog", "wordings": "a dog"},
            "to the text encoder 'a dog' is the same as the prompt 'a dog'",
        ),
    ],
)
def test_what_lmac_zs_cannot_use_is_refused_before_audio_is_read(
    objective: dict[str, object], arguments: dict[str, object], message: str, tmp_path: Path
) -> None:
    recipe = DecoderRecipe.model_validate({"training": {"objective": {"kind": "lmac-zs", **objective}}})
    with pytest.raises(TrainingError, match=message):
        train_decoder(tmp_path / "no-audio", tmp_path / "out", recipe=recipe, **arguments)  # type: ignore[arg-type]


def test_a_head_is_for_a_clap(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="a head is trained on a CLAP: give clap:WHERE, not esc10"):
        train_head(tmp_path / "no-audio", tmp_path / "out", classifier="esc10")


def test_a_decoder_keeps_the_card_of_its_classifier(scenes: Path, tmp_path: Path) -> None:
    loop = LoopConfig(epochs=1, batch_size=8)
    train_classifier(scenes, tmp_path / "classifier", recipe=RECIPE, validation="0.2", command="lmac train ...")
    recipe = DecoderRecipe(decoder=DecoderConfig(channels=(4, 4, 4, 4, 4)), training=DecoderTraining(loop=loop))
    out = tmp_path / "decoder"
    result = train_decoder(scenes, out, classifier=tmp_path / "classifier", recipe=recipe, test="label=rain",
                           select=["label=siren,engine,wind"], validation="0.5")  # fmt: skip
    assert set(result.scores) == {"validation", "test"}
    card = (out / "README.md").read_text()
    assert card.index("lmac train ...") < card.index("lmac.train_decoder(")
    assert load_explainer(str(out)).decoder is not None


def test_so_many_windows_are_trained_on_as_are_drawn(scenes: Path, tmp_path: Path) -> None:
    log = Log()
    loop = LoopConfig(epochs=1, batch_size=4)
    recipe = RECIPE.model_copy(update={"training": ClassifierTraining(loop=loop)})
    result = train_classifier(
        scenes, tmp_path / "out", recipe=recipe, validation="none", windows=8, device="cpu", reporter=log
    )
    assert log.events[0] == ("started", 8, 1)
    assert result.how == "trained on 8 recordings; 8 windows drawn of 20"
    assert "windows=8, device='cpu'" in (tmp_path / "out" / "README.md").read_text()


def test_no_window_is_no_number_to_draw(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="windows must be a whole number of windows, at least 1, got 0"):
        train_classifier(scenes, tmp_path / "out", recipe=RECIPE, windows=0)
