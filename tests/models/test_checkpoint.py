from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
import safetensors.torch
import torch

from pipeline.models import checkpoint
from pipeline.models.checkpoint import (
    ExplainerError,
    has_explainer,
    load_card,
    load_explainer,
    resolve,
    save_explainer,
    shipped,
)
from tests.faltering import faltering_storage
from tests.models.make import CONFIG, FRONT_END, noise, small_models


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place that holds a small explainer."""
    place = str(tmp_path / "small") if request.param == "folder" else f"memory://{uuid4().hex}/small"
    save_explainer(place, CONFIG, *small_models(), "# small\n")
    yield place
    fs, root = fsspec.core.url_to_fs(place)
    fs.rm(root, recursive=True)


def rewrite(url: str, file: str, **changes: torch.Tensor | None) -> None:
    """Change the weights of a file; None takes one away."""
    fs, root = fsspec.core.url_to_fs(url)
    weights = safetensors.torch.load(fs.cat_file(f"{root}/{file}"))
    for name, tensor in changes.items():
        if tensor is None:
            del weights[name]
        else:
            weights[name] = tensor
    fs.pipe_file(f"{root}/{file}", safetensors.torch.save(weights))


def saved_weight(url: str, file: str, name: str) -> torch.Tensor:
    fs, root = fsspec.core.url_to_fs(url)
    return safetensors.torch.load(fs.cat_file(f"{root}/{file}"))[name]


def put(url: str, file: str, content: bytes | None) -> None:
    fs, root = fsspec.core.url_to_fs(url)
    if content is None:
        fs.rm(f"{root}/{file}")
    else:
        fs.pipe_file(f"{root}/{file}", content)


def test_what_is_loaded_computes_what_was_saved(url: str) -> None:
    classifier, decoder = small_models()
    loaded = load_explainer(url)
    assert loaded.config == CONFIG
    assert loaded.decoder is not None
    magnitude = noise(2, FRONT_END.n_freq, 20, amplitude=3.0).abs()
    output, again = classifier(magnitude), loaded.classifier(magnitude)
    assert torch.equal(again.logits, output.logits)
    assert torch.equal(
        loaded.decoder.mask(again.representations, magnitude), decoder.mask(output.representations, magnitude)
    )
    assert not any(p.requires_grad for p in [*loaded.classifier.parameters(), *loaded.decoder.parameters()])
    assert load_card(url) == "# small\n"
    assert has_explainer(url)


@pytest.mark.slow
def test_an_explainer_is_written_and_read_where_storage_falters(tmp_path: Path) -> None:
    classifier, decoder = small_models()
    with faltering_storage() as opened:
        checkpoint.save_explainer(f"faltering://{tmp_path}/e", CONFIG, classifier, decoder, "A test.")
        digests = [load_explainer(f"{scheme}{tmp_path}/e").digest for scheme in ("", "faltering://")]
    assert digests[0] == digests[1]
    assert min(opened.values()) > 1


def test_a_classifier_alone_loads_without_decoder(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"decoder": None})
    save_explainer(str(tmp_path), config, small_models()[0], None, "")
    assert load_explainer(str(tmp_path)).decoder is None


def test_the_digest_is_of_configuration_and_weights(url: str) -> None:
    before = load_explainer(url).digest
    assert load_explainer(url).digest == before
    digests = [before]
    for file, weight in (("classifier.safetensors", "classify.bias"), ("decoder.safetensors", "out.bias")):
        rewrite(url, file, **{weight: saved_weight(url, file, weight) + 1e-3})
        digests.append(load_explainer(url).digest)
    put(url, "config.json", CONFIG.model_copy(update={"mask_domain": "log1p"}).model_dump_json().encode())
    digests.append(load_explainer(url).digest)
    assert len(set(digests)) == 4


@pytest.mark.parametrize("file", ["classifier.safetensors", "decoder.safetensors"])
def test_a_missing_file_is_named(url: str, file: str) -> None:
    put(url, file, None)
    with pytest.raises(ExplainerError, match=f"{file} is missing"):
        load_explainer(url)


def test_a_missing_weight_is_named(url: str) -> None:
    rewrite(url, "decoder.safetensors", **{"out.bias": None})
    with pytest.raises(ExplainerError, match=r"decoder.safetensors lacks the weight 'out.bias'"):
        load_explainer(url)


def test_an_extra_weight_is_named(url: str) -> None:
    rewrite(url, "classifier.safetensors", **{"stranger": torch.zeros(2)})
    with pytest.raises(ExplainerError, match=r"a weight 'stranger' that config.json does not describe"):
        load_explainer(url)


def test_a_weight_of_another_shape_is_named_with_both_shapes(url: str) -> None:
    rewrite(url, "classifier.safetensors", **{"classify.bias": torch.zeros(4)})
    with pytest.raises(ExplainerError, match=r"'classify.bias' is \(4,\), config.json requires \(3,\)"):
        load_explainer(url)


def test_an_unknown_field_of_the_configuration_is_named(url: str) -> None:
    put(url, "config.json", json.dumps({**CONFIG.model_dump(mode="json"), "colour": "red"}).encode())
    with pytest.raises(ExplainerError, match=r"(?s)config.json is not understood.*colour"):
        load_explainer(url)


def test_a_decoder_that_does_not_fit_the_classifier_is_refused(url: str) -> None:
    config = CONFIG.model_dump(mode="json")
    config["decoder"]["channels"] = [4, 4]
    put(url, "config.json", json.dumps(config).encode())
    with pytest.raises(ExplainerError, match="names 2 depths, the classifier has 5"):
        load_explainer(url)


class Bomb:
    """A pickle of this opens a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_pickle_is_refused_and_not_read(url: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    put(url, "classifier.safetensors", pickle.dumps(Bomb(trace)))
    with pytest.raises(ExplainerError, match="is not a safetensors file"):
        load_explainer(url)
    assert not trace.exists()


def test_a_place_without_explainer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExplainerError, match=r"no explainer at .*nothing-here"):
        load_explainer(str(tmp_path / "nothing-here"))
    assert not has_explainer(str(tmp_path / "nothing-here"))
    assert load_card(str(tmp_path / "nothing-here")) == ""


def test_a_shipped_explainer_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_explainer(str(tmp_path / "small"), CONFIG, *small_models(), "")
    (tmp_path / "no-explainer").mkdir()
    monkeypatch.setattr(checkpoint.resources, "files", lambda package: tmp_path)
    assert shipped() == ["small"]
    assert load_explainer("small").digest == load_explainer(str(tmp_path / "small")).digest
    assert resolve("no-explainer") == "no-explainer"
    with pytest.raises(ExplainerError, match="one of the shipped ones: small"):
        load_explainer("no-explainer")


def test_every_explainer_in_the_package_loads() -> None:
    for name in shipped():
        assert load_explainer(name).config.name
