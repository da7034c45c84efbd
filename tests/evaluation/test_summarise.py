from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.attribution.trained import OWN_ORDERS
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.results_cache import table_of
from pipeline.evaluation.summarise import best_localisation, summarise_audio
from schemas.evaluation_tables import CURVES, LOCALISATION, SCORES, SPECTRAL, TABLES, WRITTEN

WINDOWS = 6
BUDGETS = (0.01, 0.1, 0.5)
BOOTSTRAP = Bootstrap(np.arange(WINDOWS), 200)
LOCALISED = LOCALISATION.append(pa.field("ranking", pa.string(), nullable=False))


def place(method: str) -> dict[str, object]:
    # Windows out of order, as a table need not be in any.
    order = list(reversed(range(WINDOWS)))
    return {"method": method, "key": [f"recording-{w}" for w in order], "window": order, "target": ["a"] * WINDOWS}


def scores(method: str, **variants: dict[str, float]) -> pa.Table:
    """For each mask the scores given, each window a little different, all others 0."""
    spread = np.linspace(0.01, -0.01, WINDOWS)
    batches = [
        {
            **place(method),
            "audio": "clean",
            "mask": mask,
            **{name: given.get(name, 0.0) + spread * (name in given) for name in (*SPECTRAL, *WRITTEN)},
        }
        for mask, given in variants.items()
    ]
    return table_of(SCORES, batches)


