"""The text encoder gives the original's embeddings, and refuses a tokenizer that is not its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants as hub_constants
import pytest
import safetensors.torch
import torch
from torch import Tensor
from transformers import AutoTokenizer, RobertaTokenizerFast
from transformers.models.clap.modeling_clap import ClapModel, ClapTextModelWithProjection
from transformers.models.roberta.configuration_roberta import RobertaConfig
from transformers.models.roberta.modeling_roberta import RobertaModel

from pipeline.models.clap import ClapError
from pipeline.models.clap.prompts import make_class_bank
from pipeline.models.clap.source import ClapSource
from pipeline.models.clap.text import TextEncoder, load_text_encoder
from pipeline.models.clap.text_tower import ROBERTA_BASE
from pipeline.storage.errors import StorageError
from tests.models.clap.hub import closed_port
from tests.models.clap.texts import (
    SENTENCES,
    TOWER,
    VOCABULARY,
    LaionText,
    bpe,
    laion_checkpoint,
    save_huggingface,
    save_laion,
    save_tokenizer,
    words,
)

TEXTS = ["a dog barking", "rain on a roof, and thunder", "Zebra!", "x"]
Change = Callable[[dict[str, Tensor]], None]


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache but the test's own, no hub but a port at which nothing listens."""
    monkeypatch.setenv("LMAC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_constants, "ENDPOINT", closed_port())


@pytest.fixture(scope="module")
def huggingface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_huggingface(tmp_path_factory.mktemp("models") / "huggingface")


@pytest.fixture(scope="module")
def laion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_laion(tmp_path_factory.mktemp("models") / "laion", LaionText())


def load(path: Path) -> TextEncoder:
    return load_text_encoder(ClapSource("huggingface" if path.is_dir() else "laion", path), tower=TOWER)


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def rewrite_huggingface(folder: Path, change: Change) -> None:
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    change(weights)
    safetensors.torch.save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_embeddings_are_those_of_transformers(huggingface: Path) -> None:
    tokens = AutoTokenizer.from_pretrained(huggingface)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = ClapModel.from_pretrained(huggingface).get_text_features(**tokens).pooler_output
    assert torch.allclose(load(huggingface).embed(TEXTS), expected, atol=1e-5)


def test_embeddings_are_those_of_laion(laion: Path) -> None:
    tokenizer = RobertaTokenizerFast.from_pretrained(laion.parent)
    tokens = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
    assert torch.allclose(load(laion).embed(TEXTS), LaionText().get_text_embedding(tokens), atol=1e-5)


def test_different_texts_have_different_embeddings_of_unit_length(laion: Path) -> None:
    embedded = load(laion).embed(TEXTS)
    assert torch.allclose(embedded.norm(dim=-1), torch.ones(len(TEXTS)))
    assert (embedded @ embedded.T - torch.eye(len(TEXTS))).max() < 0.999


def test_a_text_has_one_embedding_whatever_stands_beside_it(laion: Path) -> None:
    encoder = load(laion)
    together = encoder.embed([*SENTENCES, "rain " * 12, *(f"sound {number}" for number in range(40))])
    alone = torch.cat([encoder.embed([text]) for text in SENTENCES])
    assert torch.allclose(together[: len(SENTENCES)], alone, atol=1e-6)


def test_no_texts_have_no_embeddings(laion: Path) -> None:
    assert load(laion).embed([]).shape == (0, TOWER.projection)


def test_a_class_bank_is_made_of_prompts(huggingface: Path) -> None:
    encoder = load(huggingface)
    bank = make_class_bank(encoder, ["a dog", "rain"], ["the sound of {}", "{}"])
    assert bank.embeddings.shape == (2, encoder.dimension)
    assert bank.config.text_encoder == encoder.digest


def test_the_older_file_of_weights_holds_the_same(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    torch.save(safetensors.torch.load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert load(folder).digest == load(huggingface).digest


def test_a_checkpoint_of_bare_weights_holds_the_same(laion: Path, tmp_path: Path) -> None:
    path = copied(laion.parent, tmp_path) / laion.name
    state = laion_checkpoint(LaionText())["state_dict"]
    torch.save({name.removeprefix("module."): weight for name, weight in state.items()}, path)
    assert load(path).digest == load(laion).digest


def test_the_digest_follows_what_texts_become(huggingface: Path, laion: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    before = load(folder).digest
    rewrite_huggingface(folder, lambda weights: weights["audio_projection.linear1.bias"].add_(1))
    assert load(folder).digest == before
    rewrite_huggingface(folder, lambda weights: weights["text_projection.linear1.bias"].add_(1))
    other_weights = load(folder).digest
    save_tokenizer(folder, words())
    assert len({before, other_weights, load(folder).digest, load(laion).digest}) == 4


def test_the_digest_does_not_follow_what_was_asked(huggingface: Path) -> None:
    encoder = load(huggingface)
    encoder.embed(TEXTS)
    assert load(huggingface).digest == encoder.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: weights.pop("text_model.pooler.dense.bias"),
            r"model.safetensors lacks the weight 'text_model.pooler.dense.bias'",
        ),
        (
            lambda weights: weights.update({"text_model.encoder.layer.2.output.dense.bias": torch.zeros(32)}),
            r"model.safetensors has a weight 'text_model.encoder.layer.2.output.dense.bias'",
        ),
        (
            lambda weights: weights.update({"text_projection.linear2.bias": torch.zeros(4)}),
            r"'text_projection.linear2.bias' is \(4,\), .* asks for \(16,\)",
        ),
    ],
)
def test_a_weight_that_does_not_fit_is_named(huggingface: Path, tmp_path: Path, change: Change, message: str) -> None:
    folder = copied(huggingface, tmp_path)
    rewrite_huggingface(folder, change)
    with pytest.raises(ClapError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.pop("module.text_branch.encoder.layer.1.output.dense.bias"),
            r"lacks the weight 'text_branch.encoder.layer.1.output.dense.bias'",
        ),
        (
            lambda state: state.update({"module.text_projection.4.bias": torch.zeros(16)}),
            r"has a weight 'text_projection.4.bias'",
        ),
        (
            lambda state: state.update({"module.text_projection.0.weight": torch.zeros(16, 5)}),
            r"'text_projection.0.weight' is \(16, 5\), .* asks for \(16, 32\)",
        ),
        (
            lambda state: state.update({"text_projection.0.bias": torch.zeros(16)}),
            r"has the weight 'text_projection.0.bias' twice, with and without 'module.' before its name",
        ),
    ],
)
def test_a_weight_of_laions_is_named_as_laion_does(laion: Path, tmp_path: Path, change: Change, message: str) -> None:
    checkpoint = laion_checkpoint(LaionText())
    change(checkpoint["state_dict"])
    path = copied(laion.parent, tmp_path) / laion.name
    torch.save(checkpoint, path)
    with pytest.raises(ClapError, match=message):
        load(path)


