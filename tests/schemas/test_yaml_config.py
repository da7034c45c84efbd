from __future__ import annotations

from pathlib import Path

import pytest

from schemas.run_config import RunConfig
from schemas.training_config import LMAC_REFERENCE, DecoderRecipe, LoopConfig, ZeroShotObjective
from schemas.yaml_config import ConfigError, load_config


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_without_file_and_options_the_defaults_hold() -> None:
    assert load_config(RunConfig, None, {}) == RunConfig()


def test_the_file_wins_over_the_defaults_and_an_option_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "content: {explainer: birds, mask: binary}\ncluster: {batch_size: 8, actors: 3}\n")
    config = load_config(RunConfig, path, {"cluster.batch_size": 4, "content.mask": None})
    assert (config.content.explainer, config.content.mask) == ("birds", "binary")
    assert (config.cluster.batch_size, config.cluster.actors) == (4, 3)


def test_an_option_reaches_as_deep_as_its_name() -> None:
    config = load_config(DecoderRecipe, None, {"training.loop.epochs": 2, "name": "x"})
    assert (config.training.loop.epochs, config.name) == (2, "x")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "cluster:\n"])
def test_an_empty_file_or_section_says_nothing(tmp_path: Path, text: str) -> None:
    config = load_config(RunConfig, written(tmp_path, text), {"cluster.batch_size": 4})
    assert config.cluster.batch_size == 4


def test_a_wrong_value_is_named_with_its_place_and_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, "cluster: {batch_size: 0}\ncontent: {colour: red}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(RunConfig, path, {})
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert "cluster.batch_size: Input should be greater than or equal to 1, got 0" in message
    assert (
        "content.colour: there is no such setting, only: audio_column, audio_scores, channel, classifier, " in message
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("contents: {}", "contents: there is no such setting; did you mean content?"),
        ("content: {explainr: esc10}", "content.explainr: there is no such setting; did you mean explainer?"),
        ("cluster: {colour: red}", "cluster.colour: there is no such setting, only: actors, address, attempts, "),
    ],
)
def test_an_unknown_setting_is_told_with_the_nearest_or_all_that_there_are(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(RunConfig, written(tmp_path, text), {})
    assert said in str(caught.value)


def test_an_unknown_setting_of_a_section_of_several_kinds(tmp_path: Path) -> None:
    path = written(tmp_path, "training: {objective: {kind: lmac-zs, lambda_: 3}}\n")
    with pytest.raises(ConfigError, match=r"lambda_: there is no such setting; did you mean lambda_s\?"):
        load_config(DecoderRecipe, path, {})


def test_a_rule_of_a_setting_is_told_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(RunConfig, None, {"content.listen": "share:2"})
    assert str(caught.value) == (
        "listen: expected all, none, share:P with P between 0 and 1, or per-target:K with a whole number K, "
        "got 'share:2'"
    )


@pytest.mark.parametrize(
    ("word", "sides"),
    [
        ("masked_in", ("masked_in",)),
        ("masked_out", ("masked_out",)),
        ("both", ("masked_in", "masked_out")),
        ("none", ()),
    ],
)
def test_sides_may_be_said_by_a_word(tmp_path: Path, word: str, sides: tuple[str, ...]) -> None:
    for config in (
        load_config(RunConfig, written(tmp_path, f"content: {{listenables: {word}}}"), {}),
        load_config(RunConfig, None, {"content.listenables": word}),
        load_config(RunConfig, None, {"content.listenables": list(sides)}),
    ):
        assert config.content.listenables == sides


def test_a_word_that_is_no_side_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected masked_in, masked_out, both, none, or a list of sides, got 'all'"):
        load_config(RunConfig, None, {"content.listenables": "all"})


def test_a_wrong_option_is_named_without_a_file() -> None:
    with pytest.raises(ConfigError, match=r"^actors: .* got -1$"):
        load_config(RunConfig, None, {"cluster.actors": -1})
    with pytest.raises(ConfigError, match=r"^listenables.0: Input should be 'masked_in' or 'masked_out', got 'foo'$"):
        load_config(RunConfig, None, {"content.listenables": ("foo",)})


@pytest.mark.parametrize("options", [{}, {"cluster.actors": 2}], ids=["alone", "with an option below it"])
def test_a_section_that_is_a_value_is_named(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"cluster.*, got 3"):
        load_config(RunConfig, written(tmp_path, "cluster: 3\n"), options)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone.yaml cannot be read: No such file"):
        load_config(RunConfig, tmp_path / "gone.yaml", {})


def test_what_is_not_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(RunConfig, written(tmp_path, "a: [1, 2"), {})
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(RunConfig, tmp_path / "latin.yaml", {})


def test_a_list_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must hold settings by name, got a list"):
        load_config(RunConfig, written(tmp_path, "- 1\n- 2\n"), {})


def test_what_a_section_does_not_name_keeps_the_default_it_has_there() -> None:
    default, changed = DecoderRecipe().training.loop, load_config(DecoderRecipe, None, {"training.loop.epochs": 3})
    assert changed.training.loop == default.model_copy(update={"epochs": 3})
    assert default != LoopConfig()


def test_the_reference_recipe_has_nothing_of_this_project_s_own() -> None:
    recipe = load_config(DecoderRecipe, Path(__file__).parents[2] / "docs" / "lmac-reference.yaml", {})
    training = recipe.training
    assert training.objective == LMAC_REFERENCE
    assert (training.budgets, training.mixtures, training.stretch, training.noise, training.lambda_range) == (0,) * 5
    assert (recipe.decoder.evidence, recipe.decoder.detail, recipe.mask_domain) == (0, False, "log1p")
    assert (training.loop.batch_size, training.loop.learning_rate) == (16, 2e-4)


def test_a_section_of_another_kind_takes_no_defaults_from_the_first(tmp_path: Path) -> None:
    file = tmp_path / "zs.yaml"
    file.write_text("training: {objective: {kind: lmac-zs, lambda_s: 3}}\n")
    objective = load_config(DecoderRecipe, file, {}).training.objective
    assert objective == ZeroShotObjective(lambda_s=3)
    assert load_config(DecoderRecipe, None, {"training.objective": "lmac-zs"}).training.objective == ZeroShotObjective()
