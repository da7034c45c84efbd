"""`lmac evaluate` on a handful of recordings: tables, resuming, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.attribution.baselines import BASELINES
from pipeline.datasets.scenes import SceneConfig, write_scenes
from pipeline.evaluation import timing
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.methods import ComparedMethod
from pipeline.evaluation.names import EvaluationError
from pipeline.evaluation.prepare import Progress, prepare
from pipeline.models.build import build_decoder
from pipeline.models.checkpoint import save_explainer
from schemas.evaluation_config import EvaluationConfig, SanityConfig
from schemas.evaluation_tables import TABLES
from tests.flow.make import TINY, short_clips, write_folder
from tests.jobs.test_cli import run
from tests.models.clap.make import SHORT, explainer_config, small_clap

SMALL = ["--contaminate", "white-noise:10", "--no-sanity"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_folder(tmp_path_factory.mktemp("evaluate") / "in", short_clips(4))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, source: str, tiny_explainer: str) -> Path:
    """An evaluation of four recordings with two baselines, sanity checks and all, not to be changed."""
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    methods = ["--methods", "saliency,constant"]
    code, said = run("evaluate", source, "--explainer", tiny_explainer, "--out", folder, *methods, "--batch-size", 3)
    assert code == 0, said
    assert "mixture: saliency: " in said
    assert "4 recordings in 4 windows" in said
    return folder


def rows(folder: Path, table: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(folder / f"{table}.parquet").to_pylist()
    return found


def state(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()}


@pytest.mark.slow
def test_every_table_is_written_and_of_its_schema(out: Path) -> None:
    for name, schema in TABLES.items():
        assert pq.read_schema(out / f"{name}.parquet").equals(schema), name


@pytest.mark.slow
def test_every_window_has_its_row_for_every_mask_on_every_audio(out: Path) -> None:
    found = rows(out, "scores")
    masks = {(row["method"], row["mask"]) for row in found}
    assert {method for method, _ in masks} == {"lmac", "saliency", "constant"}
    assert {row["audio"] for row in found} == {"clean", "mixture", "white-noise 10 dB"}
    assert len(found) == len(masks) * 3 * 4
    assert {row["audio"] for row in rows(out, "curves")} == {"clean", "mixture"}


@pytest.mark.slow
def test_a_mask_of_ones_is_told_by_its_size(out: Path) -> None:
    found = {(r["score"], r["audio"]): r for r in rows(out, "summary") if r["mask"] == "ones"}
    assert found["ad", "clean"]["value"] == 0
    assert found["mask_mean", "clean"]["value"] == found["mask_mean", "clean"]["low"] == 1
    assert found["sps", "clean"]["value"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_the_record_tells_what_was_evaluated(out: Path, tiny_explainer: str) -> None:
    record = json.loads((out / "evaluation.json").read_text())
    assert (record["explainer"], record["recordings"], record["windows"]) == ("tiny", 4, 4)
    assert record["audio"] == ["clean", "mixture", "white-noise 10 dB"]
    assert record["methods"] == ["lmac", "saliency", "constant"]
    assert {"lmac", "torch", "captum", "python"} <= record["versions"].keys()
    assert len(record["classifier_digest"]) == 64
    assert 0 < record["p"] <= 1


@pytest.mark.slow
def test_the_report_is_written(out: Path) -> None:
    assert "saliency" in (out / "report.html").read_text()
    assert (out / "report.md").exists()


@pytest.mark.slow
def test_sanity_and_timing_are_of_the_methods_chosen(out: Path) -> None:
    assert {row["method"] for row in rows(out, "sanity")} == {"lmac"}
    assert {row["test"] for row in rows(out, "sanity")} == {"randomisation", "stability", "masked_out"}
    timing = {row["method"]: row for row in rows(out, "timing")}
    assert timing["lmac"]["ratio"] == 1
    assert all(float(row["seconds"]) > 0 for row in timing.values())  # type: ignore[arg-type]


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    command = ["evaluate", source, "--explainer", tiny_explainer, "--out", tmp_path / "out", *SMALL]
    assert run(*command, "--methods", "energy")[0] == 0
    before, tables = state(tmp_path / "out"), rows(tmp_path / "out", "summary")
    code, said = run(*command, "--methods", "energy")
    assert code == 0
    assert "energy: " not in said
    assert state(tmp_path / "out") == before
    assert rows(tmp_path / "out", "summary") == tables

    assert run(*command, "--methods", "energy,constant")[0] == 0
    after = state(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert all("constant" in name for name in after.keys() - before.keys())


@pytest.mark.slow
def test_an_interrupted_evaluation_goes_on(
    source: str, tiny_explainer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["evaluate", source, "--explainer", tiny_explainer, *SMALL, "--methods", "energy", "--out"]
    assert run(*command, tmp_path / "whole")[0] == 0

    def stopped(method: ComparedMethod, batch: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(timing, "seconds_per_window", stopped)
        code, said = run(*command, tmp_path / "out")
    assert code == 130
    assert said.endswith("interrupted: what is measured stays, and the same command resumes from there")
    assert not (tmp_path / "out" / "evaluation.json").exists()

    code, said = run(*command, tmp_path / "out")
    assert code == 0
    assert "clean: " not in said
    for table in ("scores", "curves", "summary", "differences", "points", "areas"):
        assert rows(tmp_path / "out", table) == rows(tmp_path / "whole", table), table


@pytest.mark.slow
def test_accuracy_is_of_the_windows_whose_label_is_known(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    command = ["evaluate", source, "--explainer", tiny_explainer, "--no-sanity", "--methods", "lmac"]
    command += ["--contaminate", "none", "--curves", "none", "--out"]
    assert run(*command, tmp_path / "plain")[0] == 0
    assert json.loads((tmp_path / "plain" / "evaluation.json").read_text())["accuracy"] is None

    decided = {row["key"]: row["target"] for row in rows(tmp_path / "plain", "scores")}
    first, second, *_ = decided
    wrong = next(label for label in ("low", "high") if label != decided[second])
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{first},{decided[first]}\n{second},{wrong}\n")
    code, said = run(*command, tmp_path / "labelled", "--labels", table)
    assert code == 0
    assert "50.0% of the clean windows with a known label are classified as labelled" in said
    assert json.loads((tmp_path / "labelled" / "evaluation.json").read_text())["accuracy"] == 0.5


@pytest.mark.slow
def test_on_scenes_the_truth_is_found_and_a_twin_differs_in_nothing(tiny_explainer: str, tmp_path: Path) -> None:
    config = SceneConfig(sample_rate=TINY.front_end.sample_rate, duration_s=TINY.front_end.window_s)
    write_scenes(str(tmp_path / "scenes"), 3, seed=1, config=config)
    command = ["evaluate", tmp_path / "scenes", "--explainer", tiny_explainer, "--out", tmp_path / "out", "--no-sanity"]
    code, said = run(*command, "--methods", "energy", "--contaminate", "none", "--against", f"twin={tiny_explainer}")
    assert code == 0, said
    found = rows(tmp_path / "out", "localisation")
    assert {row["method"] for row in found} == {"lmac", "twin", "energy", "ideal"}
    assert [row["auroc"] for row in found if row["method"] == "ideal"] == pytest.approx([1.0] * 3)
    apart = [row for row in rows(tmp_path / "out", "differences") if row["baseline"] == "twin"]
    assert {row["score"] for row in apart} >= {"ad", "ff", "insertion by bins", "deletion by energy"}
    assert all(row["value"] == row["low"] == row["high"] == 0 for row in apart)


@pytest.mark.slow
def test_clips_are_drawn_by_seed(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    command = ["evaluate", source, "--explainer", tiny_explainer, "--no-sanity", "--methods", "lmac", "--limit", 2]
    for name in ("one", "two"):
        assert run(*command, "--contaminate", "none", "--out", tmp_path / name, "--seed", 3)[0] == 0
    keys = [{row["key"] for row in rows(tmp_path / name, "scores")} for name in ("one", "two")]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 2


@pytest.mark.slow
def test_scores_do_not_depend_on_the_batch(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    found = []
    for size in (1, 4):
        command = [
            "evaluate",
            source,
            "--explainer",
            tiny_explainer,
            *SMALL,
            "--methods",
            "random,Integrated gradients",
        ]
        assert run(*command, "--out", tmp_path / str(size), "--batch-size", size)[0] == 0
        table = pq.read_table(tmp_path / str(size) / "scores.parquet")
        found.append(table.sort_by([(name, "ascending") for name in ("audio", "method", "mask", "window")]))
    for name in ("p", "p_in", "p_out", "mask_mean", "p_in_audio"):
        np.testing.assert_allclose(found[0][name], found[1][name], atol=1e-3, err_msg=name)


@pytest.mark.slow
def test_baselines_that_do_not_suit_the_classifier_are_left_out_of_all_and_refused_by_name(
    source: str, tmp_path: Path
) -> None:
    config = explainer_config(0.5, sizes=SHORT)
    classifier = small_clap(SHORT, config.front_end)
    save_explainer(str(tmp_path / "clap"), config, classifier, build_decoder(config, classifier), "")
    command = ["evaluate", source, "--explainer", tmp_path / "clap", "--no-sanity", "--limit", 1]
    command += ["--contaminate", "none", "--curves", "none", "--out"]
    code, said = run(*command, tmp_path / "out")
    assert code == 0, said
    assert "guided_backprop is left out: made for ReLUs, and the classifier has " in said
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    left_out = {"deeplift", "guided_backprop", "guided_gradcam"}
    assert record["methods_left_out"].keys() == left_out
    assert set(record["methods"]) == {"lmac", *BASELINES} - left_out
    assert "Not among the baselines: deeplift, " in (tmp_path / "out" / "report.md").read_text()

    code, said = run(*command, tmp_path / "named", "--methods", "energy,deeplift")
    assert code == 1
    assert said.startswith("error: --methods deeplift does not suit small clap, whose classifier is of the kind 'clap'")
    assert not (tmp_path / "named").exists()


@pytest.mark.slow
def test_a_library_call_does_what_the_command_does(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    command = ["evaluate", source, "--explainer", tiny_explainer, *SMALL, "--methods", "energy", "--seed", 3]
    assert run(*command, "--curves", "White noise 10 dB", "--out", tmp_path / "command")[0] == 0
    result = evaluate(
        Path(source),
        Path(tiny_explainer),
        out=tmp_path / "call",
        methods=["Energy"],
        contaminate=["white-noise:10"],
        curves=["white-noise:10"],
        sanity={"enabled": False},
        seed=3,
    )
    for table in TABLES:
        if table != "timing":
            assert rows(tmp_path / "call", table) == rows(tmp_path / "command", table), table
    assert {row["audio"] for row in rows(tmp_path / "call", "curves")} == {"white-noise 10 dB"}
    assert result.report.exists()
    assert result.record == json.loads((tmp_path / "call" / "evaluation.json").read_text())
    assert [(row["audio"], row["method"]) for row in result.summary] == [
        (audio, method) for audio in ("clean", "white-noise 10 dB") for method in ("lmac", "energy")
    ]


@pytest.mark.slow
def test_masks_are_scored_in_the_precision_asked_for(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    settings = {"methods": ["energy"], "contaminate": ["none"], "sanity": {"enabled": False}}
    found = {}
    for precision in ("fp32", "bf16"):
        # In one folder: what was measured in another precision is not taken for it.
        result = evaluate(source, tiny_explainer, out=tmp_path, precision=precision, **settings)
        assert result.record["config"]["precision"] == precision
        found[precision] = rows(tmp_path, "scores")
    p_in = [np.array([row["p_in"] for row in table]) for table in found.values()]
    assert np.abs(p_in[0] - p_in[1]).max() < 0.05
    assert (p_in[0] != p_in[1]).any()
    # The decision itself is not moved by it.
    assert [row["p"] for row in found["fp32"]] == [row["p"] for row in found["bf16"]]


def test_methods_of_sanity_checks_may_be_written_as_they_are_printed(
    source: str, tiny_explainer: str, tmp_path: Path
) -> None:
    settings = EvaluationConfig(
        explainer=tiny_explainer,
        methods=("lmac",),
        contaminate=("none",),
        refine=3,
        sanity=SanityConfig(methods=("LMAC refine 3", "Input x gradient")),
    )
    found = prepare(source, settings, tmp_path, "cpu", Progress())
    assert found.config.sanity.methods == ("lmac_refine_3", "input_x_gradient")
    with pytest.raises(EvaluationError, match=r"^sanity\.methods: 'lime' is not known: choose from lmac, saliency, "):
        evaluate(source, tiny_explainer, out=tmp_path / "out", sanity={"methods": ["lime"]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "lime"], "--methods: 'lime' is not known: choose from lmac, saliency"),
        (["--contaminate", "whale"], "'whale' is no contamination: write mixture, white-noise:DB or FOLDER:DB"),
        (["--contaminate", "mixture", "--contaminate", "mixture"], "--contaminate gives 'mixture' twice"),
        (["--curves", "rain:3"], "--curves: 'rain 3 dB' is not known: choose from clean, mixture"),
        (["--against", "reference"], "--against 'reference': write NAME=EXPLAINER"),
        (["--select", "fold=5"], "no recording has a column 'fold' to select by"),
        (["--limit", "0"], "limit: Input should be greater than or equal to 1, got 0"),
    ],
)
def test_what_cannot_be_done_is_refused_at_the_door(
    options: list[str], message: str, source: str, tiny_explainer: str, tmp_path: Path
) -> None:
    code, said = run("evaluate", source, "--explainer", tiny_explainer, "--out", tmp_path / "out", *options)
    assert code == 1
    assert said.startswith("error: ")
    assert message in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_refused(source: str, tiny_explainer: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, said = run("evaluate", source, "--explainer", tiny_explainer, "--out", tmp_path / "file")
    assert (code, said) == (1, f"error: {tmp_path / 'file'} cannot be written to: Not a directory")
