from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.models.clap import ClapError
from pipeline.models.clap.audio import load_clap_audio
from tests.models.clap.make import write_laion, write_small

NORM = "audio_branch.layers.1.blocks.0.norm1.weight"


def lacks(state: dict[str, Tensor]) -> None:
    del state[NORM]


def has_one_more(state: dict[str, Tensor]) -> None:
    state["audio_branch.layers.4.norm.weight"] = torch.zeros(3)


def has_another_shape(state: dict[str, Tensor]) -> None:
    state[NORM] = torch.zeros(3)


def has_no_scale(state: dict[str, Tensor]) -> None:
    del state["logit_scale_a"]


def is_of_unknown_size(state: dict[str, Tensor]) -> None:
    state["audio_branch.patch_embed.proj.weight"] = torch.zeros(7, 1, 4, 4)


def is_no_htsat(state: dict[str, Tensor]) -> None:
    del state["audio_branch.patch_embed.proj.weight"]


def has_other_filters(state: dict[str, Tensor]) -> None:
    state["audio_branch.logmel_extractor.melW"] = torch.rand(513, 64)


def has_a_strange_weight(state: dict[str, Tensor]) -> None:
    state["video_branch.weight"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lacks, f"lacks the weight '{NORM}'"),
        (has_one_more, "has a weight 'audio_branch.layers.4.norm.weight' that this CLAP does not have"),
        (has_another_shape, f"the weight '{NORM}' is (3,), this CLAP asks for (16,)"),
        (has_no_scale, "lacks the weight 'logit_scale_a'"),
        (is_of_unknown_size, "an HTSAT of 7 channels is not known"),
        (is_no_htsat, "not one with HTSAT"),
        (has_other_filters, "mel filters"),
        (has_a_strange_weight, "has a weight 'video_branch.weight'"),
    ],
)
def test_a_checkpoint_of_laion_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, small_laion: dict[str, Tensor], spoil: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    spoil(small_laion)
    path = write_laion(tmp_path / "clap.pt", small_laion)
    with pytest.raises(ClapError, match=re.escape(message)) as refused:
        load_clap_audio(path)
    assert str(path) in str(refused.value)


def test_a_missing_last_block_is_missed(tmp_path: Path, small_laion: dict[str, Tensor]) -> None:
    short = {name: weight for name, weight in small_laion.items() if "layers.2.blocks.1." not in name}
    with pytest.raises(ClapError, match=r"lacks the weight 'audio_branch\.layers\.2\.blocks\.1\."):
        load_clap_audio(write_laion(tmp_path / "clap.pt", short))


HF_NORM = "audio_model.audio_encoder.layers.1.blocks.0.layernorm_before.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({HF_NORM: None}, f"lacks the weight '{HF_NORM}'"),
        ({"audio_model.more": torch.zeros(2)}, "has a weight 'audio_model.more' that this CLAP does not have"),
        ({HF_NORM: torch.zeros(3)}, f"the weight '{HF_NORM}' is (3,), this CLAP asks for (16,)"),
        ({"logit_scale_a": None}, "lacks the weight 'logit_scale_a'"),
    ],
)
@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "pytorch_model.bin"])
def test_a_hugging_face_checkpoint_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, change: dict[str, Tensor | None], message: str, safe: bool
) -> None:
    from safetensors.torch import load_file, save_file

    write_small(tmp_path, safe=safe)
    path = tmp_path / ("model.safetensors" if safe else "pytorch_model.bin")
    state = {**(load_file(path) if safe else torch.load(path)), **change}
    state = {name: weight for name, weight in state.items() if weight is not None}
    save_file(state, path) if safe else torch.save(state, path)
    with pytest.raises(ClapError, match=re.escape(message)) as refused:
        load_clap_audio(tmp_path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", None, "config.json is not there"),
        ("config.json", {"model_type": "bert"}, "is of a model of type 'bert'"),
        ("config.json", {"projection_hidden_act": "gelu"}, "projection_hidden_act must be 'relu', got 'gelu'"),
        ("preprocessor_config.json", None, "has no preprocessor_config.json"),
        ("preprocessor_config.json", {"truncation": "sometimes"}, "truncation must be"),
        ("preprocessor_config.json", {"hop_length": 9000}, "hop_length must be at most"),
        ("preprocessor_config.json", {"feature_size": 32}, "num_mel_bins is 64, the feature extractor makes 32"),
        ("preprocessor_config.json", {"top_db": 80, "padding_value": None}, "a top_db is not supported, got 80"),
        ("preprocessor_config.json", {"padding_value": 1}, "padding_value must be 0, got 1"),
        ("config.json", {"audio_config": [1]}, "config.json is not understood"),
        ("preprocessor_config.json", {"padding": "repeat"}, "short_windows"),
        ("model.safetensors", None, "has neither model.safetensors nor pytorch_model.bin"),
    ],
)
def test_a_directory_that_says_too_little_or_something_else_is_refused(
    tmp_path: Path, file: str, change: dict[str, object] | None, message: str
) -> None:
    write_small(tmp_path)
    path = tmp_path / file
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ClapError, match=re.escape(message)) as refused:
        load_clap_audio(tmp_path)
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off", bytes(range(256)) * 40])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clap.pt"
    path.write_bytes(content)
    with pytest.raises(ClapError, match=r"clap\.pt is not a checkpoint that can be read safely"):
        load_clap_audio(path)
    write_small(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ClapError, match=r"model\.safetensors is not a safetensors file"):
        load_clap_audio(tmp_path)