def test_another_text_encoder_than_robertas_is_refused(laion: Path) -> None:
    with pytest.raises(ClapError, match=r"'text_branch.embeddings.*asks for"):
        load_text_encoder(ClapSource("laion", laion), tower=TOWER.__class__(**{**vars(TOWER), "vocabulary": 300}))


def test_laions_tower_is_roberta_base() -> None:
    with torch.device("meta"):
        roberta = RobertaModel(RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1))
        tower = ClapTextModelWithProjection(ROBERTA_BASE.config()).text_model
    shapes = {name: weight.shape for name, weight in roberta.named_parameters()}
    assert {name: weight.shape for name, weight in tower.named_parameters()} == shapes


def test_embeddings_that_are_no_numbers_are_refused(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    rewrite_huggingface(folder, lambda weights: weights["text_model.embeddings.LayerNorm.weight"].fill_(1e38))
    with pytest.raises(ClapError, match="not finite"):
        load(folder).embed(["rain"])
    folder = copied(huggingface, tmp_path / "zeros")
    for name in ("text_projection.linear2.weight", "text_projection.linear2.bias"):
        rewrite_huggingface(folder, lambda weights, name=name: weights[name].zero_())  # type: ignore[misc]
    with pytest.raises(ClapError, match="not finite, or zero"):
        load(folder).embed(["rain"])


def test_weights_that_are_no_numbers_are_named(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    rewrite_huggingface(folder, lambda weights: weights["text_projection.linear2.bias"].fill_(torch.nan))
    with pytest.raises(ClapError, match=r"'text_projection.linear2.bias' has values that are not finite"):
        load(folder)


@pytest.mark.parametrize("text", ["{", '{"model_type": "clap", "text_config": {"hidden_size": "wide"}}', "[]"])
def test_a_configuration_that_is_not_understood_is_named(huggingface: Path, tmp_path: Path, text: str) -> None:
    folder = copied(huggingface, tmp_path)
    (folder / "config.json").write_text(text)
    with pytest.raises(ClapError, match=r"config.json is not understood"):
        load(folder)


def test_a_configuration_of_which_nothing_can_be_built_is_named(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_attention_heads"] = 5
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ClapError, match=r"cannot be built \(.*attention heads \(5\).*\): give a whole checkpoint"):
        load(folder)


@pytest.mark.parametrize("place", ["copy", "copy/roberta-base", "cache/clap/roberta-base"])
@pytest.mark.parametrize("form", ["tokenizer.json", "vocab.json and merges.txt"])
def test_robertas_tokenizer_is_found_beside_the_checkpoint_and_in_the_cache(
    laion: Path, tmp_path: Path, place: str, form: str
) -> None:
    path = copied(laion.parent, tmp_path) / laion.name
    for name in ("vocab.json", "merges.txt"):
        (path.parent / name).unlink()
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    if form == "tokenizer.json":
        save_tokenizer(tmp_path / place, bpe())
    else:
        bpe().model.save(str(tmp_path / place))
    assert torch.equal(load(path).embed(TEXTS), load(laion).embed(TEXTS))


def test_without_tokenizer_and_network_it_is_said_soon_which_files_to_put_where(laion: Path, tmp_path: Path) -> None:
    path = copied(laion.parent, tmp_path) / laion.name
    (path.parent / "merges.txt").unlink()
    start = time.monotonic()
    with pytest.raises(StorageError) as error:
        load(path)
    assert time.monotonic() - start < 20
    for told in (
        "tokenizer.json or vocab.json with merges.txt",
        "/FacebookAI/roberta-base",
        str(path.parent),
        "cache/clap",
    ):
        assert told in str(error.value)


def test_a_directory_without_tokenizer_is_refused(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(
        ClapError, match=r"holds no tokenizer: tokenizer.json or vocab.json with merges.txt must be there"
    ):
        load(folder)


def test_the_tokenizer_of_five_tokens_is_refused(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    trap = RobertaTokenizerFast()
    assert trap(["rain"])["input_ids"] == trap(["a dog barking"])["input_ids"]
    trap.save_pretrained(folder)
    with pytest.raises(ClapError, match=rf"knows 5 tokens, the text encoder has embeddings for {VOCABULARY}"):
        load(folder)


def test_a_tokenizer_that_pads_with_another_token_is_refused(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    save_tokenizer(folder, bpe(), pad="<mask>")
    with pytest.raises(ClapError, match=r"pads with the id 4, the text encoder with 1"):
        load(folder)


def test_a_tokenizer_that_is_not_json_is_named(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ClapError, match=rf"the tokenizer in {folder} cannot be read"):
        load(folder)


def test_embeddings_filled_up_for_speed_are_no_fault(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    save_tokenizer(folder, words(VOCABULARY - 3))
    assert load(folder).embed(["rain"]).shape == (1, 16)


def test_ids_beyond_the_embeddings_are_refused(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    save_tokenizer(folder, bpe())
    made = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = made["model"]["vocab"]
    vocabulary["x"] = VOCABULARY + 1
    (folder / "tokenizer.json").write_text(json.dumps(made))
    with pytest.raises(ClapError, match=rf"'x' has a token {VOCABULARY + 1}, .* embeddings for {VOCABULARY}"):
        load(folder).embed(["x"])


@pytest.mark.parametrize(("fits", "too_long"), [(75, 76), (75, 400)])
def test_a_text_longer_than_laions_path_takes_is_refused(laion: Path, fits: int, too_long: int) -> None:
    encoder = load(laion)
    assert encoder.max_tokens == 77
    encoder.embed(["x" * fits])
    with pytest.raises(ClapError, match=rf"'x+' is {too_long + 2} tokens long, the text encoder takes 77"):
        encoder.embed(["rain", "x" * too_long])


def test_a_text_longer_than_the_tokenizer_says_is_refused(huggingface: Path) -> None:
    with pytest.raises(ClapError, match=r"is 41 tokens long, the text encoder takes 40"):
        load(huggingface).embed(["x" * 39])


def test_a_length_that_is_no_number_is_refused(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": "long"}))
    with pytest.raises(ClapError, match="model_max_length of 'long'"):
        load(folder)


def test_no_text_is_longer_than_there_are_positions(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": 10**30}))
    encoder = load(folder)
    assert encoder.max_tokens == 48
    assert encoder.embed(["x" * 46]).shape == (1, 16)


@pytest.mark.parametrize("text", ["", "   "])
def test_a_text_of_nothing_is_refused(huggingface: Path, tmp_path: Path, text: str) -> None:
    folder = copied(huggingface, tmp_path)
    save_tokenizer(folder, words())
    with pytest.raises(ClapError, match=rf"gives no tokens for '{text}'"):
        load(folder).embed([text])


def test_a_word_that_the_tokenizer_does_not_know_is_named(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    save_tokenizer(folder, words())
    assert load(folder).embed(["a dog; barking!"]).shape == (1, 16)
    with pytest.raises(ClapError, match=r"'a zebra barking': the tokenizer in .* does not know 'zebra'"):
        load(folder).embed(["a zebra barking"])


def test_two_texts_that_become_the_same_tokens_are_named(huggingface: Path, tmp_path: Path) -> None:
    folder = copied(huggingface, tmp_path)
    save_tokenizer(folder, words())
    with pytest.raises(ClapError, match=r"'cafe' and 'café' become the same tokens"):
        load(folder).embed(["rain", "cafe", "café"])


def test_a_text_may_be_asked_for_twice(huggingface: Path) -> None:
    first, second = load(huggingface).embed(["rain", "rain"])
    assert torch.equal(first, second)


@pytest.mark.slow
def test_importing_it_imports_no_transformers() -> None:
    code = "import sys, pipeline.models.clap.text, pipeline.models.clap.prompts\n"
    code += "assert not {'transformers', 'huggingface_hub', 'laion_clap'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
