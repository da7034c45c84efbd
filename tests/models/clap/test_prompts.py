"""Prompts are read strictly, and become classes that the text encoder tells apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from pipeline.models.clap import ClapError
from pipeline.models.clap.prompts import make_class_bank, parse_prompts
from schemas.class_bank import ClassBankConfig

DIGEST = "0" * 64


class Dictionary:
    """An encoder that knows texts by heart, and draws a direction for any other."""

    digest = DIGEST

    def __init__(self, known: Mapping[str, Sequence[float]] | None = None) -> None:
        self.known = dict(known or {})
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Tensor:
        self.asked.extend(texts)
        return torch.stack([F.normalize(self._direction(text), dim=0) for text in texts])

    def _direction(self, text: str) -> Tensor:
        if text in self.known:
            return torch.tensor(self.known[text])
        return torch.randn(16, generator=torch.Generator().manual_seed(sum(text.encode()) + len(text)))


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "classes.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_prompts_stand_between_semicolons() -> None:
    assert parse_prompts(" a dog barking;rain  on a roof ; ") == ("a dog barking", "rain on a roof")


def test_one_prompt_needs_no_semicolon() -> None:
    assert parse_prompts("glass breaking, loudly") == ("glass breaking, loudly",)


def test_a_file_holds_one_prompt_a_line(tmp_path: Path) -> None:
    text = "\ufeff# classes; of mine\n\na dog\tbarking\r\n  # more\nrain # 2\n"
    assert parse_prompts(write(tmp_path, text)) == ("a dog barking", "rain # 2")


def test_a_file_may_lie_at_a_url(tmp_path: Path) -> None:
    assert parse_prompts(Path(write(tmp_path, "rain\nwind\n")).as_uri()) == ("rain", "wind")


@settings(max_examples=40, deadline=None)
@given(st.sets(st.text("ab1", min_size=1), min_size=1), st.sampled_from([";", " ; ", ";;  "]))
def test_what_is_joined_is_parted_again(prompts: set[str], between: str) -> None:
    assert parse_prompts(between.join(sorted(prompts))) == tuple(sorted(prompts))


@pytest.mark.parametrize("given", ["", "  ", ";;", " ; "])
def test_no_prompt_is_refused(given: str) -> None:
    with pytest.raises(ClapError, match="there is no prompt"):
        parse_prompts(given)


def test_a_file_of_comments_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClapError, match=r"classes.txt: there is no prompt"):
        parse_prompts(write(tmp_path, "# nothing yet\n\n"))


@pytest.mark.parametrize("given", ["a dog; rain; A  Dog ", "caf\u00e9; wind; cafe\u0301", "rain; rain"])
def test_two_equal_prompts_are_refused(given: str) -> None:
    with pytest.raises(ClapError, match=r"the prompts '.*' and '.*' are equal"):
        parse_prompts(given)


@pytest.mark.parametrize("given", ["rain; ...", "-", "rain; ?!"])
def test_a_prompt_without_letter_or_digit_is_refused(given: str) -> None:
    with pytest.raises(ClapError, match="has no letter or digit"):
        parse_prompts(given)


def test_a_prompt_that_cannot_be_printed_is_refused() -> None:
    with pytest.raises(ClapError, match=r"'rain\\x1b\[2J' has characters that cannot be printed"):
        parse_prompts("wind; rain\x1b[2J")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ClapError, match=r"/nowhere/classes.txt: there is no such file of prompts"):
        parse_prompts("/nowhere/classes.txt")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes(b"rain\xff\xfe\n")
    with pytest.raises(ClapError, match=r"classes.txt is not UTF-8 text: .* at byte 4"):
        parse_prompts(str(tmp_path / "classes.txt"))


def test_prompts_of_the_other_form_in_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ClapError, match=r"classes.txt, line 2: 'wind; hail' holds ';'"):
        parse_prompts(write(tmp_path, "rain\nwind; hail\n"))


def test_a_bank_keeps_prompts_in_their_order() -> None:
    encoder = Dictionary()
    bank = make_class_bank(encoder, ["wind", "rain", "hail"])
    assert encoder.asked == ["wind", "rain", "hail"]
    assert torch.equal(bank.embeddings, F.normalize(encoder.embed(["wind", "rain", "hail"]), dim=-1))
    assert bank.config == ClassBankConfig(prompts=("wind", "rain", "hail"), text_encoder=DIGEST)


def test_templates_are_averaged_as_unit_vectors() -> None:
    known = {"the sound of rain": [3.0, 0.0], "rain in the distance": [0.0, 1.0]}
    known |= {"the sound of wind": [-1.0, 0.0], "wind in the distance": [-7.0, 0.0]}
    templates = ["the sound of {}", "{} in the distance"]
    bank = make_class_bank(Dictionary(known), ["rain", "wind"], templates)
    assert torch.allclose(bank.embeddings, torch.tensor([[0.5**0.5, 0.5**0.5], [-1.0, 0.0]]))
    assert bank.config.templates == tuple(templates)


def test_braces_in_a_prompt_are_text() -> None:
    encoder = Dictionary()
    make_class_bank(encoder, ["a {strange} {0} sound", "rain"], ["hear {}"])
    assert encoder.asked[0] == "hear a {strange} {0} sound"


@pytest.mark.parametrize("template", ["the sound", "{} and {}", "{prompt}", "{ }", ""])
def test_a_template_has_one_place_for_the_prompt(template: str) -> None:
    with pytest.raises(ClapError, match=r"must hold '\{\}' exactly once"):
        make_class_bank(Dictionary(), ["rain", "wind"], [template])


def test_templates_are_not_counted_twice() -> None:
    with pytest.raises(ClapError, match=r"given twice: 'a \{\}'"):
        make_class_bank(Dictionary(), ["rain", "wind"], ["a {}", "a {}"])


def test_no_template_is_refused() -> None:
    with pytest.raises(ClapError, match="there is no template"):
        make_class_bank(Dictionary(), ["rain", "wind"], [])


def test_prompts_that_the_encoder_does_not_tell_apart_are_named() -> None:
    encoder = Dictionary({"wind": [0.0, 1.0], "rain": [1.0, 0.0], "rainfall": [1.0, 1e-4]})
    with pytest.raises(ClapError, match=r"does not tell 'rain' from 'rainfall' \(cosine 1.000000\)"):
        make_class_bank(encoder, ["rain", "wind", "rainfall"])


def test_prompts_that_are_close_are_kept() -> None:
    encoder = Dictionary({"rain": [1.0, 0.0], "rainfall": [1.0, 0.01]})
    assert make_class_bank(encoder, ["rain", "rainfall"]).embeddings.shape == (2, 2)


@pytest.mark.parametrize(
    "wrong", [{"prompts": ()}, {"prompts": ("a", "A")}, {"templates": ("{}{}",)}, {"text_encoder": "no digest"}]
)
def test_a_stored_bank_is_checked_at_the_door(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ClassBankConfig.model_validate({"prompts": ("rain", "wind"), "text_encoder": DIGEST, **wrong})


def test_a_directory_of_prompts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").mkdir()
    with pytest.raises(ClapError, match=r"classes.txt is a directory: give a file"):
        parse_prompts(str(tmp_path / "classes.txt"))


@pytest.mark.parametrize("prompt", ["all", "top1", "topk:2"])
def test_a_prompt_that_reads_as_a_choice_of_labels_is_refused(prompt: str) -> None:
    with pytest.raises(ClapError, match=f"the prompt '{prompt}' has a meaning of its own for --targets"):
        parse_prompts(f"rain; {prompt}")