@pytest.mark.parametrize("lacking", ["top_db", "padding_value"])
def test_of_two_settings_either_may_be_left_out(tmp_path: Path, lacking: str) -> None:
    write_small(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    said = {"top_db": 80, "padding_value": 1.0}
    del said[lacking]
    read = {name: value for name, value in json.loads(path.read_text()).items() if name != lacking}
    path.write_text(json.dumps({**read, **said}))
    with pytest.raises(ClapError, match=r"top_db is not supported|padding_value must be 0"):
        load_clap_audio(tmp_path)


@pytest.mark.parametrize("extractor", [None, [], "there"])
def test_a_processor_without_an_extractor_is_refused(tmp_path: Path, extractor: object) -> None:
    write_small(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": extractor}))
    with pytest.raises(ClapError, match=r"processor_config.json has no 'feature_extractor'"):
        load_clap_audio(tmp_path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
def test_whatever_is_damaged_in_a_file_of_torch_is_a_message(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "clap.pt"
    state = {f"audio_branch.{n}": torch.zeros(5, 7) for n in range(3)}
    torch.save({"epoch": 3, "state_dict": state}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:end] for end in rng.integers(0, len(whole), 100)]
    for _ in range(300):
        flipped = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.choice([1, 3, 30])):
            flipped[place] = int(rng.integers(256))
        damaged.append(bytes(flipped))
    # A zip's head, or its directory as well, about bytes of chance.
    damaged += [whole[:30] + rng.bytes(200) + whole[-tail:] for tail in (1, 22, 100, 300)]
    for content in damaged:
        path.write_bytes(content)
        # Nothing of it is a CLAP, whether it can be read or not.
        with pytest.raises(ClapError, match=r"clap\.pt"):
            load_clap_audio(path)


def test_a_checkpoint_that_was_cut_short_is_refused(tmp_path: Path, small_laion: dict[str, Tensor]) -> None:
    path = write_laion(tmp_path / "clap.pt", small_laion)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ClapError, match=r"clap\.pt is not a checkpoint"):
        load_clap_audio(path)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda weight: weight.index_fill(0, torch.tensor([3]), torch.nan), "values that are not finite"),
        (lambda weight: weight.index_fill(0, torch.tensor([3]), torch.inf), "values that are not finite"),
        # Finite as it is saved, and infinite as it would be loaded.
        (lambda weight: torch.full_like(weight, 1e60, dtype=torch.float64), "values that are not finite"),
        (lambda weight: weight.long(), "must be of real numbers, got int64"),
        (lambda weight: weight.to(torch.complex64), "must be of real numbers, got complex64"),
        (lambda weight: weight.to_sparse(), "must be of real numbers, got float32, sparse_coo"),
    ],
    ids=["nan", "inf", "too large", "integers", "complex", "sparse"],
)
def test_weights_that_are_no_numbers_are_named(
    tmp_path: Path, small_laion: dict[str, Tensor], spoilt: Callable[[Tensor], Tensor], message: str
) -> None:
    path = write_laion(tmp_path / "clap.pt", {**small_laion, NORM: spoilt(small_laion[NORM])})
    with pytest.raises(ClapError, match=re.escape(f"{path}: the weight {NORM!r}")) as refused:
        load_clap_audio(path)
    assert message in str(refused.value)


