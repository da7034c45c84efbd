from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.evaluation.report.results import Interval, Results, read_results
from pipeline.evaluation.report.verdict import SIZES, Against, at_equal_size, in_areas, on_audio
from tests.evaluation.report.make import area, point, write_facts, write_table


def evaluated(directory: Path, ad: dict[str, float], areas: dict[str, tuple[float, float]] | None = None) -> Results:
    """Results where a method has one AD at all sizes, FF = 1 - AD / 100, and (insertion, deletion) areas."""
    write_facts(directory, explainer="tiny", audio=["clean"], methods=list(ad))
    points = []
    for method, value in ad.items():
        for size in SIZES:
            points.append(point(method, *size, "ad", value))
            points.append(point(method, *size, "ff", 1 - value / 100))
    write_table(directory, "points", points)
    rows = [
        area(method, by, side, value)
        for method, both in (areas or {}).items()
        for side, value in zip(("insertion", "deletion"), both, strict=True)
        for by in ("bins", "energy")
    ]
    write_table(directory, "areas", rows)
    return read_results(directory)


@pytest.mark.parametrize(("own", "ahead", "level"), [(10.0, 7, 0), (30.0, 0, 0), (20.0, 0, 7)])
def test_only_what_is_better_than_the_best_baseline_is_ahead(
    tmp_path: Path, own: float, ahead: int, level: int
) -> None:
    results = evaluated(tmp_path, {"lmac": own, "saliency": 40.0, "energy": 20.0})
    for found in at_equal_size(results, "clean").values():
        assert (sum(one.ahead for one in found.values()), sum(one.level for one in found.values())) == (ahead, level)
        assert {one.baseline_name for one in found.values()} == {"energy"}


def test_the_baseline_is_the_best_in_each_row_and_not_overall(tmp_path: Path) -> None:
    write_facts(tmp_path)
    at = {"lmac": (10, 30), "first": (20, 25), "second": (15, 40)}
    rows = [
        point(method, *size, "ad", value)
        for method, values in at.items()
        for size, value in zip(SIZES, values, strict=False)
    ]
    write_table(tmp_path, "points", rows)
    found = at_equal_size(read_results(tmp_path), "clean")["ad"]
    assert [(one.baseline_name, one.ahead) for one in found.values()] == [("second", True), ("first", False)]


def test_neither_refinement_nor_the_ideal_mask_is_a_baseline(tmp_path: Path) -> None:
    results = evaluated(tmp_path, {"lmac": 10.0, "lmac_refine_20": 1.0, "ideal": 0.0, "lmac-reference": 12.0})
    assert {one.baseline_name for one in at_equal_size(results, "clean")["ad"].values()} == {"lmac-reference"}


def test_a_low_deletion_area_is_ahead_and_a_low_insertion_area_behind(tmp_path: Path) -> None:
    found = in_areas(evaluated(tmp_path, {}, {"lmac": (0.4, 0.2), "energy": (0.5, 0.3)}), "clean")
    assert not found["insertion", "bins"].ahead
    assert found["deletion", "bins"].ahead


def test_intervals_that_share_a_point_overlap() -> None:
    own, near, far = Interval(0.6, 0.5, 0.7, 8), Interval(0.4, 0.3, 0.5, 8), Interval(0.4, 0.3, 0.49, 8)
    assert Against(own, near, "near", True).outcome == "ahead, intervals overlap"
    assert Against(own, far, "far", True).outcome == "ahead, intervals do not overlap"


def test_the_sentence_counts_rows_and_names_the_baseline(tmp_path: Path) -> None:
    said = on_audio(
        evaluated(tmp_path, {"lmac": 10.0, "energy": 20.0}, {"lmac": (0.6, 0.2), "energy": (0.5, 0.25)}), "clean"
    )
    assert "ahead of the best baseline on AD in 7 of 7 rows and on FF in 7 of 7 rows" in said
    assert "insertion by bins 0.600 (0.570-0.630) against 0.500 (0.470-0.530) of energy" in said
    assert "ahead, intervals do not overlap" in said


def test_without_lmac_no_verdict_is_made_up(tmp_path: Path) -> None:
    assert "not both measured" in on_audio(evaluated(tmp_path, {"saliency": 10.0, "energy": 20.0}), "clean")


def test_a_baseline_takes_part_in_each_row_with_whichever_order_is_best_there(tmp_path: Path) -> None:
    write_facts(tmp_path)
    size = SIZES[0]
    other = point("energy", *size, "ad", 1.0, best=False) | {"ranking": "absolute"}
    write_table(tmp_path, "points", [point("lmac", *size, "ad", 10), point("energy", *size, "ad", 20), other])
    assert at_equal_size(read_results(tmp_path), "clean")["ad"][(*size, "ad")].baseline.value == 1


def test_an_order_of_lmac_that_does_not_count_takes_no_part(tmp_path: Path) -> None:
    write_facts(tmp_path)
    size = SIZES[0]
    other = point("lmac", *size, "ad", 1.0, best=False) | {"ranking": "absolute"}
    write_table(tmp_path, "points", [point("lmac", *size, "ad", 10), point("energy", *size, "ad", 20), other])
    assert at_equal_size(read_results(tmp_path), "clean")["ad"][(*size, "ad")].own.value == 10


def test_controls_are_no_baselines_and_the_verdict_says_what_they_would_change(tmp_path: Path) -> None:
    results = evaluated(tmp_path, {"lmac": 10.0, "energy": 20.0, "random": 1.0})
    assert {one.baseline_name for one in at_equal_size(results, "clean")["ad"].values()} == {"energy"}
    said = on_audio(results, "clean")
    assert "ahead of the best baseline on AD in 7 of 7 rows" in said
    assert "With the random and constant rankings among the baselines, it is on AD in 0 of 7 rows" in said