def own(sides: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """The same for each order that an explainer's own decoder is held to."""
    return dict.fromkeys(OWN_ORDERS.values(), sides)


def curves(method: str, **rankings: tuple[float, float]) -> pa.Table:
    """For each ranking flat curves of insertion and deletion."""
    flat = {name: np.zeros(WINDOWS) for name in ("bins_kept", "energy_kept", "p", "ad", "ff", "fid_in")}
    batches = [
        {
            **place(method),
            "audio": "clean",
            "ranking": ranking,
            "by": by,
            "budget": budget,
            **flat,
            "p_in": np.full(WINDOWS, high),
            "p_out": np.full(WINDOWS, low),
        }
        for ranking, (high, low) in rankings.items()
        for by in ("bins", "energy")
        for budget in BUDGETS
    ]
    return table_of(CURVES, batches)


def best_masks(table: pa.Table) -> list[str]:
    found = summarise_audio("clean", {"m": table}, {}, BOOTSTRAP)["summary"].to_pylist()
    return list(dict.fromkeys(row["mask"] for row in found if row["best"]))


def test_the_mask_with_most_faithfulness_for_its_drop_counts() -> None:
    table = scores("m", relu={"ff": 0.5, "ad": 30.0}, top={"ff": 0.4, "ad": 10.0}, abs={"ff": 0.6, "ad": 60.0})
    assert best_masks(table) == ["top"]


def test_a_mask_of_nearly_everything_does_not_win_by_its_size() -> None:
    table = scores("m", small={"ff": 0.1, "mask_mean": 0.2}, all={"ff": 0.9, "mask_mean": 0.9})
    assert best_masks(table) == ["small"]
    assert best_masks(scores("m", all={"ff": 0.9, "mask_mean": 0.9})) == ["all"]


def test_both_constant_masks_are_shown() -> None:
    table = scores("constant", ones={"mask_mean": 1.0}, half={"mask_mean": 0.5})
    found = summarise_audio("clean", {"constant": table}, {}, BOOTSTRAP)["summary"].to_pylist()
    assert {row["mask"] for row in found if row["best"]} == {"ones", "half"}


def test_the_order_that_separates_the_sides_counts_in_all_its_rows() -> None:
    tables = summarise_audio("clean", {}, {"m": curves("m", signed=(0.5, 0.4), absolute=(0.7, 0.2))}, BOOTSTRAP)
    for name in ("points", "areas"):
        assert {row["ranking"] for row in tables[name].to_pylist() if row["best"]} == {"absolute"}
    areas = {(row["ranking"], row["side"], row["by"]): row["value"] for row in tables["areas"].to_pylist()}
    assert areas["absolute", "insertion", "bins"] == pytest.approx(0.7)
    assert areas["signed", "deletion", "energy"] == pytest.approx(0.4)


def test_an_order_per_energy_may_count_for_energy_and_another_for_bins() -> None:
    table = curves("m", signed=(0.5, 0.4), signed_per_energy=(0.7, 0.2))
    of_energy = pc.or_(pc.not_equal(table["ranking"], "signed_per_energy"), pc.equal(table["by"], "energy"))
    tables = summarise_audio("clean", {}, {"m": table.filter(of_energy)}, BOOTSTRAP)
    for name in ("points", "areas"):
        counting = {(row["by"], row["ranking"]) for row in tables[name].to_pylist() if row["best"]}
        assert counting == {("bins", "signed"), ("energy", "signed_per_energy")}


def test_refined_masks_are_held_against_all_too() -> None:
    tables = {name: scores(name, own={"ff": ff}) for name, ff in (("lmac", 0.5), ("lmac_refine_3", 0.6), ("m", 0.1))}
    rows = summarise_audio("clean", tables, {}, BOOTSTRAP)["differences"].to_pylist()
    found = {(row["method"], row["baseline"]): row["value"] for row in rows if row["score"] == "ff"}
    assert found["lmac_refine_3", "lmac"] == pytest.approx(0.1)
    assert found["lmac_refine_3", "m"] == pytest.approx(0.5)
    assert not any(method == "m" for method, _ in found)


def test_every_score_of_every_variant_has_a_mean_with_an_interval() -> None:
    table = scores("m", relu={"ff": 0.5}, top={"ff": 0.4})
    rows = summarise_audio("clean", {"m": table}, {}, BOOTSTRAP)["summary"].to_pylist()
    assert len(rows) == 2 * len((*SPECTRAL, *WRITTEN))
    (ff,) = (row for row in rows if (row["mask"], row["score"]) == ("relu", "ff"))
    assert ff["value"] == pytest.approx(0.5)
    assert ff["low"] < 0.5 < ff["high"]
    assert ff["n"] == WINDOWS


def test_differences_are_of_the_same_windows() -> None:
    ours, baseline = scores("lmac", own={"ff": 0.5}), scores("m", relu={"ff": 0.3})
    rows = summarise_audio("clean", {"lmac": ours, "m": baseline}, {}, BOOTSTRAP)["differences"].to_pylist()
    (ff,) = (row for row in rows if row["score"] == "ff")
    # Both vary alike over windows: their difference does not vary at all.
    assert (ff["method"], ff["mask"], ff["baseline"]) == ("lmac", "own", "m")
    assert (ff["value"], ff["low"], ff["high"]) == pytest.approx((0.2, 0.2, 0.2))


def test_differences_in_area_are_of_the_best_orders() -> None:
    ours, baseline = curves("lmac", **own((0.8, 0.1))), curves("m", signed=(0.1, 0.9), absolute=(0.5, 0.3))
    rows = summarise_audio("clean", {}, {"lmac": ours, "m": baseline}, BOOTSTRAP)["differences"].to_pylist()
    found = {row["score"]: row["value"] for row in rows if " at " not in row["score"]}
    assert found == {
        "insertion by bins": pytest.approx(0.3),
        "insertion by energy": pytest.approx(0.3),
        "deletion by bins": pytest.approx(-0.2),
        "deletion by energy": pytest.approx(-0.2),
    }


def test_a_method_is_not_held_against_itself() -> None:
    assert summarise_audio("clean", {"lmac": scores("lmac", own={})}, {}, BOOTSTRAP)["differences"].num_rows == 0


def test_the_tables_are_of_their_schemas() -> None:
    tables = summarise_audio("clean", {"m": scores("m", a={})}, {"m": curves("m", signed=(1.0, 0.0))}, BOOTSTRAP)
    assert all(tables[name].schema == TABLES[name] for name in tables)


def test_localisation_is_of_the_mask_that_counts_and_the_better_order() -> None:
    rest = {"snr_db": [0.0] * WINDOWS, "average_precision": [0.5] * WINDOWS}
    sdr = {"si_sdr_mixture": [0.0] * WINDOWS, "si_sdr_masked_in": [3.0] * WINDOWS}
    batches = [
        {**place("m"), **rest, **sdr, "mask": mask, "ranking": order, "auroc": [auroc] * WINDOWS}
        for mask in ("a", "b")
        for order, auroc in (("signed", 0.4), ("absolute", 0.7))
    ]
    found = best_localisation(table_of(LOCALISED, batches), "b")
    assert set(found["mask"].to_pylist()) == {"b"}
    assert found["auroc"].to_pylist() == [0.7] * WINDOWS


def test_the_own_decoder_has_the_orders_that_are_fixed_and_a_baseline_those_that_serve_it() -> None:
    orders = {"signed": (0.5, 0.5), "odds_per_energy": (0.9, 0.1), "odds_root_per_energy": (0.6, 0.4)}
    for method in ("lmac", "lmac_refine_10", "m"):
        rows = summarise_audio("clean", {}, {method: curves(method, **orders)}, BOOTSTRAP)["areas"].to_pylist()
        best = {(row["by"], row["ranking"]) for row in rows if row["best"]}
        baselines = {("bins", "odds_per_energy"), ("energy", "odds_per_energy")}
        assert best == (baselines if method == "m" else set(OWN_ORDERS.items()))


def test_sizes_that_round_alike_are_told_apart() -> None:
    close = (0.01, 0.012, 0.5)
    table = curves("lmac", **own((0.9, 0.1)))
    renamed = table.set_column(
        table.schema.get_field_index("budget"),
        "budget",
        pa.array([close[BUDGETS.index(budget)] for budget in table["budget"].to_pylist()], CURVES.field("budget").type),
    )
    found = summarise_audio("clean", {}, dict.fromkeys(("lmac", "lmac_refine_1"), renamed.cast(CURVES)), BOOTSTRAP)
    names = {row["score"] for row in found["differences"].to_pylist()}
    assert {"ad at 1% of bins", "ad at 1.2% of bins"} <= names


def test_differences_are_told_at_every_size() -> None:
    tables = {"lmac": curves("lmac", **own((0.9, 0.1))), "baseline": curves("baseline", signed=(0.5, 0.4))}
    found = summarise_audio("clean", {}, tables, BOOTSTRAP)["differences"].to_pylist()
    names = {row["score"] for row in found}
    assert {
        f"{score} at {size} of {by}"
        for score in ("ad", "ff")
        for size in ("1%", "10%", "50%")
        for by in ("bins", "energy")
    } <= names