def test_half_precision_is_read(tmp_path: Path, small_laion: dict[str, Tensor]) -> None:
    path = write_laion(tmp_path / "clap.pt", {name: weight.half() for name, weight in small_laion.items()})
    weights = load_clap_audio(path).with_bank(torch.eye(16)[:3]).htsat.state_dict()
    assert all(weight.dtype == torch.float32 for weight in weights.values() if weight.is_floating_point())


def test_a_scale_of_logits_that_is_infinite_is_refused(tmp_path: Path, small_laion: dict[str, Tensor]) -> None:
    path = write_laion(tmp_path / "clap.pt", {**small_laion, "logit_scale_a": torch.tensor(500.0)})
    with pytest.raises(ClapError, match=r"'logit_scale_a' is 500.0, too large for a logarithm"):
        load_clap_audio(path)


def test_patches_that_are_one_number_are_refused(tmp_path: Path, small_laion: dict[str, Tensor]) -> None:
    patches = "audio_branch.patch_embed.proj.weight"
    path = write_laion(tmp_path / "clap.pt", {**small_laion, patches: torch.tensor(8.0)})
    with pytest.raises(ClapError, match=rf"'{patches}' is a scalar"):
        load_clap_audio(path)


def test_a_state_dict_of_weights_without_names_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {3: torch.zeros(2)}}, tmp_path / "clap.pt")
    with pytest.raises(ClapError, match="a weight called 3, which is no name"):
        load_clap_audio(tmp_path / "clap.pt")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"state_dict": [1]}, {"a": "b"}, {3: torch.zeros(2)}])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "clap.pt")
    with pytest.raises(ClapError, match="give a checkpoint of"):
        load_clap_audio(tmp_path / "clap.pt")


class Runs:
    """What makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run_and_nobody_is_advised_to(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": Runs(tmp_path / "made")}}, tmp_path / "clap.pt")
    with pytest.raises(ClapError, match="can be read safely") as refused:
        load_clap_audio(tmp_path / "clap.pt")
    assert not (tmp_path / "made").exists()
    assert "weights_only" not in str(refused.value)
    assert "mkdir" in str(refused.value)


def test_a_path_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClapError, match="neither a file nor a directory"):
        load_clap_audio(tmp_path / "nothing")


@pytest.mark.parametrize("window_s", [10.5, 0.0])
def test_a_window_that_clap_cannot_hear_is_refused(tmp_path: Path, window_s: float) -> None:
    write_small(tmp_path)
    with pytest.raises(ClapError, match="window_s"):
        load_clap_audio(tmp_path, window_s=window_s)


def test_a_window_without_a_hop_is_refused_in_one_line(tmp_path: Path) -> None:
    write_small(tmp_path)
    with pytest.raises(ClapError, match="window_s must hold at least one hop") as refused:
        load_clap_audio(tmp_path, window_s=0.001)
    assert "\n" not in str(refused.value)
    assert "pydantic" not in str(refused.value)


@pytest.mark.parametrize("bank", [torch.eye(15)[:3], torch.ones(3, 16), torch.ones(16)])
def test_class_embeddings_of_another_size_or_length_are_refused(tmp_path: Path, bank: Tensor) -> None:
    write_small(tmp_path)
    with pytest.raises(ValueError, match=r"\[n_classes, 16\], of length 1"):
        load_clap_audio(tmp_path).with_bank(bank)


def test_what_is_said_of_the_classes_is_kept(tmp_path: Path) -> None:
    write_small(tmp_path)
    clap = load_clap_audio(tmp_path)
    bank = clap.with_bank(torch.eye(16)[:2], ["a dog", "rain"], ["the sound of {}"], "abc")
    assert bank.config.prompts == ("a dog", "rain")
    assert bank.config.templates == ("the sound of {}",)
    assert bank.config.text_encoder == "abc"
    assert torch.equal(bank.class_embeddings, torch.eye(16)[:2])
    assert clap.with_linear_head(5)(torch.rand(1, 513, 301)).logits.shape == (1, 5)
