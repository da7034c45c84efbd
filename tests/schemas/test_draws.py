"""Draws of windows by a hash of their ids."""

from __future__ import annotations

import pytest

from schemas.draws import Draw, rank_of
from schemas.run_config import ContentConfig

IDS = [f"{i:032x}-{i % 7:05d}" for i in range(4000)]


@pytest.mark.parametrize("text", ["all", "none", "share:0.05", "per-target:20"])
def test_a_draw_goes_there_and_back(text: str) -> None:
    assert str(Draw.parse(text)) == text
    assert ContentConfig(listen=f" {text} ").listen == text


@pytest.mark.parametrize(
    "text", ["", "some", "share:0", "share:1", "share:1.5", "share:x", "share", "per-target:0", "per-target:x"]
)
def test_what_is_no_draw_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="expected all, none, share:P with P between 0 and 1, or per-target:K"):
        Draw.parse(text)


def test_masks_are_not_drawn_by_target() -> None:
    with pytest.raises(ValueError, match="expected all, none, share:P with P between 0 and 1, got 'per-target:3'"):
        ContentConfig(masks="per-target:3")


def test_a_share_is_a_share_and_a_larger_one_holds_a_smaller() -> None:
    small, large = ({one for one in IDS if Draw.parse(f"share:{p}").takes(one)} for p in (0.1, 0.3))
    assert small < large
    assert len(small) / len(IDS) == pytest.approx(0.1, abs=0.02)
    assert len(large) / len(IDS) == pytest.approx(0.3, abs=0.03)


def test_all_and_none() -> None:
    assert all(Draw.parse("all").takes(one) for one in IDS)
    assert not any(Draw.parse("none").takes(one) for one in IDS)


def test_ranks_never_change() -> None:
    assert rank_of("0542b0b1cd4a1f0e9d2c3b4a59687766-00000") == 0x7C7F7E6E226F5611
